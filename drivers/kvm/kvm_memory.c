/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_memory.c: memory slots and the dirty log.
 *
 * KVM hands out and clears the log of a whole slot at once; what was not asked
 * for yet waits in the slot's own bitmap, beside what the machine itself wrote.
 *
 * Spec:    Linux, Documentation/virt/kvm/api.rst, 4.35
 *          "KVM_SET_USER_MEMORY_REGION", 4.8 "KVM_GET_DIRTY_LOG".
 * Threads: any.
 */
#include "drivers/kvm/kvm_engine.h"

#include <errno.h>
#include <string.h>

#include "drivers/kvm/kvm_sys.h"

enum { LONG_BITS = 8 * sizeof(unsigned long) };

/* --- slots --- */

void kvm_slot_free(void *opaque)
{
    kvm_slot *slot = opaque;

    g_free(slot->dirty);
    g_free(slot);
}

static uint64_t slot_pages(const kvm_slot *slot)
{
    return slot->mem.len / KVM_PAGE;
}

/* KVM writes whole 64-bit words. */
static size_t bitmap_bytes(const kvm_slot *slot)
{
    return (slot_pages(slot) + 63) / 64 * 8;
}

static int slot_set(vsr_engine_vm *vm, const kvm_slot *slot, bool is_logged,
                    uint64_t len)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot->id,
        .flags = (slot->mem.readonly ? KVM_MEM_READONLY : 0) |
                 (is_logged ? KVM_MEM_LOG_DIRTY_PAGES : 0),
        .guest_phys_addr = slot->mem.gpa,
        .memory_size = len,
        .userspace_addr = (uintptr_t)slot->mem.host,
    };

    return kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

/* Lock held. A guest with memory that comes and goes has thousands. */
static int slot_id(vsr_engine_vm *vm, uint32_t *out)
{
    guint n = vm->free_slots->len;

    if (n > 0) {
        *out = g_array_index(vm->free_slots, uint32_t, n - 1);
        g_array_set_size(vm->free_slots, n - 1);
        return 0;
    }
    if (vm->n_slot_ids == vm->max_slots)
        return -ENOSPC;
    *out = vm->n_slot_ids++;
    return 0;
}

static bool slot_is_sane(const vsr_mem_slot *slot)
{
    return slot->len > 0 && slot->gpa % KVM_PAGE == 0 &&
           slot->len % KVM_PAGE == 0 && slot->len <= INT64_MAX &&
           slot->gpa <= UINT64_MAX - slot->len && slot->host != NULL &&
           (uintptr_t)slot->host % KVM_PAGE == 0;
}

static int slot_log(vsr_engine_vm *vm, kvm_slot *slot)
{
    int rc;

    if (slot->mem.readonly)
        return 0;
    slot->dirty = g_try_malloc0(bitmap_bytes(slot));
    if (slot->dirty == NULL)
        return -ENOMEM;
    rc = slot_set(vm, slot, true, slot->mem.len);
    if (rc < 0)
        g_clear_pointer(&slot->dirty, g_free);
    return rc;
}

int kvm_mem_add(vsr_engine_vm *vm, const vsr_mem_slot *mem)
{
    kvm_slot *slot;
    int rc;

    if (!slot_is_sane(mem))
        return -EINVAL;
    slot = g_new0(kvm_slot, 1);
    slot->mem = *mem;
    g_mutex_lock(&vm->lock);
    rc = slot_id(vm, &slot->id);
    if (rc == 0) {
        rc = vm->is_logging && !mem->readonly
                 ? slot_log(vm, slot)
                 : slot_set(vm, slot, false, mem->len);
        if (rc < 0)
            g_array_append_val(vm->free_slots, slot->id);
    }
    if (rc == 0)
        g_ptr_array_add(vm->slots, slot);
    else
        kvm_slot_free(slot);
    g_mutex_unlock(&vm->lock);
    return rc;
}

int kvm_mem_remove(vsr_engine_vm *vm, const vsr_mem_slot *mem)
{
    int rc = -ENOENT;

    g_mutex_lock(&vm->lock);
    for (guint i = 0; i < vm->slots->len; i++) {
        const kvm_slot *slot = vm->slots->pdata[i];

        if (slot->mem.gpa != mem->gpa || slot->mem.len != mem->len)
            continue;
        rc = slot_set(vm, slot, false, 0);
        if (rc < 0)
            break;
        g_array_append_val(vm->free_slots, slot->id);
        g_ptr_array_remove_index_fast(vm->slots, i);
        break;
    }
    g_mutex_unlock(&vm->lock);
    return rc;
}

