/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/x86/cpu_model.h"

#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/x86/cpu_features.h"
#include "machine/x86/cpu_named.h"
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
        { 0x80000000, 0, false, 0x80000021, 0x68747541, 0x444d4163,
          0x69746e65 },
        { 0x80000001, 0, false, 0, 0, UINT32_MAX, UINT32_MAX },
        { 0x80000007, 0, false, 0, 0, 0, 0x100 },
        { 0x80000008, 0, false, 0x3030, 0, 0, 0 },
        { 0x8000000a, 0, false, 1, 8, 0, UINT32_MAX },
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
    const char *names[64];

    assert_refused(&v3, 1, no_avx2, VISOR_ERR_NO_SUPPORT, "'avx2'");
    assert_int_equal(vsr_cpu_model_usable(&supported, false, names, 64), 3);
    assert_string_equal(names[1], "x86-64-v2");
    assert_string_equal(names[2], "Opteron_G3");
    assert_null(names[3]);
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

static void kvm_can_be_hidden(void **state)
{
    const vsr_cpu_feature no_bit = { "hypervisor", VSR_FEATURE_DISABLE };
    vsr_cpu_model model = { .hide_kvm = true };
    vsr_cpuid out = build(&model, 1);

    assert_true(has(&out, "hypervisor"));
    assert_null(row(&out, 0x40000000, 0));
    assert_null(row(&out, 0x40000001, 0));
    model.features = &no_bit;
    model.n_features = 1;
    out = build(&model, 1);
    assert_false(has(&out, "hypervisor"));
}

static void dedicated_processors_are_hinted_at(void **state)
{
    vsr_cpu_model model = { .hint_dedicated = true };
    vsr_cpuid out = build(&model, 1);

    assert_int_equal(row(&out, 0x40000001, 0)->edx, 1);
    model.hint_dedicated = false;
    out = build(&model, 1);
    assert_int_equal(row(&out, 0x40000001, 0)->edx, 0);
}

static void paravirtual_bits_are_features_that_models_leave_alone(void **state)
{
    const vsr_cpu_feature off = { "kvmclock", VSR_FEATURE_DISABLE };
    const vsr_cpu_feature on = { "kvm-pv-unhalt", VSR_FEATURE_REQUIRE };
    vsr_cpu_model model = { .model = "x86-64-v1" };
    vsr_cpuid out = build(&model, 1);

    assert_int_equal(row(&out, 0x40000001, 0)->eax, 1 << 3);
    model.features = &off;
    model.n_features = 1;
    out = build(&model, 1);
    assert_int_equal(row(&out, 0x40000001, 0)->eax, 0);
    model.features = &on;
    assert_refused(&model, 1, NULL, VISOR_ERR_NO_SUPPORT,
                   "'kvm-pv-unhalt' (required)");
}

static void vendors_processors_have_their_identity(void **state)
{
    const vsr_cpu_model model = { .model = "EPYC" };
    vsr_cpuid out = build(&model, 1);
    char brand[17] = "";

    assert_int_equal(row(&out, 0, 0)->ebx, 0x68747541);
    assert_int_equal(row(&out, 1, 0)->eax, 0x00800f12);
    assert_int_equal(row(&out, 0x80000001, 0)->eax, 0x00800f12);
    memcpy(brand, &row(&out, 0x80000002, 0)->eax, 16);
    assert_string_equal(brand, "AMD EPYC Process");
    assert_int_equal(out.microcode, 0);
    assert_true(has(&out, "sse4a"));
    assert_true(has(&out, "hypervisor"));
    assert_false(has(&out, "svm"));
    assert_false(has(&out, "avx512f"));
    assert_false(has(&out, "clwb"));
    assert_false(has(&out, "invtsc"));
}

