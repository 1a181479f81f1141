/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * payload.c: from a compressed stream to ELF segments in guest RAM.
 *
 * The stream is seen once, front to back: the first 64 KiB are kept until the
 * ELF headers are read from them, then each byte goes to the segment, or the
 * note, that it belongs to. No copy of the kernel exists outside guest RAM.
 *
 * Threads: control, vCPUs stopped.
 */
#include "machine/boot/payload.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/boot/decompress.h"
#include "machine/boot/elf.h"

typedef struct {
    const vsr_image *image;
    vsr_machine *machine;
    const vsr_board *board;

    uint64_t pos; /* bytes of output seen */
    uint8_t *head;
    size_t head_len;
    bool parsed;
    bool no_entry; /* an ELF that cannot be entered here */
    vsr_elf elf;
    uint8_t *to[VSR_ELF_SEGMENTS_MAX]; /* segments in RAM */
    uint8_t *note[VSR_ELF_NOTES_MAX];
} placer;

static void copy_part(uint8_t *to, uint64_t start, uint64_t len,
                      const uint8_t *data, uint64_t pos, uint64_t data_len)
{
    uint64_t first = MAX(start, pos);
    uint64_t last = MIN(start + len, pos + data_len);

    if (to && first < last)
        memcpy(to + (first - start), data + (first - pos), last - first);
}

/* `data` is the output at `pos`. */
static void place(placer *p, const uint8_t *data, uint64_t pos, uint64_t len)
{
    uint32_t i;

    for (i = 0; i < p->elf.n_segments; i++)
        copy_part(p->to[i], p->elf.segment[i].offset,
                  p->elf.segment[i].file_len, data, pos, len);
    for (i = 0; i < p->elf.n_notes; i++)
        copy_part(p->note[i], p->elf.note[i].offset, p->elf.note[i].len, data,
                  pos, len);
}

/* Linux's x86-64 ELF has startup_64()'s physical address for its entry. The
 * page tables it is entered with map 4 GiB. */
static uint64_t entry_64(const vsr_elf *elf)
{
    uint32_t i;

    if (!elf->is_64 || elf->last > VSR_HIGH_RAM_BASE)
        return 0;
    for (i = 0; i < elf->n_segments; i++)
        if (elf->entry >= elf->segment[i].gpa &&
            elf->entry - elf->segment[i].gpa < elf->segment[i].file_len)
            return elf->entry;
    return 0;
}

/* The headers are complete (or the file is): plan, then place what was kept. */
static bool plan(placer *p, GError **error)
{
    uint32_t i;

    p->parsed = true;
    if (!vsr_elf_parse(p->image, p->head, p->head_len, &p->elf, error) ||
        !vsr_elf_check_ram(p->image, &p->elf, p->machine, p->board, error))
        return false;
    if (p->elf.n_notes == 0 && entry_64(&p->elf) == 0) {
        p->no_entry = true;
        return vsr_image_bad(p->image, error, "no entry point");
    }
    for (i = 0; i < p->elf.n_segments; i++)
        p->to[i] = vsr_mem_map(p->machine->mem, p->elf.segment[i].gpa,
                               p->elf.segment[i].mem_len);
    for (i = 0; i < p->elf.n_notes; i++)
        p->note[i] = g_malloc0(p->elf.note[i].len);
    place(p, p->head, 0, p->head_len);
    return true;
}

static bool sink(const uint8_t *data, size_t len, void *opaque, GError **error)
{
    placer *p = opaque;
    size_t kept = 0;

    if (!p->parsed) {
        kept = MIN(len, VSR_ELF_HEAD_MAX - p->head_len);
        memcpy(p->head + p->head_len, data, kept);
        p->head_len += kept;
        p->pos += kept;
        if (p->head_len < VSR_ELF_HEAD_MAX)
            return true;
        if (!plan(p, error))
            return false;
    }
    place(p, data + kept, p->pos, len - kept);
    p->pos += len - kept;
    return true;
}

static bool finish(placer *p, vsr_payload *out, GError **error)
{
    uint32_t i;

    if (!p->parsed && !plan(p, error))
        return false;
    for (i = 0; i < p->elf.n_segments; i++) {
        const vsr_elf_segment *s = &p->elf.segment[i];

        if (s->file_len && s->offset + s->file_len > p->pos)
            return vsr_image_bad(p->image, error,
                                 "unpacked kernel has %" PRIu64
                                 " bytes, a segment ends at %" PRIu64,
                                 p->pos, s->offset + s->file_len);
        vsr_mem_written(p->machine->mem, s->gpa, s->mem_len);
    }
    *out = (vsr_payload){ .entry_64 = entry_64(&p->elf), .end = p->elf.last };
    for (i = 0; i < p->elf.n_notes && !out->has_pvh; i++)
        out->has_pvh = vsr_elf_pvh_note(p->note[i], p->elf.note[i].len,
                                        p->elf.note[i].align, &out->pvh_entry);
    if (out->entry_64 || out->has_pvh)
        return true;
    p->no_entry = true;
    return vsr_image_bad(p->image, error, "no entry point");
}

static void placer_clear(placer *p)
{
    uint32_t i;

    for (i = 0; i < VSR_ELF_NOTES_MAX; i++)
        g_free(p->note[i]);
    g_free(p->head);
}

vsr_payload_result vsr_payload_load(vsr_machine *machine,
                                    const vsr_board *board,
                                    const vsr_image *image, uint64_t offset,
                                    uint64_t len, vsr_payload *out,
                                    GError **error)
{
    placer p = { .image = image, .machine = machine, .board = board };
    g_autoptr(GError) local = NULL;
    vsr_payload_result result;
    vsr_packed format;
    uint8_t magic[6];

    if (len < sizeof(magic))
        return VSR_PAYLOAD_NOT_OURS;
    if (!vsr_image_read(image, offset, magic, sizeof(magic), "the payload",
                        error))
        return VSR_PAYLOAD_FAILED;
    format = vsr_packed_detect(magic, sizeof(magic));
    if (format == VSR_PACKED_NONE || !vsr_packed_supported(format))
        return VSR_PAYLOAD_NOT_OURS;

    p.head = g_malloc(VSR_ELF_HEAD_MAX);
    if (vsr_unpack(image, offset, len, format,
                   (uint64_t)VSR_KERNEL_MAX_MIB * VSR_MIB, sink, &p, &local) &&
        finish(&p, out, &local)) {
        result = VSR_PAYLOAD_LOADED;
    } else if (p.no_entry) {
        /* Its own decompressor knows what to do with it. */
        vsr_mem_clear(machine->mem);
        result = VSR_PAYLOAD_NOT_OURS;
    } else {
        g_propagate_error(error, g_steal_pointer(&local));
        result = VSR_PAYLOAD_FAILED;
    }
    placer_clear(&p);
    return result;
}
