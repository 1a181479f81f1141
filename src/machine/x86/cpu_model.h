/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu_model.h: from a CPU model's name and feature list to CPUID rows.
 *
 * Spec: Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E; x86-64 psABI,
 *       "Micro-Architecture Levels".
 */
#ifndef VSR_MACHINE_X86_CPU_MODEL_H
#define VSR_MACHINE_X86_CPU_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "engine/engine.h"

/* Policies of a <feature>, as libvirt names them. */
typedef enum {
    VSR_FEATURE_FORCE,
    VSR_FEATURE_REQUIRE,
    VSR_FEATURE_OPTIONAL,
    VSR_FEATURE_DISABLE,
    VSR_FEATURE_FORBID,
} vsr_feature_policy;

typedef struct {
    const char *name; /* libvirt's: "sse4.2", "x2apic", "tsc-deadline" … */
    vsr_feature_policy policy;
} vsr_cpu_feature;

typedef struct {
    const char *model; /* of cpu_named.h; NULL: all that the engine offers */
    bool minimum;      /* the model is the least: what else there is stays */
    bool
        known_only; /* only what has a name, so that it can be told elsewhere */
    bool migratable;     /* without what binds a guest to its host: invtsc */
    bool foreign_vendor; /* the engine runs models of any vendor */
    const char *vendor;  /* the guest's must be this one; NULL: any */
    const vsr_cpu_feature *features; /* in turn: the last word counts */
    uint32_t n_features;
    uint32_t sockets, dies, cores, threads; /* 0: one socket per vCPU */
    bool hide_kvm;                          /* no 0x400000xx leaves */
    bool hint_dedicated; /* tell the guest that its vCPUs always run */
} vsr_cpu_model;

/* Nested virtualization (svm, vmx) and monitor are there only where `features`
 * asks for them. NO_SUPPORT names all that the engine lacks; CONFIG for unknown
 * names. */
bool vsr_cpu_model_cpuid(const vsr_cpu_model *model, const vsr_cpuid *supported,
                         uint32_t max_vcpus, vsr_cpuid *out, GError **error);
/* Per-vCPU rows: APIC id, topology leaves. */
void vsr_cpu_model_vcpu(const vsr_cpuid *model, uint32_t apic_id,
                        vsr_cpuid *out);
/* Names for `capabilities`: model names the supported set can satisfy, then
 * NULL at the end; borrowed static strings. */
uint32_t vsr_cpu_model_usable(const vsr_cpuid *supported, bool foreign_vendor,
                              const char **out, uint32_t max);
/* Names of the features present in rows. */
uint32_t vsr_cpu_model_features(const vsr_cpuid *rows, const char **out,
                                uint32_t max);

#endif
