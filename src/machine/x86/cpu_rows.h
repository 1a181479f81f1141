/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu_rows.h: what the files that make a processor's CPUID share.
 */
#ifndef VSR_MACHINE_X86_CPU_ROWS_H
#define VSR_MACHINE_X86_CPU_ROWS_H

#include "machine/x86/cpu_model.h"

/* cpu_rows.c. Borrowed, NULL if there is none. */
const vsr_cpuid_row *cpu_find_row(const vsr_cpuid *rows, uint32_t leaf,
                                  uint32_t subleaf);
vsr_cpuid_row *cpu_edit_row(vsr_cpuid *rows, uint32_t leaf, uint32_t subleaf);
/* Those of leaves first..last. */
void cpu_drop_rows(vsr_cpuid *rows, uint32_t first, uint32_t last);
/* Nothing if there is no room. */
void cpu_add_row(vsr_cpuid *rows, uint32_t leaf, uint32_t subleaf, uint32_t eax,
                 uint32_t ebx, uint32_t ecx);
bool cpu_is_amd(const vsr_cpuid *rows); /* or Hygon, which counts like it */

/* cpu_topology.c */
typedef struct {
    uint32_t threads, cores, dies, sockets;
    uint32_t thread_bits, core_bits, package_bits; /* shifts of the APIC id */
    uint32_t per_package;
} cpu_topology;

bool cpu_topology_plan(const vsr_cpu_model *model, uint32_t max_vcpus,
                       cpu_topology *out, GError **error);
void cpu_topology_write(vsr_cpuid *rows, const cpu_topology *t);

#endif
