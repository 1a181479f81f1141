/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_ioctl.c: calls that no signal may cut short.
 *
 * Threads: any.
 */
#include <errno.h>

#include "drivers/kvm/kvm_sys.h"

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
    int rc;

    do {
        rc = kvm_sys.ioctl(fd, request, arg);
    } while (rc == -EINTR);
    return rc;
}

int kvm_ioctl_value(int fd, unsigned long request, unsigned long value)
{
    return kvm_ioctl(fd, request, (void *)(uintptr_t)value);
}
