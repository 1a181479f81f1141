/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * state_x86.h: one virtual CPU, whole, in a form that belongs to no engine.
 *
 * Every engine can fill this struct from a stopped vCPU and load a vCPU from
 * it; that, and nothing else, is what lets a running guest move between
 * engines. Values are architectural: no lazy flags, no cached descriptors.
 *
 * Spec: Intel SDM vol. 3A, 2.4 "Memory-Management Registers", 3.4.5 "Segment
 *       Descriptors", 11.4 "Local APIC"; vol. 1, 13.4 "XSAVE Area".
 */
#ifndef VSR_ENGINE_STATE_X86_H
#define VSR_ENGINE_STATE_X86_H

#include <stdbool.h>
#include <stdint.h>

enum {
    VSR_X86_RAX,
    VSR_X86_RCX,
    VSR_X86_RDX,
    VSR_X86_RBX,
    VSR_X86_RSP,
    VSR_X86_RBP,
    VSR_X86_RSI,
    VSR_X86_RDI, /* R8..R15 follow as 8..15 */
    VSR_X86_GPRS = 16,
};

/* Order of the hardware's segment numbers in ModRM, then the system ones. */
enum {
    VSR_X86_ES,
    VSR_X86_CS,
    VSR_X86_SS,
    VSR_X86_DS,
    VSR_X86_FS,
    VSR_X86_GS,
    VSR_X86_LDTR,
    VSR_X86_TR,
    VSR_X86_SEGS,
};

/* Bits of vsr_x86_seg.attr: the descriptor's second dword, bits 8..23, >> 8. */
enum {
    VSR_SEG_TYPE = 0x000f,
    VSR_SEG_S = 0x0010, /* 1: code or data, 0: system */
    VSR_SEG_DPL_SHIFT = 5,
    VSR_SEG_DPL = 0x0060,
    VSR_SEG_P = 0x0080,
    VSR_SEG_AVL = 0x1000,
    VSR_SEG_L = 0x2000,
    VSR_SEG_DB = 0x4000,
    VSR_SEG_G = 0x8000,
};

typedef struct {
    uint64_t base;
    uint32_t limit; /* in bytes, granularity already applied */
    uint16_t selector;
    uint16_t attr; /* VSR_SEG_*; P clear: unusable (a null selector) */
} vsr_x86_seg;

typedef struct {
    uint64_t base;
    uint32_t limit;
} vsr_x86_dtable;

typedef struct {
    uint32_t index;
    uint64_t value;
} vsr_x86_msr;

enum {
    VSR_X86_MSRS_MAX = 96,
    VSR_X86_XSAVE_MAX = 4096,
    VSR_X86_LAPIC_PAGE = 1024,
};

typedef enum {
    VSR_MP_RUNNABLE,
    VSR_MP_HALTED,    /* in HLT, an interrupt wakes it */
    VSR_MP_WAIT_INIT, /* an application processor before INIT */
    VSR_MP_WAIT_SIPI, /* after INIT, waiting for the start-up IPI */
} vsr_mp_state;

/* Events that were accepted but not yet delivered to the guest. */
typedef struct {
    bool exception_pending;
    bool exception_has_error;
    uint8_t exception_vector;
    uint32_t exception_error;
    bool interrupt_injected; /* acknowledged vector, delivery not done */
    uint8_t interrupt_vector;
    bool nmi_pending;
    bool nmi_masked; /* between an NMI and its IRET */
    bool shadow_sti; /* the one-instruction interrupt shadow */
    bool shadow_mov_ss;
} vsr_x86_events;

typedef struct {
    uint64_t gpr[VSR_X86_GPRS];
    uint64_t rip;
    uint64_t rflags;

    vsr_x86_seg seg[VSR_X86_SEGS];
    vsr_x86_dtable gdt, idt;

    uint64_t cr0, cr2, cr3, cr4, cr8;
    uint64_t dr[8]; /* 4 and 5 unused */
    uint64_t xcr0;
    uint64_t efer;
    uint64_t apic_base; /* MSR 0x1b */

    vsr_mp_state mp_state;
    vsr_x86_events events;

    uint64_t tsc;          /* the guest's counter at the moment of capture */
    uint64_t tsc_deadline; /* 0: not armed */

    uint32_t n_msrs;
    vsr_x86_msr msrs[VSR_X86_MSRS_MAX]; /* all others: SYSENTER, STAR, PAT … */

    uint32_t xsave_len; /* bytes used, standard (not compacted) format */
    uint8_t xsave[VSR_X86_XSAVE_MAX];

    bool lapic_valid; /* the engine owns the LAPIC and filled the page */
    uint8_t lapic[VSR_X86_LAPIC_PAGE];
} vsr_x86_state;

/* One row of CPUID, as KVM and the Intel SDM number them. */
typedef struct {
    uint32_t leaf;
    uint32_t subleaf;
    bool has_subleaf; /* false: the row answers every subleaf */
    uint32_t eax, ebx, ecx, edx;
} vsr_cpuid_row;

enum { VSR_CPUID_ROWS_MAX = 96 };

/* What a processor says of itself: CPUID, and the MSRs that go on where CPUID
 * ends. */
typedef struct {
    uint32_t n;
    vsr_cpuid_row row[VSR_CPUID_ROWS_MAX];
    uint64_t arch_capabilities; /* IA32_ARCH_CAPABILITIES (0x10a); it counts
                                   only with the CPUID bit of that name */
    uint64_t microcode; /* IA32_BIOS_SIGN_ID (0x8b); 0: the engine's choice */
} vsr_cpuid;

#endif
