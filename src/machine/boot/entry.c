/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * entry.c: CPU state at a kernel's entry, command line, initrd.
 *
 * Spec:    Xen public/arch-x86/hvm/start_info.h (PVH entry state); Multiboot
 *          0.6.96, 3.2 "Machine state"; Linux Documentation/x86/boot.rst,
 *          "64-bit Boot Protocol"; Intel SDM vol. 3A, 4.5 "4-Level Paging",
 *          11.11.2.1 "IA32_MTRR_DEF_TYPE MSR".
 * Threads: control, vCPUs stopped.
 */
#include "machine/boot/entry.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/util.h"

#define PAGE UINT64_C(4096)

enum {
    CR0_PE = 1 << 0,
    CR0_ET = 1 << 4,
    CR4_PAE = 1 << 5,
    EFER_LME = 1 << 8,
    EFER_LMA = 1 << 10,
    MSR_MTRR_DEF_TYPE = 0x2ff,
    MTRR_ENABLE = 1 << 11,
    MTRR_WRITE_BACK = 6,
    PTE_PRESENT_WRITE = 3,
    PDE_LARGE = 1 << 7,

    REAL_IDT_LIMIT = 256 * 4 - 1,

    SEL_CODE = 0x10,
    SEL_DATA = 0x18,
    SEL_TSS = 0x20,
};
#define CR0_PG (UINT64_C(1) << 31)

/* Accessed code/data types; the busy TSS. */
enum { TYPE_CODE = 0xb, TYPE_DATA = 0x3, TYPE_TSS = 0xb };

static uint64_t descriptor(const vsr_x86_seg *seg)
{
    uint64_t limit = seg->attr & VSR_SEG_G ? seg->limit >> 12 : seg->limit;
    uint64_t base = seg->base;

    return (limit & 0xffff) | (base & 0xffffff) << 16 |
           (uint64_t)(seg->attr & 0xff) << 40 | (limit >> 16 & 0xf) << 48 |
           (uint64_t)(seg->attr >> 12 & 0xf) << 52 | (base >> 24 & 0xff) << 56;
}

static vsr_x86_seg flat(uint16_t selector, uint16_t type, uint16_t size)
{
    return (vsr_x86_seg){
        .base = 0,
        .limit = UINT32_MAX,
        .selector = selector,
        .attr = VSR_SEG_P | VSR_SEG_S | VSR_SEG_G | size | type,
    };
}

bool vsr_entry_write(vsr_machine *machine, uint64_t gpa, const void *data,
                     size_t len, GError **error)
{
    if (vsr_mem_write(machine->mem, gpa, data, len))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Boot data: %zu bytes at 0x%" PRIx64 " are not in RAM",
                        len, gpa);
    return true;
}

bool vsr_entry_bios(vsr_machine *machine, GError **error)
{
    static const uint8_t code[] = {
        0xba,
        VSR_PORT_RESET & 0xff,
        VSR_PORT_RESET >> 8, /* mov dx, port */
        0xb0,
        VSR_RESET_VALUE, /* mov al, value */
        0xee,            /* out dx, al */
        0xf4,            /* hlt */
        0xeb,
        0xfd, /* jmp to the hlt */
    };

    return vsr_entry_write(machine, VSR_ENTRY_BIOS, code, sizeof(code), error);
}

/* Segment registers, and a GDT that agrees with them. */
static bool set_segments(vsr_machine *machine, vsr_x86_state *state,
                         uint16_t code_size, uint16_t data_size,
                         uint64_t gdt_gpa, GError **error)
{
    static const uint8_t data_segs[] = { VSR_X86_ES, VSR_X86_SS, VSR_X86_DS,
                                         VSR_X86_FS, VSR_X86_GS };
    uint64_t gdt[6] = { 0 };
    uint8_t bytes[sizeof(gdt)];
    size_t i;

    state->seg[VSR_X86_CS] = flat(SEL_CODE, TYPE_CODE, code_size);
    for (i = 0; i < VSR_ARRAY_SIZE(data_segs); i++)
        state->seg[data_segs[i]] = flat(SEL_DATA, TYPE_DATA, data_size);
    state->seg[VSR_X86_TR] = (vsr_x86_seg){
        .limit = 0x67,
        .selector = SEL_TSS,
        .attr = VSR_SEG_P | TYPE_TSS,
    };
    state->seg[VSR_X86_LDTR] = (vsr_x86_seg){ 0 };

    gdt[SEL_CODE / 8] = descriptor(&state->seg[VSR_X86_CS]);
    gdt[SEL_DATA / 8] = descriptor(&state->seg[VSR_X86_DS]);
    gdt[SEL_TSS / 8] = descriptor(&state->seg[VSR_X86_TR]);
    for (i = 0; i < VSR_ARRAY_SIZE(gdt); i++)
        vsr_put64(bytes + 8 * i, gdt[i]);
    state->gdt = (vsr_x86_dtable){ .base = gdt_gpa, .limit = sizeof(gdt) - 1 };
    state->idt = (vsr_x86_dtable){ .base = 0, .limit = 0 };
    return vsr_entry_write(machine, gdt_gpa, bytes, sizeof(bytes), error);
}

