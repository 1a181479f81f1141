/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_cpuid.c: the CPUID of the emulated processor.
 *
 * Vendor and model decide how much a guest kernel slows itself down: with this
 * one Linux needs no page-table isolation, no retpolines (automatic IBRS, which
 * costs an emulator nothing) and no return thunks, truthfully: guest code is
 * interpreted, and no guest branch trains a predictor for another.
 *
 * Spec:    AMD APM vol. 3, appendix E "Obtaining Processor Information Via the
 *          CPUID Instruction"; Linux, Documentation/virt/kvm/x86/cpuid.rst.
 * Threads: any.
 */
#include "drivers/emu/guest_x86_cpuid.h"

#include <string.h>

#include "drivers/emu/emu_engine.h"
#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_fpstate.h"

#define BIT(n) (UINT32_C(1) << (n))

enum { LEAF_MAX = 0xd, LINEAR_BITS = 48 };
#define EXT_MAX UINT32_C(0x80000021)

/* Family 19h, model 11h, stepping 1. */
#define SIGNATURE UINT32_C(0x00a10f11)

/* FPU DE PSE TSC MSR PAE CX8 APIC SEP PGE CMOV PAT PSE36 CLFSH MMX FXSR SSE
 * SSE2 */
#define LEAF1_EDX                                                            \
    (BIT(0) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(9) | \
     BIT(11) | BIT(13) | BIT(15) | BIT(16) | BIT(17) | BIT(19) | BIT(23) |   \
     BIT(24) | BIT(25) | BIT(26))
/* CX16 PCID x2APIC MOVBE POPCNT TSC-deadline XSAVE RDRAND hypervisor */
#define LEAF1_ECX                                                          \
    (BIT(13) | BIT(17) | BIT(21) | BIT(22) | BIT(23) | BIT(24) | BIT(26) | \
     BIT(30) | BIT(31))
/* FSGSBASE TSC_ADJUST SMEP ERMS INVPCID RDSEED SMAP CLFLUSHOPT CLWB */
#define LEAF7_EBX                                                      \
    (BIT(0) | BIT(1) | BIT(7) | BIT(9) | BIT(10) | BIT(18) | BIT(20) | \
     BIT(23) | BIT(24))
#define LEAF7_ECX BIT(2) /* UMIP */
#define LEAF7_EDX BIT(4) /* FSRM */

/* Leaf 1's EDX bits that AMD repeats, and SYSCALL NX PDPE1GB RDTSCP LM */
#define EXT1_REPEATED (LEAF1_EDX & 0x0183f3ff)
#define EXT1_EDX \
    (EXT1_REPEATED | BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29))
/* LAHF ABM 3DNOWPREFETCH */
#define EXT1_ECX (BIT(0) | BIT(5) | BIT(8))
#define EXT7_EDX BIT(8)             /* invariant TSC */
#define EXT8_EBX (BIT(2) | BIT(26)) /* XSAVE restores error pointers, SSB_NO */
/* No nested data breakpoints, LFENCE serialises, null selectors clear the base,
 * automatic IBRS, SRSO_NO */
#define EXT21_EAX (BIT(0) | BIT(2) | BIT(6) | BIT(8) | BIT(29))
#define EXT21_ECX (BIT(1) | BIT(2)) /* TSA_SQ_NO, TSA_L1_NO */

/* CLOCKSOURCE NOP_IO_DELAY CLOCKSOURCE2 CLOCKSOURCE_STABLE */
#define KVM_EAX (BIT(0) | BIT(1) | BIT(3) | BIT(24))

static vsr_cpuid_row *add(vsr_cpuid *out, uint32_t leaf, uint32_t eax,
                          uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    vsr_cpuid_row *row = &out->row[out->n++];

    *row = (vsr_cpuid_row){
        .leaf = leaf, .eax = eax, .ebx = ebx, .ecx = ecx, .edx = edx
    };
    return row;
}

static void add_sub(vsr_cpuid *out, uint32_t leaf, uint32_t subleaf,
                    uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    vsr_cpuid_row *row = add(out, leaf, eax, ebx, ecx, edx);

    row->has_subleaf = true;
    row->subleaf = subleaf;
}

static uint32_t word(const char *text, unsigned at)
{
    uint32_t v;

    memcpy(&v, text + at, 4);
    return v;
}

static void add_brand(vsr_cpuid *out)
{
    static const char brand[48] = "libvisor emulated x86-64 processor";

    for (unsigned i = 0; i < 3; i++)
        add(out, 0x80000002 + i, word(brand, 16 * i), word(brand, 16 * i + 4),
            word(brand, 16 * i + 8), word(brand, 16 * i + 12));
}

