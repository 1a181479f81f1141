/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu_model.c: from what an engine can show and what was asked for to what the
 * guest sees.
 *
 * Spec:    Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E; Linux,
 *          Documentation/virt/kvm/x86/cpuid.rst.
 * Threads: any.
 */
#include "machine/x86/cpu_model.h"

#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/x86/cpu_named.h"
#include "machine/x86/cpu_rows.h"

enum {
    XCR0_X87_SSE = 0x3,
    XCR0_AVX = 0x4,
    XCR0_AVX512 = 0xe0,
    XCR0_PKRU = 0x200,
    HINT_REALTIME = 1 << 0,
    BRAND_LEN = 48,
};
#define LEAF_KVM     UINT32_C(0x40000001)
#define LEAF_EXT     UINT32_C(0x80000000)
#define LEAF_SVM     UINT32_C(0x8000000a)
#define LEAF_MONITOR UINT32_C(5)
/* Bits of leaf 1 that AMD repeats in 0x80000001. */
#define REPEATED UINT32_C(0x0183f3ff)

static bool has(const vsr_feature_set *set, const char *name)
{
    return vsr_feature_in(set, vsr_feature_find(name));
}

/* ---- reading and writing features ---- */

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
    case VSR_ARCH_CAP_LOW:
    case VSR_ARCH_CAP_HIGH:
    default:
        return &row->edx;
    }
}

static bool word_is_msr(const vsr_feature_word *word)
{
    return word->reg == VSR_ARCH_CAP_LOW || word->reg == VSR_ARCH_CAP_HIGH;
}

/* Some hosts show what cannot be without something they do not show. */
static vsr_feature_set read_features(const vsr_cpuid *rows)
{
    vsr_feature_set set = { 0 };

    for (uint32_t i = 0; i < VSR_FEATURE_WORDS; i++) {
        const vsr_feature_word *w = &vsr_feature_words[i];
        const vsr_cpuid_row *row = cpu_find_row(rows, w->leaf, w->subleaf);

        if (word_is_msr(w)) {
            set.bits[i] = (uint32_t)(rows->arch_capabilities >>
                                     (w->reg == VSR_ARCH_CAP_HIGH ? 32 : 0));
        } else if (row) {
            vsr_cpuid_row copy = *row;

            set.bits[i] = *row_reg(&copy, w->reg);
        }
    }
    vsr_feature_close(&set);
    return set;
}

static void write_features(vsr_cpuid *rows, const vsr_feature_set *set)
{
    vsr_cpuid_row *basic, *extended;

    rows->arch_capabilities = 0;
    for (uint32_t i = 0; i < VSR_FEATURE_WORDS; i++) {
        const vsr_feature_word *w = &vsr_feature_words[i];
        vsr_cpuid_row *row = cpu_edit_row(rows, w->leaf, w->subleaf);

        if (word_is_msr(w))
            rows->arch_capabilities |=
                (uint64_t)set->bits[i]
                << (w->reg == VSR_ARCH_CAP_HIGH ? 32 : 0);
        else if (row)
            *row_reg(row, w->reg) = set->bits[i];
    }
    basic = cpu_edit_row(rows, 1, 0);
    extended = cpu_edit_row(rows, 0x80000001, 0);
    if (basic && extended && cpu_is_amd(rows))
        extended->edx = (extended->edx & ~REPEATED) | (basic->edx & REPEATED);
    if (!has(set, "svm"))
        cpu_drop_rows(rows, LEAF_SVM, LEAF_SVM);
    if (!has(set, "monitor"))
        cpu_drop_rows(rows, LEAF_MONITOR, LEAF_MONITOR);
}

/* Bytes of the standard XSAVE format for the components in xcr0. */
static uint32_t xsave_len(const vsr_cpuid *rows, uint32_t xcr0)
{
    uint32_t len = 576, i;

    for (i = 2; i < 32; i++) {
        const vsr_cpuid_row *row;

        if (!(xcr0 >> i & 1))
            continue;
        row = cpu_find_row(rows, 0xd, i);
        if (row && row->has_subleaf)
            len = MAX(len, row->ebx + row->eax);
    }
    return len;
}

