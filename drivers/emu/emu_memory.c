/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emu_memory.c: memory slots of a VM, its dirty log, and who has decoded what.
 *
 * The table of slots is replaced, never changed. vCPUs read it without a lock
 * while they run guest code; other threads hold vm->lock. A table or slot is
 * freed after every vCPU passed a quiet point.
 *
 * Threads: any, unless it says otherwise.
 */
#include "drivers/emu/emu_memory.h"

#include <errno.h>

#include "drivers/emu/block_cache.h"
#include "drivers/emu/emu_engine.h"

#define ALL_VCPUS (~UINT32_C(0))

emu_slot *emu_slot_find(emu_vm *vm, uint64_t gpa)
{
    const emu_slots *s = atomic_load_explicit(&vm->slots, memory_order_acquire);
    uint32_t lo = 0, hi = s->n;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        emu_slot *slot = s->slot[mid];

        if (gpa < slot->gpa)
            hi = mid;
        else if (gpa - slot->gpa >= slot->len)
            lo = mid + 1;
        else
            return slot;
    }
    return NULL;
}

static uint64_t page_of(const emu_slot *slot, uint64_t gpa)
{
    return (gpa - slot->gpa) >> EMU_PAGE_SHIFT;
}

static uint64_t pages_of(const emu_slot *slot)
{
    return slot->len >> EMU_PAGE_SHIFT;
}

static void slot_free(emu_slot *slot)
{
    if (slot == NULL)
        return;
    g_free(slot->marks);
    g_free(slot->writers);
    g_free(slot->dirty);
    g_free(slot);
}

static emu_slot *slot_new(const vsr_mem_slot *in)
{
    emu_slot *slot = g_new0(emu_slot, 1);
    uint64_t pages = in->len >> EMU_PAGE_SHIFT;

    slot->gpa = in->gpa;
    slot->len = in->len;
    slot->host = in->host;
    slot->readonly = in->readonly;
    slot->marks = g_try_malloc0_n(pages, sizeof *slot->marks);
    slot->writers = g_try_malloc0_n(pages, sizeof *slot->writers);
    slot->dirty = g_try_malloc0_n(pages, sizeof *slot->dirty);
    if (!slot->marks || !slot->writers || !slot->dirty) {
        slot_free(slot);
        return NULL;
    }
    return slot;
}

static emu_slots *slots_new(uint32_t n)
{
    emu_slots *s = g_malloc0(sizeof *s + n * sizeof s->slot[0]);

    s->n = n;
    return s;
}

void emu_memory_init(emu_vm *vm)
{
    atomic_store(&vm->slots, slots_new(0));
}

void emu_memory_free(emu_vm *vm)
{
    emu_slots *s = atomic_load(&vm->slots);

    for (uint32_t i = 0; i < s->n; i++)
        slot_free(s->slot[i]);
    g_free(s);
}

/* --- decoded code --- */

/* With vm->lock: vCPUs of `mask` drop what they decoded from the range. */
static void post_code(emu_vm *vm, uint32_t mask, uint64_t gpa, unsigned len)
{
    while (mask) {
        unsigned i = (unsigned)__builtin_ctz(mask);
        emu_vcpu *vcpu = atomic_load(&vm->cpus[i]);

        mask &= mask - 1;
        if (vcpu == NULL)
            continue;
        emu_blocks_post(vcpu->cpu->blocks, gpa, len);
        emu_vcpu_request(vcpu, EMU_EXIT_FLUSH);
    }
}

void emu_code_written(emu_cpu *cpu, emu_slot *slot, uint64_t gpa, unsigned len)
{
    uint32_t self = UINT32_C(1) << cpu->index;
    uint32_t mask = atomic_load(&slot->marks[page_of(slot, gpa)]);

    if (mask & self)
        emu_blocks_written(cpu->blocks, gpa, len);
    if (mask & ~self) {
        pthread_mutex_lock(&cpu->vm->lock);
        post_code(cpu->vm, mask & ~self, gpa, len);
        pthread_mutex_unlock(&cpu->vm->lock);
    }
}

