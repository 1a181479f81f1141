/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/x86/cpu_model.h"

#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/x86/cpu_features.h"
#include "tests/support/cm.h"

/* Everything but what `without` names. */
static vsr_cpuid engine(const char *const *without)
{
    static const vsr_cpuid_row rows[] = {
        { 0, 0, false, 0x1f, 0x68747541, 0x444d4163, 0x69746e65 },
        { 1, 0, false, 0x00870f10, 0x00000800, UINT32_MAX, UINT32_MAX },
        { 4, 0, true, 0x121, 0, 0, 0 },
        { 4, 1, true, 0x163, 0, 0, 0 },
        { 4, 2, true, 0, 0, 0, 0 },
        { 6, 0, false, 4, 0, 0, 0 },
        { 7, 0, true, 1, UINT32_MAX, UINT32_MAX, UINT32_MAX },
        { 7, 1, true, UINT32_MAX, 0, 0, 0 },
        { 0xb, 0, true, 9, 9, 9, 9 },
        { 0xd, 0, true, 0xe7, 2696, 2696, 0 },
        { 0xd, 1, true, 0xf, 0, 0, 0 },
        { 0xd, 2, true, 256, 576, 0, 0 },
        { 0xd, 5, true, 64, 1088, 0, 0 },
        { 0xd, 6, true, 512, 1152, 0, 0 },
        { 0xd, 7, true, 1024, 1664, 0, 0 },
        { 0x40000000, 0, false, 0x40000001, 1, 2, 3 },
        { 0x40000001, 0, false, 8, 0, 0, 0 },
        { 0x80000001, 0, false, 0, 0, UINT32_MAX, UINT32_MAX },
        { 0x80000007, 0, false, 0, 0, 0, 0x100 },
        { 0x80000008, 0, false, 0x3030, 0, 0, 0 },
        { 0x8000001e, 0, false, 0, 0, 0, 0 },
    };
    vsr_cpuid out = { .n = VSR_ARRAY_SIZE(rows) };

    memcpy(out.row, rows, sizeof(rows));
    for (; without && *without; without++) {
        const vsr_feature_name *name = vsr_feature_find(*without);
        const vsr_feature_word *word = &vsr_feature_words[name->word];
        uint32_t i;

        for (i = 0; i < out.n; i++) {
            uint32_t *reg[] = { &out.row[i].eax, &out.row[i].ebx,
                                &out.row[i].ecx, &out.row[i].edx };

            if (out.row[i].leaf == word->leaf &&
                out.row[i].subleaf == word->subleaf)
                *reg[word->reg] &= ~(UINT32_C(1) << name->bit);
        }
    }
    return out;
}

