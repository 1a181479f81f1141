/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_host.h: /dev/kvm of this host: can it be used, what can it do, is there
 * hardware behind it?
 *
 * Threads: any; nothing is kept between calls.
 */
#ifndef VSR_DRIVERS_KVM_KVM_HOST_H
#define VSR_DRIVERS_KVM_KVM_HOST_H

#include <stdbool.h>

#include <glib.h>

#include "engine/engine.h"

#define KVM_DEVICE "/dev/kvm"

/* An open /dev/kvm that has all we need; the caller closes. -1 with *error:
 * NO_SUPPORT (no device, wrong API version, a capability missing), ACCESS. */
int kvm_host_open(GError **error);
/* Of an open /dev/kvm or VM; 0 where it is unknown. */
int kvm_host_extension(int fd, int capability);
/* How many memory slots a VM has. */
int kvm_host_slots(int fd);

bool kvm_host_caps(vsr_engine_caps *out, GError **error);
/* All CPUID rows that we can show a guest. */
bool kvm_host_cpuid(vsr_cpuid *out, GError **error);

/* Who runs guest code? */
typedef enum {
    KVM_HARDWARE,
    KVM_SOFTWARE, /* it interprets: far slower than engine emu */
    KVM_UNKNOWN,  /* it could not be tried */
} kvm_speed;

/* By the module that serves the device; KVM_UNKNOWN where that does not say. */
kvm_speed kvm_host_module(void);
/* By running a small guest, a few ms at the most. *mips: how fast it was. */
kvm_speed kvm_host_measure(double *mips);

#endif
