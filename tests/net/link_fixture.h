/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link_fixture.h: what the tests of real links share. */
#ifndef VSR_TESTS_NET_LINK_FIXTURE_H
#define VSR_TESTS_NET_LINK_FIXTURE_H

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "tests/net/net_fixture.h"

static const uint8_t mac_a[6] = { 0x52, 0x54, 0, 0, 0, 0xa };
static const uint8_t mac_b[6] = { 0x52, 0x54, 0, 0, 0, 0xb };

/* --- helpers -------------------------------------------------------------------- */

G_GNUC_PRINTF(1, 2) static inline int run(const char *format, ...)
{
    g_autofree char *command = NULL;
    va_list args;

    va_start(args, format);
    command = g_strdup_vprintf(format, args);
    va_end(args);
    return system(command);
}

static inline vsr_net_location location_of(vsr_net_kind kind,
                                           const char *device,
                                           const uint8_t mac[6])
{
    vsr_net_location l = { .kind = kind, .device = (char *)(uintptr_t)device };

    memcpy(l.mac, mac, 6);
    return l;
}

static inline vsr_net_source open_ok(const vsr_net_location *l)
{
    vsr_net_source source;
    GError *error = NULL;

    if (!vsr_net_source_open(&source, l, &error))
        fail_msg("%s", error->message);
    return source;
}

static inline void open_fails(const vsr_net_location *l, visor_error_code code,
                              const char *word)
{
    vsr_net_source source;
    GError *error = NULL;

    assert_false(vsr_net_source_open(&source, l, &error));
    if (!g_error_matches(error, VSR_ERROR, code) ||
        strstr(error->message, word) == NULL)
        fail_msg("code %d: %s", error->code, error->message);
    g_error_free(error);
}

static inline net_fixture *net_of(const vsr_net_location *l)
{
    vsr_net_source source = open_ok(l);
    GError *error = NULL;
    net_fixture *f = net_fixture_new(&source, &error);

    if (f == NULL)
        fail_msg("%s", error->message);
    vsr_net_source_clear(&source);
    return f;
}

/* Does `ip` say that of it? */
static inline bool link_says(const char *name, const char *text)
{
    return run("ip -o link show dev %s | grep -qF -- '%s'", name, text) == 0;
}

static inline bool becomes(bool (*is)(const void *), const void *what)
{
    for (int i = 0; i < 6000; i++) {
        if (is(what))
            return true;
        g_usleep(10000);
    }
    return false;
}

static inline bool is_gone(const void *name)
{
    return if_nametoindex(name) == 0;
}

/* An experimental EtherType, so that the kernel's own talk is told apart. */
static inline void frame_of(uint8_t *out, const uint8_t to[6],
                            const uint8_t from[6], uint8_t fill, size_t len)
{
    memset(out, fill, len);
    memcpy(out, to, 6);
    memcpy(out + 6, from, 6);
    out[12] = 0x88;
    out[13] = 0xb5;
}

/* Ours of the next frames, within `ms`; NULL: none. */
static inline GBytes *next_ours(net_fixture *f, uint32_t ms)
{
    GBytes *frame;

    while ((frame = fixture_frame(f, ms)) != NULL) {
        const uint8_t *data = g_bytes_get_data(frame, NULL);

        if (g_bytes_get_size(frame) > 14 && data[12] == 0x88 &&
            data[13] == 0xb5)
            return frame;
        g_bytes_unref(frame);
    }
    return NULL;
}

static inline void crosses(net_fixture *from, net_fixture *to,
                           const uint8_t from_mac[6], const uint8_t to_mac[6])
{
    GBytes *got = NULL;
    uint8_t frame[1514];

    frame_of(frame, to_mac, from_mac, 0x5a, sizeof(frame));
    /* A port may listen a moment before it forwards. */
    for (int i = 0; got == NULL && i < 600; i++) {
        assert_int_equal(fixture_send(from, frame, sizeof(frame)), 0);
        got = next_ours(to, 100);
    }
    assert_non_null(got);
    assert_int_equal(g_bytes_get_size(got), sizeof(frame));
    assert_memory_equal(g_bytes_get_data(got, NULL), frame, sizeof(frame));
    g_bytes_unref(got);
}

/* A network namespace of our own, with the ends of a wire, v0 and v1. False:
 * not here. */
static inline bool enter_namespace(void)
{
    if (unshare(CLONE_NEWNET) == 0 &&
        access("/dev/net/tun", R_OK | W_OK) == 0 &&
        run("ip link set lo up 2>/dev/null && ip link add v0 type veth peer "
            "name v1 && ip link set v0 up && ip link set v1 up") == 0)
        return true;
    printf("skipped: no network namespace (%s), /dev/net/tun, veth or ip\n",
           g_strerror(errno));
    return false;
}

#endif
