/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cancel.c: see cancel.h.
 *
 * Threads: any.
 */
#include "driver/cancel.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/loop.h"

bool vsr_cancel_init(vsr_cancel *cancel, GError **error)
{
    cancel->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (cancel->fd < 0)
        return vsr_fail_errno(error, errno, "Cannot make an event descriptor");
    return true;
}

void vsr_cancel_fini(vsr_cancel *cancel)
{
    vsr_close(cancel->fd);
    cancel->fd = -1;
}

void vsr_cancel_now(const vsr_cancel *cancel)
{
    uint64_t one = 1;

    (void)vsr_write_all(cancel->fd, &one, sizeof(one));
}

bool vsr_cancel_is_set(const vsr_cancel *cancel)
{
    struct pollfd p = { .events = POLLIN };

    if (cancel == NULL)
        return false;
    p.fd = cancel->fd;
    return poll(&p, 1, 0) > 0;
}

int64_t vsr_deadline(int timeout_ms)
{
    if (timeout_ms < 0)
        return INT64_MAX;
    return vsr_now_ns() + timeout_ms * INT64_C(1000000);
}

bool vsr_cancel_wait(const vsr_cancel *cancel, int fd, int fd2,
                     int64_t deadline_ns, GError **error)
{
    struct pollfd p[3] = {
        { .fd = fd, .events = POLLIN },
        { .fd = fd2, .events = POLLIN },
        { .fd = cancel != NULL ? cancel->fd : -1, .events = POLLIN },
    };

    for (;;) {
        int64_t left = deadline_ns - vsr_now_ns();
        int n;

        left = CLAMP(left, 0, INT64_C(3600) * 1000000000);
        n = poll(p, G_N_ELEMENTS(p), (int)((left + 999999) / 1000000));
        if (n < 0 && errno != EINTR)
            return vsr_fail_errno(error, errno, "Cannot wait");
        if (n > 0 && p[2].revents != 0)
            return vsr_fail(error, VISOR_ERR_CANCELLED, "Cancelled");
        if (n > 0)
            return true;
        if (n == 0 && vsr_now_ns() >= deadline_ns)
            return vsr_fail(error, VISOR_ERR_TIMEOUT, "Not in the time given");
    }
}