/* Leaf 0xd says what is left of the state that XSAVE handles. */
static void trim_xsave(vsr_cpuid *rows, const vsr_feature_set *set)
{
    vsr_cpuid_row *main_row = cpu_edit_row(rows, 0xd, 0);
    uint32_t xcr0, i, kept = 0;

    if (!main_row)
        return;
    if (!has(set, "xsave")) {
        cpu_drop_rows(rows, 0xd, 0xd);
        return;
    }
    xcr0 = main_row->eax;
    if (!has(set, "avx"))
        xcr0 &= ~(uint32_t)XCR0_AVX;
    if (!has(set, "avx512f"))
        xcr0 &= ~(uint32_t)XCR0_AVX512;
    if (!has(set, "pku"))
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

/* ---- identity ---- */

static const vsr_cpu_vendor *vendor_of(const vsr_cpuid *rows)
{
    const vsr_cpuid_row *row = cpu_find_row(rows, 0, 0);

    return row ? vsr_cpu_vendor_of(row->ebx, row->ecx, row->edx) : NULL;
}

/* Family, model and stepping as leaf 1 has them. */
static uint32_t signature(const vsr_cpu_named *named)
{
    uint32_t family = MIN(named->family, 15);

    return (named->family - family) << 20 | (named->model >> 4) << 16 |
           family << 8 | (named->model & 15) << 4 | named->stepping;
}

static void write_vendor(vsr_cpuid *rows, const vsr_cpu_vendor *vendor)
{
    static const uint32_t leaves[] = { 0, LEAF_EXT };
    uint32_t words[3];

    memcpy(words, vendor->signature, sizeof(words));
    for (size_t i = 0; i < VSR_ARRAY_SIZE(leaves); i++) {
        vsr_cpuid_row *row = cpu_edit_row(rows, leaves[i], 0);

        if (!row)
            continue;
        row->ebx = words[0];
        row->edx = words[1];
        row->ecx = words[2];
    }
}

/* Leaves that mean something else, or nothing, with another vendor. */
static void leave_vendor(vsr_cpuid *rows)
{
    vsr_cpuid_row *row;

    cpu_drop_rows(rows, 0x80000005, 0x80000005);
    cpu_drop_rows(rows, 0x80000009, UINT32_MAX);
    row = cpu_edit_row(rows, LEAF_EXT, 0);
    if (row)
        row->eax = MIN(row->eax, 0x80000008);
    row = cpu_edit_row(rows, 0x80000001, 0);
    if (row) {
        row->ebx = 0;
        row->edx &= ~REPEATED;
    }
    row = cpu_edit_row(rows, 0x80000008, 0);
    if (row)
        row->ecx = 0;
}

static void write_brand(vsr_cpuid *rows, const char *brand)
{
    uint32_t words[BRAND_LEN / 4] = { 0 };

    memcpy(words, brand, MIN(strlen(brand), BRAND_LEN - 1));
    cpu_drop_rows(rows, 0x80000002, 0x80000004);
    for (uint32_t i = 0; i < 3 && rows->n < VSR_CPUID_ROWS_MAX; i++)
        rows->row[rows->n++] = (vsr_cpuid_row){
            .leaf = 0x80000002 + i,
            .eax = words[4 * i],
            .ebx = words[4 * i + 1],
            .ecx = words[4 * i + 2],
            .edx = words[4 * i + 3],
        };
}

static void write_identity(vsr_cpuid *rows, const vsr_cpu_named *named)
{
    bool is_foreign = vendor_of(rows) != named->vendor;
    vsr_cpuid_row *row = cpu_edit_row(rows, 1, 0);

    if (row)
        row->eax = signature(named);
    if (is_foreign)
        leave_vendor(rows);
    write_vendor(rows, named->vendor);
    row = cpu_edit_row(rows, 0x80000001, 0);
    if (row)
        row->eax = cpu_is_amd(rows) ? signature(named) : 0;
    write_brand(rows, named->brand);
    rows->microcode = 0; /* of another processor */
}

/* ---- what was asked for ---- */

typedef struct {
    const vsr_cpu_model *model;
    vsr_cpu_named named; /* name NULL: none was given */
    vsr_feature_set have, set;
    GString *missing; /* a list for people */
} plan;

static bool find_named(plan *p, const vsr_cpuid *supported, GError **error)
{
    const vsr_cpu_vendor *vendor = vendor_of(supported);
    const char *name = p->model->model;

    if (name && !vsr_cpu_named_get(name, &p->named))
        return vsr_fail(error, VISOR_ERR_CONFIG, "CPU model '%s' is unknown",
                        name);
    if (p->named.vendor && p->named.vendor != vendor &&
        !p->model->foreign_vendor)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "CPU model '%s' is of vendor %s, but this host's "
                        "processor is of vendor %s, and the engine runs "
                        "guests on it",
                        name, p->named.vendor->name,
                        vendor ? vendor->name : "unknown");
    if (p->named.vendor)
        vendor = p->named.vendor;
    if (p->model->vendor &&
        (!vendor || strcmp(vendor->name, p->model->vendor) != 0))
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "CPU vendor '%s' is asked for, the processor is of "
                        "vendor %s",
                        p->model->vendor, vendor ? vendor->name : "unknown");
    return true;
}

