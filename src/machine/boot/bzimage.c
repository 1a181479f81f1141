/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bzimage.c: the setup header and the 64-bit entry of a bzImage.
 *
 * Spec:    Linux Documentation/x86/boot.rst: "The Real-Mode Kernel Header",
 *          "64-bit Boot Protocol"; zero-page.rst.
 * Threads: control, vCPUs stopped.
 */
#include "machine/boot/bzimage.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/boot/payload.h"

/* Fields, as offsets from the file's start and in the zero page. */
enum {
    ZP_RSDP = 0x070,
    ZP_E820_COUNT = 0x1e8,
    HDR_START = 0x1f1,
    HDR_SETUP_SECTS = 0x1f1,
    HDR_BOOT_FLAG = 0x1fe,
    HDR_JUMP = 0x200,
    HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206,
    HDR_LOADER = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_RAMDISK = 0x218,
    HDR_RAMDISK_LEN = 0x21c,
    HDR_CMDLINE = 0x228,
    HDR_INITRD_MAX = 0x22c,
    HDR_ALIGNMENT = 0x230,
    HDR_RELOCATABLE = 0x234,
    HDR_XLOADFLAGS = 0x236,
    HDR_CMDLINE_SIZE = 0x238,
    HDR_PAYLOAD = 0x248,
    HDR_PAYLOAD_LEN = 0x24c,
    HDR_PREF_ADDRESS = 0x258,
    HDR_INIT_SIZE = 0x260,
    ZP_E820 = 0x2d0,
    ZP_LEN = 4096,

    E820_ENTRY = 20,
    E820_MAX = 128,
    SECTOR = 512,
    VERSION_MIN = 0x020c, /* xloadflags, for the 64-bit entry */
    VERSION_INIT_SIZE = 0x020a,
    LOADED_HIGH = 1 << 0,
    KERNEL_64 = 1 << 0,
    LOADER_OTHER = 0xff,
    ENTRY_64 = 0x200,
};

bool vsr_bzimage_is(const uint8_t *head, size_t len)
{
    return len >= HDR_VERSION + 2 && vsr_le16(head + HDR_BOOT_FLAG) == 0xaa55 &&
           memcmp(head + HDR_MAGIC, "HdrS", 4) == 0;
}

static bool parse_layout(const vsr_image *image, vsr_bzimage *bz,
                         GError **error)
{
    uint32_t sects = bz->header[HDR_SETUP_SECTS];
    uint64_t offset, len;

    bz->code_offset = ((uint64_t)(sects ? sects : 4) + 1) * SECTOR;
    if (bz->code_offset >= image->size)
        return vsr_image_bad(image, error,
                             "truncated: setup ends at %" PRIu64
                             ", the file has %" PRIu64 " bytes",
                             bz->code_offset, image->size);
    /* syssize counts 16-byte units of code and may be rounded up; what the
     * file has decides. */
    bz->code_len = image->size - bz->code_offset;
    offset = vsr_le32(bz->header + HDR_PAYLOAD);
    len = vsr_le32(bz->header + HDR_PAYLOAD_LEN);
    if (len == 0)
        return true;
    if (offset > bz->code_len || len > bz->code_len - offset)
        return vsr_image_bad(image, error,
                             "truncated: payload of %" PRIu64
                             " bytes at %" PRIu64 ", the file has %" PRIu64,
                             len, bz->code_offset + offset, image->size);
    bz->payload_offset = bz->code_offset + offset;
    bz->payload_len = len;
    return true;
}

bool vsr_bzimage_parse(const vsr_image *image, vsr_bzimage *out, GError **error)
{
    vsr_bzimage *bz = out;

    *bz = (vsr_bzimage){ 0 };
    if (!vsr_image_read(image, 0, bz->header, sizeof(bz->header),
                        "the setup header", error))
        return false;
    if (!vsr_bzimage_is(bz->header, sizeof(bz->header)))
        return vsr_image_bad(image, error, "not a Linux bzImage");
    bz->version = vsr_le16(bz->header + HDR_VERSION);
    if (bz->version < VERSION_MIN)
        return vsr_image_bad(image, error,
                             "boot protocol %u.%02u, at least 2.12 is needed",
                             bz->version >> 8u, bz->version & 0xffu);
    if (!(bz->header[HDR_LOADFLAGS] & LOADED_HIGH))
        return vsr_image_bad(image, error, "a zImage, not a bzImage");
    bz->header_end = MIN((uint32_t)HDR_MAGIC + bz->header[HDR_JUMP + 1],
                         (uint32_t)VSR_BZIMAGE_HEAD_LEN);
    if (bz->header_end < HDR_INIT_SIZE + 4)
        return vsr_image_bad(image, error,
                             "setup header ends at 0x%x, at least 0x%x is"
                             " needed",
                             bz->header_end, HDR_INIT_SIZE + 4u);
    bz->pref_address = vsr_le64(bz->header + HDR_PREF_ADDRESS);
    bz->init_size = vsr_le32(bz->header + HDR_INIT_SIZE);
    bz->alignment = vsr_le32(bz->header + HDR_ALIGNMENT);
    bz->relocatable = bz->header[HDR_RELOCATABLE];
    bz->entry_64 = vsr_le16(bz->header + HDR_XLOADFLAGS) & KERNEL_64;
    bz->initrd_addr_max = vsr_le32(bz->header + HDR_INITRD_MAX);
    bz->cmdline_size = vsr_le32(bz->header + HDR_CMDLINE_SIZE);
    return parse_layout(image, bz, error);
}

