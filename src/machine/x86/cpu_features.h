/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu_features.h: names of feature bits, as libvirt spells them, and what needs
 * what.
 *
 * Spec: Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E.
 */
#ifndef VSR_MACHINE_X86_CPU_FEATURES_H
#define VSR_MACHINE_X86_CPU_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"

typedef enum {
    VSR_CPUID_EAX,
    VSR_CPUID_EBX,
    VSR_CPUID_ECX,
    VSR_CPUID_EDX,
    VSR_ARCH_CAP_LOW, /* halves of vsr_cpuid.arch_capabilities */
    VSR_ARCH_CAP_HIGH,
} vsr_cpuid_reg;

/* Registers that hold feature bits. */
typedef struct {
    uint32_t leaf, subleaf;
    vsr_cpuid_reg reg;
} vsr_feature_word;

enum { VSR_FEATURE_WORDS = 19 };
extern const vsr_feature_word vsr_feature_words[VSR_FEATURE_WORDS];

typedef struct {
    uint32_t bits[VSR_FEATURE_WORDS];
} vsr_feature_set;

typedef struct {
    const char *name;
    uint8_t word, bit;
} vsr_feature_name;

extern const vsr_feature_name vsr_feature_names[];
extern const uint32_t vsr_feature_names_count;

/* By name or alias; NULL if unknown. */
const vsr_feature_name *vsr_feature_find(const char *name);

static inline bool vsr_feature_in(const vsr_feature_set *set,
                                  const vsr_feature_name *feature)
{
    return set->bits[feature->word] >> feature->bit & 1;
}
static inline void vsr_feature_put(vsr_feature_set *set,
                                   const vsr_feature_name *feature, bool on)
{
    uint32_t bit = UINT32_C(1) << feature->bit;

    if (on)
        set->bits[feature->word] |= bit;
    else
        set->bits[feature->word] &= ~bit;
}

/* Takes out what cannot be without something that is out. */
void vsr_feature_close(vsr_feature_set *set);
/* Features that are off unless asked for by name. */
vsr_feature_set vsr_feature_opt_in(void);
/* All that have a name. */
vsr_feature_set vsr_feature_known(void);
/* The hypervisor's own bits: a named processor says nothing of them. */
bool vsr_feature_word_is_paravirtual(uint32_t word);

#endif
