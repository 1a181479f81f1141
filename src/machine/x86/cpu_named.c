/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu_named.c: the levels of the psABI and vendors' processors, each as what it
 * adds to an older one.
 *
 * Left out of vendors' processors, against libvirt's lists: what no virtual
 * machine here has (performance counters, MONITOR, nested virtualization, which
 * is asked for by name) and MPX, which newer processors and kernels dropped.
 * Optional in them is what only operating systems look for and the emulator does
 * not have.
 *
 * Spec:    x86-64 psABI 1.0, "Micro-Architecture Levels"; names, signatures and
 *          features as in libvirt's cpu_map; Intel SDM vol. 2A, CPUID, "Version
 *          Information"; AMD APM vol. 3, E.3.2 "Function 1h".
 * Threads: any; constant tables.
 */
#include "machine/x86/cpu_named.h"

#include <string.h>

#include "base/util.h"

enum { NAME_MAX_LEN = 40, ROOT = -1 };

static const vsr_cpu_vendor vendors[] = {
    { "Intel", "GenuineIntel" },
    { "AMD", "AuthenticAMD" },
    { "Hygon", "HygonGenuine" },
};
#define INTEL (&vendors[0])
#define AMD   (&vendors[1])

#define LEVEL1 "lm cmov cx8 fpu fxsr mmx sse sse2 pae msr tsc apic syscall "
#define LEVEL2 "cx16 lahf_lm popcnt pni sse4.1 sse4.2 ssse3 "
#define LEVEL3 "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave "

/* What is not in the levels but in every CPU of that age, what only operating
 * systems see, and all by which a guest protects itself. */
#define LEVEL1_MORE                                                         \
    "vme de pse mce sep mtrr pge mca pat pse36 clflush nx x2apic rdtscp "   \
    "tsc-deadline invtsc arat pcid invpcid pdpe1gb tsc_adjust erms fsrm "   \
    "smep smap umip fsgsbase osvw hypervisor "                              \
    "spec-ctrl stibp ssbd arch-capabilities md-clear flush-l1d "            \
    "core-capability intel-psfd ipred-ctrl rrsba-ctrl ddpd-u bhi-ctrl "     \
    "mcdt-no ibpb ibrs amd-stibp stibp-always-on amd-ssbd virt-ssbd "       \
    "amd-no-ssb amd-psfd no-nested-data-bp fs-gs-base-ns "                  \
    "lfence-always-serializing null-sel-clr-base auto-ibrs sbpb "           \
    "ibpb-brtype srso-no srso-user-kernel-no xsaveerptr rdctl-no ibrs-all " \
    "rsba skip-l1dfl-vmentry ssb-no mds-no pschange-mc-no taa-no "          \
    "sbdr-ssdp-no fbsdp-no psdp-no fb-clear rrsba bhi-no pbrsb-no gds-no "  \
    "rfds-no rfds-clear its-no "
#define LEVEL2_MORE "aes pclmuldq rdrand rdseed 3dnowprefetch "
#define LEVEL3_MORE \
    "adx sha-ni clflushopt xsaveopt xsavec xgetbv1 vaes vpclmulqdq "

/* Of every vendor's processor, where the engine has it: the hypervisor's, and
 * what the emulator leaves out. */
#define ANY_MORE "hypervisor x2apic tsc-deadline arat vme mce mca mtrr "

#define INTEL_64                                                             \
    "apic clflush cmov cx8 de fpu fxsr lm mmx msr nx pae pat pge pse pse36 " \
    "sep sse sse2 syscall tsc cx16 lahf_lm pni popcnt ssse3 "
#define SKYLAKE                                                        \
    "abm f16c rdrand clwb pdpe1gb avx512f avx512bw avx512cd avx512dq " \
    "avx512vl xsaveopt xsavec xgetbv1 "

