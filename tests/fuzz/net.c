/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net.c: fuzz target of the virtio network device: headers, receive buffers,
 * commands, rings, with a network that sends, refuses and goes away meanwhile.
 *
 * Input: steps of eight bytes: kind, queue, count, a length unit, four of value.
 * All buffers are in one region of RAM, which the input is laid over.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/net.h"
#include "tests/devices/fake_net.h"
#include "tests/devices/virtio_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)  \
    do {                  \
        if (!(condition)) \
            abort();      \
    } while (0)

enum {
    PAIRS = 2,
    QUEUES = 2 * PAIRS + 1,
    REGION = 1 << 20,
    STEP = 8,
    STEPS_MAX = 200,
    FRAME_MAX = VSR_NET_FRAME_MAX,
};

typedef struct {
    driver *d;
    vsr_net *net;
    vsr_device *device;
    uint64_t region;
    uint8_t *ram, *frame;
    bool is_paused;
    bool is_raw; /* the rings are not what the driver's books say */
} target;

enum {
    STEP_ADD,
    STEP_ADD_INDIRECT,
    STEP_RAW,
    STEP_FRAME,
    STEP_REFUSE,
    STEP_LINK,
    STEP_PAUSE,
    STEP_RESTART,
    STEP_COMMAND,
    STEP_KINDS
};

static void restart(target *t, uint64_t features)
{
    if (!driver_negotiate(t->d, features))
        return;
    t->d->ram_next = t->region + REGION;
    for (uint32_t i = 0; i < QUEUES; i++) {
        driver_place(t->d, i, 0);
        driver_enable(t->d, i);
    }
    driver_set_status(t->d, 15);
    t->is_raw = false;
}

/* Whatever was used is free again. */
static void reap(target *t, uint32_t queue)
{
    const driver_queue *q = &t->d->queue[queue];
    uint16_t head;
    uint32_t len;

    while (q->used_idx != driver_used_idx(t->d, queue) &&
           driver_take(t->d, queue, &head, &len))
        CHECK(head < q->size);
}

static void add(target *t, uint32_t queue, const uint8_t *step, bool indirect)
{
    driver_buffer buffers[16];
    uint32_t n = 1 + step[2] % 16, n_out, value;

    memcpy(&value, step + 4, sizeof(value));
    /* Control: the answer is behind. */
    n_out = queue == QUEUES - 1 ? n - 1 : queue % 2 == 1 ? n : 0;
    if (value % 17 == 0)
        n_out = value % n;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t len = (uint32_t)(step[3] * (1 + value % 251)) % 70000;

        buffers[i] = (driver_buffer){ t->region + value % (REGION - 70000), len,
                                      i >= n_out };
        value = value * 1664525 + 1013904223;
    }
    if (t->is_raw)
        return;
    reap(t, queue);
    if (t->d->queue[queue].n_free < n)
        return;
    if (indirect && t->d->ram_next + 4096 < DRIVER_RAM)
        driver_add_indirect(t->d, queue, buffers, n);
    else
        driver_add(t->d, queue, buffers, n);
    driver_kick(t->d, queue);
}

static void raw(target *t, uint32_t queue, const uint8_t *step)
{
    driver_queue *q = &t->d->queue[queue];
    uint32_t value;

    memcpy(&value, step + 4, sizeof(value));
    driver_desc(t->d, queue, step[2] % q->size,
                value % 5 == 0 ? value * UINT64_C(4099)
                               : t->region + value % REGION,
                step[3] * 1000u, (uint16_t)(value >> 24),
                (uint16_t)(value >> 8) % q->size);
    t->is_raw = true;
    if (value % 3 == 0)
        driver_publish(t->d, queue, step[2]);
    if (value % 13 == 0)
        driver_set_avail(t->d, queue, (uint16_t)(value >> 16));
    driver_kick(t->d, queue);
}

static void command(target *t, const uint8_t *step)
{
    uint32_t queue =
        t->d->device->accepted & VSR_VIRTIO_NET_F_MQ ? QUEUES - 1 : 2;
    driver_buffer buffers[] = { { t->region, 2 + step[3], false },
                                { t->region + 4096, 1, true } };

    if (t->is_raw)
        return;
    reap(t, queue);
    if (t->d->queue[queue].n_free < 2)
        return;
    t->ram[0] = step[1] % 7;
    t->ram[1] = step[2] % 7;
    memcpy(t->ram + 2, step + 4, 4);
    driver_add(t->d, queue, buffers, 2);
    driver_kick(t->d, queue);
}

static void frame(target *t, uint32_t queue, const uint8_t *step)
{
    uint32_t value, len;

    memcpy(&value, step + 4, sizeof(value));
    len = step[3] < 128 ? 14 + step[3] * 12u : value % FRAME_MAX + 1;
    memcpy(t->frame, step + 2, 6);
    fake_net_put(t->net, queue % PAIRS, NULL, t->frame, len);
}

static void pause_device(target *t)
{
    if (t->is_paused)
        t->device->class->unquiesce(t->device);
    else
        t->device->class->quiesce(t->device);
    t->is_paused = !t->is_paused;
}

static void run(target *t, const uint8_t *step)
{
    uint32_t queue = step[1] % QUEUES;
    uint64_t features;

    switch (step[0] % STEP_KINDS) {
    case STEP_ADD:
    case STEP_ADD_INDIRECT:
        add(t, queue, step, step[0] % STEP_KINDS == STEP_ADD_INDIRECT);
        break;
    case STEP_RAW:
        raw(t, queue, step);
        break;
    case STEP_FRAME:
        frame(t, queue, step);
        break;
    case STEP_REFUSE:
        fake_net_refuse(t->net, step[2] & 1);
        break;
    case STEP_LINK:
        vsr_virtio_net_set_link(t->device, step[2] & 1);
        vsr_virtio_net_announce(t->device);
        break;
    case STEP_PAUSE:
        pause_device(t);
        break;
    case STEP_RESTART:
        memcpy(&features, step, sizeof(features));
        restart(t, step[2] % 4 == 0 ? ~UINT64_C(0) : features);
        break;
    case STEP_COMMAND:
    default:
        command(t, step);
        break;
    }
    driver_settle(t->d);
    for (GBytes *sent; !fake_net_sent_none(t->net); g_bytes_unref(sent)) {
        sent = fake_net_sent(t->net);
        CHECK(g_bytes_get_size(sent) > VSR_NET_VNET_HDR_LEN);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    target t = { .d = driver_new(DRIVER_PCI) };
    fake_net_source source;
    vsr_virtio_net_params params = { .virtio = driver_params(t.d),
                                     .source = &source.base,
                                     .rx_queue_size = 64,
                                     .tx_queue_size = 64 };

    fake_net_source_init(&source, PAIRS, 0x1f);
    driver_attach(t.d, &vsr_virtio_net_class, &params);
    t.net = source.net;
    t.device = &t.d->device->device;
    t.region = driver_alloc(t.d, REGION, 4096);
    t.ram = driver_ram(t.d, t.region, REGION);
    t.frame = g_malloc0(FRAME_MAX + 1);
    for (size_t i = 0; size > 0 && i < REGION; i++)
        t.ram[i] = data[i % size];
    restart(&t, ~UINT64_C(0));
    for (size_t i = 0; i + STEP <= size && i < STEPS_MAX * STEP; i += STEP)
        run(&t, data + i);
    driver_free(t.d);
    g_free(t.frame);
    return 0;
}
