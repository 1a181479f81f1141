/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * multiboot.c: loads multiboot 1 images: ELF of either class, or any file with
 * addresses in its header (flag 16).
 *
 * Spec:    Multiboot Specification 0.6.96, 3.1 "OS image format", 3.2 "Machine
 *          state", 3.3 "Boot information format".
 * Threads: control, vCPUs stopped.
 */
#include "machine/boot/multiboot.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/boot/elf.h"

enum {
    HEADER_MAGIC = 0x1badb002,
    LOADER_MAGIC = 0x2badb002,
    SEARCH_LEN = 8192,

    FLAG_KNOWN = 0x7,       /* align modules, memory information, video */
    FLAG_REQUIRED = 0xffff, /* bits 0..15 must be understood */
    FLAG_ADDRESSES = 1 << 16,

    INFO_MEMORY = 1 << 0,
    INFO_CMDLINE = 1 << 2,
    INFO_MODULES = 1 << 3,
    INFO_MMAP = 1 << 6,
    INFO_LOADER = 1 << 9,

    MODULE_AT = 0x80, /* from the information structure */
    LOADER_AT = 0x90,
    MODULE_NAME_AT = 0xa0,
    MODULE_NAME_MAX = 0x60,
    MMAP_AT = 0x100,
    MMAP_ENTRY = 24,
    MMAP_MAX = 32,
    INFO_LEN = MMAP_AT + MMAP_MAX * MMAP_ENTRY,

    /* What the kernel is handed, wherever that is: see find_room(). */
    DATA_GDT = 0,
    DATA_INFO = 0x100,
    DATA_CMDLINE = 0x1000,
    DATA_LEN = DATA_CMDLINE + VSR_CMDLINE_MAX + 1,
    LOW_RAM_END = 0x9f000, /* below where firmware has its data */
};

G_STATIC_ASSERT(DATA_INFO + INFO_LEN <= DATA_CMDLINE);

typedef struct {
    uint32_t offset; /* in the file */
    uint32_t flags;
    uint32_t header_addr, load_addr, load_end, bss_end, entry;
} header;

static bool find_header(const uint8_t *head, size_t len, header *out)
{
    size_t at;

    len = MIN(len, SEARCH_LEN);
    for (at = 0; at + 12 <= len; at += 4) {
        const uint8_t *p = head + at;
        uint32_t flags = vsr_le32(p + 4);

        if (vsr_le32(p) != HEADER_MAGIC ||
            (uint32_t)(HEADER_MAGIC + flags + vsr_le32(p + 8)) != 0)
            continue;
        *out = (header){ .offset = (uint32_t)at, .flags = flags };
        if (!(flags & FLAG_ADDRESSES))
            return true;
        if (at + 32 > len)
            return false;
        out->header_addr = vsr_le32(p + 12);
        out->load_addr = vsr_le32(p + 16);
        out->load_end = vsr_le32(p + 20);
        out->bss_end = vsr_le32(p + 24);
        out->entry = vsr_le32(p + 28);
        return true;
    }
    return false;
}

bool vsr_multiboot_is(const uint8_t *head, size_t len)
{
    header h;

    return find_header(head, len, &h);
}

/* 3.1.3 "The address fields of Multiboot header": one segment, made of the
 * file around the header. */
