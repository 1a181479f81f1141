/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rng.c: virtio entropy device.
 *
 * One kick gives a bounded number of bytes; the rest of what the driver asks
 * for comes in turns, so that a guest that asks without end does not keep the
 * loop, or its own vCPUs at our lock, from other work.
 *
 * Spec:    VIRTIO 1.2, 5.4 "Entropy Device": one queue, no configuration, no
 *          feature bits of its own.
 * Threads: as virtio.h says; the timer on the queues' loop.
 */
#include "devices/virtio/rng.h"

#include <errno.h>
#include <sys/random.h>

#include "base/util.h"

enum {
    QUEUE_SIZE = 64,
    TURN_BYTES = 64 << 10, /* of one kick */
    PERIOD_MS = 1000,
    NS_PER_MS = 1000000,
};

typedef struct {
    vsr_virtio base;
    uint64_t rate_bytes; /* 0: no limit */
    int64_t period_ns;
    int64_t period_end_ns;
    uint64_t left; /* of this period */
    vsr_timer timer;
    vsr_virtq_chain chain;
} virtio_rng;

static virtio_rng *to_rng(void *base)
{
    return VSR_CONTAINER_OF((vsr_virtio *)base, virtio_rng, base);
}

/* Bytes that may be given now; 0: the timer goes on when some may. */
static uint64_t allowance(virtio_rng *rng)
{
    int64_t now;

    if (rng->rate_bytes == 0)
        return TURN_BYTES;
    now = vsr_now_ns();
    if (now >= rng->period_end_ns) {
        rng->period_end_ns = now + rng->period_ns;
        rng->left = rng->rate_bytes;
    }
    if (rng->left == 0)
        vsr_timer_arm(&rng->timer, rng->period_end_ns);
    return MIN(rng->left, TURN_BYTES);
}

/* How many of the chain's first `len` bytes are random now. */
static uint64_t fill(const vsr_virtq_chain *chain, uint64_t len)
{
    const struct iovec *in = chain->iov + chain->n_out;
    uint64_t done = 0;

    for (uint32_t i = 0; i < chain->n_in && done < len; i++) {
        uint64_t part = MIN(in[i].iov_len, len - done), got = 0;

        while (got < part) {
            ssize_t n =
                getrandom((uint8_t *)in[i].iov_base + got, part - got, 0);

            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                return done + got;
            got += (uint64_t)n;
        }
        done += part;
    }
    return done;
}

/* Lock held. 5.4.6.2: one byte or more, not necessarily all that was asked
 * for. */
static void rng_kicked(vsr_virtio *v, uint32_t index)
{
    virtio_rng *rng = to_rng(v);
    vsr_virtq_chain *chain = &rng->chain;
    uint64_t turn = TURN_BYTES, may = TURN_BYTES;

    while (turn > 0 && (may = allowance(rng)) > 0) {
        uint64_t len;

        if (!vsr_virtio_pop(v, index, chain))
            break;
        /* 5.4.6.1: the driver places no device-readable buffers. */
        if (chain->n_out != 0 || chain->in_len == 0) {
            vsr_virtio_needs_reset(v, "a request that is not one writable "
                                      "buffer");
            return;
        }
        len = fill(chain, MIN(chain->in_len, MIN(may, turn)));
        if (len == 0) {
            vsr_virtio_needs_reset(v, "the host has no random numbers");
            return;
        }
        vsr_virtq_push(vsr_virtio_ring(v, index), chain, (uint32_t)len);
        turn -= len;
        if (rng->rate_bytes != 0)
            rng->left -= len;
    }
    vsr_virtio_signal(v, index);
    if (turn == 0)
        vsr_virtio_kick(v, index);
    else if (may > 0)
        vsr_virtio_want_kicks(v, index);
}

static void on_timer(void *opaque)
{
    vsr_virtio_serve(opaque, 0);
}

/* --- life -------------------------------------------------------------------- */

static const vsr_virtio_ops rng_ops = {
    .id = VSR_VIRTIO_ID_RNG,
    .class_code = 0x00ff00, /* none that PCI knows */
    .kicked = rng_kicked,
};

/* A new period begins. */
static void set_rate(virtio_rng *rng, uint64_t rate_bytes, uint32_t period_ms)
{
    rng->rate_bytes = rate_bytes;
    rng->period_ns =
        (int64_t)(period_ms != 0 ? period_ms : PERIOD_MS) * NS_PER_MS;
    rng->period_end_ns = 0;
}

void vsr_virtio_rng_set_rate(vsr_device *device, uint64_t rate_bytes,
                             uint32_t rate_period_ms)
{
    virtio_rng *rng = to_rng(device);

    g_mutex_lock(&device->lock);
    set_rate(rng, rate_bytes, rate_period_ms);
    /* Who waits for the old period's end need not. */
    vsr_virtio_kick(&rng->base, 0);
    g_mutex_unlock(&device->lock);
}

static bool rng_init(vsr_device *device, const void *params, GError **error)
{
    static const uint16_t queue_size[] = { QUEUE_SIZE };
    const vsr_virtio_rng_params *p = params;
    virtio_rng *rng = to_rng(device);

    set_rate(rng, p->rate_bytes, p->rate_period_ms);
    if (!vsr_virtio_init(&rng->base, &p->virtio, &rng_ops, 0, 1, queue_size, 0,
                         error))
        return false;
    vsr_timer_init(&rng->timer, rng->base.loop, on_timer, rng);
    return true;
}

static void rng_fini(vsr_device *device)
{
    virtio_rng *rng = to_rng(device);

    /* Without queues nobody arms the timer. */
    vsr_virtio_fini(&rng->base);
    vsr_timer_cancel(&rng->timer);
}

static void rng_reset(vsr_device *device)
{
    vsr_virtio_reset(&to_rng(device)->base);
}

const vsr_device_class vsr_virtio_rng_class = {
    .name = "virtio-rng",
    .instance_size = sizeof(virtio_rng),
    .init = rng_init,
    .fini = rng_fini,
    .reset = rng_reset,
    .quiesce = vsr_virtio_quiesce,
    .unquiesce = vsr_virtio_unquiesce,
};
