/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* virtio_net_box.h: a network device between a driver and a network that both
 * are the test. */
#ifndef VSR_TESTS_DEVICES_VIRTIO_NET_BOX_H
#define VSR_TESTS_DEVICES_VIRTIO_NET_BOX_H

#include "base/util.h"
#include "devices/virtio/net.h"
#include "tests/devices/fake_net.h"
#include "tests/devices/virtio_driver.h"

enum {
    HEADER = 12,
    RX = 0,
    TX = 1,
    CONTROL = 2, /* with one pair */
    LINK_UP = 1,
};
#define ALL_OFFLOADS                                                      \
    (VSR_NET_OFFLOAD_CSUM | VSR_NET_OFFLOAD_TSO4 | VSR_NET_OFFLOAD_TSO6 | \
     VSR_NET_OFFLOAD_ECN | VSR_NET_OFFLOAD_USO)

static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
static const uint8_t other[6] = { 0x52, 0x54, 0, 9, 9, 9 };
static const uint8_t group[6] = { 0x33, 0x33, 0, 0, 0, 1 };
static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };

typedef struct {
    driver *d;
    vsr_net *net;
} box;

static inline box box_with(driver_transport transport, uint32_t pairs,
                           uint32_t offloads, uint64_t without)
{
    box b = { .d = driver_new(transport) };
    fake_net_source source;
    vsr_virtio_net_params params = {
        .virtio = driver_params(b.d),
        .source = &source.base,
        .without = without,
    };

    fake_net_source_init(&source, pairs, offloads);
    memcpy(params.mac, mac, 6);
    driver_attach(b.d, &vsr_virtio_net_class, &params);
    b.net = source.net;
    return b;
}

static inline box box_new(uint64_t features, uint32_t n_queues)
{
    box b = box_with(DRIVER_PCI, 1, ALL_OFFLOADS, 0);

    driver_start(b.d, features | VSR_VIRTIO_F_EVENT_IDX, n_queues);
    return b;
}

static inline void box_free(box *b)
{
    driver_free(b->d);
}

static inline vsr_device *device_of(const box *b)
{
    return &b->d->device->device;
}

/* A frame for `to`, each byte of it known. */
static inline void frame_of(uint8_t *out, const uint8_t to[6], size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(i * 7 + i / 256);
    memcpy(out, to, 6);
}

static const uint32_t whole[] = { HEADER + 60 };

static inline void used(box *b, uint32_t queue, uint32_t expect)
{
    uint16_t head;
    uint32_t len;

    assert_true(driver_wait(b->d, queue, &head, &len));
    assert_int_equal(len, expect);
}

static inline uint64_t add_rx(box *b, uint32_t len)
{
    driver_buffer buffer = { driver_alloc(b->d, len, 1), len, true };

    driver_add(b->d, RX, &buffer, 1);
    return buffer.gpa;
}

static inline void send_parts(box *b, const uint8_t *data,
                              const uint32_t *parts, uint32_t n)
{
    driver_buffer buffers[8];
    uint32_t at = 0;

    for (uint32_t i = 0; i < n; i++) {
        buffers[i] =
            (driver_buffer){ driver_alloc(b->d, parts[i], 1), parts[i], false };
        memcpy(driver_ram(b->d, buffers[i].gpa, parts[i]), data + at, parts[i]);
        at += parts[i];
    }
    driver_add(b->d, TX, buffers, n);
    driver_kick(b->d, TX);
}

static inline void sent_is(box *b, const uint8_t *data, size_t len)
{
    GBytes *bytes = fake_net_sent(b->net);

    assert_non_null(bytes);
    assert_int_equal(g_bytes_get_size(bytes), len);
    assert_memory_equal(g_bytes_get_data(bytes, NULL), data, len);
    g_bytes_unref(bytes);
}

/* The frame of `len` bytes is in the buffers of `size` at at[0…n-1]. */
static inline void merged_is(box *b, const uint64_t *at, uint32_t n,
                             uint32_t size, const uint8_t *frame, size_t len)
{
    g_autofree uint8_t *data = g_malloc(HEADER + len);
    size_t have = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t part = (uint32_t)MIN(size, HEADER + len - have);

        used(b, RX, part);
        memcpy(data + have, driver_ram(b->d, at[i], part), part);
        have += part;
    }
    assert_int_equal(have, HEADER + len);
    assert_int_equal(data[10] | data[11] << 8, n);
    assert_memory_equal(data + HEADER, frame, len);
}

#endif