static bool plan_flat(const vsr_image *image, const header *h, vsr_elf *out,
                      GError **error)
{
    uint64_t before, offset, len, mem_len;

    if (h->load_addr > h->header_addr ||
        h->header_addr - h->load_addr > h->offset)
        return vsr_image_bad(image, error,
                             "multiboot header at 0x%x, load address 0x%x",
                             h->header_addr, h->load_addr);
    before = h->header_addr - h->load_addr;
    offset = h->offset - before;
    if (h->load_end && h->load_end < h->load_addr)
        return vsr_image_bad(image, error,
                             "multiboot load end 0x%x is below 0x%x",
                             h->load_end, h->load_addr);
    len = h->load_end ? h->load_end - h->load_addr : image->size - offset;
    mem_len = len;
    if (h->bss_end) {
        if (h->bss_end < h->load_addr || h->bss_end - h->load_addr < len)
            return vsr_image_bad(image, error,
                                 "multiboot bss end 0x%x is inside of the"
                                 " image",
                                 h->bss_end);
        mem_len = h->bss_end - h->load_addr;
    }
    if (mem_len == 0)
        return vsr_image_bad(image, error, "multiboot image of 0 bytes");
    *out = (vsr_elf){
        .entry = h->entry,
        .first = h->load_addr,
        .last = h->load_addr + mem_len,
        .n_segments = 1,
        .segment = { { offset, len, h->load_addr, mem_len } },
    };
    return true;
}

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : path ? path : "";
}

/* The highest DATA_LEN bytes of low memory that the image leaves free: some
 * images run below 640 KiB. */
static bool find_room(const vsr_image *image, const vsr_elf *elf, uint64_t *at,
                      GError **error)
{
    uint64_t data = (LOW_RAM_END - DATA_LEN) & ~UINT64_C(0xfff);
    uint32_t i = 0;

    while (i < elf->n_segments) {
        const vsr_elf_segment *s = &elf->segment[i];

        if (s->gpa >= data + DATA_LEN || s->gpa + s->mem_len <= data) {
            i++;
            continue;
        }
        if (s->gpa < DATA_LEN + 0x1000)
            return vsr_image_bad(image, error,
                                 "no room for %d bytes of boot data below"
                                 " 640 KiB",
                                 (int)DATA_LEN);
        data = (s->gpa - DATA_LEN) & ~UINT64_C(0xfff);
        i = 0;
    }
    *at = data;
    return true;
}

static bool write_info(vsr_machine *machine, const vsr_board *board,
                       const vsr_boot_source *source, const vsr_initrd *module,
                       uint64_t data, GError **error)
{
    uint32_t at = (uint32_t)data + DATA_INFO;
    uint8_t info[INFO_LEN] = { 0 };
    uint32_t flags = INFO_MEMORY | INFO_CMDLINE | INFO_MMAP | INFO_LOADER;
    uint64_t low = vsr_board_low_ram(board);
    vsr_memmap_entry map[MMAP_MAX];
    uint32_t n = vsr_board_memmap(board, map, MMAP_MAX);
    uint32_t i;

    vsr_put32(info + 4, 640);
    vsr_put32(info + 8, (uint32_t)((low - VSR_MIB) / 1024));
    vsr_put32(info + 16, (uint32_t)data + DATA_CMDLINE);
    if (module->len) {
        uint8_t *m = info + MODULE_AT;

        flags |= INFO_MODULES;
        vsr_put32(info + 20, 1);
        vsr_put32(info + 24, at + MODULE_AT);
        vsr_put32(m, (uint32_t)module->gpa);
        vsr_put32(m + 4, (uint32_t)(module->gpa + module->len));
        vsr_put32(m + 8, at + MODULE_NAME_AT);
        g_strlcpy((char *)info + MODULE_NAME_AT, base_name(source->initrd_name),
                  MODULE_NAME_MAX);
    }
    vsr_put32(info + 44, n * MMAP_ENTRY);
    vsr_put32(info + 48, at + MMAP_AT);
    vsr_put32(info + 64, at + LOADER_AT);
    g_strlcpy((char *)info + LOADER_AT, "libvisor", MODULE_NAME_AT - LOADER_AT);
    for (i = 0; i < n; i++) {
        uint8_t *entry = info + MMAP_AT + (size_t)i * MMAP_ENTRY;

        vsr_put32(entry, MMAP_ENTRY - 4);
        vsr_put64(entry + 4, map[i].addr);
        vsr_put64(entry + 12, map[i].len);
        vsr_put32(entry + 20, map[i].type);
    }
    vsr_put32(info, flags);
    return vsr_entry_write(machine, at, info, sizeof(info), error);
}

