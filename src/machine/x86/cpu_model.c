/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu_model.c: CPUID rows of a CPU model with a topology.
 *
 * APIC ids equal vCPU indexes, so every level of the topology but the
 * outermost used one has a power of two of members.
 *
 * Spec:    Intel SDM vol. 2A, CPUID leaves 1, 4, 0xb, 0xd, 0x1f; AMD APM vol.
 *          3, E.4.7 (0x80000008), E.4.17 (0x8000001d, 0x8000001e).
 * Threads: any.
 */
#include "machine/x86/cpu_model.h"

#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/x86/cpu_features.h"

enum {
    VENDOR_AMD_EBX = 0x68747541,   /* "Auth" */
    VENDOR_HYGON_EBX = 0x6f677948, /* "Hygo" */
    XCR0_X87_SSE = 0x3,
    XCR0_AVX = 0x4,
    XCR0_AVX512 = 0xe0,
    XCR0_PKRU = 0x200,
    LEVEL_THREAD = 1,
    LEVEL_CORE = 2,
    LEVEL_DIE = 5,
};

typedef struct {
    uint32_t threads, cores, dies, sockets;
    uint32_t thread_bits, core_bits, package_bits; /* shifts of the APIC id */
    uint32_t per_package;
} topology;

/* ---- rows ---- */

static const vsr_cpuid_row *find_row(const vsr_cpuid *rows, uint32_t leaf,
                                     uint32_t subleaf)
{
    uint32_t i;

    for (i = 0; i < rows->n && i < VSR_CPUID_ROWS_MAX; i++)
        if (rows->row[i].leaf == leaf &&
            (!rows->row[i].has_subleaf || rows->row[i].subleaf == subleaf))
            return &rows->row[i];
    return NULL;
}

static vsr_cpuid_row *edit_row(vsr_cpuid *rows, uint32_t leaf, uint32_t subleaf)
{
    const vsr_cpuid_row *row = find_row(rows, leaf, subleaf);

    return row ? &rows->row[row - rows->row] : NULL;
}

static uint32_t *row_reg(vsr_cpuid_row *row, vsr_cpuid_reg reg)
{
    switch (reg) {
    case VSR_CPUID_EAX:
        return &row->eax;
    case VSR_CPUID_EBX:
        return &row->ebx;
    case VSR_CPUID_ECX:
        return &row->ecx;
    case VSR_CPUID_EDX:
    default:
        return &row->edx;
    }
}

static void drop_rows(vsr_cpuid *rows, uint32_t first, uint32_t last)
{
    uint32_t i, kept = 0;

    for (i = 0; i < rows->n; i++)
        if (rows->row[i].leaf < first || rows->row[i].leaf > last)
            rows->row[kept++] = rows->row[i];
    rows->n = kept;
}

static void add_row(vsr_cpuid *rows, uint32_t leaf, uint32_t subleaf,
                    uint32_t eax, uint32_t ebx, uint32_t ecx)
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

static bool is_amd(const vsr_cpuid *rows)
{
    const vsr_cpuid_row *row = find_row(rows, 0, 0);

    return row && (row->ebx == VENDOR_AMD_EBX || row->ebx == VENDOR_HYGON_EBX);
}

/* ---- features ---- */

static vsr_feature_set read_features(const vsr_cpuid *rows)
{
    vsr_feature_set set = { 0 };
    uint32_t i;

    for (i = 0; i < VSR_FEATURE_WORDS; i++) {
        const vsr_feature_word *w = &vsr_feature_words[i];
        const vsr_cpuid_row *row = find_row(rows, w->leaf, w->subleaf);

        if (row) {
            vsr_cpuid_row copy = *row;

            set.bits[i] = *row_reg(&copy, w->reg);
        }
    }
    return set;
}

static void write_features(vsr_cpuid *rows, const vsr_feature_set *set)
{
    vsr_cpuid_row *basic, *extended;
    uint32_t i;

    for (i = 0; i < VSR_FEATURE_WORDS; i++) {
        const vsr_feature_word *w = &vsr_feature_words[i];
        vsr_cpuid_row *row = edit_row(rows, w->leaf, w->subleaf);

        if (row)
            *row_reg(row, w->reg) = set->bits[i];
    }
    /* AMD repeats bits of leaf 1 in 0x80000001. */
    basic = edit_row(rows, 1, 0);
    extended = edit_row(rows, 0x80000001, 0);
    if (basic && extended && is_amd(rows))
        extended->edx = (extended->edx & ~UINT32_C(0x0183f3ff)) |
                        (basic->edx & UINT32_C(0x0183f3ff));
}

/* Bytes of the standard XSAVE format for the components in xcr0. */
static uint32_t xsave_len(const vsr_cpuid *rows, uint32_t xcr0)
{
    uint32_t len = 576, i;

    for (i = 2; i < 32; i++) {
        const vsr_cpuid_row *row;

        if (!(xcr0 >> i & 1))
            continue;
        row = find_row(rows, 0xd, i);
        if (row && row->has_subleaf)
            len = MAX(len, row->ebx + row->eax);
    }
    return len;
}