static void a_foreign_vendor_needs_an_engine_that_can_play_it(void **state)
{
    vsr_cpu_model model = { .model = "Nehalem" };
    vsr_cpuid out;
    const char *names[64];
    const vsr_cpuid supported = engine(NULL);
    uint32_t n;

    assert_refused(&model, 1, NULL, VISOR_ERR_NO_SUPPORT,
                   "'Nehalem' is of vendor Intel, but this host's processor is "
                   "of vendor AMD");
    model.foreign_vendor = true;
    out = build(&model, 1);
    assert_int_equal(row(&out, 0, 0)->ebx, 0x756e6547);
    assert_int_equal(row(&out, 0, 0)->ecx, 0x6c65746e);
    assert_int_equal(row(&out, 0, 0)->edx, 0x49656e69);
    assert_int_equal(row(&out, 1, 0)->eax, 0x000106a3);
    assert_int_equal(row(&out, 0x80000001, 0)->eax, 0);
    assert_int_equal(row(&out, 0x80000001, 0)->edx & 0x0183f3ff, 0);
    assert_int_equal(row(&out, 0x80000008, 0)->ecx, 0);
    assert_null(row(&out, 0x8000001e, 0));
    n = vsr_cpu_model_usable(&supported, false, names, 64);
    for (uint32_t i = 0; i < n; i++)
        assert_string_not_equal(names[i], "Nehalem");
    assert_true(vsr_cpu_model_usable(&supported, true, names, 64) > n + 20);
}

static void a_vendor_can_be_insisted_on(void **state)
{
    vsr_cpu_model model = { .vendor = "AMD" };

    (void)build(&model, 1);
    model.vendor = "Intel";
    assert_refused(&model, 1, NULL, VISOR_ERR_NO_SUPPORT, "'Intel'");
    model.model = "Nehalem";
    model.foreign_vendor = true;
    (void)build(&model, 1);
}

static void all_that_is_missing_is_named_at_once(void **state)
{
    static const char *const without[] = { "avx2", "bmi1", "aes", NULL };
    const vsr_cpu_feature aes = { "aes", VSR_FEATURE_REQUIRE };
    const vsr_cpu_model model = { .model = "x86-64-v3",
                                  .features = &aes,
                                  .n_features = 1 };

    assert_refused(&model, 1, without, VISOR_ERR_NO_SUPPORT,
                   "does not have 'bmi1', 'avx2' (of CPU model 'x86-64-v3'), "
                   "'aes' (required)");
}

/* An engine with AVX and no XSAVE, say. */
static void what_an_engine_cannot_really_do_does_not_count(void **state)
{
    static const char *const no_xsave[] = { "xsave", NULL };
    const vsr_cpu_feature avx = { "avx", VSR_FEATURE_REQUIRE };
    const vsr_cpu_model v3 = { .model = "x86-64-v3" };
    const vsr_cpu_model wish = { .features = &avx, .n_features = 1 };
    const vsr_cpuid supported = engine(no_xsave);

    assert_false(has(&supported, "avx2"));
    assert_refused(&v3, 1, no_xsave, VISOR_ERR_NO_SUPPORT, "'avx2'");
    assert_refused(&wish, 1, no_xsave, VISOR_ERR_NO_SUPPORT,
                   "'avx' (required)");
}

static void nested_virtualization_is_off_unless_asked_for(void **state)
{
    static const char *const no_svm[] = { "svm", NULL };
    vsr_cpu_feature svm = { "svm", VSR_FEATURE_REQUIRE };
    vsr_cpu_model models[] = {
        { .model = NULL },
        { .known_only = true },
        { .model = "EPYC" },
        { .model = "EPYC", .minimum = true },
    };

    for (size_t i = 0; i < VSR_ARRAY_SIZE(models); i++) {
        vsr_cpuid out = build(&models[i], 1);

        assert_false(has(&out, "svm"));
        assert_false(has(&out, "vmx"));
        assert_false(has(&out, "monitor"));
        assert_null(row(&out, 0x8000000a, 0));
        models[i].features = &svm;
        models[i].n_features = 1;
        out = build(&models[i], 1);
        assert_true(has(&out, "svm"));
        assert_non_null(row(&out, 0x8000000a, 0));
        assert_refused(&models[i], 1, no_svm, VISOR_ERR_NO_SUPPORT, "'nested'");
    }
}

static void minimum_keeps_what_else_there_is(void **state)
{
    static const char *const no_avx2[] = { "avx2", NULL };
    const vsr_cpu_model model = { .model = "EPYC", .minimum = true };
    vsr_cpuid out = build(&model, 1);

    assert_true(has(&out, "avx512f"));
    assert_int_equal(row(&out, 1, 0)->eax, 0x00800f12);
    assert_refused(&model, 1, no_avx2, VISOR_ERR_NO_SUPPORT, "'avx2'");
}

