/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emu_box.c: see emu_box.h.
 */
#include "tests/drivers/emu/emu_box.h"

#include <string.h>
#include <sys/mman.h>

#include "drivers/emu/guest_x86_segment.h"

const emu_insn box_insn = {
    .op = EMU_OP_MOV,
    .form = EMU_FORM_RR,
    .len = 2,
    .opsize = 8,
};

/* --- the machine --- */

static void note_io(emu_box *box, vsr_io *io)
{
    if (!io->is_write)
        io->data = box->io_value;
    if (box->n_io < G_N_ELEMENTS(box->io))
        box->io[box->n_io] = *io;
    box->n_io++;
}

static void on_io(void *machine, vsr_io *io)
{
    note_io(machine, io);
}

static int on_ack(void *machine, uint32_t vcpu)
{
    emu_box *box = machine;
    int vector = box->vector;

    box->acks++;
    box->vector = -1;
    return vector;
}

static bool on_msr(void *machine, uint32_t vcpu, uint32_t index, bool is_write,
                   uint64_t *value)
{
    if (!is_write)
        *value = index;
    return index == EMU_MSR_APIC_BASE || index == EMU_MSR_TSC_DEADLINE;
}

static uint64_t on_cr8_get(void *machine, uint32_t vcpu)
{
    return 5;
}

static void on_cr8_set(void *machine, uint32_t vcpu, uint64_t value)
{
    ((emu_box *)machine)->io_value = value;
}