static bool has(const vsr_cpuid *rows, const char *name)
{
    const char *names[256];
    uint32_t n = vsr_cpu_model_features(rows, names, 256), i;

    for (i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static const vsr_cpuid_row *row(const vsr_cpuid *rows, uint32_t leaf,
                                uint32_t subleaf)
{
    uint32_t i;

    for (i = 0; i < rows->n; i++)
        if (rows->row[i].leaf == leaf &&
            (!rows->row[i].has_subleaf || rows->row[i].subleaf == subleaf))
            return &rows->row[i];
    return NULL;
}

static vsr_cpuid build(const vsr_cpu_model *model, uint32_t vcpus)
{
    const vsr_cpuid supported = engine(NULL);
    GError *error = NULL;
    vsr_cpuid out;

    if (!vsr_cpu_model_cpuid(model, &supported, vcpus, &out, &error))
        fail_msg("%s", error->message);
    return out;
}

static void assert_refused(const vsr_cpu_model *model, uint32_t vcpus,
                           const char *const *without, int code,
                           const char *part)
{
    const vsr_cpuid supported = engine(without);
    GError *error = NULL;
    vsr_cpuid out;

    assert_false(vsr_cpu_model_cpuid(model, &supported, vcpus, &out, &error));
    if (error->code != code || !strstr(error->message, part))
        fail_msg("%d: %s", error->code, error->message);
    g_error_free(error);
}

static void host_model_has_all_the_engine_has(void **state)
{
    const vsr_cpu_model model = { 0 };
    vsr_cpuid out = build(&model, 1);

    assert_true(has(&out, "avx512f"));
    assert_true(has(&out, "hypervisor"));
    assert_non_null(row(&out, 0x40000000, 0));
    assert_int_equal(row(&out, 0xd, 0)->eax, 0xe7);
}

static void levels_have_what_the_abi_says(void **state)
{
    vsr_cpu_model model = { .model = "x86-64-v1" };
    vsr_cpuid out = build(&model, 1);

    assert_true(has(&out, "sse2"));
    assert_true(has(&out, "syscall"));
    assert_true(has(&out, "x2apic"));
    assert_false(has(&out, "pni"));
    assert_false(has(&out, "xsave"));
    assert_null(row(&out, 0xd, 0));
    model.model = "x86-64-v2";
    out = build(&model, 1);
    assert_true(has(&out, "sse4.2"));
    assert_false(has(&out, "avx"));
    model.model = "x86-64-v3";
    out = build(&model, 1);
    assert_true(has(&out, "avx2"));
    assert_false(has(&out, "avx512f"));
    assert_int_equal(row(&out, 0xd, 0)->eax, 7);
    assert_int_equal(row(&out, 0xd, 0)->ecx, 832);
    assert_null(row(&out, 0xd, 5));
}

static void level_the_engine_cannot_reach_names_the_feature(void **state)
{
    static const char *const no_avx2[] = { "avx2", NULL };
    const vsr_cpu_model v3 = { .model = "x86-64-v3" };
    const vsr_cpuid supported = engine(no_avx2);
    const char *names[8];

    assert_refused(&v3, 1, no_avx2, VISOR_ERR_NO_SUPPORT, "'avx2'");
    assert_int_equal(vsr_cpu_model_usable(&supported, names, 8), 2);
    assert_string_equal(names[1], "x86-64-v2");
    assert_null(names[2]);
}

static void unknown_names_are_refused(void **state)
{
    const vsr_cpu_feature feature = { "warp", VSR_FEATURE_REQUIRE };
    const vsr_cpu_model model = { .model = "Z80" };
    const vsr_cpu_model other = { .features = &feature, .n_features = 1 };

    assert_refused(&model, 1, NULL, VISOR_ERR_CONFIG, "'Z80'");
    assert_refused(&other, 1, NULL, VISOR_ERR_CONFIG, "'warp'");
}

static void policies_are_obeyed(void **state)
{
    static const char *const no_aes[] = { "aes", NULL };
    vsr_cpu_feature feature = { "aes", VSR_FEATURE_REQUIRE };
    vsr_cpu_model model = { .model = "x86-64-v1",
                            .features = &feature,
                            .n_features = 1 };
    vsr_cpuid out = build(&model, 1);

    assert_true(has(&out, "aes"));
    assert_refused(&model, 1, no_aes, VISOR_ERR_NO_SUPPORT, "required");
    feature.policy = VSR_FEATURE_FORCE;
    assert_refused(&model, 1, no_aes, VISOR_ERR_NO_SUPPORT, "forced");
    feature.policy = VSR_FEATURE_FORBID;
    assert_refused(&model, 1, NULL, VISOR_ERR_NO_SUPPORT, "forbidden");
    feature.policy = VSR_FEATURE_DISABLE;
    model.model = NULL;
    out = build(&model, 1);
    assert_false(has(&out, "aes"));
    feature.policy = VSR_FEATURE_OPTIONAL;
    out = build(&model, 1);
    assert_true(has(&out, "aes"));
}

static void disabling_takes_dependants_along(void **state)
{
    const vsr_cpu_feature features[] = { { "avx", VSR_FEATURE_DISABLE },
                                         { "avx2", VSR_FEATURE_REQUIRE } };
    vsr_cpu_model model = { .features = features, .n_features = 1 };
    vsr_cpuid out = build(&model, 1);

    assert_false(has(&out, "avx2"));
    assert_false(has(&out, "fma"));
    assert_false(has(&out, "avx512vbmi2"));
    assert_true(has(&out, "xsave"));
    assert_int_equal(row(&out, 0xd, 0)->eax, 3);
    assert_int_equal(row(&out, 0xd, 0)->ecx, 576);
    model.n_features = 2;
    assert_refused(&model, 1, NULL, VISOR_ERR_CONFIG, "'avx2'");
}

static void hypervisor_can_be_hidden(void **state)
{
    const vsr_cpu_model model = { .hide_hypervisor = true };
    vsr_cpuid out = build(&model, 1);

    assert_false(has(&out, "hypervisor"));
    assert_null(row(&out, 0x40000000, 0));
    assert_null(row(&out, 0x40000001, 0));
}

static void topology_is_in_every_leaf(void **state)
{
    const vsr_cpu_model model = { .sockets = 2, .cores = 4, .threads = 2 };
    vsr_cpuid out = build(&model, 16), cpu;

    assert_int_equal(row(&out, 1, 0)->ebx >> 16 & 0xff, 8);
    assert_int_equal(row(&out, 0xb, 0)->eax, 1);
    assert_int_equal(row(&out, 0xb, 0)->ebx, 2);
    assert_int_equal(row(&out, 0xb, 0)->ecx, 0x100);
    assert_int_equal(row(&out, 0xb, 1)->eax, 3);
    assert_int_equal(row(&out, 0xb, 1)->ebx, 8);
    assert_int_equal(row(&out, 0xb, 1)->ecx, 0x201);
    assert_null(row(&out, 0x1f, 0));
    assert_int_equal(row(&out, 4, 0)->eax >> 14 & 0xfff, 1);
    assert_int_equal(row(&out, 4, 1)->eax >> 14 & 0xfff, 7);
    assert_int_equal(row(&out, 4, 1)->eax >> 26, 3);
    assert_int_equal(row(&out, 4, 2)->eax, 0);
    assert_int_equal(row(&out, 0x80000008, 0)->ecx, 0x3007);
    vsr_cpu_model_vcpu(&out, 13, &cpu);
    assert_int_equal(row(&cpu, 1, 0)->ebx >> 24, 13);
    assert_int_equal(row(&cpu, 0xb, 0)->edx, 13);
    assert_int_equal(row(&cpu, 0xb, 2)->edx, 13);
    assert_int_equal(row(&cpu, 0x8000001e, 0)->eax, 13);
    assert_int_equal(row(&cpu, 0x8000001e, 0)->ebx, 0x102);
}

static void dies_have_a_leaf_of_their_own(void **state)
{
    const vsr_cpu_model model = { .dies = 2, .cores = 2 };
    vsr_cpuid out = build(&model, 4);

    assert_int_equal(row(&out, 0x1f, 2)->ecx, 0x502);
    assert_int_equal(row(&out, 0x1f, 2)->ebx, 4);
    assert_int_equal(row(&out, 0x1f, 1)->eax, 1);
}

static void without_topology_each_vcpu_is_a_socket(void **state)
{
    const vsr_cpu_model model = { 0 };
    vsr_cpuid out = build(&model, 6);

    assert_int_equal(row(&out, 1, 0)->ebx >> 16 & 0xff, 1);
    assert_int_equal(row(&out, 0xb, 1)->eax, 0);
    assert_false(has(&out, "ht"));
}

static void topology_must_make_the_vcpus_and_fit_apic_ids(void **state)
{
    vsr_cpu_model model = { .cores = 3 };

    assert_refused(&model, 4, NULL, VISOR_ERR_CONFIG, "make 3 vCPUs, not 4");
    (void)build(&model, 3);
    model.sockets = 2;
    assert_refused(&model, 6, NULL, VISOR_ERR_NO_SUPPORT, "3 cores a die");
    model = (vsr_cpu_model){ .threads = 3, .cores = 2 };
    assert_refused(&model, 6, NULL, VISOR_ERR_NO_SUPPORT, "3 threads a core");
    model = (vsr_cpu_model){ .cores = UINT32_MAX, .threads = UINT32_MAX };
    assert_refused(&model, 1, NULL, VISOR_ERR_CONFIG, "more than 4096");
}

static void names_are_unique(void **state)
{
    uint32_t i, j;

    for (i = 0; i < vsr_feature_names_count; i++)
        for (j = 0; j < i; j++) {
            const vsr_feature_name *a = &vsr_feature_names[i];
            const vsr_feature_name *b = &vsr_feature_names[j];

            assert_string_not_equal(a->name, b->name);
            assert_false(a->word == b->word && a->bit == b->bit);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_model_has_all_the_engine_has),
        cmocka_unit_test(levels_have_what_the_abi_says),
        cmocka_unit_test(level_the_engine_cannot_reach_names_the_feature),
        cmocka_unit_test(unknown_names_are_refused),
        cmocka_unit_test(policies_are_obeyed),
        cmocka_unit_test(disabling_takes_dependants_along),
        cmocka_unit_test(hypervisor_can_be_hidden),
        cmocka_unit_test(topology_is_in_every_leaf),
        cmocka_unit_test(dies_have_a_leaf_of_their_own),
        cmocka_unit_test(without_topology_each_vcpu_is_a_socket),
        cmocka_unit_test(topology_must_make_the_vcpus_and_fit_apic_ids),
        cmocka_unit_test(names_are_unique),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