/* --- dirty log --- */

/* Lock held. */
static int log_stop(vsr_engine_vm *vm)
{
    int result = 0;

    for (guint i = 0; i < vm->slots->len; i++) {
        kvm_slot *slot = vm->slots->pdata[i];
        int rc;

        if (slot->dirty == NULL)
            continue;
        rc = slot_set(vm, slot, false, slot->mem.len);
        if (rc < 0)
            result = rc;
        g_clear_pointer(&slot->dirty, g_free);
    }
    vm->is_logging = false;
    return result;
}

int kvm_dirty_start(vsr_engine_vm *vm)
{
    int rc = 0;

    g_mutex_lock(&vm->lock);
    if (!vm->is_logging) {
        for (guint i = 0; i < vm->slots->len && rc == 0; i++)
            rc = slot_log(vm, vm->slots->pdata[i]);
        if (rc == 0)
            vm->is_logging = true;
        else
            (void)log_stop(vm);
    }
    g_mutex_unlock(&vm->lock);
    return rc;
}

int kvm_dirty_stop(vsr_engine_vm *vm)
{
    int rc;

    g_mutex_lock(&vm->lock);
    rc = log_stop(vm);
    g_mutex_unlock(&vm->lock);
    return rc;
}

/* What KVM has of the slot, into the slot's bitmap. */
static int slot_collect(vsr_engine_vm *vm, kvm_slot *slot)
{
    size_t words = bitmap_bytes(slot) / sizeof(unsigned long);
    g_autofree unsigned long *now = g_try_malloc0(bitmap_bytes(slot));
    struct kvm_dirty_log log = { .slot = slot->id, .dirty_bitmap = now };
    int rc;

    if (now == NULL)
        return -ENOMEM;
    rc = kvm_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < words; i++)
        slot->dirty[i] |= now[i];
    return 0;
}

/* Bits of pages gpa..end from the slot's bitmap to the caller's. */
static void slot_give(kvm_slot *slot, uint64_t gpa, uint64_t end,
                      uint64_t bitmap_gpa, unsigned long *bitmap)
{
    for (; gpa < end; gpa += KVM_PAGE) {
        uint64_t from = (gpa - slot->mem.gpa) / KVM_PAGE;
        uint64_t to = (gpa - bitmap_gpa) / KVM_PAGE;
        unsigned long bit = 1ul << from % LONG_BITS;

        if (!(slot->dirty[from / LONG_BITS] & bit))
            continue;
        slot->dirty[from / LONG_BITS] &= ~bit;
        bitmap[to / LONG_BITS] |= 1ul << to % LONG_BITS;
    }
}

int kvm_dirty_fetch(vsr_engine_vm *vm, uint64_t gpa, uint64_t len,
                    unsigned long *bitmap)
{
    uint64_t end = gpa + len;
    int rc = 0;

    if (gpa % KVM_PAGE != 0 || len % KVM_PAGE != 0 || end < gpa)
        return -EINVAL;
    g_mutex_lock(&vm->lock);
    for (guint i = 0; i < vm->slots->len && rc == 0; i++) {
        kvm_slot *slot = vm->slots->pdata[i];
        uint64_t from = MAX(gpa, slot->mem.gpa);
        uint64_t to = MIN(end, slot->mem.gpa + slot->mem.len);

        if (slot->dirty == NULL || from >= to)
            continue;
        rc = slot_collect(vm, slot);
        if (rc == 0)
            slot_give(slot, from, to, gpa, bitmap);
    }
    g_mutex_unlock(&vm->lock);
    return rc;
}

void kvm_dirty_mark(vsr_engine_vm *vm, uint64_t gpa, uint64_t len)
{
    uint64_t last;

    if (len == 0 || gpa > UINT64_MAX - len)
        return;
    last = gpa + len - 1;
    g_mutex_lock(&vm->lock);
    for (guint i = 0; vm->is_logging && i < vm->slots->len; i++) {
        kvm_slot *slot = vm->slots->pdata[i];
        uint64_t from = MAX(gpa, slot->mem.gpa);
        uint64_t to = MIN(last, slot->mem.gpa + slot->mem.len - 1);

        if (slot->dirty == NULL || from > to)
            continue;
        from = (from - slot->mem.gpa) / KVM_PAGE;
        to = (to - slot->mem.gpa) / KVM_PAGE;
        for (; from <= to; from++)
            slot->dirty[from / LONG_BITS] |= 1ul << from % LONG_BITS;
    }
    g_mutex_unlock(&vm->lock);
}