/* 3.3: the command line begins with the image's name, as boot loaders pass
 * it. */
static bool write_cmdline(vsr_machine *machine, const vsr_boot_source *source,
                          uint64_t data, GError **error)
{
    const char *arguments = source->cmdline ? source->cmdline : "";
    g_autofree char *line =
        g_strdup_printf("%s%s%s", base_name(source->kernel_name),
                        *arguments ? " " : "", arguments);

    return vsr_entry_cmdline(machine, data + DATA_CMDLINE, line,
                             VSR_CMDLINE_MAX, error);
}

/* The module goes right above the kernel, where kernels that map little of
 * memory at first can reach it. */
static bool load_module(vsr_machine *machine, const vsr_board *board,
                        const vsr_boot_source *source, uint64_t kernel_end,
                        vsr_initrd *out, GError **error)
{
    uint64_t gpa = vsr_round_up(MAX(kernel_end, VSR_KERNEL_BASE), 4096);
    uint64_t low = vsr_board_low_ram(board);
    vsr_image image;

    *out = (vsr_initrd){ 0 };
    if (source->initrd_fd < 0)
        return true;
    if (!vsr_image_init(&image, source->initrd_fd, "Module",
                        source->initrd_name, UINT32_MAX, error))
        return false;
    if (gpa >= low || image.size > low - gpa)
        return vsr_image_bad(&image, error,
                             "%" PRIu64 " bytes do not fit above the kernel's"
                             " end at 0x%" PRIx64 " (memory: %" PRIu64 " MiB)",
                             image.size, gpa, board->ram_bytes / VSR_MIB);
    *out = (vsr_initrd){ gpa, image.size };
    return vsr_image_to_ram(&image, 0, image.size, machine, gpa, "the module",
                            error);
}

static bool plan(const vsr_image *image, vsr_elf *elf, GError **error)
{
    size_t len = (size_t)MIN(image->size, VSR_ELF_HEAD_MAX);
    g_autofree uint8_t *head = g_malloc(len);
    header h;

    if (!vsr_image_read(image, 0, head, len, "the header", error))
        return false;
    if (!find_header(head, len, &h))
        return vsr_image_bad(image, error, "no multiboot header");
    if (h.flags & FLAG_REQUIRED & ~FLAG_KNOWN)
        return vsr_image_bad(image, error,
                             "multiboot flags 0x%x ask for what is not there",
                             h.flags);
    if (h.flags & FLAG_ADDRESSES)
        return plan_flat(image, &h, elf, error);
    return vsr_elf_parse(image, head, len, elf, error);
}

bool vsr_multiboot_load(vsr_machine *machine, const vsr_board *board,
                        const vsr_boot_source *source, const vsr_image *image,
                        vsr_x86_state *state, GError **error)
{
    uint64_t entry, rsdp, data = 0;
    vsr_initrd module;
    uint8_t byte;
    vsr_elf elf;

    if (!plan(image, &elf, error))
        return false;
    /* Some linkers leave the entry physical, some virtual. */
    entry = elf.entry_gpa ? elf.entry_gpa : elf.entry;
    if (entry > UINT32_MAX || vsr_mem_read(machine->mem, entry, &byte, 1))
        return vsr_image_bad(image, error,
                             "entry point 0x%" PRIx64 " is not in RAM", entry);
    elf.may_be_low = true;
    if (!find_room(image, &elf, &data, error) ||
        !vsr_elf_load(image, &elf, machine, board, error) ||
        !load_module(machine, board, source, elf.last, &module, error) ||
        !write_cmdline(machine, source, data, error) ||
        !vsr_acpi_build(board, machine, &rsdp, error) ||
        !write_info(machine, board, source, &module, data, error) ||
        !vsr_entry_flat32(machine, state, (uint32_t)entry, data + DATA_GDT,
                          error))
        return false;
    state->gpr[VSR_X86_RAX] = LOADER_MAGIC;
    state->gpr[VSR_X86_RBX] = data + DATA_INFO;
    return true;
}
