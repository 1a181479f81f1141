/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_decode_sse.h: the form of the MMX and SSE opcode tables.
 *
 * A table has four entries an opcode, by mandatory prefix; an empty entry is no
 * instruction.
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_DECODE_SSE_H
#define VSR_DRIVERS_EMU_GUEST_X86_DECODE_SSE_H

#include "drivers/emu/guest_x86_decode.h"

/* Column of a table row. */
enum { SSE_NP, SSE_66, SSE_F3, SSE_F2, SSE_PREFIXES };

/* emu_sse_row.kind */
enum {
    SSE_RM = 0,           /* ModRM.reg is the destination */
    SSE_MR = 1 << 0,      /* ModRM.r/m is the destination */
    SSE_REG = 1 << 1,     /* #UD with a memory operand */
    SSE_MEM = 1 << 2,     /* #UD with a register operand */
    SSE_IMM = 1 << 3,     /* an immediate byte follows */
    SSE_MMX_REG = 1 << 4, /* ModRM.reg is an MMX register: REX.R is ignored */
    SSE_MMX_RM = 1 << 5,  /* likewise ModRM.r/m and REX.B */
    SSE_W = 1 << 6,       /* size 8 with REX.W */
};

typedef struct {
    uint16_t op;
    uint8_t kind;
    uint8_t size; /* insn->opsize */
} emu_sse_row;

typedef const emu_sse_row emu_sse_map[256][SSE_PREFIXES];

/* XMM operands, packed; of another size; MMX operands; both at NP and 66. */
#define SSE_ROW(name, kind, size)     \
    {                                 \
        EMU_OP_##name, (kind), (size) \
    }
#define SSE_V(name)       SSE_ROW(name, SSE_RM, 16)
#define SSE_S(name, size) SSE_ROW(name, SSE_RM, size)
#define SSE_MM(name)      SSE_ROW(name, SSE_MMX_REG | SSE_MMX_RM, 8)
#define SSE_BOTH(name)    SSE_MM(name), SSE_V(name)
#define SSE_NONE          SSE_ROW(INVALID, 0, 0)

extern emu_sse_map emu_sse_map_0f;   /* guest_x86_decode_sse.c */
extern emu_sse_map emu_sse_map_0f38; /* guest_x86_decode_sse4.c */
extern emu_sse_map emu_sse_map_0f3a;

#endif
