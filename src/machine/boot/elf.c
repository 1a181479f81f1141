/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * elf.c: parses and loads ELF kernels.
 *
 * Spec:    System V ABI, "Object Files", "Program Header", "Note Section";
 *          Xen public/elfnote.h.
 * Threads: control.
 */
#include "machine/boot/elf.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/util.h"

enum { XEN_ELFNOTE_PHYS32_ENTRY = 18, PHDRS_MAX = 64 };

/* Boot data that loaders put below 1 MiB (see vsr_elf.may_be_low), and the
 * tables: no segment there. */
static const struct {
    uint64_t start, end;
} forbidden[] = {
    { VSR_BOOT_GDT, VSR_BOOT_CMDLINE + 0x1000 },
    { 0xa0000, VSR_ACPI_TABLES + VSR_ACPI_TABLES_LEN },
};

bool vsr_elf_is(const uint8_t *head, size_t len)
{
    return len >= sizeof(Elf32_Ehdr) && memcmp(head, ELFMAG, SELFMAG) == 0;
}

typedef struct {
    uint32_t type;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
} program_header;

static program_header read_phdr(const uint8_t *p, bool is_64)
{
    if (is_64)
        return (program_header){
            .type = vsr_le32(p),
            .offset = vsr_le64(p + 8),
            .vaddr = vsr_le64(p + 16),
            .paddr = vsr_le64(p + 24),
            .filesz = vsr_le64(p + 32),
            .memsz = vsr_le64(p + 40),
            .align = vsr_le64(p + 48),
        };
    return (program_header){
        .type = vsr_le32(p),
        .offset = vsr_le32(p + 4),
        .vaddr = vsr_le32(p + 8),
        .paddr = vsr_le32(p + 12),
        .filesz = vsr_le32(p + 16),
        .memsz = vsr_le32(p + 20),
        .align = vsr_le32(p + 28),
    };
}

static bool add_segment(const vsr_image *image, vsr_elf *elf,
                        const program_header *ph, GError **error)
{
    uint64_t end;
    uint32_t i;

    if (ph->memsz == 0)
        return true;
    if (ph->filesz > ph->memsz)
        return vsr_image_bad(image, error,
                             "ELF segment: %" PRIu64
                             " bytes in the file, %" PRIu64 " in memory",
                             ph->filesz, ph->memsz);
    if (__builtin_add_overflow(ph->paddr, ph->memsz, &end) ||
        ph->offset > INT64_MAX || ph->filesz > INT64_MAX)
        return vsr_image_bad(image, error,
                             "ELF segment at 0x%" PRIx64 ": length 0x%" PRIx64
                             " wraps",
                             ph->paddr, ph->memsz);
    if (elf->n_segments == VSR_ELF_SEGMENTS_MAX)
        return vsr_image_bad(image, error, "more than %d ELF segments",
                             VSR_ELF_SEGMENTS_MAX);
    for (i = 0; i < elf->n_segments; i++) {
        const vsr_elf_segment *other = &elf->segment[i];

        if (ph->paddr < other->gpa + other->mem_len && other->gpa < end)
            return vsr_image_bad(image, error,
                                 "ELF segments at 0x%" PRIx64 " and 0x%" PRIx64
                                 " overlap",
                                 other->gpa, ph->paddr);
    }
    elf->segment[elf->n_segments++] = (vsr_elf_segment){
        .offset = ph->offset,
        .file_len = ph->filesz,
        .gpa = ph->paddr,
        .mem_len = ph->memsz,
    };
    elf->first = MIN(elf->first, ph->paddr);
    elf->last = MAX(elf->last, end);
    if (elf->entry >= ph->vaddr && elf->entry - ph->vaddr < ph->memsz)
        elf->entry_gpa = ph->paddr + (elf->entry - ph->vaddr);
    return true;
}

static void add_note(vsr_elf *elf, const program_header *ph)
{
    if (ph->filesz == 0 || ph->filesz > VSR_ELF_NOTE_LEN_MAX ||
        ph->offset > INT64_MAX || elf->n_notes == VSR_ELF_NOTES_MAX)
        return;
    elf->note[elf->n_notes++] = (vsr_elf_note){
        .offset = ph->offset,
        .len = (uint32_t)ph->filesz,
        .align = ph->align == 8 ? 8 : 4,
    };
}

static bool check_ident(const vsr_image *image, const uint8_t *head, size_t len,
                        GError **error)
{
    uint16_t type, machine;

    if (!vsr_elf_is(head, len))
        return vsr_image_bad(image, error, "not an ELF file");
    if (head[EI_CLASS] != ELFCLASS32 && head[EI_CLASS] != ELFCLASS64)
        return vsr_image_bad(image, error, "ELF class %u is unknown",
                             head[EI_CLASS]);
    if (head[EI_CLASS] == ELFCLASS64 && len < sizeof(Elf64_Ehdr))
        return vsr_image_bad(image, error, "ELF header is cut off");
    if (head[EI_DATA] != ELFDATA2LSB)
        return vsr_image_bad(image, error, "ELF file is not little-endian");
    type = vsr_le16(head + 16);
    machine = vsr_le16(head + 18);
    if (type != ET_EXEC && type != ET_DYN)
        return vsr_image_bad(image, error, "ELF type %u is not an executable",
                             type);
    if (machine != EM_386 && machine != EM_X86_64)
        return vsr_image_bad(image, error, "ELF machine %u is not x86",
                             machine);
    return true;
}