static void add_missing(plan *p, const char *name, const char *why)
{
    g_string_append_printf(p->missing, "%s'%s'%s", p->missing->len ? ", " : "",
                           name, why);
}

/* The bits to begin with, before single features are looked at. */
static void begin(plan *p)
{
    const vsr_feature_set opt_in = vsr_feature_opt_in();
    const vsr_feature_set known = vsr_feature_known();
    bool is_exact = p->named.name && !p->model->minimum;

    for (uint32_t i = 0; i < VSR_FEATURE_WORDS; i++) {
        uint32_t mask = ~opt_in.bits[i];

        if (is_exact && !vsr_feature_word_is_paravirtual(i))
            mask &= p->named.required.bits[i] | p->named.optional.bits[i];
        if (p->model->known_only)
            mask &= known.bits[i];
        p->set.bits[i] = p->have.bits[i] & mask;
    }
    if (p->model->migratable)
        vsr_feature_put(&p->set, vsr_feature_find("invtsc"), false);
}

static void check_named(plan *p)
{
    bool is_first = true;

    for (uint32_t i = 0; p->named.name && i < vsr_feature_names_count; i++) {
        const vsr_feature_name *f = &vsr_feature_names[i];

        if (!vsr_feature_in(&p->named.required, f) ||
            vsr_feature_in(&p->have, f))
            continue;
        add_missing(p, f->name, "");
        is_first = false;
    }
    if (!is_first)
        g_string_append_printf(p->missing, " (of CPU model '%s')",
                               p->named.name);
}