static void host_model_has_only_what_has_a_name(void **state)
{
    const vsr_cpu_model model = { .known_only = true, .migratable = true };
    vsr_cpuid out = build(&model, 1);

    assert_true(has(&out, "avx512f"));
    assert_false(has(&out, "invtsc"));
    assert_int_equal(row(&out, 7, 0)->edx >> 9 & 1, 0); /* no feature's bit */
}

static void capabilities_msr_follows_its_cpuid_bit(void **state)
{
    vsr_cpu_feature features[] = {
        { "rdctl-no", VSR_FEATURE_DISABLE },
        { "arch-capabilities", VSR_FEATURE_DISABLE },
    };
    vsr_cpu_model model = { .features = features, .n_features = 0 };
    vsr_cpuid supported = engine(NULL), out;

    supported.arch_capabilities = UINT64_C(1) << 62 | 0x29;
    supported.microcode = 0x1234;
    assert_true(vsr_cpu_model_cpuid(&model, &supported, 1, &out, NULL));
    assert_true(out.arch_capabilities == supported.arch_capabilities);
    assert_int_equal(out.microcode, 0x1234);
    assert_true(has(&out, "mds-no"));
    assert_true(has(&out, "its-no"));
    model.n_features = 1;
    assert_true(vsr_cpu_model_cpuid(&model, &supported, 1, &out, NULL));
    assert_true(out.arch_capabilities == (UINT64_C(1) << 62 | 0x28));
    model.n_features = 2;
    assert_true(vsr_cpu_model_cpuid(&model, &supported, 1, &out, NULL));
    assert_true(out.arch_capabilities == 0);
    model.model = "x86-64-v2";
    model.n_features = 0;
    assert_true(vsr_cpu_model_cpuid(&model, &supported, 1, &out, NULL));
    assert_true(out.arch_capabilities == supported.arch_capabilities);
}

/* A word of the table that is no feature's name would be dropped silently. */
static void every_named_processor_is_whole(void **state)
{
    const char *name;
    uint32_t i;

    for (i = 0; (name = vsr_cpu_named_name(i)); i++) {
        vsr_cpu_named named;
        uint32_t n = 0, w;

        assert_true(vsr_cpu_named_get(name, &named));
        assert_string_equal(named.name, name);
        for (w = 0; w < VSR_FEATURE_WORDS; w++)
            n += (uint32_t)__builtin_popcount(named.required.bits[w]);
        assert_true(n >= 12);
        if (named.vendor)
            assert_true(strlen(named.brand) > 5 && strlen(named.brand) < 48);
    }
    assert_true(i > 30);
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
        cmocka_unit_test(kvm_can_be_hidden),
        cmocka_unit_test(dedicated_processors_are_hinted_at),
        cmocka_unit_test(paravirtual_bits_are_features_that_models_leave_alone),
        cmocka_unit_test(vendors_processors_have_their_identity),
        cmocka_unit_test(a_foreign_vendor_needs_an_engine_that_can_play_it),
        cmocka_unit_test(a_vendor_can_be_insisted_on),
        cmocka_unit_test(all_that_is_missing_is_named_at_once),
        cmocka_unit_test(what_an_engine_cannot_really_do_does_not_count),
        cmocka_unit_test(nested_virtualization_is_off_unless_asked_for),
        cmocka_unit_test(minimum_keeps_what_else_there_is),
        cmocka_unit_test(host_model_has_only_what_has_a_name),
        cmocka_unit_test(capabilities_msr_follows_its_cpuid_bit),
        cmocka_unit_test(every_named_processor_is_whole),
        cmocka_unit_test(topology_is_in_every_leaf),
        cmocka_unit_test(dies_have_a_leaf_of_their_own),
        cmocka_unit_test(without_topology_each_vcpu_is_a_socket),
        cmocka_unit_test(topology_must_make_the_vcpus_and_fit_apic_ids),
        cmocka_unit_test(names_are_unique),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