bool vsr_elf_parse(const vsr_image *image, const uint8_t *head, size_t len,
                   vsr_elf *out, GError **error)
{
    uint32_t n, i, entry_len;
    uint64_t table;

    if (!check_ident(image, head, len, error))
        return false;
    *out =
        (vsr_elf){ .is_64 = head[EI_CLASS] == ELFCLASS64, .first = UINT64_MAX };
    out->entry = out->is_64 ? vsr_le64(head + 24) : vsr_le32(head + 24);
    table = out->is_64 ? vsr_le64(head + 32) : vsr_le32(head + 28);
    entry_len = vsr_le16(head + (out->is_64 ? 54 : 42));
    n = vsr_le16(head + (out->is_64 ? 56 : 44));

    if (entry_len != (out->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
        return vsr_image_bad(image, error, "ELF program header size %u",
                             entry_len);
    if (n == 0 || n > PHDRS_MAX)
        return vsr_image_bad(image, error,
                             "%u ELF program headers, 1 to %d are accepted", n,
                             PHDRS_MAX);
    if (table > len || (uint64_t)n * entry_len > len - table)
        return vsr_image_bad(image, error,
                             "ELF program headers at %" PRIu64
                             " are not in the first %zu bytes",
                             table, len);
    for (i = 0; i < n; i++) {
        program_header ph =
            read_phdr(head + table + (size_t)i * entry_len, out->is_64);

        if (ph.type == PT_LOAD && !add_segment(image, out, &ph, error))
            return false;
        if (ph.type == PT_NOTE)
            add_note(out, &ph);
    }
    if (out->n_segments == 0)
        return vsr_image_bad(image, error, "ELF file has nothing to load");
    return true;
}

bool vsr_elf_check_ram(const vsr_image *image, const vsr_elf *elf,
                       vsr_machine *machine, const vsr_board *board,
                       GError **error)
{
    uint32_t i, j;

    for (i = 0; i < elf->n_segments; i++) {
        const vsr_elf_segment *s = &elf->segment[i];

        for (j = elf->may_be_low; j < VSR_ARRAY_SIZE(forbidden); j++)
            if (s->gpa < forbidden[j].end &&
                forbidden[j].start < s->gpa + s->mem_len)
                return vsr_image_bad(image, error,
                                     "ELF segment at 0x%" PRIx64
                                     ", length 0x%" PRIx64
                                     " overlaps boot data at 0x%" PRIx64,
                                     s->gpa, s->mem_len, forbidden[j].start);
        if (!vsr_mem_map(machine->mem, s->gpa, s->mem_len))
            return vsr_image_bad(
                image, error,
                "ELF segment at 0x%" PRIx64 ", length 0x%" PRIx64
                " is outside of RAM (%" PRIu64 " MiB)",
                s->gpa, s->mem_len, board->ram_bytes / VSR_MIB);
    }
    return true;
}

bool vsr_elf_pvh_note(const uint8_t *data, size_t len, uint32_t align,
                      uint32_t *entry)
{
    size_t at = 0;

    while (len - at >= 12) {
        uint64_t name_len = vsr_le32(data + at);
        uint64_t desc_len = vsr_le32(data + at + 4);
        uint32_t type = vsr_le32(data + at + 8);
        uint64_t desc = at + 12 + vsr_round_up(name_len, align);
        uint64_t next = desc + vsr_round_up(desc_len, align);

        if (at + 12 + name_len > len || desc + desc_len > len)
            return false;
        if (type == XEN_ELFNOTE_PHYS32_ENTRY && name_len == 4 &&
            memcmp(data + at + 12, "Xen", 4) == 0 &&
            (desc_len == 4 || desc_len == 8)) {
            uint64_t value =
                desc_len == 8 ? vsr_le64(data + desc) : vsr_le32(data + desc);

            if (value > UINT32_MAX)
                return false;
            *entry = (uint32_t)value;
            return true;
        }
        if (next > len)
            return false;
        at = next;
    }
    return false;
}

bool vsr_elf_find_pvh(const vsr_image *image, const vsr_elf *elf,
                      uint32_t *entry, GError **error)
{
    uint32_t i;

    for (i = 0; i < elf->n_notes; i++) {
        const vsr_elf_note *note = &elf->note[i];
        g_autofree uint8_t *data = g_malloc(note->len);

        if (!vsr_image_read(image, note->offset, data, note->len, "ELF note",
                            error))
            return false;
        if (vsr_elf_pvh_note(data, note->len, note->align, entry))
            return true;
    }
    return false;
}

bool vsr_elf_load(const vsr_image *image, const vsr_elf *elf,
                  vsr_machine *machine, const vsr_board *board, GError **error)
{
    uint32_t i;

    if (!vsr_elf_check_ram(image, elf, machine, board, error))
        return false;
    for (i = 0; i < elf->n_segments; i++) {
        const vsr_elf_segment *s = &elf->segment[i];

        if (!vsr_image_to_ram(image, s->offset, s->file_len, machine, s->gpa,
                              "ELF segment", error))
            return false;
    }
    return true;
}