static bool apply_feature(plan *p, const vsr_cpu_feature *wish, GError **error)
{
    const vsr_feature_name *f = vsr_feature_find(wish->name);

    if (!f)
        return vsr_fail(error, VISOR_ERR_CONFIG, "CPU feature '%s' is unknown",
                        wish->name);
    switch (wish->policy) {
    case VSR_FEATURE_FORCE:
    case VSR_FEATURE_REQUIRE:
        if (!vsr_feature_in(&p->have, f))
            add_missing(p, wish->name,
                        wish->policy == VSR_FEATURE_FORCE ? " (forced)"
                                                          : " (required)");
        vsr_feature_put(&p->set, f, true);
        return true;
    case VSR_FEATURE_OPTIONAL:
        if (vsr_feature_in(&p->have, f))
            vsr_feature_put(&p->set, f, true);
        return true;
    case VSR_FEATURE_DISABLE:
        vsr_feature_put(&p->set, f, false);
        return true;
    case VSR_FEATURE_FORBID:
        if (vsr_feature_in(&p->have, f))
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

static bool apply_features(plan *p, GError **error)
{
    bool wants_nested = false;

    for (uint32_t i = 0; i < p->model->n_features; i++) {
        const vsr_cpu_feature *wish = &p->model->features[i];

        if (!apply_feature(p, wish, error))
            return false;
        wants_nested |=
            strcmp(wish->name, "svm") == 0 || strcmp(wish->name, "vmx") == 0;
    }
    if (p->missing->len == 0)
        return true;
    return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                    "The engine does not have %s%s", p->missing->str,
                    wants_nested ? "; nested virtualization is there where "
                                   "the host's KVM offers it (parameter "
                                   "'nested' of its module)"
                                 : "");
}

/* Features asked for that a disabled one took away again. */
static bool check_kept(const plan *p, GError **error)
{
    for (uint32_t i = 0; i < p->model->n_features; i++) {
        const vsr_cpu_feature *wish = &p->model->features[i];

        if ((wish->policy == VSR_FEATURE_REQUIRE ||
             wish->policy == VSR_FEATURE_FORCE) &&
            !has(&p->set, wish->name))
            return vsr_fail(error, VISOR_ERR_CONFIG,
                            "CPU feature '%s' is required, but one it needs"
                            " is disabled",
                            wish->name);
    }
    return true;
}

static bool plan_features(plan *p, const vsr_cpuid *supported, GError **error)
{
    if (!find_named(p, supported, error))
        return false;
    p->have = read_features(supported);
    begin(p);
    check_named(p);
    if (!apply_features(p, error))
        return false;
    vsr_feature_close(&p->set);
    return check_kept(p, error);
}

/* Leaves of the hypervisor itself. */
static bool write_paravirtual(vsr_cpuid *rows, const vsr_cpu_model *model,
                              GError **error)
{
    vsr_cpuid_row *row = cpu_edit_row(rows, LEAF_KVM, 0);

    if (model->hint_dedicated && !row)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "<hint-dedicated>: the engine has no leaf 0x%x of "
                        "CPUID to say it in",
                        LEAF_KVM);
    if (model->hint_dedicated)
        row->edx |= HINT_REALTIME;
    if (model->hide_kvm)
        cpu_drop_rows(rows, 0x40000000, 0x4fffffff);
    return true;
}

/* ---- the calls ---- */

bool vsr_cpu_model_cpuid(const vsr_cpu_model *model, const vsr_cpuid *supported,
                         uint32_t max_vcpus, vsr_cpuid *out, GError **error)
{
    plan p = { .model = model, .missing = NULL };
    cpu_topology t;
    bool ok;

    if (supported->n > VSR_CPUID_ROWS_MAX)
        return vsr_fail(error, VISOR_ERR_INTERNAL, "CPUID: %u rows",
                        supported->n);
    if (!cpu_topology_plan(model, max_vcpus, &t, error))
        return false;
    p.missing = g_string_new(NULL);
    ok = plan_features(&p, supported, error);
    g_string_free(p.missing, TRUE);
    if (!ok)
        return false;

    *out = *supported;
    if (p.named.vendor)
        write_identity(out, &p.named);
    write_features(out, &p.set);
    trim_xsave(out, &p.set);
    cpu_topology_write(out, &t);
    return write_paravirtual(out, model, error);
}

uint32_t vsr_cpu_model_usable(const vsr_cpuid *supported, bool foreign_vendor,
                              const char **out, uint32_t max)
{
    vsr_feature_set have = read_features(supported);
    const char *name;
    uint32_t n = 0;

    for (uint32_t i = 0; (name = vsr_cpu_named_name(i)) && n + 1 < max; i++) {
        vsr_cpu_named named;
        bool ok = vsr_cpu_named_get(name, &named);

        ok = ok && (foreign_vendor || !named.vendor ||
                    named.vendor == vendor_of(supported));
        for (uint32_t w = 0; ok && w < VSR_FEATURE_WORDS; w++)
            ok = (named.required.bits[w] & ~have.bits[w]) == 0;
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
    uint32_t n = 0;

    for (uint32_t i = 0; i < vsr_feature_names_count && n < max; i++)
        if (vsr_feature_in(&set, &vsr_feature_names[i]))
            out[n++] = vsr_feature_names[i].name;
    return n;
}
