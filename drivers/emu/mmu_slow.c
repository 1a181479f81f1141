/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mmu_slow.c: accesses that match no TLB tag: misses, page crossings, MMIO,
 * ROM, pages with decoded code or watched by a breakpoint.
 *
 * An access is done in at most two pieces, one a page, and both pages are
 * looked up (and may fault) before the first byte moves. After an up-call for
 * the first piece the second is looked up again: the machine may have taken its
 * memory away.
 *
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/mmu_tlb.h"

/* One piece of an access: `len` bytes within one page. */
typedef struct {
    emu_tlb_info page;
    unsigned offset; /* in the page */
    unsigned len;
} piece;

typedef struct {
    unsigned n;
    piece part[2];
} pieces;

/* Linear addresses wrap at 4 GiB outside of long mode. */
static uint64_t wrap(const emu_cpu *cpu, uint64_t la)
{
    return emu_long_mode(cpu) ? la : (uint32_t)la;
}

static bool is_write(emu_access access)
{
    return access == EMU_WRITE || access == EMU_RMW;
}

/* Looks up and checks; `len` is at most a page. */
static void look_up(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                    unsigned len, emu_access access, unsigned set, pieces *out)
{
    unsigned offset = la & ~EMU_PAGE_MASK;
    unsigned first = MIN(len, EMU_PAGE_SIZE - offset);

    out->n = 1;
    out->part[0].page = *emu_tlb_page(cpu, insn, la, access, set);
    out->part[0].offset = offset;
    out->part[0].len = first;
    if (first < len) {
        out->n = 2;
        out->part[1].page =
            *emu_tlb_page(cpu, insn, wrap(cpu, la + first), access, set);
        out->part[1].offset = 0;
        out->part[1].len = len - first;
    }
    if (G_UNLIKELY(cpu->dr[7] & 0xff) && len != 0)
        emu_watch_access(cpu, la, len, is_write(access));
}

/* #AC: only where handlers have no tags to match (see set_tags()). */
static void check_alignment(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                            unsigned size, unsigned set)
{
    if (G_UNLIKELY(cpu->align_check) && set == EMU_TLB_USER && size <= 8 &&
        (la & (size - 1)))
        emu_raise_code(cpu, insn, EMU_ALIGN, 0);
}

/* Aligned accesses must be single ones: other vCPUs look at the same bytes. */
static uint64_t get(const void *p, unsigned size)
{
    uint16_t v16;
    uint32_t v32;
    uint64_t v = 0;

    switch (size) {
    case 1:
        return *(const uint8_t *)p;
    case 2:
        memcpy(&v16, p, 2);
        return v16;
    case 4:
        memcpy(&v32, p, 4);
        return v32;
    case 8:
        memcpy(&v, p, 8);
        return v;
    default:
        memcpy(&v, p, MIN(size, 8));
        return v;
    }
}

static void put(void *p, unsigned size, uint64_t value)
{
    switch (size) {
    case 1:
        memcpy(p, &value, 1);
        break;
    case 2:
        memcpy(p, &value, 2);
        break;
    case 4:
        memcpy(p, &value, 4);
        break;
    case 8:
        memcpy(p, &value, 8);
        break;
    default:
        memcpy(p, &value, MIN(size, 8));
        break;
    }
}

/* The largest MMIO access that may start `len` bytes before the end. */
static unsigned mmio_size(unsigned len)
{
    return len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
}

static void piece_read(emu_cpu *cpu, const piece *p, void *to)
{
    uint64_t gpa = p->page.gpa + p->offset;
    uint8_t *out = to;

    if (p->page.host) {
        memcpy(to, p->page.host + p->offset, p->len);
        return;
    }
    for (unsigned done = 0; done < p->len;) {
        unsigned size = mmio_size(p->len - done);
        uint64_t v = emu_mmio_read(cpu, gpa + done, size);

        memcpy(out + done, &v, size);
        done += size;
    }
}

static void written(emu_cpu *cpu, const piece *p)
{
    if (emu_tlb_write_page(cpu, &p->page))
        emu_code_written(cpu, p->page.slot, p->page.gpa + p->offset, p->len);
}

static void piece_write(emu_cpu *cpu, const piece *p, const void *from)
{
    uint64_t gpa = p->page.gpa + p->offset;
    const uint8_t *in = from;

    if (p->page.host && !p->page.slot->readonly) {
        memcpy(p->page.host + p->offset, from, p->len);
        written(cpu, p);
        return;
    }
    for (unsigned done = 0; done < p->len;) {
        unsigned size = mmio_size(p->len - done);
        uint64_t v = 0;

        memcpy(&v, in + done, size);
        emu_mmio_write(cpu, gpa + done, size, v);
        done += size;
    }
}

/* See the top of the file. */
static void look_again(emu_cpu *cpu, const emu_insn *insn, emu_access access,
                       unsigned set, pieces *at)
{
    piece *p = &at->part[1];

    if (at->part[0].page.host == NULL ||
        (access == EMU_WRITE && at->part[0].page.slot->readonly))
        p->page = *emu_tlb_page(cpu, insn, p->page.page, access, set);
}

static uint64_t load(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                     unsigned size, unsigned set)
{
    pieces at;
    uint64_t v = 0;

    look_up(cpu, insn, la, size, EMU_READ, set, &at);
    if (at.n == 1 && at.part[0].page.host)
        return get(at.part[0].page.host + at.part[0].offset, size);
    if (at.n == 1 && (size & (size - 1)) == 0)
        return emu_mmio_read(cpu, at.part[0].page.gpa + at.part[0].offset,
                             size);
    piece_read(cpu, &at.part[0], &v);
    if (at.n == 2) {
        look_again(cpu, insn, EMU_READ, set, &at);
        piece_read(cpu, &at.part[1], (uint8_t *)&v + at.part[0].len);
    }
    return v;
}

