/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_state.h: one virtual CPU as the interpreter holds it.
 *
 * Hot fields first. Everything here belongs to the vCPU's own thread, except
 * the members under "shared", which other threads touch atomically.
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_STATE_H
#define VSR_DRIVERS_EMU_GUEST_X86_STATE_H

#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "drivers/emu/guest_x86_insn.h"
#include "engine/engine.h"
#include "engine/state_x86.h"

/* EFLAGS bits. */
enum {
    EMU_CF = 1 << 0,
    EMU_PF = 1 << 2,
    EMU_AF = 1 << 4,
    EMU_ZF = 1 << 6,
    EMU_SF = 1 << 7,
    EMU_TF = 1 << 8,
    EMU_IF = 1 << 9,
    EMU_DF = 1 << 10,
    EMU_OF = 1 << 11,
    EMU_IOPL_SHIFT = 12,
    EMU_IOPL = 3 << 12,
    EMU_NT = 1 << 14,
    EMU_RF = 1 << 16,
    EMU_VM = 1 << 17,
    EMU_AC = 1 << 18,
    EMU_VIF = 1 << 19,
    EMU_VIP = 1 << 20,
    EMU_ID = 1 << 21,
    EMU_ARITH = EMU_CF | EMU_PF | EMU_AF | EMU_ZF | EMU_SF | EMU_OF,
};

/* Exception vectors. */
enum {
    EMU_DE = 0,
    EMU_DB = 1,
    EMU_NMI = 2,
    EMU_BP = 3,
    EMU_OF_TRAP = 4,
    EMU_BR = 5,
    EMU_UD = 6,
    EMU_NM = 7,
    EMU_DF_FAULT = 8,
    EMU_TS = 10,
    EMU_NP = 11,
    EMU_SS = 12,
    EMU_GP = 13,
    EMU_PAGE_FAULT = 14,
    EMU_MF = 16,
    EMU_ALIGN = 17,
    EMU_MC = 18,
    EMU_XM = 19,
};

/* emu_cpu.mode: everything that changes how bytes decode or blocks run. It is
 * part of a block's key. */
enum {
    EMU_MODE_CS32 = 1 << 0,  /* default operand and address size 32 */
    EMU_MODE_CS64 = 1 << 1,  /* 64-bit code */
    EMU_MODE_FLAT = 1 << 2,  /* 32-bit code whose CS, DS, ES, SS are flat 4 GiB,
                                and SS.B is 1: see EMU_I_FLAT32 */
    EMU_MODE_PROT = 1 << 3,  /* CR0.PE and not VM86 */
    EMU_MODE_STEP = 1 << 4,  /* TF or breakpoints: blocks of one instruction */
};

/* Software TLB. One entry caches one 4 KiB page of linear space for one
 * privilege (user or supervisor data accesses). A tag that never matches
 * (EMU_TLB_NONE) forces the slow path: not present, not allowed, MMIO, or a
 * page with decoded code (write_tag). */
#define EMU_TLB_NONE (~(uint64_t)0)
enum { EMU_TLB_ENTRIES = 1024, EMU_PAGE_SHIFT = 12, EMU_PAGE_SIZE = 4096 };
#define EMU_PAGE_MASK (~(uint64_t)(EMU_PAGE_SIZE - 1))

typedef struct {
    uint64_t read_tag; /* linear page address, or EMU_TLB_NONE */
    uint64_t write_tag;
    uint64_t exec_tag;
    uintptr_t addend; /* host = linear + addend, where a tag matches */
} emu_tlb_entry;

/* What the slow path knows about the page of a TLB entry: kept so that an
 * access which matches no tag (MMIO, a page with code, a page whose writes are
 * logged) needs no page walk. */