/* Leaf 0xd says what is left of the state that XSAVE handles. */
static void trim_xsave(vsr_cpuid *rows, const vsr_feature_set *set)
{
    vsr_cpuid_row *main_row = edit_row(rows, 0xd, 0);
    uint32_t xcr0, i, kept = 0;

    if (!main_row)
        return;
    if (!vsr_feature_in(set, vsr_feature_find("xsave"))) {
        drop_rows(rows, 0xd, 0xd);
        return;
    }
    xcr0 = main_row->eax;
    if (!vsr_feature_in(set, vsr_feature_find("avx")))
        xcr0 &= ~(uint32_t)XCR0_AVX;
    if (!vsr_feature_in(set, vsr_feature_find("avx512f")))
        xcr0 &= ~(uint32_t)XCR0_AVX512;
    if (!vsr_feature_in(set, vsr_feature_find("pku")))
        xcr0 &= ~(uint32_t)XCR0_PKRU;
    xcr0 |= XCR0_X87_SSE;
    main_row->ecx = xsave_len(rows, xcr0);
    main_row->ebx = MIN(main_row->ebx, main_row->ecx);
    main_row->eax = xcr0;
    for (i = 0; i < rows->n; i++) {
        const vsr_cpuid_row *row = &rows->row[i];

        if (row->leaf == 0xd && row->has_subleaf && row->subleaf >= 2 &&
            (row->subleaf >= 32 || !(xcr0 >> row->subleaf & 1)))
            continue;
        rows->row[kept++] = *row;
    }
    rows->n = kept;
}

static bool missing(const char *name, const char *why, GError **error)
{
    return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                    "CPU feature '%s' is %s but the engine does not have it",
                    name, why);
}

static bool apply_model(const char *name, const vsr_feature_set *have,
                        vsr_feature_set *set, GError **error)
{
    vsr_feature_model model;
    uint32_t i;

    if (!name || strcmp(name, "host") == 0)
        return true;
    if (!vsr_feature_model_get(name, &model))
        return vsr_fail(error, VISOR_ERR_CONFIG, "CPU model '%s' is unknown",
                        name);
    for (i = 0; i < vsr_feature_names_count; i++) {
        const vsr_feature_name *f = &vsr_feature_names[i];

        if (vsr_feature_in(&model.required, f) && !vsr_feature_in(have, f)) {
            g_autofree char *why =
                g_strdup_printf("part of CPU model '%s'", name);

            return missing(f->name, why, error);
        }
    }
    for (i = 0; i < VSR_FEATURE_WORDS; i++)
        set->bits[i] =
            have->bits[i] & (model.required.bits[i] | model.optional.bits[i]);
    return true;
}

static bool apply_feature(const vsr_cpu_feature *wish,
                          const vsr_feature_set *have, vsr_feature_set *set,
                          GError **error)
{
    const vsr_feature_name *f = vsr_feature_find(wish->name);

    if (!f)
        return vsr_fail(error, VISOR_ERR_CONFIG, "CPU feature '%s' is unknown",
                        wish->name);
    switch (wish->policy) {
    case VSR_FEATURE_FORCE:
    case VSR_FEATURE_REQUIRE:
        if (!vsr_feature_in(have, f))
            return missing(wish->name,
                           wish->policy == VSR_FEATURE_FORCE ? "forced"
                                                             : "required",
                           error);
        vsr_feature_put(set, f, true);
        return true;
    case VSR_FEATURE_OPTIONAL:
        if (vsr_feature_in(have, f))
            vsr_feature_put(set, f, true);
        return true;
    case VSR_FEATURE_DISABLE:
        vsr_feature_put(set, f, false);
        return true;
    case VSR_FEATURE_FORBID:
        if (vsr_feature_in(have, f))
            return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                            "CPU feature '%s' is forbidden but the engine has"
                            " it",
                            wish->name);
        return true;
    default:
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "CPU feature '%s': policy %u is unknown", wish->name,
                        wish->policy);
    }
}

/* Features asked for that a disabled one took away again. */
static bool check_kept(const vsr_cpu_model *model, const vsr_feature_set *set,
                       GError **error)
{
    uint32_t i;

    for (i = 0; i < model->n_features; i++) {
        const vsr_cpu_feature *wish = &model->features[i];

        if ((wish->policy == VSR_FEATURE_REQUIRE ||
             wish->policy == VSR_FEATURE_FORCE) &&
            !vsr_feature_in(set, vsr_feature_find(wish->name)))
            return vsr_fail(error, VISOR_ERR_CONFIG,
                            "CPU feature '%s' is required, but one it needs"
                            " is disabled",
                            wish->name);
    }
    return true;
}

/* ---- topology ---- */

static uint32_t bits_for(uint32_t count)
{
    uint32_t bits = 0;

    while (UINT32_C(1) << bits < count)
        bits++;
    return bits;
}

