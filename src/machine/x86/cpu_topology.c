/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu_topology.c: sockets, dies, cores and threads in CPUID.
 *
 * APIC ids equal vCPU indexes, so every level of the topology but the
 * outermost used one has a power of two of members.
 *
 * Spec:    Intel SDM vol. 2A, CPUID leaves 1, 4, 0xb, 0x1f; AMD APM vol. 3,
 *          E.4.7 (0x80000008), E.4.17 (0x8000001d, 0x8000001e).
 * Threads: any.
 */
#include "machine/x86/cpu_rows.h"

#include "base/error.h"

enum { LEVEL_THREAD = 1, LEVEL_CORE = 2, LEVEL_DIE = 5 };

static uint32_t bits_for(uint32_t count)
{
    uint32_t bits = 0;

    while (UINT32_C(1) << bits < count)
        bits++;
    return bits;
}

bool cpu_topology_plan(const vsr_cpu_model *model, uint32_t max_vcpus,
                       cpu_topology *t, GError **error)
{
    uint64_t total;

    *t = (cpu_topology){ 1, 1, 1, max_vcpus, 0, 0, 0, 1 };
    if (model->sockets || model->dies || model->cores || model->threads) {
        t->sockets = MAX(model->sockets, 1);
        t->dies = MAX(model->dies, 1);
        t->cores = MAX(model->cores, 1);
        t->threads = MAX(model->threads, 1);
    }
    if (t->sockets > 4096 || t->dies > 4096 || t->cores > 4096 ||
        t->threads > 4096)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "CPU topology: more than 4096 of one kind");
    total = (uint64_t)t->sockets * t->dies * t->cores * t->threads;
    if (total != max_vcpus)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "CPU topology: %u sockets x %u dies x %u cores x %u"
                        " threads make %u vCPUs, not %u",
                        t->sockets, t->dies, t->cores, t->threads,
                        (uint32_t)total, max_vcpus);
    t->thread_bits = bits_for(t->threads);
    t->core_bits = t->thread_bits + bits_for(t->cores);
    t->package_bits = t->core_bits + bits_for(t->dies);
    t->per_package = t->dies * t->cores * t->threads;
    /* A level may be no power of two only where nothing is outside of it. */
    if ((t->threads & (t->threads - 1)) && total != t->threads)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "CPU topology: %u threads a core is not a power of two",
                        t->threads);
    if ((t->cores & (t->cores - 1)) && t->dies * t->sockets != 1)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "CPU topology: %u cores a die is not a power of two",
                        t->cores);
    if ((t->dies & (t->dies - 1)) && t->sockets != 1)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "CPU topology: %u dies a socket is not a power of two",
                        t->dies);
    return true;
}

/* Leaf 4 and AMD's 0x8000001d: who shares which cache. */
static void cache_rows(vsr_cpuid *rows, const cpu_topology *t)
{
    uint32_t package = (UINT32_C(1) << t->package_bits) - 1;
    uint32_t core = (UINT32_C(1) << t->thread_bits) - 1;
    uint32_t i;

    for (i = 0; i < rows->n; i++) {
        vsr_cpuid_row *row = &rows->row[i];
        uint32_t level, sharing;

        if ((row->leaf != 4 && row->leaf != 0x8000001d) || !(row->eax & 0x1f))
            continue;
        level = row->eax >> 5 & 7;
        sharing = level >= 3 ? package : core;
        row->eax = (row->eax & 0x3fff) | (sharing & 0xfff) << 14;
        if (row->leaf == 4)
            row->eax |= ((package >> t->thread_bits) & 0x3f) << 26;
    }
}

/* Leaves 0xb and 0x1f. EDX, the id, comes with the vCPU. */
static void level_rows(vsr_cpuid *rows, const cpu_topology *t)
{
    const vsr_cpuid_row *first = cpu_find_row(rows, 0, 0);
    uint32_t max = first ? first->eax : 0;

    cpu_drop_rows(rows, 0xb, 0xb);
    cpu_drop_rows(rows, 0x1f, 0x1f);
    if (max < 0xb)
        return;
    cpu_add_row(rows, 0xb, 0, t->thread_bits, t->threads, LEVEL_THREAD << 8);
    cpu_add_row(rows, 0xb, 1, t->package_bits, t->per_package,
                LEVEL_CORE << 8 | 1);
    cpu_add_row(rows, 0xb, 2, 0, 0, 2);
    if (max < 0x1f || t->dies == 1)
        return;
    cpu_add_row(rows, 0x1f, 0, t->thread_bits, t->threads, LEVEL_THREAD << 8);
    cpu_add_row(rows, 0x1f, 1, t->core_bits, t->cores * t->threads,
                LEVEL_CORE << 8 | 1);
    cpu_add_row(rows, 0x1f, 2, t->package_bits, t->per_package,
                LEVEL_DIE << 8 | 2);
    cpu_add_row(rows, 0x1f, 3, 0, 0, 3);
}

void cpu_topology_write(vsr_cpuid *rows, const cpu_topology *t)
{
    vsr_cpuid_row *row = cpu_edit_row(rows, 1, 0);
    bool many = t->per_package > 1;

    if (row) {
        uint32_t logical = UINT32_C(1) << t->package_bits;

        row->ebx = (row->ebx & 0x0000ffff) | MIN(logical, 255) << 16;
        row->edx = many ? row->edx | 1u << 28 : row->edx & ~(1u << 28);
    }
    if (cpu_is_amd(rows)) {
        row = cpu_edit_row(rows, 0x80000001, 0);
        if (row)
            row->ecx = many ? row->ecx | 1u << 1 : row->ecx & ~(1u << 1);
        row = cpu_edit_row(rows, 0x80000008, 0);
        if (row)
            row->ecx = (row->ecx & 0xffff0000) | t->package_bits << 12 |
                       MIN(t->per_package - 1, 255);
        row = cpu_edit_row(rows, 0x8000001e, 0);
        if (row) {
            row->ebx = (t->threads - 1) << 8;
            row->ecx = (t->dies - 1) << 8;
        }
    }
    cache_rows(rows, t);
    level_rows(rows, t);
}

void vsr_cpu_model_vcpu(const vsr_cpuid *model, uint32_t apic_id,
                        vsr_cpuid *out)
{
    const vsr_cpuid_row *core = cpu_find_row(model, 0xb, 1);
    const vsr_cpuid_row *thread = cpu_find_row(model, 0xb, 0);
    uint32_t i;

    *out = *model;
    for (i = 0; i < out->n && i < VSR_CPUID_ROWS_MAX; i++) {
        vsr_cpuid_row *row = &out->row[i];

        switch (row->leaf) {
        case 1:
            row->ebx = (row->ebx & 0x00ffffff) | apic_id << 24;
            break;
        case 0xb:
        case 0x1f:
            row->edx = apic_id;
            break;
        case 0x8000001e:
            row->eax = apic_id;
            if (core && thread) {
                uint32_t in_package =
                    apic_id & ((UINT32_C(1) << (core->eax & 31)) - 1);

                row->ebx = (row->ebx & 0xff00) |
                           (in_package >> (thread->eax & 31) & 0xff);
            }
            break;
        default:
            break;
        }
    }
}
