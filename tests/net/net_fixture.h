/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* net_fixture.h: a vsr_net with a receiver that writes down what it is told. */
#ifndef VSR_TESTS_NET_NET_FIXTURE_H
#define VSR_TESTS_NET_NET_FIXTURE_H

#include <string.h>

#include "net/net.h"
#include "tests/support/cm.h"

enum { FIXTURE_FRAME_MAX = VSR_NET_VNET_HDR_LEN + VSR_NET_FRAME_MAX };

typedef struct {
    vsr_loop *loop;
    vsr_net *net;
    GMutex lock;
    GCond changed;
    /* Under lock. */
    GAsyncQueue *frames; /* of GBytes, header and all */
    uint32_t n_readable, n_writable, n_lost;
    uint32_t queue_of_last;
    bool keep; /* readable() receives nothing */
} net_fixture;

static inline void fixture_receive(net_fixture *f, uint32_t queue)
{
    g_autofree uint8_t *buffer = g_malloc(FIXTURE_FRAME_MAX);
    const struct iovec iov = { .iov_base = buffer,
                               .iov_len = FIXTURE_FRAME_MAX };
    ssize_t len;

    while ((len = vsr_net_receive(f->net, queue, &iov, 1)) >= 0) {
        assert_true(len >= VSR_NET_VNET_HDR_LEN);
        f->queue_of_last = queue;
        g_async_queue_push(f->frames, g_bytes_new(buffer, (gsize)len));
    }
}

static inline void fixture_readable(void *opaque, uint32_t queue)
{
    net_fixture *f = opaque;

    g_mutex_lock(&f->lock);
    f->n_readable++;
    if (f->keep)
        vsr_net_want(f->net, queue, false);
    else
        fixture_receive(f, queue);
    g_mutex_unlock(&f->lock);
}

static inline void fixture_writable(void *opaque, uint32_t queue)
{
    net_fixture *f = opaque;

    g_mutex_lock(&f->lock);
    f->n_writable++;
    g_cond_broadcast(&f->changed);
    g_mutex_unlock(&f->lock);
}

static inline void fixture_lost(void *opaque)
{
    net_fixture *f = opaque;

    g_mutex_lock(&f->lock);
    f->n_lost++;
    g_cond_broadcast(&f->changed);
    g_mutex_unlock(&f->lock);
}

static const vsr_net_events fixture_events = {
    .readable = fixture_readable,
    .writable = fixture_writable,
    .lost = fixture_lost,
};

/* Up to a minute. */
static inline bool fixture_wait(net_fixture *f, const uint32_t *counter,
                                uint32_t n)
{
    int64_t until = g_get_monotonic_time() + G_TIME_SPAN_MINUTE;
    bool ok = true;

    g_mutex_lock(&f->lock);
    while (ok && *counter < n)
        ok = g_cond_wait_until(&f->changed, &f->lock, until);
    g_mutex_unlock(&f->lock);
    return ok;
}

typedef struct {
    net_fixture *f;
    uint32_t queue;
    const void *data;
    size_t len;
    int rc;
} fixture_send_call;

static inline void fixture_send_on_loop(void *opaque)
{
    static const uint8_t header[VSR_NET_VNET_HDR_LEN];
    fixture_send_call *call = opaque;
    struct iovec iov[2] = {
        { .iov_base = (void *)(uintptr_t)header, .iov_len = sizeof(header) },
        { .iov_base = (void *)(uintptr_t)call->data, .iov_len = call->len },
    };

    call->rc = vsr_net_send(call->f->net, call->queue, iov, 2);
}

static inline int fixture_send(net_fixture *f, const void *frame, size_t len)
{
    fixture_send_call call = { .f = f, .data = frame, .len = len };

    vsr_loop_sync(f->loop, fixture_send_on_loop, &call);
    return call.rc;
}

static inline void fixture_want_all(void *opaque)
{
    net_fixture *f = opaque;

    for (uint32_t i = 0; i < vsr_net_queues(f->net); i++)
        vsr_net_want(f->net, i, true);
}

/* NULL, with *error set, where the net cannot be made. */
static inline net_fixture *net_fixture_new(vsr_net_source *source,
                                           GError **error)
{
    net_fixture *f = g_new0(net_fixture, 1);

    f->loop = vsr_loop_new("test-net", error);
    assert_non_null(f->loop);
    f->frames = g_async_queue_new_full((GDestroyNotify)g_bytes_unref);
    f->net = vsr_net_new(source, &fixture_events, f, f->loop, error);
    if (f->net == NULL) {
        vsr_loop_free(f->loop);
        g_async_queue_unref(f->frames);
        g_free(f);
        return NULL;
    }
    vsr_loop_sync(f->loop, fixture_want_all, f);
    return f;
}

static inline void net_fixture_free(net_fixture *f)
{
    vsr_net_free(f->net);
    vsr_loop_free(f->loop);
    g_async_queue_unref(f->frames);
    g_free(f);
}

/* The next frame within `ms`, without its header; NULL: none. g_bytes_unref */
static inline GBytes *fixture_frame(net_fixture *f, uint32_t ms)
{
    GBytes *whole = g_async_queue_timeout_pop(f->frames, ms * UINT64_C(1000));
    GBytes *frame;

    if (whole == NULL)
        return NULL;
    frame =
        g_bytes_new_from_bytes(whole, VSR_NET_VNET_HDR_LEN,
                               g_bytes_get_size(whole) - VSR_NET_VNET_HDR_LEN);
    g_bytes_unref(whole);
    return frame;
}

#endif
