/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rate.c: see rate.h.
 *
 * Threads: one at a time.
 */
#include "net/rate.h"

#include "base/util.h"

enum {
    NS_PER_S = 1000000000,
    BURST_MIN = 64 * 1024, /* a frame of the largest, so that a queue of small
                              ones is served in batches */
    PAUSE_NS = 1000000,    /* no timer for less … */
    DEPTH_NS = 4000000,    /* … and nothing is lost while it runs */
};
/* KiB: of rates and bursts, so that nothing here overflows. */
#define KIB_MAX (UINT64_C(1) << 32)

uint64_t vsr_net_rate_burst(const vsr_net_rate *rate)
{
    uint64_t some = MIN(rate->average, KIB_MAX) * VSR_KIB / 100;

    if (rate->burst != 0)
        some = MIN(rate->burst, KIB_MAX) * VSR_KIB;
    return MAX(some, (uint64_t)BURST_MIN);
}

static int64_t time_of(const vsr_net_bucket *b, uint64_t bytes)
{
    __extension__ typedef unsigned __int128 wide;

    return (int64_t)(((wide)bytes * NS_PER_S + b->bytes_per_s - 1) /
                     b->bytes_per_s);
}

static void bucket_init(vsr_net_bucket *b, uint64_t kib_per_s, uint64_t depth)
{
    *b = (vsr_net_bucket){ .bytes_per_s = MIN(kib_per_s, KIB_MAX) * VSR_KIB };
    if (b->bytes_per_s != 0)
        b->depth_ns = MAX(time_of(b, depth), (int64_t)DEPTH_NS);
}

void vsr_net_meter_init(vsr_net_meter *meter, const vsr_net_rate *rate)
{
    bucket_init(&meter->average, rate->average, vsr_net_rate_burst(rate));
    bucket_init(&meter->peak, rate->peak, BURST_MIN);
}

int64_t vsr_net_meter_wait(const vsr_net_meter *meter, int64_t now_ns)
{
    int64_t at = MAX(meter->average.empty_ns - meter->average.depth_ns,
                     meter->peak.empty_ns - meter->peak.depth_ns);

    return at <= now_ns ? 0 : MAX(at, now_ns + PAUSE_NS);
}

static void bucket_take(vsr_net_bucket *b, int64_t now_ns, uint64_t len)
{
    if (b->bytes_per_s != 0)
        b->empty_ns = MAX(b->empty_ns, now_ns) + time_of(b, len);
}

void vsr_net_meter_take(vsr_net_meter *meter, int64_t now_ns, uint64_t len)
{
    bucket_take(&meter->average, now_ns, len);
    bucket_take(&meter->peak, now_ns, len);
}
