/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake_net.h: a network that is the test: instead of src/net, it is what the
 * device calls.
 *
 * Threads: the test's, but for what the device calls.
 */
#ifndef VSR_TESTS_DEVICES_FAKE_NET_H
#define VSR_TESTS_DEVICES_FAKE_NET_H

#include "net/net.h"

/* What vsr_net_new() makes a fake of. */
typedef struct {
    vsr_net_source base;
    uint32_t offloads; /* that it can */
    vsr_net *net;      /* out; the device's */
} fake_net_source;

void fake_net_source_init(fake_net_source *source, uint32_t queues,
                          uint32_t offloads);

/* A frame comes, with this header (NULL: zero). */
void fake_net_put(vsr_net *net, uint32_t queue, const void *header,
                  const void *frame, size_t len);
/* The next that was sent, header first; NULL: none within two seconds.
 * g_bytes_unref() */
GBytes *fake_net_sent(vsr_net *net);
bool fake_net_sent_none(vsr_net *net);
/* -EAGAIN from now on, or no more: writable() follows. */
void fake_net_refuse(vsr_net *net, bool refuse);
void fake_net_lose(vsr_net *net);
bool fake_net_wanted(vsr_net *net, uint32_t queue);
uint32_t fake_net_active(vsr_net *net);
uint32_t fake_net_offloads(vsr_net *net); /* as set last */
bool fake_net_is_up(vsr_net *net);
/* Frames that wait. */
uint32_t fake_net_waiting(vsr_net *net, uint32_t queue);

#endif
