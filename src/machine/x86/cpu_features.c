/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu_features.c: names of feature bits, and what needs what.
 *
 * Spec:    Intel SDM vol. 2A, CPUID; vol. 4, IA32_ARCH_CAPABILITIES; AMD APM
 *          vol. 3, appendix E; names as in libvirt's cpu_map, those of KVM's
 *          leaf as QEMU's; Linux, Documentation/virt/kvm/x86/cpuid.rst.
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
    W_7_1_EDX,
    W_7_2_EDX,
    W_D_1_EAX,
    W_KVM_EAX,
    W_81_EDX,
    W_81_ECX,
    W_87_EDX,
    W_88_EBX,
    W_8A_EDX,
    W_8021_EAX,
    W_ARCH_LOW,
    W_ARCH_HIGH,
};

const vsr_feature_word vsr_feature_words[VSR_FEATURE_WORDS] = {
    [W_1_EDX] = { 0x1, 0, VSR_CPUID_EDX },
    [W_1_ECX] = { 0x1, 0, VSR_CPUID_ECX },
    [W_6_EAX] = { 0x6, 0, VSR_CPUID_EAX },
    [W_7_EBX] = { 0x7, 0, VSR_CPUID_EBX },
    [W_7_ECX] = { 0x7, 0, VSR_CPUID_ECX },
    [W_7_EDX] = { 0x7, 0, VSR_CPUID_EDX },
    [W_7_1_EAX] = { 0x7, 1, VSR_CPUID_EAX },
    [W_7_1_EDX] = { 0x7, 1, VSR_CPUID_EDX },
    [W_7_2_EDX] = { 0x7, 2, VSR_CPUID_EDX },
    [W_D_1_EAX] = { 0xd, 1, VSR_CPUID_EAX },
    [W_KVM_EAX] = { 0x40000001, 0, VSR_CPUID_EAX },
    [W_81_EDX] = { 0x80000001, 0, VSR_CPUID_EDX },
    [W_81_ECX] = { 0x80000001, 0, VSR_CPUID_ECX },
    [W_87_EDX] = { 0x80000007, 0, VSR_CPUID_EDX },
    [W_88_EBX] = { 0x80000008, 0, VSR_CPUID_EBX },
    [W_8A_EDX] = { 0x8000000a, 0, VSR_CPUID_EDX },
    [W_8021_EAX] = { 0x80000021, 0, VSR_CPUID_EAX },
    [W_ARCH_LOW] = { 0x10a, 0, VSR_ARCH_CAP_LOW },
    [W_ARCH_HIGH] = { 0x10a, 0, VSR_ARCH_CAP_HIGH },
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

    { "avx512-4vnniw", W_7_EDX, 2 },
    { "avx512-4fmaps", W_7_EDX, 3 },
    { "fsrm", W_7_EDX, 4 },
    { "avx512-vp2intersect", W_7_EDX, 8 },
    { "md-clear", W_7_EDX, 10 },
    { "serialize", W_7_EDX, 14 },
    { "tsx-ldtrk", W_7_EDX, 16 },
    { "pconfig", W_7_EDX, 18 },
    { "avx512-fp16", W_7_EDX, 23 },
    { "spec-ctrl", W_7_EDX, 26 },
    { "stibp", W_7_EDX, 27 },
    { "flush-l1d", W_7_EDX, 28 },
    { "arch-capabilities", W_7_EDX, 29 },
    { "core-capability", W_7_EDX, 30 },
    { "ssbd", W_7_EDX, 31 },

    { "sha512", W_7_1_EAX, 0 },
    { "sm3", W_7_1_EAX, 1 },
    { "sm4", W_7_1_EAX, 2 },
    { "avx-vnni", W_7_1_EAX, 4 },
    { "avx512-bf16", W_7_1_EAX, 5 },
    { "cmpccxadd", W_7_1_EAX, 7 },
    { "fzrm", W_7_1_EAX, 10 },
    { "fsrs", W_7_1_EAX, 11 },
    { "fsrc", W_7_1_EAX, 12 },
    { "lkgs", W_7_1_EAX, 18 },
    { "avx-ifma", W_7_1_EAX, 23 },
    { "lam", W_7_1_EAX, 26 },

    { "avx-vnni-int8", W_7_1_EDX, 4 },
    { "avx-ne-convert", W_7_1_EDX, 5 },
    { "avx-vnni-int16", W_7_1_EDX, 10 },
    { "prefetchiti", W_7_1_EDX, 14 },

    { "intel-psfd", W_7_2_EDX, 0 },
    { "ipred-ctrl", W_7_2_EDX, 1 },
    { "rrsba-ctrl", W_7_2_EDX, 2 },
    { "ddpd-u", W_7_2_EDX, 3 },
    { "bhi-ctrl", W_7_2_EDX, 4 },
    { "mcdt-no", W_7_2_EDX, 5 },

    { "xsaveopt", W_D_1_EAX, 0 },
    { "xsavec", W_D_1_EAX, 1 },
    { "xgetbv1", W_D_1_EAX, 2 },
    { "xsaves", W_D_1_EAX, 3 },

    { "kvmclock-old", W_KVM_EAX, 0 },
    { "kvm-nopiodelay", W_KVM_EAX, 1 },
    { "kvmclock", W_KVM_EAX, 3 },
    { "kvm-asyncpf", W_KVM_EAX, 4 },
    { "kvm-steal-time", W_KVM_EAX, 5 },
    { "kvm-pv-eoi", W_KVM_EAX, 6 },
    { "kvm-pv-unhalt", W_KVM_EAX, 7 },
    { "kvm-pv-tlb-flush", W_KVM_EAX, 9 },
    { "kvm-asyncpf-vmexit", W_KVM_EAX, 10 },
    { "kvm-pv-ipi", W_KVM_EAX, 11 },
    { "kvm-poll-control", W_KVM_EAX, 12 },
    { "kvm-pv-sched-yield", W_KVM_EAX, 13 },
    { "kvm-asyncpf-int", W_KVM_EAX, 14 },
    { "kvmclock-stable-bit", W_KVM_EAX, 24 },

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
    { "stibp-always-on", W_88_EBX, 17 },
    { "amd-ssbd", W_88_EBX, 24 },
    { "virt-ssbd", W_88_EBX, 25 },
    { "amd-no-ssb", W_88_EBX, 26 },
    { "amd-psfd", W_88_EBX, 28 },

    { "npt", W_8A_EDX, 0 },
    { "lbrv", W_8A_EDX, 1 },
    { "svm-lock", W_8A_EDX, 2 },
    { "nrip-save", W_8A_EDX, 3 },
    { "tsc-scale", W_8A_EDX, 4 },
    { "vmcb-clean", W_8A_EDX, 5 },
    { "flushbyasid", W_8A_EDX, 6 },
    { "decodeassists", W_8A_EDX, 7 },
    { "pause-filter", W_8A_EDX, 10 },
    { "pfthreshold", W_8A_EDX, 12 },
    { "avic", W_8A_EDX, 13 },
    { "v-vmsave-vmload", W_8A_EDX, 15 },
    { "vgif", W_8A_EDX, 16 },
    { "vnmi", W_8A_EDX, 25 },
    { "svme-addr-chk", W_8A_EDX, 28 },

    { "no-nested-data-bp", W_8021_EAX, 0 },
    { "fs-gs-base-ns", W_8021_EAX, 1 },
    { "lfence-always-serializing", W_8021_EAX, 2 },
    { "null-sel-clr-base", W_8021_EAX, 6 },
    { "auto-ibrs", W_8021_EAX, 8 },
    { "prefetchi", W_8021_EAX, 20 },
    { "sbpb", W_8021_EAX, 27 },
    { "ibpb-brtype", W_8021_EAX, 28 },
    { "srso-no", W_8021_EAX, 29 },
    { "srso-user-kernel-no", W_8021_EAX, 30 },

    { "rdctl-no", W_ARCH_LOW, 0 },
    { "ibrs-all", W_ARCH_LOW, 1 },
    { "rsba", W_ARCH_LOW, 2 },
    { "skip-l1dfl-vmentry", W_ARCH_LOW, 3 },
    { "ssb-no", W_ARCH_LOW, 4 },
    { "mds-no", W_ARCH_LOW, 5 },
    { "pschange-mc-no", W_ARCH_LOW, 6 },
    { "tsx-ctrl", W_ARCH_LOW, 7 },
    { "taa-no", W_ARCH_LOW, 8 },
    { "sbdr-ssdp-no", W_ARCH_LOW, 13 },
    { "fbsdp-no", W_ARCH_LOW, 14 },
    { "psdp-no", W_ARCH_LOW, 15 },
    { "fb-clear", W_ARCH_LOW, 17 },
    { "rrsba", W_ARCH_LOW, 19 },
    { "bhi-no", W_ARCH_LOW, 20 },
    { "pbrsb-no", W_ARCH_LOW, 24 },
    { "gds-no", W_ARCH_LOW, 26 },
    { "rfds-no", W_ARCH_LOW, 27 },
    { "rfds-clear", W_ARCH_LOW, 28 },
    { "its-no", W_ARCH_HIGH, 30 },
};
const uint32_t vsr_feature_names_count = VSR_ARRAY_SIZE(vsr_feature_names);