typedef struct {
    uint64_t page; /* linear page address, or EMU_TLB_NONE */
    uint64_t gpa;  /* of the page */
    uint8_t *host; /* NULL: no RAM or ROM there */
    struct emu_slot *slot; /* emu_engine.h; NULL likewise */
    uint8_t prot;  /* EMU_PROT_*: what needs no walk any more */
    uint8_t shift; /* log2 of the size of the guest's mapping */
    bool global;
    bool listed; /* the index is in emu_tlb_space.used */
} emu_tlb_info;

/* emu_cpu.seg_wide */
enum { EMU_WIDE_R = 1, EMU_WIDE_W = 2 };

enum { EMU_PROT_R = 1, EMU_PROT_W = 2, EMU_PROT_X = 4 };

/* Which of emu_tlb_space.sets: data accesses of supervisor code (also implicit
 * ones), of user code, and of supervisor code that overrides SMAP (AC = 1). */
enum { EMU_TLB_SUPER, EMU_TLB_USER, EMU_TLB_SUPER_AC, EMU_TLB_SETS };

/* emu_tlb_space.has: kinds of pages that it may hold. */
enum { EMU_HAS_LARGE = 1, EMU_HAS_LARGE_GLOBAL = 2, EMU_HAS_GLOBAL = 4 };
enum { EMU_CODE_SEEN_BITS = 4096 };

/*
 * What is cached for one address space: a PCID, or 0 while CR4.PCIDE is 0.
 * Global pages are in each space that used them. See mmu_flush.c.
 */
typedef struct {
    emu_tlb_entry sets[EMU_TLB_SETS][EMU_TLB_ENTRIES];
    emu_tlb_info info[EMU_TLB_SETS][EMU_TLB_ENTRIES];
    uint16_t used[EMU_TLB_SETS][EMU_TLB_ENTRIES]; /* indexes in use */
    uint32_t n_used[EMU_TLB_SETS];
    uint8_t has[2]; /* EMU_HAS_* in the low / high half */
    bool taken;     /* false: nothing here counts any more */
    uint16_t pcid;
    uint64_t entered; /* when, for the choice of the next victim */
    uint64_t links;   /* generation of the links to come back to, or 0 */
    /* Linear pages (large ones as one) that are not global and ran code, hashed,
     * since the space's links were last undone. */
    uint64_t code_seen[EMU_CODE_SEEN_BITS / 64];
} emu_tlb_space;

/* Linux uses six PCIDs for each CPU, twelve with page-table isolation. */
enum { EMU_TLB_SPACES = 8 };

typedef union {
    uint8_t u8[16];
    uint16_t u16[8];
    uint32_t u32[4];
    uint64_t u64[2];
    int8_t s8[16];
    int16_t s16[8];
    int32_t s32[4];
    int64_t s64[2];
    float f32[4];
    double f64[2];
} __attribute__((aligned(16))) emu_xmm;

/* x87 registers in the 80-bit format, in physical order (not relative to TOP);
 * MMX register n is the low 64 bits of physical register n. */
typedef struct {
    uint64_t mantissa;
    uint16_t exponent; /* with the sign in bit 15 */
    uint16_t pad[3];
} emu_f80;

typedef struct {
    emu_f80 st[8];
    uint16_t cw;
    uint16_t sw; /* without TOP, which is `top` */
    uint8_t top;
    uint8_t valid; /* bit n: physical register n is not empty */
    uint16_t fop;
    uint64_t fip, fdp;
} emu_x87;

typedef struct emu_vm emu_vm;       /* emu_engine.h */
typedef struct emu_block emu_block; /* block_cache.h */
typedef struct emu_blocks emu_blocks;

enum { EMU_RET_RING = 32 }; /* a power of 2 */

