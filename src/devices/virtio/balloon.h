/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * balloon.h: virtio memory balloon: the guest gives pages back to the host, on
 * request or as they become free, and tells how it uses the rest.
 *
 * Threads: control.
 */
#ifndef VSR_DEVICES_VIRTIO_BALLOON_H
#define VSR_DEVICES_VIRTIO_BALLOON_H

#include "devices/virtio/virtio.h"

typedef struct {
    vsr_virtio_params virtio;
    bool deflate_on_oom;      /* the guest may take pages back unasked */
    bool free_page_reporting; /* the guest tells of pages as they become free */
    bool must_tell_host; /* … and waits for us before it uses pages again; never
                            needed here, for a host where it is */
} vsr_virtio_balloon_params;

/* NO_SUPPORT: free page reporting with memory that cannot be given back. */
extern const vsr_device_class vsr_virtio_balloon_class;

/* How many bytes the guest is to give up; the guest comes near to it in its own
 * time. CONFIG: more than it has; NO_SUPPORT: its memory is locked or of the
 * host's huge pages. */
bool vsr_virtio_balloon_set_target(vsr_device *device, uint64_t bytes,
                                   GError **error);
/* Ask the guest for statistics so often; 0: not any more. */
void vsr_virtio_balloon_set_period(vsr_device *device, uint32_t period_s);

/* VIRTIO 1.2, 5.5.6.4 "Memory Statistics Tags" */
enum {
    VSR_BALLOON_STAT_SWAP_IN,
    VSR_BALLOON_STAT_SWAP_OUT,
    VSR_BALLOON_STAT_MAJOR_FAULTS,
    VSR_BALLOON_STAT_MINOR_FAULTS,
    VSR_BALLOON_STAT_FREE,
    VSR_BALLOON_STAT_TOTAL,
    VSR_BALLOON_STAT_AVAILABLE,
    VSR_BALLOON_STAT_DISK_CACHES,
    VSR_BALLOON_STAT_HUGETLB_ALLOCATIONS,
    VSR_BALLOON_STAT_HUGETLB_FAILURES,
    VSR_BALLOON_STATS,
};

typedef struct {
    uint64_t target, actual; /* bytes in the balloon: wanted, and as the guest
                                says */
    uint64_t reported;       /* bytes given back by free page reports so far */
    int64_t stats_ns; /* vsr_now_ns() when the statistics came; 0: never */
    uint32_t present; /* which of them: bit 1 << VSR_BALLOON_STAT_* */
    uint64_t stat[VSR_BALLOON_STATS]; /* faults: how many; else bytes */
} vsr_virtio_balloon_info;

void vsr_virtio_balloon_get(vsr_device *device, vsr_virtio_balloon_info *out);

#endif
