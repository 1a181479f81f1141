/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_decode.h: bytes to emu_insn, and what the decoder's files share.
 *
 * guest_x86_decode.c has the prefixes, ModRM and what all maps share;
 * guest_x86_decode_1b.c the one-byte map; guest_x86_decode_0f.c the integer and
 * system part of the two- and three-byte maps. What they do not know they hand to emu_decode_sse() and
 * emu_decode_x87(). The decoder looks at nothing but the bytes, the mode and
 * the features given: it can be fuzzed and tested alone.
 *
 * Spec: Intel SDM vol. 2A, chapter 2 "Instruction Format"; vol. 2D, appendix A
 *       "Opcode Map"; AMD APM vol. 3, chapter 1 and appendix A.
 * Threads: any; no state.
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_DECODE_H
#define VSR_DRIVERS_EMU_GUEST_X86_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/emu/guest_x86_insn.h"

enum { EMU_INSN_LEN_MAX = 15 };

/* What CPUID must advertise before an encoding means what it says. */
enum {
    EMU_DECODE_BMI1 = 1 << 0,  /* F3 0F BC is TZCNT, else BSF */
    EMU_DECODE_LZCNT = 1 << 1, /* F3 0F BD is LZCNT, else BSR */
};

typedef enum {
    EMU_DECODE_OK,       /* *insn is filled; op may be EMU_OP_INVALID (#UD) */
    EMU_DECODE_MORE,     /* the bytes end before the instruction does */
    EMU_DECODE_TOO_LONG, /* 15 bytes and no end: #GP(0) */
    EMU_DECODE_RESTART,  /* RIP-relative and too far from the block's first
                            instruction for disp: begin a block with it */
} emu_decode_status;

/*
 * Decode one instruction from `avail` bytes. `off` is its distance from the
 * block's first instruction (insn->off; RIP-relative operands). `exec` is left
 * NULL. Only EMU_MODE_CS32, CS64, FLAT and PROT of `mode` matter.
 */
emu_decode_status emu_decode(emu_insn *insn, const uint8_t *bytes,
                             unsigned avail, uint32_t mode, unsigned features,
                             unsigned off);

/* "ADD", "JCC" …; "INVALID" for EMU_OP_INVALID and numbers out of range. */
const char *emu_op_name(unsigned op);

/* --- from here on: between the decoder's own files --- */

typedef struct {
    emu_insn *insn; /* zeroed but for what the prefixes say, see below */
    const uint8_t *bytes;
    unsigned avail;
    unsigned pos;
    emu_decode_status status; /* set by the fetch; the reader may go on */

    uint32_t mode; /* EMU_MODE_* */
    bool cs64;
    unsigned features;

    /* Prefixes. */
    uint8_t rex;    /* 0, or 40..4F */
    uint8_t prefix; /* mandatory prefix: F2 or F3 (the last one), else 66, 0 */
    bool has66;     /* 66 present, whatever `prefix` says */
    bool lock;
    int8_t seg;     /* override that counts in this mode, or -1 */
    uint8_t opsize; /* 2, 4 or 8: integer operand size (not for byte forms) */
    uint8_t asize;  /* EMU_MEM_A16, A32, A64 */

    /* After emu_decode_modrm(). */
    bool has_modrm;
    uint8_t modrm; /* raw */
    uint8_t mod;   /* 0..3; 3: register operand */
    uint8_t reg;   /* 0..15 with REX.R (mask with 7 for groups, MMX, …) */
    uint8_t rm;    /* 0..15 with REX.B; meaningful when mod is 3 */
} emu_decoder;

typedef enum { EMU_MAP_0F, EMU_MAP_0F38, EMU_MAP_0F3A } emu_decode_map;

/*
 * E.g. 66 0F 38 17 → emu_decode_sse(d, EMU_MAP_0F38, 0x17). They read ModRM
 * and immediates, fill d->insn (op, form, opsize, reg, rm, imm, cond, aux,
 * flags |= EMU_I_ENDS) and return true; false: there is no such instruction.
 * ModRM may have been read already (groups 0F AE and 0F C7: a second
 * emu_decode_modrm() does nothing). LOCK is refused by the caller, insn->len
 * and RIP-relative displacements are finished by it. d->prefix that means
 * nothing for an instruction must be judged here: most MMX forms are #UD with
 * F2/F3.
 * x87 gets D8..DF, and 9B (FWAIT).
 */
bool emu_decode_sse(emu_decoder *d, emu_decode_map map, uint8_t opcode);
bool emu_decode_x87(emu_decoder *d, uint8_t opcode);
bool emu_decode_1b(emu_decoder *d, uint8_t opcode); /* guest_x86_decode_1b.c */
/* guest_x86_decode_0f.c */
bool emu_decode_0f(emu_decoder *d, uint8_t opcode);
bool emu_decode_0f38(emu_decoder *d, uint8_t opcode);
bool emu_decode_0f3a(emu_decoder *d, uint8_t opcode);

uint8_t emu_decode_byte(emu_decoder *d); /* next byte; 0 when out of bytes */

/* ModRM, SIB and displacement; fills d->mod, reg, rm, and for a memory operand
 * insn->base, index, disp, mem. */
void emu_decode_modrm(emu_decoder *d);

/* The operand size of PUSH, CALL and the like: 4 does not exist in 64-bit code. */
unsigned emu_decode_stack_size(const emu_decoder *d);

/* n = 1, 2, 4 bytes, sign-extended. Read after ModRM. */
int32_t emu_decode_imm(emu_decoder *d, unsigned n);
uint64_t emu_decode_imm64(emu_decoder *d);

/* Number of a byte register, as insn->reg wants it (AH.. without REX). */
uint8_t emu_decode_reg8(const emu_decoder *d, unsigned n);

/*
 * Set op, opsize and form from ModRM (read if it was not):
 *   _rm: reg is the destination, r/m the source      → RR or RM
 *   _mr: r/m is the destination, reg the source      → RR or MR
 *   _m:  r/m is the one operand                      → R or M
 * The register numbers are d->reg and d->rm as they are, or byte offsets when
 * opsize is 1; for MMX mask insn->reg and insn->rm with 7 afterwards. Always
 * true, so a decoder can `return` them.
 */
bool emu_decode_rm(emu_decoder *d, emu_op op, unsigned opsize);
bool emu_decode_mr(emu_decoder *d, emu_op op, unsigned opsize);
bool emu_decode_m(emu_decoder *d, emu_op op, unsigned opsize);

#endif