/* What the host's own instructions let the SSE executors do. */
static uint32_t sse_ecx(void)
{
    uint32_t has = emu_sse_optional(), ecx = 0;

    ecx |= has & EMU_SSE_HAS_SSE3 ? BIT(0) : 0;
    ecx |= has & EMU_SSE_HAS_PCLMUL ? BIT(1) : 0;
    ecx |= has & EMU_SSE_HAS_SSSE3 ? BIT(9) : 0;
    ecx |= has & EMU_SSE_HAS_SSE41 ? BIT(19) : 0;
    ecx |= has & EMU_SSE_HAS_SSE42 ? BIT(20) : 0;
    ecx |= has & EMU_SSE_HAS_AES ? BIT(25) : 0;
    return ecx;
}

void emu_cpuid_supported(vsr_cpuid *out)
{
    const char *vendor = "AuthenticAMD";
    const char *kvm = "KVMKVMKVM\0\0";
    uint32_t sha = emu_sse_optional() & EMU_SSE_HAS_SHA ? BIT(29) : 0;

    memset(out, 0, sizeof *out);
    add(out, 0, LEAF_MAX, word(vendor, 0), word(vendor, 8), word(vendor, 4));
    /* CLFLUSH: 8 quadwords; one logical processor. */
    add(out, 1, SIGNATURE, 8 << 8 | 1 << 16, LEAF1_ECX | sse_ecx(), LEAF1_EDX);
    add(out, 6, BIT(2), 0, 0, 0); /* the APIC timer always runs */
    add_sub(out, 7, 0, 0, LEAF7_EBX | sha, LEAF7_ECX, LEAF7_EDX);
    add_sub(out, 0xd, 0, EMU_XSTATE_ALL, EMU_XSAVE_LEN, EMU_XSAVE_LEN, 0);
    add_sub(out, 0xd, 1, 0, 0, 0, 0);
    add(out, EMU_KVM_LEAF, EMU_KVM_FEATURES, word(kvm, 0), word(kvm, 4),
        word(kvm, 8));
    add(out, EMU_KVM_FEATURES, KVM_EAX, 0, 0, 0);
    add(out, 0x80000000, EXT_MAX, word(vendor, 0), word(vendor, 8),
        word(vendor, 4));
    add(out, 0x80000001, SIGNATURE, 0, EXT1_ECX, EXT1_EDX);
    add_brand(out);
    /* 32 KiB of L1, 512 KiB of L2, 64-byte lines. */
    add(out, 0x80000005, 0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140);
    add(out, 0x80000006, 0x48006400, 0x68006400, 0x02006140, 0);
    add(out, 0x80000007, 0, 0, 0, EXT7_EDX);
    add(out, 0x80000008, LINEAR_BITS << 8 | EMU_PHYS_BITS, EXT8_EBX, 0, 0);
    add(out, 0x80000021, EXT21_EAX, 0, EXT21_ECX, 0);
}

static const vsr_cpuid_row *find(const emu_cpu *cpu, uint32_t leaf,
                                 uint32_t subleaf)
{
    for (uint32_t i = 0; i < cpu->cpuid.n; i++) {
        const vsr_cpuid_row *row = &cpu->cpuid.row[i];

        if (row->leaf == leaf && (!row->has_subleaf || row->subleaf == subleaf))
            return row;
    }
    return NULL;
}

bool emu_cpuid_has(const emu_cpu *cpu, uint32_t leaf, unsigned reg,
                   unsigned bit)
{
    const vsr_cpuid_row *row = find(cpu, leaf, 0);
    uint32_t value;

    if (row == NULL)
        return false;
    value = reg == EMU_EAX   ? row->eax
            : reg == EMU_EBX ? row->ebx
            : reg == EMU_ECX ? row->ecx
                             : row->edx;
    return value >> bit & 1;
}

void emu_cpuid(const emu_cpu *cpu, uint32_t leaf, uint32_t subleaf,
               uint32_t out[4])
{
    const vsr_cpuid_row *row = find(cpu, leaf, subleaf);

    memset(out, 0, 4 * sizeof out[0]);
    if (row == NULL)
        return;
    out[EMU_EAX] = row->eax;
    out[EMU_EBX] = row->ebx;
    out[EMU_ECX] = row->ecx;
    out[EMU_EDX] = row->edx;
    /* OSXSAVE shows what CR4 has. */
    if (leaf == 1) {
        out[EMU_ECX] &= ~BIT(27);
        if (cpu->cr4 & EMU_CR4_OSXSAVE)
            out[EMU_ECX] |= BIT(27);
    }
}