/* Calls post_code for what lies in pages with marks; `locked`: vm->lock. */
static void range_written(emu_vm *vm, emu_slot *slot, uint64_t gpa,
                          uint64_t len, bool locked)
{
    bool log = atomic_load(&vm->dirty_log);

    /* The caller's writes come before the look at the marks (emu_code_mark). */
    atomic_thread_fence(memory_order_seq_cst);
    while (len) {
        uint64_t page = page_of(slot, gpa);
        uint64_t in_page = EMU_PAGE_SIZE - (gpa & ~EMU_PAGE_MASK);
        uint64_t part = MIN(len, in_page);
        uint32_t mask =
            atomic_load_explicit(&slot->marks[page], memory_order_relaxed);

        if (log)
            atomic_store_explicit(&slot->dirty[page], 1, memory_order_relaxed);
        if (mask) {
            if (!locked)
                pthread_mutex_lock(&vm->lock);
            post_code(vm, mask, gpa, (unsigned)part);
            if (!locked)
                pthread_mutex_unlock(&vm->lock);
        }
        gpa += part;
        len -= part;
    }
}

void emu_ram_written(emu_vm *vm, emu_slot *slot, uint64_t gpa, uint64_t len)
{
    range_written(vm, slot, gpa, len, false);
}

void emu_memory_forget(emu_vm *vm, uint32_t vcpu)
{
    uint32_t keep = ~(UINT32_C(1) << vcpu);
    const emu_slots *s = atomic_load(&vm->slots);

    for (uint32_t i = 0; i < s->n; i++) {
        emu_slot *slot = s->slot[i];

        for (uint64_t p = 0; p < pages_of(slot); p++) {
            if (atomic_load(&slot->marks[p]) & ~keep)
                atomic_fetch_and(&slot->marks[p], keep);
            if (atomic_load(&slot->writers[p]) & ~keep)
                atomic_fetch_and(&slot->writers[p], keep);
        }
    }
}

/* --- slots --- */

static bool overlaps(const emu_slot *slot, const vsr_mem_slot *in)
{
    return in->gpa < slot->gpa + slot->len && slot->gpa < in->gpa + in->len;
}

int emu_mem_add(emu_vm *vm, const vsr_mem_slot *in)
{
    uint64_t end = UINT64_C(1) << EMU_PHYS_BITS;
    emu_slots *old, *now;
    emu_slot *slot;
    uint32_t at = 0;

    if (in->len == 0 || in->host == NULL ||
        ((in->gpa | in->len) & ~EMU_PAGE_MASK) || in->gpa >= end ||
        in->len > end - in->gpa)
        return -EINVAL;
    slot = slot_new(in);
    if (slot == NULL)
        return -ENOMEM;

    pthread_mutex_lock(&vm->lock);
    old = atomic_load(&vm->slots);
    for (uint32_t i = 0; i < old->n; i++) {
        if (overlaps(old->slot[i], in)) {
            pthread_mutex_unlock(&vm->lock);
            slot_free(slot);
            return -EEXIST;
        }
        if (old->slot[i]->gpa < in->gpa)
            at = i + 1;
    }
    now = slots_new(old->n + 1);
    memcpy(now->slot, old->slot, at * sizeof now->slot[0]);
    now->slot[at] = slot;
    memcpy(&now->slot[at + 1], &old->slot[at],
           (old->n - at) * sizeof now->slot[0]);
    atomic_store(&vm->slots, now);
    pthread_mutex_unlock(&vm->lock);

    emu_vm_flush(vm, ALL_VCPUS, NULL, true);
    g_free(old);
    return 0;
}

