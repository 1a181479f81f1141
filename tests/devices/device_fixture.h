/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* device_fixture.h: a machine with fake chips, and what it was asked for. */
#ifndef VSR_TESTS_DEVICES_DEVICE_FIXTURE_H
#define VSR_TESTS_DEVICES_DEVICE_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "tests/support/cm.h"
#include "tests/support/fake_engine.h"

typedef struct {
    vsr_machine *machine;
    fake_chips chips;
    vsr_device *device;
    gint requests; /* atomic */
    vsr_request request;
    int status;
} device_fixture;

static inline void fixture_request(void *opaque, vsr_request request,
                                   int status, const char *detail)
{
    device_fixture *f = opaque;

    f->request = request;
    f->status = status;
    g_atomic_int_inc(&f->requests);
}

static inline device_fixture *device_fixture_new(const vsr_device_class *class,
                                                 const void *params)
{
    static const vsr_machine_events events = { .request = fixture_request };
    device_fixture *f = g_new0(device_fixture, 1);
    GError *error = NULL;

    f->machine = fake_machine_new_full(&fake_engine, 1, &events, f);
    assert_non_null(f->machine);
    fake_chips_connect(&f->chips, f->machine);
    f->device = vsr_device_new(f->machine, class, "dut", params, &error);
    if (!f->device)
        fail_msg("%s", error->message);
    return f;
}

static inline void fixture_nothing(void *opaque)
{
}

/* How many requests have come; they are delivered by the loop. */
static inline int fixture_requests(device_fixture *f)
{
    vsr_loop_sync(f->machine->loop, fixture_nothing, NULL);
    return g_atomic_int_get(&f->requests);
}

static inline void device_fixture_free(device_fixture *f)
{
    vsr_machine_free(f->machine);
    g_free(f);
}

static inline uint8_t in8(device_fixture *f, uint16_t port)
{
    return (uint8_t)fake_in(f->machine, port, 1);
}

static inline void out8(device_fixture *f, uint16_t port, uint8_t value)
{
    fake_out(f->machine, port, 1, value);
}

#endif