static bool plan_topology(const vsr_cpu_model *model, uint32_t max_vcpus,
                          topology *t, GError **error)
{
    uint64_t total;

    *t = (topology){ 1, 1, 1, max_vcpus, 0, 0, 0, 1 };
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
static void cache_rows(vsr_cpuid *rows, const topology *t)
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
static void level_rows(vsr_cpuid *rows, const topology *t)
{
    const vsr_cpuid_row *first = find_row(rows, 0, 0);
    uint32_t max = first ? first->eax : 0;

    drop_rows(rows, 0xb, 0xb);
    drop_rows(rows, 0x1f, 0x1f);
    if (max < 0xb)
        return;
    add_row(rows, 0xb, 0, t->thread_bits, t->threads, LEVEL_THREAD << 8);
    add_row(rows, 0xb, 1, t->package_bits, t->per_package, LEVEL_CORE << 8 | 1);
    add_row(rows, 0xb, 2, 0, 0, 2);
    if (max < 0x1f || t->dies == 1)
        return;
    add_row(rows, 0x1f, 0, t->thread_bits, t->threads, LEVEL_THREAD << 8);
    add_row(rows, 0x1f, 1, t->core_bits, t->cores * t->threads,
            LEVEL_CORE << 8 | 1);
    add_row(rows, 0x1f, 2, t->package_bits, t->per_package, LEVEL_DIE << 8 | 2);
    add_row(rows, 0x1f, 3, 0, 0, 3);
}

static void write_topology(vsr_cpuid *rows, const topology *t)
{
    vsr_cpuid_row *row = edit_row(rows, 1, 0);
    bool many = t->per_package > 1;

    if (row) {
        uint32_t logical = UINT32_C(1) << t->package_bits;

        row->ebx = (row->ebx & 0x0000ffff) | MIN(logical, 255) << 16;
        row->edx = many ? row->edx | 1u << 28 : row->edx & ~(1u << 28);
    }
    if (is_amd(rows)) {
        row = edit_row(rows, 0x80000001, 0);
        if (row)
            row->ecx = many ? row->ecx | 1u << 1 : row->ecx & ~(1u << 1);
        row = edit_row(rows, 0x80000008, 0);
        if (row)
            row->ecx = (row->ecx & 0xffff0000) | t->package_bits << 12 |
                       MIN(t->per_package - 1, 255);
        row = edit_row(rows, 0x8000001e, 0);
        if (row) {
            row->ebx = (t->threads - 1) << 8;
            row->ecx = (t->dies - 1) << 8;
        }
    }
    cache_rows(rows, t);
    level_rows(rows, t);
}

/* ---- the calls ---- */

bool vsr_cpu_model_cpuid(const vsr_cpu_model *model, const vsr_cpuid *supported,
                         uint32_t max_vcpus, vsr_cpuid *out, GError **error)
{
    vsr_feature_set have = read_features(supported);
    vsr_feature_set set = have;
    topology t;
    uint32_t i;

    if (supported->n > VSR_CPUID_ROWS_MAX)
        return vsr_fail(error, VISOR_ERR_INTERNAL, "CPUID: %u rows",
                        supported->n);
    if (!plan_topology(model, max_vcpus, &t, error) ||
        !apply_model(model->model, &have, &set, error))
        return false;
    for (i = 0; i < model->n_features; i++)
        if (!apply_feature(&model->features[i], &have, &set, error))
            return false;
    if (model->hide_hypervisor)
        vsr_feature_put(&set, vsr_feature_find("hypervisor"), false);
    vsr_feature_close(&set);
    if (!check_kept(model, &set, error))
        return false;

    *out = *supported;
    write_features(out, &set);
    trim_xsave(out, &set);
    if (model->hide_hypervisor)
        drop_rows(out, 0x40000000, 0x4fffffff);
    write_topology(out, &t);
    return true;
}

void vsr_cpu_model_vcpu(const vsr_cpuid *model, uint32_t apic_id,
                        vsr_cpuid *out)
{
    const vsr_cpuid_row *core = find_row(model, 0xb, 1);
    const vsr_cpuid_row *thread = find_row(model, 0xb, 0);
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

uint32_t vsr_cpu_model_usable(const vsr_cpuid *supported, const char **out,
                              uint32_t max)
{
    vsr_feature_set have = read_features(supported);
    const char *name;
    uint32_t i, w, n = 0;

    for (i = 0; (name = vsr_feature_model_name(i)) && n + 1 < max; i++) {
        vsr_feature_model model;
        bool ok = vsr_feature_model_get(name, &model);

        for (w = 0; ok && w < VSR_FEATURE_WORDS; w++)
            ok = (model.required.bits[w] & ~have.bits[w]) == 0;
        if (ok)
            out[n++] = name;
    }
    if (max > 0)
        out[n] = NULL;
    return n;
}

uint32_t vsr_cpu_model_features(const vsr_cpuid *rows, const char **out,
                                uint32_t max)
{
    vsr_feature_set set = read_features(rows);
    uint32_t i, n = 0;

    for (i = 0; i < vsr_feature_names_count && n < max; i++)
        if (vsr_feature_in(&set, &vsr_feature_names[i]))
            out[n++] = vsr_feature_names[i].name;
    return n;
}
