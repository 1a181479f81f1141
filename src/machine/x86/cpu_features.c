/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu_features.c: names of CPUID feature bits and the sets of named models.
 *
 * Spec:    Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E; names as in
 *          libvirt's src/cpu_map/x86_features.xml; x86-64 psABI 1.0,
 *          "Micro-Architecture Levels".
 * Threads: any; constant tables.
 */
#include "machine/x86/cpu_features.h"

#include <string.h>

#include "base/util.h"

enum {
    W_1_EDX,
    W_1_ECX,
    W_6_EAX,
    W_7_EBX,
    W_7_ECX,
    W_7_EDX,
    W_7_1_EAX,
    W_D_1_EAX,
    W_81_EDX,
    W_81_ECX,
    W_87_EDX,
    W_88_EBX,
};

const vsr_feature_word vsr_feature_words[VSR_FEATURE_WORDS] = {
    [W_1_EDX] = { 0x1, 0, VSR_CPUID_EDX },
    [W_1_ECX] = { 0x1, 0, VSR_CPUID_ECX },
    [W_6_EAX] = { 0x6, 0, VSR_CPUID_EAX },
    [W_7_EBX] = { 0x7, 0, VSR_CPUID_EBX },
    [W_7_ECX] = { 0x7, 0, VSR_CPUID_ECX },
    [W_7_EDX] = { 0x7, 0, VSR_CPUID_EDX },
    [W_7_1_EAX] = { 0x7, 1, VSR_CPUID_EAX },
    [W_D_1_EAX] = { 0xd, 1, VSR_CPUID_EAX },
    [W_81_EDX] = { 0x80000001, 0, VSR_CPUID_EDX },
    [W_81_ECX] = { 0x80000001, 0, VSR_CPUID_ECX },
    [W_87_EDX] = { 0x80000007, 0, VSR_CPUID_EDX },
    [W_88_EBX] = { 0x80000008, 0, VSR_CPUID_EBX },
};

