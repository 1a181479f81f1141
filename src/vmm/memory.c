/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.c: how much memory the guest has while the domain is active: its RAM
 * without what is in the balloon, and what it has of memory devices.
 *
 * Threads: the control thread, where vmm.h's functions carry their calls.
 */
#include <inttypes.h>
#include <time.h>

#include "base/error.h"
#include "base/util.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/mem.h"
#include "vmm/plugged.h"
#include "vmm/vmm_state.h"

/* --- at the start ------------------------------------------------------------------ */

/* Only what the host takes back again can be in it. */
static bool has_balloon(const vsr_domain_conf *conf)
{
    if (conf->backing.hugepages || conf->backing.locked)
        return false;
    for (guint i = 0; i < conf->devices->len; i++) {
        const vsr_device_conf *device = conf->devices->pdata[i];

        if (device->kind == VSR_DEVICE_BALLOON)
            return !device->balloon.none;
    }
    return false;
}

uint64_t vmm_ram_kib(const vsr_domain_conf *conf)
{
    return has_balloon(conf) ? conf->memory_kib : conf->current_memory_kib;
}

uint64_t vmm_device_memory(const vsr_domain_conf *conf)
{
    uint64_t bytes;

    if (conf->max_memory_kib <= conf->memory_kib ||
        conf->os.machine != VSR_MACHINE_PCI)
        return 0;
    bytes = (conf->max_memory_kib - conf->memory_kib) * VSR_KIB;
    /* Each device may leave most of a GiB before it. */
    return vsr_round_up(bytes, VSR_GIB) +
           MIN(conf->memory_slots, (uint32_t)VSR_SLOTS_MAX) * VSR_GIB;
}

/* --- devices ----------------------------------------------------------------------- */

static vsr_device *balloon_of(const vsr_vmm *vmm)
{
    for (guint i = 0; i < vmm->plugged->len; i++) {
        const vmm_plugged *p = vmm->plugged->pdata[i];

        if (p->conf->kind == VSR_DEVICE_BALLOON)
            return p->device;
    }
    return NULL;
}

/* The next memory device from *at on, which moves behind it; NULL: no more. */
static const vmm_plugged *next_memory(const vsr_vmm *vmm, guint *at)
{
    while (*at < vmm->plugged->len) {
        const vmm_plugged *p = vmm->plugged->pdata[(*at)++];

        if (p->conf->kind == VSR_DEVICE_MEMORY && p->device != NULL)
            return p;
    }
    return NULL;
}

/* The end of a device that is in the way, or 0. */
static uint64_t in_the_way(const vsr_vmm *vmm, uint64_t gpa, uint64_t bytes)
{
    const vmm_plugged *p;

    for (guint at = 0; (p = next_memory(vmm, &at)) != NULL;) {
        vsr_virtio_mem_info info;

        vsr_virtio_mem_get(p->device, &info);
        if (gpa < info.addr + info.size && info.addr < gpa + bytes)
            return info.addr + info.size;
    }
    return 0;
}

bool vmm_place_memory(const vsr_vmm *vmm, uint64_t bytes, uint64_t align,
                      uint64_t *gpa, GError **error)
{
    uint64_t base, len, at, next;

    vsr_board_device_memory(&vmm->board, &base, &len);
    align = MAX(align, VSR_GIB);
    for (at = vsr_round_up(base, align);
         (next = in_the_way(vmm, at, bytes)) != 0;)
        at = vsr_round_up(next, align);
    if (bytes > len || at - base > len - bytes)
        return vsr_fail(error, VISOR_ERR_RESOURCE,
                        "There is no room for %" PRIu64
                        " MiB: <maxMemory> leaves %" PRIu64
                        " MiB of addresses, in pieces of %" PRIu64 " MiB",
                        bytes / VSR_MIB, len / VSR_MIB, align / VSR_MIB);
    *gpa = at;
    return true;
}

void vmm_free_memory(vsr_vmm *vmm, vsr_device *device)
{
    vsr_virtio_mem_info info;

    vsr_virtio_mem_get(device, &info);
    vsr_device_free(device);
    vsr_mem_remove_spare(vmm->machine->mem, info.addr);
}

bool vmm_start_balloon(vsr_vmm *vmm, vsr_device *balloon, GError **error)
{
    uint64_t ram = vsr_mem_ram_bytes(vmm->machine->mem);
    uint64_t current = vmm->conf->current_memory_kib * VSR_KIB;

    /* One that comes later is empty: the guest has what it has. */
    return vmm->built_ns != 0 || current >= ram ||
           vsr_virtio_balloon_set_target(balloon, ram - current, error);
}

bool vmm_check_memory_gone(const vsr_vmm *vmm, const vsr_device_conf *conf,
                           GError **error)
{
    const vmm_plugged *p;
    char room[64];

    for (guint at = 0; (p = next_memory(vmm, &at)) != NULL;) {
        vsr_virtio_mem_info info;

        vsr_virtio_mem_get(p->device, &info);
        if (p->conf == conf && info.requested + info.plugged > 0)
            return vsr_fail(error, VISOR_ERR_STATE,
                            "<memory> '%s' can go when nothing of it is "
                            "requested and the guest has given it up: now "
                            "%" PRIu64 " KiB are requested, it has %" PRIu64
                            " KiB",
                            vsr_device_label(conf, room),
                            info.requested / VSR_KIB, info.plugged / VSR_KIB);
    }
    return true;
}