/* The words end in a space each. */
static const struct {
    const char *name, *base;
    const vsr_cpu_vendor *vendor;
    uint16_t family, model, stepping;
    const char *brand; /* NULL: as base */
    const char *adds, *drops;
    const char *may; /* optional ones it adds; NULL: none */
} table[] = {
    { "x86-64-v1", NULL, NULL, 0, 0, 0, NULL, LEVEL1, "", LEVEL1_MORE },
    { "x86-64-v2", "x86-64-v1", NULL, 0, 0, 0, NULL, LEVEL2, "", LEVEL2_MORE },
    { "x86-64-v3", "x86-64-v2", NULL, 0, 0, 0, NULL, LEVEL3, "", LEVEL3_MORE },

    { "Nehalem", NULL, INTEL, 6, 26, 3, "Intel Core i7 9xx (Nehalem)",
      INTEL_64 "sse4.1 sse4.2 ", "", ANY_MORE },
    { "Nehalem-IBRS", "Nehalem", INTEL, 6, 26, 3, NULL, "spec-ctrl ", "",
      NULL },
    { "Westmere", "Nehalem", INTEL, 6, 44, 1, "Westmere E56xx/L56xx/X56xx",
      "aes ", "", NULL },
    { "Westmere-IBRS", "Westmere", INTEL, 6, 44, 1, NULL, "spec-ctrl ", "",
      NULL },
    { "SandyBridge", "Westmere", INTEL, 6, 42, 1,
      "Intel Xeon E312xx (Sandy Bridge)",
      "avx pclmuldq rdtscp tsc-deadline x2apic xsave ", "", NULL },
    { "SandyBridge-IBRS", "SandyBridge", INTEL, 6, 42, 1, NULL, "spec-ctrl ",
      "", NULL },
    { "IvyBridge", "SandyBridge", INTEL, 6, 58, 9,
      "Intel Xeon E3-12xx v2 (Ivy Bridge)", "erms f16c fsgsbase rdrand smep ",
      "", NULL },
    { "IvyBridge-IBRS", "IvyBridge", INTEL, 6, 58, 9, NULL, "spec-ctrl ", "",
      NULL },
    { "Haswell-noTSX", "SandyBridge", INTEL, 6, 60, 1,
      "Intel Core Processor (Haswell, no TSX)",
      "avx2 bmi1 bmi2 erms fma fsgsbase invpcid movbe pcid smep ", "", NULL },
    { "Haswell-noTSX-IBRS", "Haswell-noTSX", INTEL, 6, 60, 1, NULL,
      "spec-ctrl ", "", NULL },
    { "Haswell", "Haswell-noTSX", INTEL, 6, 60, 4,
      "Intel Core Processor (Haswell)", "hle rtm ", "", NULL },
    { "Haswell-IBRS", "Haswell", INTEL, 6, 60, 4, NULL, "spec-ctrl ", "",
      NULL },
    { "Broadwell-noTSX", "Haswell-noTSX", INTEL, 6, 61, 2,
      "Intel Core Processor (Broadwell, no TSX)",
      "3dnowprefetch adx rdseed smap ", "", NULL },
    { "Broadwell-noTSX-IBRS", "Broadwell-noTSX", INTEL, 6, 61, 2, NULL,
      "spec-ctrl ", "", NULL },
    { "Broadwell", "Broadwell-noTSX", INTEL, 6, 61, 2,
      "Intel Core Processor (Broadwell)", "hle rtm ", "", NULL },
    { "Broadwell-IBRS", "Broadwell", INTEL, 6, 61, 2, NULL, "spec-ctrl ", "",
      NULL },
    { "Skylake-Server", "Broadwell", INTEL, 6, 85, 4,
      "Intel Xeon Processor (Skylake)", SKYLAKE, "", NULL },
    { "Skylake-Server-IBRS", "Skylake-Server", INTEL, 6, 85, 4, NULL,
      "spec-ctrl ", "", NULL },
    { "Skylake-Server-noTSX-IBRS", "Skylake-Server-IBRS", INTEL, 6, 85, 4,
      "Intel Xeon Processor (Skylake, no TSX)", "", "hle rtm ", NULL },
    { "Cascadelake-Server-noTSX", "Skylake-Server-noTSX-IBRS", INTEL, 6, 85, 6,
      "Intel Xeon Processor (Cascadelake)", "avx512vnni clflushopt ssbd ", "",
      NULL },
    { "Cascadelake-Server", "Cascadelake-Server-noTSX", INTEL, 6, 85, 6, NULL,
      "hle rtm ", "", NULL },
    { "Icelake-Server-noTSX", "Cascadelake-Server-noTSX", INTEL, 6, 106, 0,
      "Intel Xeon Processor (Icelake)",
      "avx512-vpopcntdq avx512bitalg avx512vbmi avx512vbmi2 gfni la57 pku umip "
      "vaes vpclmulqdq wbnoinvd ",
      "", NULL },
    { "Icelake-Server", "Icelake-Server-noTSX", INTEL, 6, 106, 0, NULL,
      "hle rtm ", "", NULL },

    { "Opteron_G3", NULL, AMD, 16, 2, 3,
      "AMD Opteron 23xx (Gen 3 Class Opteron)",
      "abm apic clflush cmov cx16 cx8 de fpu fxsr lahf_lm lm misalignsse mmx "
      "msr nx pae pat pge pni popcnt pse pse36 rdtscp sep sse sse2 sse4a "
      "syscall tsc ",
      "", ANY_MORE },
    { "EPYC", "Opteron_G3", AMD, 23, 1, 2, "AMD EPYC Processor",
      "3dnowprefetch adx aes avx avx2 bmi1 bmi2 clflushopt cr8legacy f16c fma "
      "fsgsbase fxsr_opt mmxext movbe osvw pclmuldq pdpe1gb rdrand rdseed "
      "sha-ni smap smep sse4.1 sse4.2 ssse3 xgetbv1 xsave xsavec xsaveopt ",
      "", NULL },
    { "EPYC-IBPB", "EPYC", AMD, 23, 1, 2, "AMD EPYC Processor (with IBPB)",
      "ibpb ", "", NULL },
    { "EPYC-Rome", "EPYC-IBPB", AMD, 23, 49, 0, "AMD EPYC-Rome Processor",
      "amd-stibp clwb clzero rdpid umip wbnoinvd xsaveerptr ", "", NULL },
    { "EPYC-Milan", "EPYC-Rome", AMD, 25, 1, 1, "AMD EPYC-Milan Processor",
      "amd-ssbd erms fsrm ibrs invpcid pcid pku xsaves ", "", NULL },
    { "EPYC-Genoa", "EPYC-Milan", AMD, 25, 17, 0, "AMD EPYC-Genoa Processor",
      "amd-psfd auto-ibrs avx512-bf16 avx512-vpopcntdq avx512bitalg avx512bw "
      "avx512cd avx512dq avx512f avx512ifma avx512vbmi avx512vbmi2 avx512vl "
      "avx512vnni gfni la57 lfence-always-serializing no-nested-data-bp "
      "null-sel-clr-base stibp-always-on vaes vpclmulqdq ",
      "", NULL },
};

