/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_fpstate.h: x87 and SSE control state, and its save areas.
 *
 * While a vCPU runs, the host's MXCSR and x87 control word hold the guest's
 * (emu_fp_enter .. emu_fp_leave), so that SSE and x87 semantics are the host's
 * own instructions with nothing set up for each. The host's sticky exception
 * flags are then part of the guest's: read MXCSR with emu_mxcsr() and the
 * status word with emu_x87_sw(), never from the struct.
 *
 *   MXCSR   host = guest | all masks. No host SSE instruction traps. With an
 *           exception unmasked (cpu->sse_trap, rare) host flags are clear
 *           before each instruction and are looked at after it.
 *   x87 CW  host = guest, whole: an unmasked exception makes the host set ES,
 *           which each executor clears (FNCLEX) before anything could trap.
 *           Host exception flags are a subset of the guest's; those of
 *           unmasked exceptions are clear between instructions.
 *
 * emu_run calls enter before its loop and leave after it; whoever calls C code
 * of others from within (MMIO, port, MSR up-calls, the log) brackets the call
 * with emu_fp_leave() and emu_fp_enter(). Guest exceptions unwind to the run
 * loop's setjmp, which leaves both registers as they are.
 *
 * Spec: Intel SDM vol. 1, 8.1 "x87 FPU Execution Environment", 10.2.3 "MXCSR",
 *       10.5 "FXSAVE and FXRSTOR", chapter 13 "XSAVE".
 * Threads: the vCPU's own.
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_FPSTATE_H
#define VSR_DRIVERS_EMU_GUEST_X86_FPSTATE_H

#include <xmmintrin.h>

#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_state.h"

/* MXCSR */
enum {
    EMU_MXCSR_FLAGS = 0x003f,
    EMU_MXCSR_PRE = 0x0007, /* IE, DE, ZE: found before the operation */
    EMU_MXCSR_UE = 0x0010,
    EMU_MXCSR_MASKS = 0x1f80,
    EMU_MXCSR_UM = 0x0800,
    EMU_MXCSR_FTZ = 0x8000,
    EMU_MXCSR_VALID = 0xffff, /* MXCSR_MASK */
    EMU_MXCSR_RESET = 0x1f80,
};

/* x87 status word */
enum {
    EMU_SW_IE = 0x0001,
    EMU_SW_PRE = 0x0007, /* IE, DE, ZE */
    EMU_SW_FLAGS = 0x003f,
    EMU_SW_SF = 0x0040,
    EMU_SW_ES = 0x0080,
    EMU_SW_C0 = 0x0100,
    EMU_SW_C1 = 0x0200,
    EMU_SW_C2 = 0x0400,
    EMU_SW_TOP_SHIFT = 11,
    EMU_SW_TOP = 0x3800,
    EMU_SW_C3 = 0x4000,
    EMU_SW_B = 0x8000,
    EMU_SW_CC = EMU_SW_C0 | EMU_SW_C1 | EMU_SW_C2 | EMU_SW_C3,
    EMU_CW_MASKS = 0x003f,
    EMU_CW_INIT = 0x037f,
};

/* XCR0 and XSTATE_BV bits we have. */
enum { EMU_XSTATE_X87 = 1, EMU_XSTATE_SSE = 2, EMU_XSTATE_ALL = 3 };
enum { EMU_XSAVE_LEN = 576, EMU_FXSAVE_LEN = 512 };

static inline uint32_t emu_mxcsr_host(const emu_cpu *cpu)
{
    uint32_t v = cpu->mxcsr | EMU_MXCSR_MASKS;

    if (G_UNLIKELY(cpu->sse_trap)) {
        v &= ~(uint32_t)EMU_MXCSR_FLAGS;
        /* An unmasked underflow is reported for exact tiny results too, which
         * the host does only when it flushes them (and FTZ itself has no
         * effect for the guest then). */
        v &= ~(uint32_t)EMU_MXCSR_FTZ;
        if (!(cpu->mxcsr & EMU_MXCSR_UM) || (cpu->mxcsr & EMU_MXCSR_FTZ))
            v |= EMU_MXCSR_FTZ;
    }
    return v;
}

/* The guest's MXCSR. */
static inline uint32_t emu_mxcsr(const emu_cpu *cpu)
{
    if (cpu->fp_loaded)
        return cpu->mxcsr | (_mm_getcsr() & EMU_MXCSR_FLAGS);
    return cpu->mxcsr;
}

/* `value` has no reserved bit set. */
void emu_mxcsr_set(emu_cpu *cpu, uint32_t value);

/* The status word with TOP. */
uint16_t emu_x87_sw(const emu_cpu *cpu);
void emu_x87_set_sw(emu_cpu *cpu, uint16_t sw); /* TOP too; updates ES, B */
void emu_x87_set_cw(emu_cpu *cpu, uint16_t cw);
void emu_x87_init(emu_cpu *cpu); /* FNINIT */
/* FXSAVE's abridged tag byte is emu_x87.valid; this is the 16-bit one. */
uint16_t emu_x87_tags(const emu_cpu *cpu);

/* See above. Cheap when guest and caller use the same control words. */
void emu_fp_enter(emu_cpu *cpu);
void emu_fp_leave(emu_cpu *cpu);

/* CR0, CR4 or XCR0 changed. Also call it once after the state is first set. */
void emu_fp_mode_changed(emu_cpu *cpu);
void emu_fp_reset(emu_cpu *cpu); /* power-up: registers and control words */

/* An SSE, or an x87 or MMX, instruction found its gate shut: #UD, #NM, #MF. */
_Noreturn void emu_sse_fault(emu_cpu *cpu, const emu_insn *insn);
_Noreturn void emu_x87_fault(emu_cpu *cpu, const emu_insn *insn);
_Noreturn void emu_mmx_fault(emu_cpu *cpu, const emu_insn *insn);
/* After an SSE floating-point operation, before its result is stored, when
 * cpu->sse_trap: raises #XM (#UD without CR4.OSXMMEXCPT) or returns. */
void emu_sse_trap_check(emu_cpu *cpu, const emu_insn *insn);

/* vcpu_get and vcpu_set: XSAVE's standard format, x87 and SSE, EMU_XSAVE_LEN
 * bytes. restore: false, nothing changed, if `from` is not valid. */
void emu_xsave_image(const emu_cpu *cpu, uint8_t *to);
bool emu_xsave_restore(emu_cpu *cpu, const uint8_t *from, uint32_t len);

/*
 * Instruction sets beyond SSE2 the host can run, hence the guest may use.
 * CPUID must advertise no other.
 */
enum {
    EMU_SSE_HAS_SSE3 = 1 << 0,
    EMU_SSE_HAS_SSSE3 = 1 << 1,
    EMU_SSE_HAS_SSE41 = 1 << 2,
    EMU_SSE_HAS_SSE42 = 1 << 3,
    EMU_SSE_HAS_AES = 1 << 4,
    EMU_SSE_HAS_PCLMUL = 1 << 5,
    EMU_SSE_HAS_SHA = 1 << 6,
};
uint32_t emu_sse_optional(void);

/* The handler of FXSAVE, XSAVE, FLDENV and their kin, or NULL. */
emu_exec_fn *emu_exec_find_fpstate(const emu_insn *insn);

#endif