/* As firmware leaves them: memory is write-back. Kernels do without the PAT
 * where the MTRRs are off. */
static void enable_mtrrs(vsr_x86_state *state)
{
    for (uint32_t i = 0; i < state->n_msrs; i++)
        if (state->msrs[i].index == MSR_MTRR_DEF_TYPE)
            state->msrs[i].value = MTRR_ENABLE | MTRR_WRITE_BACK;
}

static void clear_registers(vsr_x86_state *state, uint64_t rip)
{
    memset(state->gpr, 0, sizeof(state->gpr));
    state->rip = rip;
    state->rflags = 2;
    state->cr2 = state->cr3 = state->cr4 = state->cr8 = 0;
    state->efer = 0;
    state->mp_state = VSR_MP_RUNNABLE;
    enable_mtrrs(state);
}

bool vsr_entry_flat32(vsr_machine *machine, vsr_x86_state *state, uint32_t eip,
                      uint64_t gdt_gpa, GError **error)
{
    clear_registers(state, eip);
    state->cr0 = CR0_PE | CR0_ET;
    if (!set_segments(machine, state, VSR_SEG_DB, VSR_SEG_DB, gdt_gpa, error))
        return false;
    /* As after a reset: images that go on to real mode count on it. */
    state->idt.limit = REAL_IDT_LIMIT;
    return true;
}

bool vsr_entry_long64(vsr_machine *machine, vsr_x86_state *state, uint64_t rip,
                      GError **error)
{
    const size_t len = 6 * PAGE; /* PML4, PDPT, 4 page directories */
    g_autofree uint8_t *tables = g_malloc0(len);
    uint32_t i;

    vsr_put64(tables, (VSR_BOOT_PAGES + PAGE) | PTE_PRESENT_WRITE);
    for (i = 0; i < 4; i++)
        vsr_put64(tables + PAGE + 8 * i,
                  (VSR_BOOT_PAGES + (2 + i) * PAGE) | PTE_PRESENT_WRITE);
    for (i = 0; i < 4 * 512; i++)
        vsr_put64(tables + 2 * PAGE + 8 * (size_t)i,
                  (uint64_t)i << 21 | PDE_LARGE | PTE_PRESENT_WRITE);

    clear_registers(state, rip);
    state->cr0 = CR0_PE | CR0_ET | CR0_PG;
    state->cr3 = VSR_BOOT_PAGES;
    state->cr4 = CR4_PAE;
    state->efer = EFER_LME | EFER_LMA;
    return vsr_entry_write(machine, VSR_BOOT_PAGES, tables, len, error) &&
           set_segments(machine, state, VSR_SEG_L, VSR_SEG_DB, VSR_BOOT_GDT,
                        error);
}

bool vsr_entry_cmdline(vsr_machine *machine, uint64_t gpa, const char *cmdline,
                       uint32_t max, GError **error)
{
    size_t len = cmdline ? strlen(cmdline) : 0;

    max = MIN(max, VSR_CMDLINE_MAX);
    if (len > max)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Kernel command line: %zu bytes, the kernel takes at"
                        " most %u",
                        len, max);
    return vsr_entry_write(machine, gpa, cmdline ? cmdline : "", len + 1,
                           error);
}

bool vsr_entry_initrd(vsr_machine *machine, const vsr_board *board,
                      const vsr_boot_source *source, uint64_t floor,
                      uint64_t limit, vsr_initrd *out, GError **error)
{
    vsr_image image;
    uint64_t top = MIN(vsr_board_low_ram(board), limit) & ~(PAGE - 1);

    *out = (vsr_initrd){ 0 };
    if (source->initrd_fd < 0)
        return true;
    floor = vsr_round_up(floor, PAGE);
    if (!vsr_image_init(&image, source->initrd_fd, "Initrd",
                        source->initrd_name, UINT32_MAX, error))
        return false;
    if (floor >= top || image.size > top - floor)
        return vsr_image_bad(&image, error,
                             "%" PRIu64 " bytes do not fit between the"
                             " kernel's end at 0x%" PRIx64 " and 0x%" PRIx64
                             " (memory: %" PRIu64 " MiB)",
                             image.size, floor, top,
                             board->ram_bytes / VSR_MIB);
    out->len = image.size;
    out->gpa = (top - image.size) & ~(PAGE - 1);
    return vsr_image_to_ram(&image, 0, image.size, machine, out->gpa,
                            "the initrd", error);
}