/* Names other people use for the same bits. */
static const char *const aliases[][2] = {
    { "sse3", "pni" },
    { "pclmulqdq", "pclmuldq" },
    { "lzcnt", "abm" },
    { "sse4_1", "sse4.1" },
    { "sse4-1", "sse4.1" },
    { "sse4_2", "sse4.2" },
    { "sse4-2", "sse4.2" },
    { "sha", "sha-ni" },
    { "lahf-lm", "lahf_lm" },
    { "tsc-adjust", "tsc_adjust" },
    { "ds-cpl", "ds_cpl" },
    { "cmp-legacy", "cmp_legacy" },
    { "fxsr-opt", "fxsr_opt" },
    { "nodeid-msr", "nodeid_msr" },
    { "perfctr-core", "perfctr_core" },
    { "perfctr-nb", "perfctr_nb" },
    { "arch_capabilities", "arch-capabilities" },
    { "md_clear", "md-clear" },
    { "xd", "nx" },
    { "i64", "lm" },
    { "rdctl_no", "rdctl-no" },
    { "kvm_asyncpf", "kvm-asyncpf" },
    { "kvm_steal_time", "kvm-steal-time" },
    { "kvm_pv_eoi", "kvm-pv-eoi" },
    { "kvm_pv_unhalt", "kvm-pv-unhalt" },
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
    { "avx512-4vnniw", "avx512f" },
    { "avx512-4fmaps", "avx512f" },
    { "avx512-vp2intersect", "avx512f" },
    { "avx512-fp16", "avx512bw" },
    { "avx-ifma", "avx2" },
    { "avx-vnni-int8", "avx2" },
    { "avx-vnni-int16", "avx2" },
    { "avx-ne-convert", "avx2" },
    { "sha512", "avx2" },
    { "3dnowext", "3dnow" },
    { "kvmclock-old", "kvmclock" },
    { "kvmclock-stable-bit", "kvmclock" },
    { "kvm-asyncpf-vmexit", "kvm-asyncpf" },
    { "kvm-asyncpf-int", "kvm-asyncpf" },
};

/* What a guest gets only when it is asked for by name: it may then run virtual
 * machines of its own, or keep a processor of the host from sleeping. */
static const char *const opt_in[] = { "vmx", "svm", "monitor" };

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

vsr_feature_set vsr_feature_opt_in(void)
{
    vsr_feature_set set = { 0 };

    for (size_t i = 0; i < VSR_ARRAY_SIZE(opt_in); i++)
        vsr_feature_put(&set, vsr_feature_find(opt_in[i]), true);
    return set;
}

vsr_feature_set vsr_feature_known(void)
{
    vsr_feature_set set = { 0 };

    for (uint32_t i = 0; i < vsr_feature_names_count; i++)
        vsr_feature_put(&set, &vsr_feature_names[i], true);
    return set;
}

bool vsr_feature_word_is_paravirtual(uint32_t word)
{
    return word == W_KVM_EAX;
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
    if (!vsr_feature_in(set, vsr_feature_find("arch-capabilities")))
        set->bits[W_ARCH_LOW] = set->bits[W_ARCH_HIGH] = 0;
    if (!vsr_feature_in(set, vsr_feature_find("svm")))
        set->bits[W_8A_EDX] = 0;
}
