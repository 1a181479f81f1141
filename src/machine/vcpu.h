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

/* The first config.vcpus are there and in use; the others have no thread yet. */
vsr_vcpus *vsr_vcpus_new(vsr_machine *machine, GError **error);
void vsr_vcpus_free(vsr_vcpus *vcpus);
void vsr_vcpus_run(vsr_vcpus *vcpus);
void vsr_vcpus_pause(vsr_vcpus *vcpus);
/* Runs on each thread that is started from now on, once its vCPU is there;
 * false: the thread ends again. */
void vsr_vcpus_set_entry(vsr_vcpus *vcpus, vsr_vcpu_entry *entry, void *opaque);
/* Its thread and the engine's vCPU are there after it. */
bool vsr_vcpus_make(vsr_vcpus *vcpus, uint32_t index, GError **error);
/* Does one that was made run when the others do? vCPUs stand still. */
void vsr_vcpus_use(vsr_vcpus *vcpus, uint32_t index, bool is_used);
bool vsr_vcpus_is_used(const vsr_vcpus *vcpus, uint32_t index);
/* As pause, but waits for nobody: any thread, vCPUs' own included. */
void vsr_vcpus_park(vsr_vcpus *vcpus);
bool vsr_vcpus_running(const vsr_vcpus *vcpus);
/* NULL: not in use. It stays where it is until all are freed. */
vsr_engine_vcpu *vsr_vcpus_get(vsr_vcpus *vcpus, uint32_t index);
/* Run fn on the vCPU's thread, which is parked, and wait. -EBUSY if the vCPUs
 * run; -EINVAL if it has no thread. */
int vsr_vcpus_call(vsr_vcpus *vcpus, uint32_t index,
                   int (*fn)(vsr_engine_vcpu *vcpu, void *opaque),
                   void *opaque);

/* Host CPU time of the vCPU's thread; 0: it has none. */
uint64_t vsr_vcpus_cpu_ns(const vsr_vcpus *vcpus, uint32_t index);

#endif