/* --- changes ----------------------------------------------------------------------- */

static bool do_set_memory(vsr_vmm *vmm, void *args, GError **error)
{
    uint64_t kib = *(const uint64_t *)args, ram;
    vsr_device *balloon;

    if (!vmm_check_active(vmm, error))
        return false;
    balloon = balloon_of(vmm);
    if (balloon == NULL)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "Domain '%s' keeps its memory while it runs: it has no "
                        "<memballoon model='virtio'>",
                        vmm->conf->name);
    ram = vsr_mem_ram_bytes(vmm->machine->mem) / VSR_KIB;
    if (kib == 0 || kib > ram)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Domain '%s' can have 1 to %" PRIu64
                        " KiB of memory, not %" PRIu64,
                        vmm->conf->name, ram, kib);
    return vsr_virtio_balloon_set_target(balloon, (ram - kib) * VSR_KIB, error);
}

bool vsr_vmm_set_memory(vsr_vmm *vmm, uint64_t kib, GError **error)
{
    return vmm_control(vmm, do_set_memory, &kib, error);
}

/* --- looking ----------------------------------------------------------------------- */

/* RAM that is not in the balloon, as the guest says. */
static uint64_t usable_kib(const vsr_vmm *vmm)
{
    uint64_t ram = vsr_mem_ram_bytes(vmm->machine->mem);
    vsr_device *balloon = balloon_of(vmm);
    vsr_virtio_balloon_info info;

    if (balloon == NULL)
        return ram / VSR_KIB;
    vsr_virtio_balloon_get(balloon, &info);
    return (ram - MIN(info.actual, ram)) / VSR_KIB;
}

void vmm_refresh_memory(vsr_vmm *vmm)
{
    const vmm_plugged *p;

    if (vmm->machine == NULL)
        return;
    for (guint at = 0; (p = next_memory(vmm, &at)) != NULL;) {
        vsr_virtio_mem_info info;

        vsr_virtio_mem_get(p->device, &info);
        p->conf->memory.current_kib = info.plugged / VSR_KIB;
    }
    vmm->conf->current_memory_kib = usable_kib(vmm);
}

/* libvirt's names, and units: KiB, or how many. */
static void put_guest_stats(const vsr_virtio_balloon_info *info,
                            vsr_stat_fn *fn, void *opaque)
{
    static const struct {
        const char *name;
        bool is_count;
    } stats[VSR_BALLOON_STATS] = {
        [VSR_BALLOON_STAT_SWAP_IN] = { "balloon.swap_in", false },
        [VSR_BALLOON_STAT_SWAP_OUT] = { "balloon.swap_out", false },
        [VSR_BALLOON_STAT_MAJOR_FAULTS] = { "balloon.major_fault", true },
        [VSR_BALLOON_STAT_MINOR_FAULTS] = { "balloon.minor_fault", true },
        [VSR_BALLOON_STAT_FREE] = { "balloon.unused", false },
        [VSR_BALLOON_STAT_TOTAL] = { "balloon.available", false },
        [VSR_BALLOON_STAT_AVAILABLE] = { "balloon.usable", false },
        [VSR_BALLOON_STAT_DISK_CACHES] = { "balloon.disk_caches", false },
        [VSR_BALLOON_STAT_HUGETLB_ALLOCATIONS] = { "balloon.hugetlb_pgalloc",
                                                   true },
        [VSR_BALLOON_STAT_HUGETLB_FAILURES] = { "balloon.hugetlb_pgfail",
                                                true },
    };

    for (uint32_t i = 0; i < VSR_BALLOON_STATS; i++)
        if ((info->present & 1u << i) != 0)
            fn(stats[i].name,
               stats[i].is_count ? info->stat[i] : info->stat[i] / VSR_KIB,
               opaque);
    if (info->stats_ns != 0)
        fn("balloon.last-update",
           (uint64_t)(time(NULL) -
                      (vsr_now_ns() - info->stats_ns) / INT64_C(1000000000)),
           opaque);
}

void vmm_memory_stats(vsr_vmm *vmm, vsr_stat_fn *fn, void *opaque)
{
    uint64_t ram = vsr_mem_ram_bytes(vmm->machine->mem) / VSR_KIB;
    uint64_t current = usable_kib(vmm);
    vsr_device *balloon = balloon_of(vmm);
    const vmm_plugged *p;
    char name[VSR_NAME_MAX + 32];

    for (guint at = 0; (p = next_memory(vmm, &at)) != NULL;) {
        vsr_virtio_mem_info info;

        vsr_virtio_mem_get(p->device, &info);
        current += info.plugged / VSR_KIB;
        ram += info.size / VSR_KIB;
        g_snprintf(name, sizeof(name), "memory.%s.current", p->conf->alias);
        fn(name, info.plugged / VSR_KIB, opaque);
        g_snprintf(name, sizeof(name), "memory.%s.requested", p->conf->alias);
        fn(name, info.requested / VSR_KIB, opaque);
        g_snprintf(name, sizeof(name), "memory.%s.size", p->conf->alias);
        fn(name, info.size / VSR_KIB, opaque);
    }
    fn("balloon.current", current, opaque);
    fn("balloon.maximum", MAX(ram, vmm->conf->memory_kib), opaque);
    if (balloon != NULL) {
        vsr_virtio_balloon_info info;

        vsr_virtio_balloon_get(balloon, &info);
        put_guest_stats(&info, fn, opaque);
    }
}