const vsr_feature_name vsr_feature_names[] = {
    { "fpu", W_1_EDX, 0 },
    { "vme", W_1_EDX, 1 },
    { "de", W_1_EDX, 2 },
    { "pse", W_1_EDX, 3 },
    { "tsc", W_1_EDX, 4 },
    { "msr", W_1_EDX, 5 },
    { "pae", W_1_EDX, 6 },
    { "mce", W_1_EDX, 7 },
    { "cx8", W_1_EDX, 8 },
    { "apic", W_1_EDX, 9 },
    { "sep", W_1_EDX, 11 },
    { "mtrr", W_1_EDX, 12 },
    { "pge", W_1_EDX, 13 },
    { "mca", W_1_EDX, 14 },
    { "cmov", W_1_EDX, 15 },
    { "pat", W_1_EDX, 16 },
    { "pse36", W_1_EDX, 17 },
    { "pn", W_1_EDX, 18 },
    { "clflush", W_1_EDX, 19 },
    { "ds", W_1_EDX, 21 },
    { "acpi", W_1_EDX, 22 },
    { "mmx", W_1_EDX, 23 },
    { "fxsr", W_1_EDX, 24 },
    { "sse", W_1_EDX, 25 },
    { "sse2", W_1_EDX, 26 },
    { "ss", W_1_EDX, 27 },
    { "ht", W_1_EDX, 28 },
    { "tm", W_1_EDX, 29 },
    { "pbe", W_1_EDX, 31 },

    { "pni", W_1_ECX, 0 },
    { "pclmuldq", W_1_ECX, 1 },
    { "dtes64", W_1_ECX, 2 },
    { "monitor", W_1_ECX, 3 },
    { "ds_cpl", W_1_ECX, 4 },
    { "vmx", W_1_ECX, 5 },
    { "smx", W_1_ECX, 6 },
    { "est", W_1_ECX, 7 },
    { "tm2", W_1_ECX, 8 },
    { "ssse3", W_1_ECX, 9 },
    { "cid", W_1_ECX, 10 },
    { "fma", W_1_ECX, 12 },
    { "cx16", W_1_ECX, 13 },
    { "xtpr", W_1_ECX, 14 },
    { "pdcm", W_1_ECX, 15 },
    { "pcid", W_1_ECX, 17 },
    { "dca", W_1_ECX, 18 },
    { "sse4.1", W_1_ECX, 19 },
    { "sse4.2", W_1_ECX, 20 },
    { "x2apic", W_1_ECX, 21 },
    { "movbe", W_1_ECX, 22 },
    { "popcnt", W_1_ECX, 23 },
    { "tsc-deadline", W_1_ECX, 24 },
    { "aes", W_1_ECX, 25 },
    { "xsave", W_1_ECX, 26 },
    { "osxsave", W_1_ECX, 27 },
    { "avx", W_1_ECX, 28 },
    { "f16c", W_1_ECX, 29 },
    { "rdrand", W_1_ECX, 30 },
    { "hypervisor", W_1_ECX, 31 },

    { "arat", W_6_EAX, 2 },

    { "fsgsbase", W_7_EBX, 0 },
    { "tsc_adjust", W_7_EBX, 1 },
    { "sgx", W_7_EBX, 2 },
    { "bmi1", W_7_EBX, 3 },
    { "hle", W_7_EBX, 4 },
    { "avx2", W_7_EBX, 5 },
    { "smep", W_7_EBX, 7 },
    { "bmi2", W_7_EBX, 8 },
    { "erms", W_7_EBX, 9 },
    { "invpcid", W_7_EBX, 10 },
    { "rtm", W_7_EBX, 11 },
    { "cmt", W_7_EBX, 12 },
    { "mpx", W_7_EBX, 14 },
    { "avx512f", W_7_EBX, 16 },
    { "avx512dq", W_7_EBX, 17 },
    { "rdseed", W_7_EBX, 18 },
    { "adx", W_7_EBX, 19 },
    { "smap", W_7_EBX, 20 },
    { "avx512ifma", W_7_EBX, 21 },
    { "clflushopt", W_7_EBX, 23 },
    { "clwb", W_7_EBX, 24 },
    { "intel-pt", W_7_EBX, 25 },
    { "avx512pf", W_7_EBX, 26 },
    { "avx512er", W_7_EBX, 27 },
    { "avx512cd", W_7_EBX, 28 },
    { "sha-ni", W_7_EBX, 29 },
    { "avx512bw", W_7_EBX, 30 },
    { "avx512vl", W_7_EBX, 31 },

    { "avx512vbmi", W_7_ECX, 1 },
    { "umip", W_7_ECX, 2 },
    { "pku", W_7_ECX, 3 },
    { "ospke", W_7_ECX, 4 },
    { "waitpkg", W_7_ECX, 5 },
    { "avx512vbmi2", W_7_ECX, 6 },
    { "gfni", W_7_ECX, 8 },
    { "vaes", W_7_ECX, 9 },
    { "vpclmulqdq", W_7_ECX, 10 },
    { "avx512vnni", W_7_ECX, 11 },
    { "avx512bitalg", W_7_ECX, 12 },
    { "avx512-vpopcntdq", W_7_ECX, 14 },
    { "la57", W_7_ECX, 16 },
    { "rdpid", W_7_ECX, 22 },
    { "bus-lock-detect", W_7_ECX, 24 },
    { "cldemote", W_7_ECX, 25 },
    { "movdiri", W_7_ECX, 27 },
    { "movdir64b", W_7_ECX, 28 },

    { "fsrm", W_7_EDX, 4 },
    { "md-clear", W_7_EDX, 10 },
    { "serialize", W_7_EDX, 14 },
    { "tsx-ldtrk", W_7_EDX, 16 },
    { "spec-ctrl", W_7_EDX, 26 },
    { "stibp", W_7_EDX, 27 },
    { "flush-l1d", W_7_EDX, 28 },
    { "arch-capabilities", W_7_EDX, 29 },
    { "core-capability", W_7_EDX, 30 },
    { "ssbd", W_7_EDX, 31 },

    { "avx-vnni", W_7_1_EAX, 4 },
    { "avx512-bf16", W_7_1_EAX, 5 },
    { "fzrm", W_7_1_EAX, 10 },
    { "fsrs", W_7_1_EAX, 11 },
    { "fsrc", W_7_1_EAX, 12 },

    { "xsaveopt", W_D_1_EAX, 0 },
    { "xsavec", W_D_1_EAX, 1 },
    { "xgetbv1", W_D_1_EAX, 2 },
    { "xsaves", W_D_1_EAX, 3 },

    { "syscall", W_81_EDX, 11 },
    { "nx", W_81_EDX, 20 },
    { "mmxext", W_81_EDX, 22 },
    { "fxsr_opt", W_81_EDX, 25 },
    { "pdpe1gb", W_81_EDX, 26 },
    { "rdtscp", W_81_EDX, 27 },
    { "lm", W_81_EDX, 29 },
    { "3dnowext", W_81_EDX, 30 },
    { "3dnow", W_81_EDX, 31 },

    { "lahf_lm", W_81_ECX, 0 },
    { "cmp_legacy", W_81_ECX, 1 },
    { "svm", W_81_ECX, 2 },
    { "extapic", W_81_ECX, 3 },
    { "cr8legacy", W_81_ECX, 4 },
    { "abm", W_81_ECX, 5 },
    { "sse4a", W_81_ECX, 6 },
    { "misalignsse", W_81_ECX, 7 },
    { "3dnowprefetch", W_81_ECX, 8 },
    { "osvw", W_81_ECX, 9 },
    { "ibs", W_81_ECX, 10 },
    { "xop", W_81_ECX, 11 },
    { "skinit", W_81_ECX, 12 },
    { "wdt", W_81_ECX, 13 },
    { "lwp", W_81_ECX, 15 },
    { "fma4", W_81_ECX, 16 },
    { "tce", W_81_ECX, 17 },
    { "nodeid_msr", W_81_ECX, 19 },
    { "tbm", W_81_ECX, 21 },
    { "topoext", W_81_ECX, 22 },
    { "perfctr_core", W_81_ECX, 23 },
    { "perfctr_nb", W_81_ECX, 24 },

    { "invtsc", W_87_EDX, 8 },

    { "clzero", W_88_EBX, 0 },
    { "xsaveerptr", W_88_EBX, 2 },
    { "wbnoinvd", W_88_EBX, 9 },
    { "ibpb", W_88_EBX, 12 },
    { "ibrs", W_88_EBX, 14 },
    { "amd-stibp", W_88_EBX, 15 },
    { "amd-ssbd", W_88_EBX, 24 },
    { "virt-ssbd", W_88_EBX, 25 },
};
const uint32_t vsr_feature_names_count = VSR_ARRAY_SIZE(vsr_feature_names);