typedef struct emu_cpu {
    /* Hot: guest registers, flags, the running block, the TLB in use. */
    uint64_t regs[EMU_REGS]; /* 0..15 RAX.., EMU_REG_ZERO, EMU_REG_RIP */
    uint16_t cc;     /* arithmetic flags as EMU_CC_*: guest_x86_flags.h */
    uint32_t eflags; /* everything else of EFLAGS; arithmetic bits are 0 here */
    uint32_t mode;   /* EMU_MODE_* */
    emu_tlb_entry *tlb; /* space->sets[] of the current privilege */
    emu_block *block;   /* the running block */
    uint64_t link_key[2]; /* what a guarded successor link must match: generation
                           of the mapping and block key (block_cache.c) */
    struct emu_link *jump_cache;   /* blocks by RIP (block_cache.h) */
    struct emu_link *pending_link; /* the link that emu_run() is to fill */
    /* Where the last calls return to: a guess, checked when used. */
    struct emu_link *ret_ring[EMU_RET_RING];
    uint32_t ret_top;
    uint64_t seg_base[8]; /* copies of seg[].base; 0 for CS,DS,ES,SS in 64-bit
                             mode */
    uint8_t seg_wide[8]; /* EMU_WIDE_*: no check can fail but at the very end of
                            the 4 GiB; see mmu_segment.c */

    /* shared: set by any thread, read at each end of block */
    _Atomic uint32_t exit_request; /* EMU_EXIT_* bits */

    /* The LAPIC's INTR line. EMU_EXIT_INTR is its echo in exit_request, which
     * emu_deliver_pending() takes back while IF is 0, so that blocks stay
     * chained; emu_events_pending() sees both. */
    _Atomic uint32_t intr_level;
    _Atomic uint32_t sipi_vector;
    /* NMIs that came and were not taken: at most one that waits for the end of
     * the running one's handler and, while none runs, one more. EMU_EXIT_NMI is
     * its echo in exit_request while NMIs are not masked. */
    _Atomic uint32_t nmis;

    uint64_t insns;  /* instructions retired, counted per block */
    uint8_t cpl;
    uint8_t inhibit; /* EMU_INHIBIT_*: no interrupt before the next insn ends */
    bool lock_free;  /* the VM has one vCPU: LOCK needs no host atomics */
    uint32_t pauses; /* PAUSE instructions, to yield the host now and then */

    /* x87, MMX, SSE */
    emu_xmm xmm[16];
    uint32_t mxcsr;      /* read with emu_mxcsr(): guest_x86_fpstate.h */
    uint8_t sse_blocked; /* EMU_FP_*: why SSE instructions cannot run now */
    uint8_t x87_blocked; /* EMU_FP_*: likewise x87 and MMX */
    bool sse_trap;       /* MXCSR has an exception unmasked */
    bool fp_loaded;      /* guest MXCSR and CW are in the host's registers */
    emu_x87 x87;
    uint32_t host_mxcsr; /* the caller's, while fp_loaded */
    uint16_t host_cw;

    /* System registers. */
    vsr_x86_seg seg[VSR_X86_SEGS];
    vsr_x86_dtable gdt, idt;
    uint64_t cr0, cr2, cr3, cr4;
    uint64_t pdptr[4]; /* PAE outside of long mode: loaded with CR3 */
    uint64_t dr[8];
    uint64_t xcr0, efer;
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, tsc_aux, misc_enable, mtrr_def_type;
    uint64_t tsc_offset, tsc_adjust;
    uint64_t kvmclock_msr, kvm_wall_msr;
    uint64_t phys_mask; /* valid bits of a guest physical address */

    vsr_mp_state mp_state;
    bool nmi_masked;

    /* Where a fault unwinds to, and where it came from. */
    sigjmp_buf unwind;
    const emu_insn *current; /* set on every slow path, before it can fault */
    /* Exception being delivered: for double and triple faults. */
    int delivering; /* vector, EMU_BENIGN for an interrupt, or -1 */
    unsigned deliveries; /* faults raised since the last unwind, see there */
    bool split_held; /* emu_split_lock() is ours: an unwind releases it */
    uint64_t dr6_pending; /* DR6 bits of a #DB trap due after this insn */
    bool step_rf;         /* RF as emu_step_before() found it */
    bool align_check;     /* CPL 3 with CR0.AM and EFLAGS.AC */
    uint64_t paging;      /* the mode bits that TLB entries were made under */
    /* Accepted elsewhere (another engine's state), delivered at the next run. */
    bool inject_exception, inject_has_error, inject_interrupt;
    uint8_t inject_vector, inject_interrupt_vector;
    uint32_t inject_error;
    vsr_cpuid cpuid;

    emu_vm *vm;
    struct emu_vcpu *vcpu; /* the engine's handle (emu_engine.h) */
    emu_blocks *blocks;    /* this vCPU's decoded code (block_cache.h) */
    uint32_t index, apic_id;

    /* MMU: see mmu_tlb.c. */
    emu_tlb_space *space; /* the current one */
    emu_tlb_space *spaces[EMU_TLB_SPACES]; /* made when first needed */
    uint64_t spaces_entered; /* how many times */
    uint64_t code_seen[EMU_CODE_SEEN_BITS / 64]; /* of global pages */
    emu_tlb_space first_space;                   /* spaces[0] */
} emu_cpu;

