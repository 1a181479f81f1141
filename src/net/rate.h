/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rate.h: a rate limit that this process keeps: two leaky buckets, the average
 * with its burst and the peak. A frame passes when neither has more in it than
 * its depth, and then goes into both as a whole: none is too large for a limit.
 *
 * Threads: one at a time.
 */
#ifndef VSR_NET_RATE_H
#define VSR_NET_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/net.h"

typedef struct {
    uint64_t bytes_per_s; /* 0: no limit */
    int64_t depth_ns;     /* what it holds, in time at that rate */
    int64_t empty_ns;     /* when all of it will have gone */
} vsr_net_bucket;

typedef struct {
    vsr_net_bucket average, peak;
} vsr_net_meter;

void vsr_net_meter_init(vsr_net_meter *meter, const vsr_net_rate *rate);
/* 0: a frame may pass now; else when to ask again. */
int64_t vsr_net_meter_wait(const vsr_net_meter *meter, int64_t now_ns);
void vsr_net_meter_take(vsr_net_meter *meter, int64_t now_ns, uint64_t len);

static inline bool vsr_net_meter_is_on(const vsr_net_meter *meter)
{
    return meter->average.bytes_per_s != 0 || meter->peak.bytes_per_s != 0;
}

static inline bool vsr_net_rate_is_set(const vsr_net_rate *rate)
{
    return rate->average != 0 || rate->peak != 0;
}
/* Bytes a burst has where none is said: 10 ms' worth, and a largest frame. */
uint64_t vsr_net_rate_burst(const vsr_net_rate *rate);

#endif
