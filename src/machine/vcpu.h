/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vcpu.h: the threads that run vCPUs of a run-style engine.
 *
 * Each vCPU is created, run and freed on its own thread. A stop is: flag,
 * kick, wait until each thread has parked.
 */
#ifndef VSR_MACHINE_VCPU_H
#define VSR_MACHINE_VCPU_H

#include "machine/machine.h"

typedef struct vsr_vcpus vsr_vcpus;

vsr_vcpus *vsr_vcpus_new(vsr_machine *machine, GError **error);
void vsr_vcpus_free(vsr_vcpus *vcpus);
void vsr_vcpus_run(vsr_vcpus *vcpus);
void vsr_vcpus_pause(vsr_vcpus *vcpus);
/* As pause, but waits for nobody: any thread, vCPUs' own included. */
void vsr_vcpus_park(vsr_vcpus *vcpus);
bool vsr_vcpus_running(const vsr_vcpus *vcpus);
vsr_engine_vcpu *vsr_vcpus_get(vsr_vcpus *vcpus, uint32_t index);
/* Run fn on the vCPU's thread, which is parked, and wait. -EBUSY if the vCPUs
 * run. */
int vsr_vcpus_call(vsr_vcpus *vcpus, uint32_t index,
                   int (*fn)(vsr_engine_vcpu *vcpu, void *opaque),
                   void *opaque);

/* Host CPU time of the vCPU's thread. */
uint64_t vsr_vcpus_cpu_ns(const vsr_vcpus *vcpus, uint32_t index);

#endif