const vsr_cpu_vendor *vsr_cpu_vendor_find(const char *name)
{
    for (size_t i = 0; i < VSR_ARRAY_SIZE(vendors); i++)
        if (strcmp(vendors[i].name, name) == 0)
            return &vendors[i];
    return NULL;
}

const vsr_cpu_vendor *vsr_cpu_vendor_of(uint32_t ebx, uint32_t ecx,
                                        uint32_t edx)
{
    const uint32_t words[] = { ebx, edx, ecx };

    for (size_t i = 0; i < VSR_ARRAY_SIZE(vendors); i++)
        if (memcmp(vendors[i].signature, words, sizeof(words)) == 0)
            return &vendors[i];
    return NULL;
}

/* False: one of them is no feature's. */
static bool put_names(vsr_feature_set *set, const char *names, bool on)
{
    bool ok = true;

    while (*names) {
        size_t len = strcspn(names, " ");
        char name[NAME_MAX_LEN];
        const vsr_feature_name *feature;

        memcpy(name, names, MIN(len, sizeof(name) - 1));
        name[MIN(len, sizeof(name) - 1)] = '\0';
        feature = vsr_feature_find(name);
        if (feature)
            vsr_feature_put(set, feature, on);
        else
            ok = false;
        names += len + (names[len] == ' ');
    }
    return ok;
}

static int find(const char *name)
{
    for (size_t i = 0; name && i < VSR_ARRAY_SIZE(table); i++)
        if (strcmp(table[i].name, name) == 0)
            return (int)i;
    return ROOT;
}

/* From the oldest on; a base stands before those that name it. */
static bool collect(int index, vsr_cpu_named *out)
{
    int base = find(table[index].base);
    bool ok = base < index;

    if (ok && base >= 0)
        ok = collect(base, out);
    if (table[index].brand)
        out->brand = table[index].brand;
    return ok && put_names(&out->required, table[index].adds, true) &&
           put_names(&out->required, table[index].drops, false) &&
           put_names(&out->optional, table[index].may ? table[index].may : "",
                     true);
}

bool vsr_cpu_named_get(const char *name, vsr_cpu_named *out)
{
    int index = find(name);

    if (index < 0)
        return false;
    *out = (vsr_cpu_named){
        .name = table[index].name,
        .vendor = table[index].vendor,
        .family = table[index].family,
        .model = table[index].model,
        .stepping = table[index].stepping,
    };
    return collect(index, out);
}

const char *vsr_cpu_named_name(uint32_t index)
{
    return index < VSR_ARRAY_SIZE(table) ? table[index].name : NULL;
}
