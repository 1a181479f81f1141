/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * elf.h: an ELF kernel: its segments, checked, and its PVH entry note.
 *
 * Spec: System V ABI, "Object Files" and "Program Loading"; Xen
 *       public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY.
 */
#ifndef VSR_MACHINE_BOOT_ELF_H
#define VSR_MACHINE_BOOT_ELF_H

#include "machine/boot/image.h"
#include "machine/x86/board.h"

enum {
    VSR_ELF_SEGMENTS_MAX = 32,
    VSR_ELF_NOTES_MAX = 8,
    VSR_ELF_NOTE_LEN_MAX = 64 * 1024,
    VSR_ELF_HEAD_MAX = 64 * 1024, /* headers must be in the first 64 KiB */
};

typedef struct {
    uint64_t offset, file_len;
    uint64_t gpa, mem_len; /* mem_len >= file_len */
} vsr_elf_segment;

typedef struct {
    uint64_t offset;
    uint32_t len;
    uint32_t align; /* 4 or 8 */
} vsr_elf_note;

typedef struct {
    bool is_64;
    bool may_be_low;      /* the loader keeps its data clear of the segments */
    uint64_t entry;       /* e_entry, as the file has it: virtual */
    uint64_t first, last; /* RAM the segments cover: [first, last) */
    uint32_t n_segments;
    vsr_elf_segment segment[VSR_ELF_SEGMENTS_MAX];
    uint32_t n_notes;
    vsr_elf_note note[VSR_ELF_NOTES_MAX];
    /* e_entry as a physical address, by the segment it is in; 0: in none */
    uint64_t entry_gpa;
} vsr_elf;

bool vsr_elf_is(const uint8_t *head, size_t len);
/* `head` is the file's beginning. Only x86 executables; segments may not
 * overlap each other. IMAGE error otherwise; `image` is for messages (its size
 * is not looked at: the file may be inside of a compressed one). */
bool vsr_elf_parse(const vsr_image *image, const uint8_t *head, size_t len,
                   vsr_elf *out, GError **error);
/* Are all segments in RAM, clear of boot data and tables? */
bool vsr_elf_check_ram(const vsr_image *image, const vsr_elf *elf,
                       vsr_machine *machine, const vsr_board *board,
                       GError **error);
/* Looks through the bytes of one note segment. */
bool vsr_elf_pvh_note(const uint8_t *data, size_t len, uint32_t align,
                      uint32_t *entry);
/* Reads the notes of an uncompressed file; false without error: there is no
 * PVH note. */
bool vsr_elf_find_pvh(const vsr_image *image, const vsr_elf *elf,
                      uint32_t *entry, GError **error);
/* Copies the segments of an uncompressed file (RAM is zero already). */
bool vsr_elf_load(const vsr_image *image, const vsr_elf *elf,
                  vsr_machine *machine, const vsr_board *board, GError **error);

#endif