/* Names other people use for the same bits. */
static const char *const aliases[][2] = {
    { "sse3", "pni" },        { "pclmulqdq", "pclmuldq" },
    { "lzcnt", "abm" },       { "sse4_1", "sse4.1" },
    { "sse4_2", "sse4.2" },   { "sha", "sha-ni" },
    { "lahf-lm", "lahf_lm" }, { "tsc-adjust", "tsc_adjust" },
};

/* The first needs the second. Order: what is taken away by an earlier row is
 * seen by later ones. */
static const char *const needs[][2] = {
    { "sse", "fxsr" },
    { "sse2", "sse" },
    { "pni", "sse2" },
    { "ssse3", "pni" },
    { "sse4.1", "ssse3" },
    { "sse4.2", "sse4.1" },
    { "aes", "sse2" },
    { "pclmuldq", "sse2" },
    { "sha-ni", "sse2" },
    { "sse4a", "sse2" },
    { "x2apic", "apic" },
    { "tsc-deadline", "apic" },
    { "tsc-deadline", "tsc" },
    { "rdtscp", "tsc" },
    { "invtsc", "tsc" },
    { "pcid", "pge" },
    { "invpcid", "pcid" },
    { "lm", "pae" },
    { "nx", "pae" },
    { "syscall", "lm" },
    { "avx", "xsave" },
    { "xsaveopt", "xsave" },
    { "xsavec", "xsave" },
    { "xgetbv1", "xsave" },
    { "xsaves", "xsavec" },
    { "pku", "xsave" },
    { "mpx", "xsave" },
    { "osxsave", "xsave" },
    { "f16c", "avx" },
    { "fma", "avx" },
    { "avx2", "avx" },
    { "fma4", "avx" },
    { "xop", "avx" },
    { "vaes", "avx2" },
    { "vpclmulqdq", "avx2" },
    { "avx-vnni", "avx2" },
    { "avx512f", "avx2" },
    { "avx512dq", "avx512f" },
    { "avx512ifma", "avx512f" },
    { "avx512pf", "avx512f" },
    { "avx512er", "avx512f" },
    { "avx512cd", "avx512f" },
    { "avx512bw", "avx512f" },
    { "avx512vl", "avx512f" },
    { "avx512vbmi", "avx512bw" },
    { "avx512vbmi2", "avx512bw" },
    { "avx512vnni", "avx512f" },
    { "avx512bitalg", "avx512bw" },
    { "avx512-vpopcntdq", "avx512f" },
    { "avx512-bf16", "avx512bw" },
    { "3dnowext", "3dnow" },
};

