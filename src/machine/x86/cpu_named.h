/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu_named.h: the processors that have a name.
 *
 * Spec: names as in libvirt's cpu_map; x86-64 psABI, "Micro-Architecture
 *       Levels".
 */
#ifndef VSR_MACHINE_X86_CPU_NAMED_H
#define VSR_MACHINE_X86_CPU_NAMED_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/x86/cpu_features.h"

/* How a vendor signs CPUID leaf 0. */
typedef struct {
    const char *name;      /* as libvirt says it: "Intel", "AMD" */
    const char *signature; /* 12 characters, EBX EDX ECX */
} vsr_cpu_vendor;

/* By libvirt's name; NULL if unknown. */
const vsr_cpu_vendor *vsr_cpu_vendor_find(const char *name);
/* Of leaf 0's registers; NULL if unknown. */
const vsr_cpu_vendor *vsr_cpu_vendor_of(uint32_t ebx, uint32_t ecx,
                                        uint32_t edx);

/* A named processor: features it must have, and those it has where the engine
 * does. vendor NULL: whatever processor the engine has, cut down to a level of
 * the psABI. */
typedef struct {
    const char *name;
    const vsr_cpu_vendor *vendor;
    uint32_t family, model, stepping; /* as people count them: family 23 */
    const char *brand;                /* leaves 0x80000002 to 4 */
    vsr_feature_set required, optional;
} vsr_cpu_named;

bool vsr_cpu_named_get(const char *name, vsr_cpu_named *out);
/* Names, NULL past the last. */
const char *vsr_cpu_named_name(uint32_t index);

#endif