/* emu_cpu.exit_request */
enum {
    EMU_EXIT_KICK = 1 << 0,  /* leave vcpu_run */
    EMU_EXIT_INTR = 1 << 1,  /* LAPIC has an interrupt (level, kept) */
    EMU_EXIT_NMI = 1 << 2,
    EMU_EXIT_INIT = 1 << 3,
    EMU_EXIT_SIPI = 1 << 4,
    EMU_EXIT_FLUSH = 1 << 5, /* another thread queued TLB or code work */
    EMU_EXIT_MODE = 1 << 6,  /* our own: mode or breakpoints changed */
};

/* emu_cpu.sse_blocked, emu_cpu.x87_blocked; kept by emu_fp_mode_changed(). */
enum {
    EMU_FP_EM = 1 << 0,   /* CR0.EM */
    EMU_FP_TS = 1 << 1,   /* CR0.TS */
    EMU_FP_NOSSE = 1 << 2, /* CR4.OSFXSR is 0 (sse_blocked only) */
    EMU_FP_MF = 1 << 3,   /* #MF waits (x87_blocked only) */
};

enum { EMU_INHIBIT_STI = 1, EMU_INHIBIT_MOV_SS = 2 };

/* emu_cpu.delivering while an interrupt is: never part of a double fault. */
enum { EMU_BENIGN = 256 };

/* What siglongjmp(cpu->unwind, …) carries to the run loop. */
enum {
    EMU_UNWIND_RESUME = 1, /* go on at regs[EMU_REG_RIP]; mode, CPL may differ */
    EMU_UNWIND_SHUTDOWN,   /* triple fault: return VSR_RUN_SHUTDOWN */
    EMU_UNWIND_FAILED,     /* return VSR_RUN_FAILED (emu_fail() left a text) */
};

/* `n` may be negative. Only the vCPU's thread counts; others may look on. */
static inline void emu_count(emu_cpu *cpu, uint64_t n)
{
    __atomic_store_n(&cpu->insns, cpu->insns + n, __ATOMIC_RELAXED);
}

static inline uint64_t emu_insn_rip(const emu_cpu *cpu, const emu_insn *insn)
{
    uint64_t rip = cpu->regs[EMU_REG_RIP] + insn->off;

    return cpu->mode & EMU_MODE_CS64 ? rip : (uint32_t)rip;
}

static inline uint64_t emu_next_rip(const emu_cpu *cpu, const emu_insn *insn)
{
    uint64_t rip = cpu->regs[EMU_REG_RIP] + insn->off + insn->len;

    if (cpu->mode & EMU_MODE_CS64)
        return rip;
    return cpu->mode & EMU_MODE_CS32 ? (uint32_t)rip : (uint16_t)rip;
}

static inline bool emu_long_mode(const emu_cpu *cpu)
{
    return cpu->efer & (1u << 10); /* LMA */
}

#endif