static void store(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                  unsigned size, uint64_t value, unsigned set)
{
    pieces at;

    look_up(cpu, insn, la, size, EMU_WRITE, set, &at);
    if (at.n == 1 && at.part[0].page.host && !at.part[0].page.slot->readonly) {
        put(at.part[0].page.host + at.part[0].offset, size, value);
        written(cpu, &at.part[0]);
        return;
    }
    piece_write(cpu, &at.part[0], &value);
    if (at.n == 2) {
        look_again(cpu, insn, EMU_WRITE, set, &at);
        piece_write(cpu, &at.part[1], (uint8_t *)&value + at.part[0].len);
    }
}

uint64_t emu_load_slow(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                       unsigned size)
{
    unsigned set = emu_tlb_set(cpu);

    cpu->current = insn;
    check_alignment(cpu, insn, la, size, set);
    return load(cpu, insn, la, size, set);
}

void emu_store_slow(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                    unsigned size, uint64_t value)
{
    unsigned set = emu_tlb_set(cpu);

    cpu->current = insn;
    check_alignment(cpu, insn, la, size, set);
    store(cpu, insn, la, size, value, set);
}

uint64_t emu_load_as(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                     unsigned size, unsigned cpl)
{
    return load(cpu, insn, wrap(cpu, la), size,
                cpl == 3 ? EMU_TLB_USER : EMU_TLB_SUPER);
}

void emu_store_as(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                  unsigned size, uint64_t value, unsigned cpl)
{
    store(cpu, insn, wrap(cpu, la), size, value,
          cpl == 3 ? EMU_TLB_USER : EMU_TLB_SUPER);
}

uint64_t emu_sys_load(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                      unsigned size)
{
    return load(cpu, insn, wrap(cpu, la), size, EMU_TLB_SUPER);
}

void emu_sys_store(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                   unsigned size, uint64_t value)
{
    store(cpu, insn, wrap(cpu, la), size, value, EMU_TLB_SUPER);
}

void *emu_host_slow(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                    unsigned size, emu_access access)
{
    unsigned set = emu_tlb_set(cpu);
    pieces at;
    const piece *p = &at.part[0];

    cpu->current = insn;
    if (access != EMU_EXEC)
        check_alignment(cpu, insn, la, size, set);
    look_up(cpu, insn, la, size, access, set, &at);
    if (at.n == 2 || p->page.host == NULL)
        return NULL;
    if (is_write(access) &&
        (p->page.slot->readonly || emu_tlb_write_page(cpu, &p->page)))
        return NULL;
    return p->page.host + p->offset;
}

void emu_load_bytes(emu_cpu *cpu, const emu_insn *insn, uint64_t la, void *to,
                    unsigned len)
{
    const void *p = len <= EMU_PAGE_SIZE ? emu_host_r(cpu, la, len) : NULL;
    pieces at;

    if (G_LIKELY(p)) {
        memcpy(to, p, len);
        return;
    }
    cpu->current = insn;
    look_up(cpu, insn, la, MIN(len, EMU_PAGE_SIZE), EMU_READ, emu_tlb_set(cpu),
            &at);
    piece_read(cpu, &at.part[0], to);
    if (at.n == 2) {
        look_again(cpu, insn, EMU_READ, emu_tlb_set(cpu), &at);
        piece_read(cpu, &at.part[1], (uint8_t *)to + at.part[0].len);
    }
}

void emu_store_bytes(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                     const void *from, unsigned len)
{
    void *p = len <= EMU_PAGE_SIZE ? emu_host_w(cpu, la, len) : NULL;
    pieces at;

    if (G_LIKELY(p)) {
        memcpy(p, from, len);
        return;
    }
    cpu->current = insn;
    look_up(cpu, insn, la, MIN(len, EMU_PAGE_SIZE), EMU_WRITE, emu_tlb_set(cpu),
            &at);
    piece_write(cpu, &at.part[0], from);
    if (at.n == 2) {
        look_again(cpu, insn, EMU_WRITE, emu_tlb_set(cpu), &at);
        piece_write(cpu, &at.part[1], (const uint8_t *)from + at.part[0].len);
    }
}

unsigned emu_host_run(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                      unsigned max, emu_access access, uint8_t **host)
{
    unsigned run = MIN(max, EMU_PAGE_SIZE - (unsigned)(la & ~EMU_PAGE_MASK));
    uint8_t *p =
        is_write(access) ? emu_host_w(cpu, la, 1) : emu_host_r(cpu, la, 1);

    if (p == NULL) {
        if (cpu->align_check || emu_watched_page(cpu, la))
            return 0;
        p = emu_host_slow(cpu, insn, la, 1, access);
    }
    *host = p;
    return p ? run : 0;
}

void emu_split_lock(emu_cpu *cpu)
{
    /* The holder may be in an up-call; do not keep others waiting for us. */
    emu_vcpu_leave(cpu->vcpu);
    pthread_mutex_lock(&cpu->vm->split_lock);
    emu_vcpu_enter(cpu->vcpu);
    cpu->split_held = true;
}

void emu_split_unlock(emu_cpu *cpu)
{
    if (cpu->split_held) {
        cpu->split_held = false;
        pthread_mutex_unlock(&cpu->vm->split_lock);
    }
}