/* psABI levels. Each has what the ones before it have. */
static const char *const level1[] = { "lm",  "cmov", "cx8",     "fpu", "fxsr",
                                      "mmx", "sse",  "sse2",    "pae", "msr",
                                      "tsc", "apic", "syscall", NULL };
static const char *const level2[] = { "cx16",   "lahf_lm", "popcnt", "pni",
                                      "sse4.1", "sse4.2",  "ssse3",  NULL };
static const char *const level3[] = { "avx", "avx2", "bmi1",  "bmi2",  "f16c",
                                      "fma", "abm",  "movbe", "xsave", NULL };

/* What is not in the levels but in every CPU of that age, and what only
 * operating systems see. */
static const char *const extra1[] = {
    "vme",     "de",      "pse",          "mce",    "sep",        "mtrr",
    "pge",     "mca",     "pat",          "pse36",  "clflush",    "nx",
    "x2apic",  "rdtscp",  "tsc-deadline", "invtsc", "arat",       "pcid",
    "invpcid", "pdpe1gb", "tsc_adjust",   "erms",   "fsrm",       "smep",
    "smap",    "umip",    "fsgsbase",     "osvw",   "hypervisor", NULL,
};
static const char *const extra2[] = { "aes",    "pclmuldq",      "rdrand",
                                      "rdseed", "3dnowprefetch", NULL };
static const char *const extra3[] = { "adx",      "sha-ni",     "clflushopt",
                                      "xsaveopt", "xsavec",     "xgetbv1",
                                      "vaes",     "vpclmulqdq", NULL };

static const struct {
    const char *name;
    const char *const *required;
    const char *const *optional;
} levels[] = {
    { "x86-64-v1", level1, extra1 },
    { "x86-64-v2", level2, extra2 },
    { "x86-64-v3", level3, extra3 },
};

const vsr_feature_name *vsr_feature_find(const char *name)
{
    uint32_t i;

    for (i = 0; i < VSR_ARRAY_SIZE(aliases); i++)
        if (strcmp(name, aliases[i][0]) == 0)
            name = aliases[i][1];
    for (i = 0; i < vsr_feature_names_count; i++)
        if (strcmp(name, vsr_feature_names[i].name) == 0)
            return &vsr_feature_names[i];
    return NULL;
}

void vsr_feature_close(vsr_feature_set *set)
{
    uint32_t i;

    for (i = 0; i < VSR_ARRAY_SIZE(needs); i++) {
        const vsr_feature_name *what = vsr_feature_find(needs[i][0]);
        const vsr_feature_name *needed = vsr_feature_find(needs[i][1]);

        if (what && needed && !vsr_feature_in(set, needed))
            vsr_feature_put(set, what, false);
    }
}

static void add_names(vsr_feature_set *set, const char *const *names)
{
    for (; *names; names++) {
        const vsr_feature_name *feature = vsr_feature_find(*names);

        if (feature)
            vsr_feature_put(set, feature, true);
    }
}

bool vsr_feature_model_get(const char *name, vsr_feature_model *out)
{
    uint32_t i;

    *out = (vsr_feature_model){ 0 };
    for (i = 0; i < VSR_ARRAY_SIZE(levels); i++) {
        add_names(&out->required, levels[i].required);
        add_names(&out->optional, levels[i].optional);
        if (strcmp(name, levels[i].name) == 0) {
            out->name = levels[i].name;
            return true;
        }
    }
    return false;
}

const char *vsr_feature_model_name(uint32_t index)
{
    return index < VSR_ARRAY_SIZE(levels) ? levels[index].name : NULL;
}