emu_box *emu_box_new(unsigned vcpus)
{
    emu_box *box = g_new0(emu_box, 1);
    vsr_vm_config config = { .vcpus = vcpus };
    vsr_mem_slot slot = { .gpa = 0, .len = BOX_RAM };
    vsr_cpuid cpuid;

    box->ram = mmap(NULL, BOX_RAM, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(box->ram != MAP_FAILED);
    box->vector = -1;
    box->events = (vsr_engine_events){
        .mmio = on_io,
        .pio = on_io,
        .intr_ack = on_ack,
        .msr = on_msr,
        .cr8_get = on_cr8_get,
        .cr8_set = on_cr8_set,
    };
    box->vm = vsr_emu_engine.vm_new(&config, &box->events, box, NULL);
    assert_non_null(box->vm);
    slot.host = box->ram;
    assert_int_equal(vsr_emu_engine.mem_add(box->vm, &slot), 0);
    assert_true(vsr_emu_engine.cpuid_supported(&cpuid, NULL));
    for (unsigned i = 0; i < vcpus; i++) {
        vsr_vcpu_config vcpu = { .index = i, .apic_id = i, .cpuid = &cpuid };

        box->vcpu[i] = vsr_emu_engine.vcpu_new(box->vm, &vcpu, NULL);
        assert_non_null(box->vcpu[i]);
        box->cpu[i] = ((emu_vcpu *)(void *)box->vcpu[i])->cpu;
    }
    memset(box->ram + BOX_HANDLERS, 0xf4, 256 * 16); /* HLT */
    return box;
}

void emu_box_free(emu_box *box)
{
    for (unsigned i = 0; i < 2; i++)
        vsr_emu_engine.vcpu_free(box->vcpu[i]);
    vsr_emu_engine.vm_free(box->vm);
    munmap(box->ram, BOX_RAM);
    g_free(box);
}

/* --- tables --- */

void emu_box_desc(emu_box *box, unsigned selector, uint32_t base,
                  uint32_t limit, uint32_t attr)
{
    uint64_t at = BOX_GDT + (selector & ~7u);

    if (attr & VSR_SEG_G)
        limit >>= 12;
    box_write(box, at, 4, (limit & 0xffff) | base << 16);
    box_write(box, at + 4, 4,
              (base >> 16 & 0xff) | (attr & 0xf0ff) << 8 | (limit & 0xf0000) |
                  (base & 0xff000000));
}

/* 0xe: interrupt gates, of the mode the vCPU will be in. */
static void gate(emu_box *box, unsigned vector, unsigned dpl, unsigned ist,
                 bool wide)
{
    uint64_t at = BOX_IDT + vector * (wide ? 16 : 8);
    uint32_t to = BOX_HANDLER(vector);

    box_write(box, at, 4, (to & 0xffff) | BOX_CS << 16);
    box_write(box, at + 4, 4, (to & 0xffff0000) | 0x8e00 | dpl << 13 | ist);
    if (wide)
        box_write(box, at + 8, 8, 0);
}

void emu_box_gate(emu_box *box, unsigned vector, unsigned dpl, unsigned ist)
{
    gate(box, vector, dpl, ist, true);
}

static uint64_t *table_entry(emu_box *box, uint64_t table, unsigned index)
{
    uint64_t *entry = (uint64_t *)(void *)(box->ram + table) + index;

    if (!(*entry & PTE_P)) {
        *entry = (uint64_t)box->tables | PTE_P | PTE_W | PTE_U;
        box->tables += EMU_PAGE_SIZE;
    }
    return entry;
}

uint64_t *emu_box_pte(emu_box *box, uint64_t la)
{
    uint64_t table = BOX_CR3;

    for (unsigned shift = 39; shift > 12; shift -= 9)
        table = *table_entry(box, table, la >> shift & 511) &
                UINT64_C(0xffffffffff000);
    return (uint64_t *)(void *)(box->ram + table) + (la >> 12 & 511);
}

void emu_box_map(emu_box *box, uint64_t la, uint64_t entry)
{
    *emu_box_pte(box, la) = entry;
}

void emu_box_code(emu_box *box, const void *bytes, size_t len)
{
    memcpy(box->ram + BOX_CODE, bytes, len);
}

/* --- modes --- */

static vsr_x86_seg flat(uint16_t selector, uint16_t attr)
{
    return (
        vsr_x86_seg){ .limit = 0xffffffff, .selector = selector, .attr = attr };
}

enum { CODE = 0x9b, DATA = 0x93, RING3 = 0x60 };

static void start(emu_box *box, unsigned n, bool wide)
{
    uint16_t width = wide ? VSR_SEG_L : VSR_SEG_DB;
    vsr_x86_state s;

    memset(box->ram + BOX_GDT, 0, 0x1000);
    emu_box_desc(box, BOX_CS, 0, 0xffffffff, CODE | VSR_SEG_G | width);
    emu_box_desc(box, BOX_DS, 0, 0xffffffff, DATA | VSR_SEG_G | VSR_SEG_DB);
    emu_box_desc(box, BOX_CS3, 0, 0xffffffff, CODE | RING3 | VSR_SEG_G | width);
    emu_box_desc(box, BOX_DS3, 0, 0xffffffff,
                 DATA | RING3 | VSR_SEG_G | VSR_SEG_DB);
    emu_box_desc(box, BOX_TR, BOX_TSS, 0x67, 0x8b);
    for (unsigned v = 0; v < 256; v++)
        gate(box, v, 0, 0, wide);
    box_write(box, BOX_TSS + 4, wide ? 8 : 4, BOX_RING0);
    box_write(box, BOX_TSS + 0x66, 2, 0x68); /* no port bitmap */
    if (wide)
        box_write(box, BOX_TSS + 0x24, 8, BOX_IST1);
    else
        box_write(box, BOX_TSS + 8, 4, BOX_DS);

    assert_int_equal(vsr_emu_engine.vcpu_get(box->vcpu[n], &s), 0);
    for (unsigned i = 0; i <= VSR_X86_GS; i++)
        s.seg[i] = flat(BOX_DS, DATA | VSR_SEG_G | VSR_SEG_DB);
    s.seg[VSR_X86_CS] = flat(BOX_CS, (uint16_t)(CODE | VSR_SEG_G | width));
    s.seg[VSR_X86_TR] = (vsr_x86_seg){
        .base = BOX_TSS, .limit = 0x67, .selector = BOX_TR, .attr = 0x8b
    };
    s.gdt = (vsr_x86_dtable){ .base = BOX_GDT, .limit = 0xfff };
    s.idt = (vsr_x86_dtable){ .base = BOX_IDT, .limit = 0xfff };
    s.cr0 = EMU_CR0_PE | EMU_CR0_ET | EMU_CR0_NE | EMU_CR0_WP;
    s.cr4 = EMU_CR4_DE;
    s.efer = 0;
    if (wide) {
        memset(box->ram + BOX_CR3, 0, 64 * EMU_PAGE_SIZE);
        box->tables = BOX_CR3 + EMU_PAGE_SIZE;
        for (uint64_t at = 0; at < BOX_RAM; at += EMU_PAGE_SIZE)
            emu_box_map(box, at, at | PTE_P | PTE_W);
        s.cr0 |= EMU_CR0_PG;
        s.cr3 = BOX_CR3;
        s.cr4 |= EMU_CR4_PAE | EMU_CR4_PGE;
        s.efer = EMU_EFER_LME | EMU_EFER_LMA | EMU_EFER_NXE | EMU_EFER_SCE;
    }
    s.rip = BOX_CODE;
    s.gpr[VSR_X86_RSP] = BOX_STACK;
    s.rflags = 2;
    s.mp_state = VSR_MP_RUNNABLE;
    assert_int_equal(vsr_emu_engine.vcpu_set(box->vcpu[n], &s), 0);
}

void emu_box_long(emu_box *box, unsigned n)
{
    start(box, n, true);
}

void emu_box_prot(emu_box *box, unsigned n)
{
    start(box, n, false);
}

void emu_box_real(emu_box *box, unsigned n)
{
    vsr_x86_state s;

    assert_int_equal(vsr_emu_engine.vcpu_get(box->vcpu[n], &s), 0);
    for (unsigned i = 0; i <= VSR_X86_GS; i++)
        s.seg[i] = (vsr_x86_seg){ .limit = 0xffff, .attr = DATA };
    s.seg[VSR_X86_CS].selector = BOX_CODE >> 4;
    s.seg[VSR_X86_CS].base = BOX_CODE;
    s.cr0 = EMU_CR0_ET;
    s.cr4 = s.efer = 0;
    s.rip = 0;
    s.gpr[VSR_X86_RSP] = BOX_STACK;
    s.idt = (vsr_x86_dtable){ .limit = 0x3ff };
    s.rflags = 2;
    s.mp_state = VSR_MP_RUNNABLE;
    for (unsigned v = 0; v < 256; v++) {
        box_write(box, v * 4u, 2, BOX_HANDLER(v) & 0xf);
        box_write(box, v * 4u + 2, 2, BOX_HANDLER(v) >> 4);
    }
    assert_int_equal(vsr_emu_engine.vcpu_set(box->vcpu[n], &s), 0);
}

void emu_box_user(emu_box *box, unsigned n)
{
    emu_cpu *cpu = box->cpu[n];
    uint16_t width = cpu->mode & EMU_MODE_CS64 ? VSR_SEG_L : VSR_SEG_DB;

    cpu->seg[VSR_X86_CS] =
        flat(BOX_CS3, (uint16_t)(CODE | RING3 | VSR_SEG_G | width));
    cpu->seg[VSR_X86_SS] = flat(BOX_DS3, DATA | RING3 | VSR_SEG_G | VSR_SEG_DB);
    cpu->seg[VSR_X86_DS] = cpu->seg[VSR_X86_ES] = cpu->seg[VSR_X86_SS];
    cpu->regs[VSR_X86_RSP] = BOX_USER_STACK;
    emu_set_cpl(cpu, 3);
    emu_mode_update(cpu);
    if (!(cpu->cr0 & EMU_CR0_PG))
        return;
    for (uint64_t at = BOX_CODE; at < BOX_DATA; at += EMU_PAGE_SIZE)
        emu_box_map(box, at, at | PTE_P | PTE_W | PTE_U);
    emu_box_map(box, BOX_USER_STACK - 0x1000,
                (BOX_USER_STACK - 0x1000) | PTE_P | PTE_W | PTE_U);
    emu_tlb_flush(cpu, true);
}

/* --- running --- */

int emu_box_handler(const emu_cpu *cpu)
{
    uint64_t at = cpu->seg_base[VSR_X86_CS] + cpu->regs[EMU_REG_RIP];

    if (at < BOX_HANDLER(0) || at >= BOX_HANDLER(256))
        return -1;
    return (int)(at - BOX_HANDLERS) / 16;
}

typedef struct {
    vsr_engine_vcpu *vcpu;
    emu_cpu *cpu;
    _Atomic bool done;
} watch;

/* Kicks once the vCPU sleeps in HLT for good, or after a minute. */
static void *watchdog(void *opaque)
{
    watch *w = opaque;
    emu_vcpu *v = (emu_vcpu *)(void *)w->vcpu;

    for (unsigned ms = 0; ms < 60000 && !atomic_load(&w->done); ms++) {
        if (atomic_load(&v->halted))
            break;
        g_usleep(1000);
    }
    vsr_emu_engine.vcpu_kick(w->vcpu);
    return NULL;
}

int emu_box_run(emu_box *box, unsigned n)
{
    watch w = { .vcpu = box->vcpu[n], .cpu = box->cpu[n] };
    pthread_t thread;
    int reason;

    assert_int_equal(pthread_create(&thread, NULL, watchdog, &w), 0);
    reason = vsr_emu_engine.vcpu_run(box->vcpu[n]);
    atomic_store(&w.done, true);
    pthread_join(thread, NULL);
    atomic_fetch_and(&box->cpu[n]->exit_request, ~(uint32_t)EMU_EXIT_KICK);
    return reason;
}