static bool write_zero_page(vsr_machine *machine, const vsr_board *board,
                            const vsr_bzimage *bz, const vsr_initrd *initrd,
                            uint64_t rsdp, GError **error)
{
    uint8_t page[ZP_LEN] = { 0 };
    vsr_memmap_entry map[E820_MAX];
    uint32_t n = vsr_board_memmap(board, map, E820_MAX);
    uint32_t i;

    memcpy(page + HDR_START, bz->header + HDR_START,
           bz->header_end - HDR_START);
    page[HDR_LOADER] = LOADER_OTHER;
    vsr_put32(page + HDR_RAMDISK, (uint32_t)initrd->gpa);
    vsr_put32(page + HDR_RAMDISK_LEN, (uint32_t)initrd->len);
    vsr_put32(page + HDR_CMDLINE, (uint32_t)VSR_BOOT_CMDLINE);
    vsr_put64(page + ZP_RSDP, rsdp);
    page[ZP_E820_COUNT] = (uint8_t)n;
    for (i = 0; i < n; i++) {
        uint8_t *entry = page + ZP_E820 + (size_t)i * E820_ENTRY;

        vsr_put64(entry, map[i].addr);
        vsr_put64(entry + 8, map[i].len);
        vsr_put32(entry + 16, map[i].type);
    }
    return vsr_entry_write(machine, VSR_BOOT_PARAMS, page, sizeof(page), error);
}

/* Where the image wants to be, or the next place a relocatable one can use. */
static bool choose_address(const vsr_board *board, const vsr_image *image,
                           const vsr_bzimage *bz, uint64_t *gpa, uint64_t *end,
                           GError **error)
{
    uint64_t align = bz->alignment;
    uint64_t need = MAX(bz->init_size, bz->code_len);
    uint64_t top = vsr_board_low_ram(board);

    *gpa = bz->pref_address;
    if (*gpa < VSR_KERNEL_BASE || need > top || *gpa > top - need) {
        if (!bz->relocatable || align == 0 || (align & (align - 1)) ||
            align > VSR_GIB)
            return vsr_image_bad(image, error,
                                 "needs %" PRIu64 " bytes at 0x%" PRIx64
                                 ", memory has %" PRIu64 " MiB",
                                 need, bz->pref_address,
                                 board->ram_bytes / VSR_MIB);
        *gpa = vsr_round_up(VSR_KERNEL_BASE, align);
        if (need > top || *gpa > top - need)
            return vsr_image_bad(image, error,
                                 "needs %" PRIu64 " bytes at 0x%" PRIx64
                                 ", memory has %" PRIu64 " MiB",
                                 need, *gpa, board->ram_bytes / VSR_MIB);
    }
    *end = *gpa + need;
    return true;
}

/* "64-bit Boot Protocol": into the image, or into what was packed in it. */
static bool enter_64(vsr_machine *machine, const vsr_board *board,
                     const vsr_boot_source *source, const vsr_bzimage *bz,
                     uint64_t entry, uint64_t kernel_end, vsr_x86_state *state,
                     GError **error)
{
    vsr_initrd initrd;
    uint64_t rsdp;

    if (!vsr_entry_cmdline(machine, VSR_BOOT_CMDLINE, source->cmdline,
                           bz->cmdline_size, error) ||
        !vsr_entry_initrd(machine, board, source, kernel_end,
                          (uint64_t)bz->initrd_addr_max + 1, &initrd, error) ||
        !vsr_acpi_build(board, machine, &rsdp, error) ||
        !write_zero_page(machine, board, bz, &initrd, rsdp, error) ||
        !vsr_entry_long64(machine, state, entry, error))
        return false;
    state->gpr[VSR_X86_RSI] = VSR_BOOT_PARAMS;
    return true;
}

/* The kernel unpacks itself. */
static bool load_64(vsr_machine *machine, const vsr_board *board,
                    const vsr_boot_source *source, const vsr_image *image,
                    const vsr_bzimage *bz, vsr_x86_state *state, GError **error)
{
    uint64_t gpa = 0, end = 0;

    if (!bz->entry_64)
        return vsr_image_bad(image, error, "no 64-bit entry point");
    if (bz->code_len <= ENTRY_64)
        return vsr_image_bad(image, error, "kernel part of %" PRIu64 " bytes",
                             bz->code_len);
    if (!choose_address(board, image, bz, &gpa, &end, error) ||
        !vsr_image_to_ram(image, bz->code_offset, bz->code_len, machine, gpa,
                          "the kernel", error))
        return false;
    return enter_64(machine, board, source, bz, gpa + ENTRY_64, end, state,
                    error);
}

bool vsr_bzimage_load(vsr_machine *machine, const vsr_board *board,
                      const vsr_boot_source *source, const vsr_image *image,
                      vsr_x86_state *state, GError **error)
{
    g_autofree vsr_bzimage *bz = g_new0(vsr_bzimage, 1);
    vsr_payload kernel = { 0 };

    if (!vsr_bzimage_parse(image, bz, error))
        return false;
    switch (vsr_payload_load(machine, board, image, bz->payload_offset,
                             bz->payload_len, &kernel, error)) {
    case VSR_PAYLOAD_LOADED:
        /* Not by PVH where both can be: Linux looks for Xen there first, in
         * 256 CPUID leaves, each an exit on hardware. */
        if (bz->entry_64 && kernel.entry_64)
            return enter_64(machine, board, source, bz, kernel.entry_64,
                            kernel.end, state, error);
        if (kernel.has_pvh)
            return vsr_pvh_enter(machine, board, source, kernel.pvh_entry,
                                 kernel.end, bz->cmdline_size, state, error);
        return vsr_image_bad(image, error,
                             "a 64-bit kernel whose header says that it is"
                             " none");
    case VSR_PAYLOAD_NOT_OURS:
        return load_64(machine, board, source, image, bz, state, error);
    case VSR_PAYLOAD_FAILED:
    default:
        return false;
    }
}