int emu_mem_remove(emu_vm *vm, const vsr_mem_slot *in)
{
    emu_slots *old, *now;
    emu_slot *slot = NULL;
    uint32_t at;

    pthread_mutex_lock(&vm->lock);
    old = atomic_load(&vm->slots);
    for (at = 0; at < old->n; at++) {
        slot = old->slot[at];
        if (slot->gpa == in->gpa && slot->len == in->len)
            break;
    }
    if (at == old->n) {
        pthread_mutex_unlock(&vm->lock);
        return -ENOENT;
    }
    now = slots_new(old->n - 1);
    memcpy(now->slot, old->slot, at * sizeof now->slot[0]);
    memcpy(&now->slot[at], &old->slot[at + 1],
           (old->n - at - 1) * sizeof now->slot[0]);
    atomic_store(&vm->slots, now);
    range_written(vm, slot, slot->gpa, slot->len, true);
    pthread_mutex_unlock(&vm->lock);

    emu_vm_flush(vm, ALL_VCPUS, NULL, true);
    slot_free(slot);
    g_free(old);
    return 0;
}

/* --- dirty log --- */

int emu_dirty_start(emu_vm *vm)
{
    const emu_slots *s;

    pthread_mutex_lock(&vm->lock);
    s = atomic_load(&vm->slots);
    for (uint32_t i = 0; i < s->n; i++)
        for (uint64_t p = 0; p < pages_of(s->slot[i]); p++)
            atomic_store_explicit(&s->slot[i]->dirty[p], 0,
                                  memory_order_relaxed);
    atomic_store(&vm->dirty_log, true);
    pthread_mutex_unlock(&vm->lock);
    emu_vm_flush(vm, ALL_VCPUS, NULL, false);
    return 0;
}

int emu_dirty_stop(emu_vm *vm)
{
    atomic_store(&vm->dirty_log, false);
    return 0;
}

static void set_bit(unsigned long *bitmap, uint64_t bit)
{
    enum { BITS = 8 * sizeof(unsigned long) };

    bitmap[bit / BITS] |= 1ul << (bit % BITS);
}

/*
 * A page is taken from the log before the vCPUs lose their write tags. What one
 * of them still writes through an old tag lands before we return, and the page
 * is in the bitmap: the caller copies it after that.
 */
int emu_dirty_fetch(emu_vm *vm, uint64_t gpa, uint64_t len,
                    unsigned long *bitmap)
{
    const emu_slots *s;
    bool any = false;

    if ((gpa | len) & ~EMU_PAGE_MASK)
        return -EINVAL;
    if (!atomic_load(&vm->dirty_log))
        return -EINVAL;
    pthread_mutex_lock(&vm->lock);
    s = atomic_load(&vm->slots);
    for (uint32_t i = 0; i < s->n; i++) {
        emu_slot *slot = s->slot[i];
        uint64_t from = MAX(gpa, slot->gpa);
        uint64_t to = MIN(gpa + len, slot->gpa + slot->len);

        for (uint64_t at = from; at < to; at += EMU_PAGE_SIZE) {
            _Atomic uint8_t *d = &slot->dirty[page_of(slot, at)];

            if (atomic_load_explicit(d, memory_order_relaxed) &&
                atomic_exchange(d, 0)) {
                set_bit(bitmap, (at - gpa) >> EMU_PAGE_SHIFT);
                any = true;
            }
        }
    }
    pthread_mutex_unlock(&vm->lock);
    if (any)
        emu_vm_flush(vm, ALL_VCPUS, NULL, false);
    return 0;
}

void emu_dirty_mark(emu_vm *vm, uint64_t gpa, uint64_t len)
{
    pthread_mutex_lock(&vm->lock);
    while (len) {
        emu_slot *slot = emu_slot_find(vm, gpa);
        uint64_t part;

        if (slot == NULL) {
            part = MIN(len, EMU_PAGE_SIZE - (gpa & ~EMU_PAGE_MASK));
        } else {
            part = MIN(len, slot->gpa + slot->len - gpa);
            range_written(vm, slot, gpa, part, true);
        }
        gpa += part;
        len -= part;
    }
    pthread_mutex_unlock(&vm->lock);
}
