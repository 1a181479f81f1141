/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_insn.h: the decoded x86 instruction, and how to read one.
 *
 * This is the one vocabulary between the decoder and whoever executes: the
 * interpreter today, a translator later. The decoder (guest_x86_decode*.c)
 * knows encodings and nothing of meaning; the executors
 * (guest_x86_exec_*.c) know meaning and nothing of encodings.
 *
 * Manual
 * ------
 * `op` says what the instruction means (EMU_OP_*, Intel's mnemonics), `form`
 * where its operands are:
 *
 *   EMU_FORM_RR  dst = register `reg`, src = register `rm`
 *   EMU_FORM_RM  dst = register `reg`, src = memory
 *   EMU_FORM_MR  dst = memory,         src = register `reg`
 *   EMU_FORM_RI  dst = register `reg`, src = `imm`
 *   EMU_FORM_MI  dst = memory,         src = `imm`
 *   EMU_FORM_R   the one operand is register `reg`
 *   EMU_FORM_M   the one operand is memory
 *   EMU_FORM_I   the one operand is `imm` (relative branches: the distance)
 *   EMU_FORM_N   no explicit operand
 *
 * The direction is resolved by the decoder: "01 /r" with a register in
 * ModRM.rm is EMU_FORM_RR with reg = ModRM.rm and rm = ModRM.reg. A third
 * operand that is an immediate (IMUL r,rm,imm; SHLD; PSHUFD …) is in `imm`.
 * A shift by CL and a shift by an immediate are different forms of the same op
 * (EMU_FORM_R/M by CL; RI/MI by imm).
 *
 * `opsize` is the operand size in bytes after all prefixes: 1, 2, 4, 8 for
 * integer work, 16 for whole XMM registers, else the memory operand's size.
 *
 * Register numbers are 0..15. An 8-bit general register is instead the *byte
 * offset* into emu_cpu.regs (AL = 0, CL = 8, …; AH = 1, CH = 9, DH = 17,
 * BH = 25), so that all sizes are one addressing mode away. MMX, x87 and
 * segment registers are 0..7.
 *
 * Memory operands: linear address =
 *   seg.base + ((regs[base] + (regs[index] << scale) + disp) & address mask)
 * A missing base or index is EMU_REG_ZERO. RIP-relative operands have
 * base = EMU_REG_RIP, whose register holds the RIP of the *block's first*
 * instruction; the decoder has added the distance to `disp`. When EMU_MEM_FLAT
 * is set nothing but the sum is to be done (64-bit addresses, no FS or GS);
 * see emu_ea() in guest_x86_exec.h.
 *
 * RIP of an instruction = regs[EMU_REG_RIP] + off; of the next one, + len.
 * (In 16- and 32-bit code that sum is cut to the mode's width.)
 *
 * 64-bit immediates (MOV r64,imm64) and 64-bit absolute addresses (MOV
 * AL..RAX,moffs) occupy `imm64`, which overlays imm and disp.
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_INSN_H
#define VSR_DRIVERS_EMU_GUEST_X86_INSN_H

#include <stdbool.h>
#include <stdint.h>

struct emu_cpu;
typedef struct emu_insn emu_insn;

/* What each op is called: one list for each family of executors. */
typedef enum {
    EMU_OP_INVALID, /* raises #UD */
#define EMU_OP(name) EMU_OP_##name,
#include "drivers/emu/guest_x86_ops_int.inc" /* integer, flow, string, system */
#include "drivers/emu/guest_x86_ops_fp.inc"  /* x87, MMX, SSE, XSAVE */
#undef EMU_OP
    EMU_OP_MAX,
} emu_op;

typedef enum {
    EMU_FORM_N,
    EMU_FORM_R,
    EMU_FORM_M,
    EMU_FORM_I,
    EMU_FORM_RR,
    EMU_FORM_RM,
    EMU_FORM_MR,
    EMU_FORM_RI,
    EMU_FORM_MI,
    EMU_FORMS,
} emu_form;

enum {
    EMU_REG_ZERO = 16, /* always 0 */
    EMU_REG_RIP = 17,  /* RIP of the running block's first instruction */
    EMU_REGS = 18,
};

/* emu_insn.flags */
enum {
    EMU_I_LOCK = 1 << 0,
    EMU_I_REP = 1 << 1,   /* F3 as a repeat prefix */
    EMU_I_REPNE = 1 << 2, /* F2 as a repeat prefix */
    EMU_I_ENDS = 1 << 3,  /* the block must end after this instruction */
    EMU_I_OP16 = 1 << 4,  /* 66 was present (some system forms care) */
    EMU_I_REXW = 1 << 5,
    /* Of a block for EMU_MODE_FLAT: the stack is flat, and a memory operand has
     * a 32-bit address in ES, SS or DS, so that it lies at the offset cut to 32
     * bits, unless it goes beyond 4 GiB: then the segment's limit counts. */
    EMU_I_FLAT32 = 1 << 6,
};

/* emu_insn.mem: bits 0-2 segment, 3-4 address size, 5 flat, 6-7 scale */
enum {
    EMU_MEM_SEG = 0x07, /* VSR_X86_ES.. */
    EMU_MEM_A16 = 0 << 3,
    EMU_MEM_A32 = 1 << 3,
    EMU_MEM_A64 = 2 << 3,
    EMU_MEM_ASIZE = 3 << 3,
    EMU_MEM_FLAT = 1 << 5,
    EMU_MEM_SCALE_SHIFT = 6,
};

/*
 * Runs one instruction and returns what to run next, or NULL to leave the
 * chain (see EMU_NEXT in guest_x86_exec.h).
 */
typedef const emu_insn *emu_exec_fn(struct emu_cpu *cpu, const emu_insn *insn);

/* 32 bytes: two to a cache line. */
struct emu_insn {
    emu_exec_fn *exec; /* filled by the block builder from op, form, opsize */
    union {
        struct {
            int32_t imm; /* sign-extended to 32 bits */
            int32_t disp;
        };
        uint64_t imm64;
    };
    uint16_t op;    /* emu_op */
    uint16_t off;   /* bytes from the block's first instruction */
    uint8_t len;    /* 1..15 */
    uint8_t form;   /* emu_form */
    uint8_t flags;  /* EMU_I_* */
    uint8_t opsize; /* bytes */
    uint8_t reg;
    uint8_t rm;
    uint8_t base;
    uint8_t index;
    uint8_t mem;  /* EMU_MEM_* */
    uint8_t cond; /* Jcc, SETcc, CMOVcc: 0..15; CMPPS: predicate; else 0 */
    uint8_t aux;  /* free for the family: x87 ST(i), imm8 beside imm (ENTER) */
    uint8_t pad;  /* first of a block: how many there are */
};

_Static_assert(sizeof(emu_insn) == 32, "a decoded instruction is 32 bytes");

#endif
