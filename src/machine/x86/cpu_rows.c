/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu_rows.c: finding, adding and dropping rows of CPUID.
 *
 * Threads: any.
 */
#include "machine/x86/cpu_rows.h"

enum {
    VENDOR_AMD_EBX = 0x68747541,   /* "Auth" */
    VENDOR_HYGON_EBX = 0x6f677948, /* "Hygo" */
};

const vsr_cpuid_row *cpu_find_row(const vsr_cpuid *rows, uint32_t leaf,
                                  uint32_t subleaf)
{
    uint32_t i;

    for (i = 0; i < rows->n && i < VSR_CPUID_ROWS_MAX; i++)
        if (rows->row[i].leaf == leaf &&
            (!rows->row[i].has_subleaf || rows->row[i].subleaf == subleaf))
            return &rows->row[i];
    return NULL;
}

vsr_cpuid_row *cpu_edit_row(vsr_cpuid *rows, uint32_t leaf, uint32_t subleaf)
{
    const vsr_cpuid_row *row = cpu_find_row(rows, leaf, subleaf);

    return row ? &rows->row[row - rows->row] : NULL;
}

void cpu_drop_rows(vsr_cpuid *rows, uint32_t first, uint32_t last)
{
    uint32_t i, kept = 0;

    for (i = 0; i < rows->n; i++)
        if (rows->row[i].leaf < first || rows->row[i].leaf > last)
            rows->row[kept++] = rows->row[i];
    rows->n = kept;
}

void cpu_add_row(vsr_cpuid *rows, uint32_t leaf, uint32_t subleaf, uint32_t eax,
                 uint32_t ebx, uint32_t ecx)
{
    if (rows->n < VSR_CPUID_ROWS_MAX)
        rows->row[rows->n++] = (vsr_cpuid_row){
            .leaf = leaf,
            .subleaf = subleaf,
            .has_subleaf = true,
            .eax = eax,
            .ebx = ebx,
            .ecx = ecx,
        };
}

bool cpu_is_amd(const vsr_cpuid *rows)
{
    const vsr_cpuid_row *row = cpu_find_row(rows, 0, 0);

    return row && (row->ebx == VENDOR_AMD_EBX || row->ebx == VENDOR_HYGON_EBX);
}
