/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_decode.c: prefixes, ModRM, immediates; what every opcode map needs.
 *
 * Spec: Intel SDM vol. 2A, 2.1 "Instruction Format for Protected Mode,
 *       Real-Address Mode, and Virtual-8086 Mode", 2.2 "IA-32e Mode"; vol. 3A,
 *       9.1.2.1 "Software Controlled Bus Locking" (what LOCK may precede).
 * Threads: any; no state.
 */
#include "drivers/emu/guest_x86_decode.h"

#include <string.h>

#include "drivers/emu/guest_x86_state.h"

uint8_t emu_decode_byte(emu_decoder *d)
{
    if (d->pos < d->avail && d->pos < EMU_INSN_LEN_MAX)
        return d->bytes[d->pos++];
    /* What follows is guesswork, so the first of the two stands. */
    if (d->status == EMU_DECODE_OK)
        d->status =
            d->pos < EMU_INSN_LEN_MAX ? EMU_DECODE_MORE : EMU_DECODE_TOO_LONG;
    return 0;
}

static uint64_t little(emu_decoder *d, unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)emu_decode_byte(d) << (8 * i);
    return v;
}

int32_t emu_decode_imm(emu_decoder *d, unsigned n)
{
    uint64_t v = little(d, n);

    return n == 1 ? (int8_t)v : n == 2 ? (int16_t)v : (int32_t)v;
}

uint64_t emu_decode_imm64(emu_decoder *d)
{
    return little(d, 8);
}

uint8_t emu_decode_reg8(const emu_decoder *d, unsigned n)
{
    if (d->rex == 0 && n >= 4 && n < 8)
        return (uint8_t)((n - 4) * 8 + 1);
    return (uint8_t)(n * 8);
}

unsigned emu_decode_stack_size(const emu_decoder *d)
{
    if (d->cs64)
        return d->opsize == 2 ? 2 : 8;
    return d->opsize;
}

/* --- ModRM --- */

static void set_mem(emu_decoder *d, unsigned base, unsigned index,
                    unsigned scale, unsigned default_seg)
{
    unsigned seg = d->seg >= 0 ? (unsigned)d->seg : default_seg;
    unsigned mem = seg | d->asize | scale << EMU_MEM_SCALE_SHIFT;

    if (d->asize == EMU_MEM_A64 && seg != VSR_X86_FS && seg != VSR_X86_GS)
        mem |= EMU_MEM_FLAT;
    d->insn->base = (uint8_t)base;
    d->insn->index = (uint8_t)index;
    d->insn->mem = (uint8_t)mem;
}

static void modrm16(emu_decoder *d)
{
    static const uint8_t bases[8] = {
        VSR_X86_RBX, VSR_X86_RBX, VSR_X86_RBP, VSR_X86_RBP,
        VSR_X86_RSI, VSR_X86_RDI, VSR_X86_RBP, VSR_X86_RBX,
    };
    static const uint8_t indexes[4] = { VSR_X86_RSI, VSR_X86_RDI, VSR_X86_RSI,
                                        VSR_X86_RDI };
    unsigned rm = d->rm & 7;
    unsigned base = bases[rm];
    unsigned index = rm < 4 ? indexes[rm] : EMU_REG_ZERO;

    if (d->mod == 0 && rm == 6) {
        base = EMU_REG_ZERO;
        d->insn->disp = emu_decode_imm(d, 2);
    } else if (d->mod == 1) {
        d->insn->disp = emu_decode_imm(d, 1);
    } else if (d->mod == 2) {
        d->insn->disp = emu_decode_imm(d, 2);
    }
    set_mem(d, base, index, 0, base == VSR_X86_RBP ? VSR_X86_SS : VSR_X86_DS);
}

static void modrm32(emu_decoder *d)
{
    unsigned base = d->rm, index = EMU_REG_ZERO, scale = 0;
    unsigned disp = d->mod == 1 ? 1 : d->mod == 2 ? 4 : 0;
    unsigned seg;

    if ((d->modrm & 7) == 4) {
        unsigned sib = emu_decode_byte(d);

        index = ((sib >> 3) & 7) | (d->rex & 2 ? 8 : 0);
        if (index == 4)
            index = EMU_REG_ZERO;
        else
            scale = sib >> 6;
        base = (sib & 7) | (d->rex & 1 ? 8 : 0);
        if (d->mod == 0 && (sib & 7) == 5) {
            base = EMU_REG_ZERO;
            disp = 4;
        }
    } else if (d->mod == 0 && (d->modrm & 7) == 5) {
        base = d->cs64 ? EMU_REG_RIP : EMU_REG_ZERO;
        disp = 4;
    }
    if (disp != 0)
        d->insn->disp = emu_decode_imm(d, disp);
    seg = base == VSR_X86_RSP || base == VSR_X86_RBP ? VSR_X86_SS : VSR_X86_DS;
    set_mem(d, base, index, scale, seg);
}

void emu_decode_modrm(emu_decoder *d)
{
    if (d->has_modrm)
        return;
    d->has_modrm = true;
    d->modrm = emu_decode_byte(d);
    d->mod = d->modrm >> 6;
    d->reg = ((d->modrm >> 3) & 7) | (d->rex & 4 ? 8 : 0);
    d->rm = (d->modrm & 7) | (d->rex & 1 ? 8 : 0);
    if (d->mod == 3)
        return;
    if (d->asize == EMU_MEM_A16)
        modrm16(d);
    else
        modrm32(d);
}

static uint8_t number(const emu_decoder *d, unsigned n, unsigned opsize)
{
    return opsize == 1 ? emu_decode_reg8(d, n) : (uint8_t)n;
}

bool emu_decode_rm(emu_decoder *d, emu_op op, unsigned opsize)
{
    emu_decode_modrm(d);
    d->insn->op = (uint16_t)op;
    d->insn->opsize = (uint8_t)opsize;
    d->insn->reg = number(d, d->reg, opsize);
    if (d->mod == 3) {
        d->insn->form = EMU_FORM_RR;
        d->insn->rm = number(d, d->rm, opsize);
    } else {
        d->insn->form = EMU_FORM_RM;
    }
    return true;
}

bool emu_decode_mr(emu_decoder *d, emu_op op, unsigned opsize)
{
    emu_decode_modrm(d);
    d->insn->op = (uint16_t)op;
    d->insn->opsize = (uint8_t)opsize;
    if (d->mod == 3) {
        d->insn->form = EMU_FORM_RR;
        d->insn->reg = number(d, d->rm, opsize);
        d->insn->rm = number(d, d->reg, opsize);
    } else {
        d->insn->form = EMU_FORM_MR;
        d->insn->reg = number(d, d->reg, opsize);
    }
    return true;
}

bool emu_decode_m(emu_decoder *d, emu_op op, unsigned opsize)
{
    emu_decode_modrm(d);
    d->insn->op = (uint16_t)op;
    d->insn->opsize = (uint8_t)opsize;
    if (d->mod == 3) {
        d->insn->form = EMU_FORM_R;
        d->insn->reg = number(d, d->rm, opsize);
    } else {
        d->insn->form = EMU_FORM_M;
    }
    return true;
}

/* --- the whole instruction --- */

static bool lock_allowed(const emu_insn *insn)
{
    if (insn->form != EMU_FORM_M && insn->form != EMU_FORM_MR &&
        insn->form != EMU_FORM_MI)
        return false;
    switch (insn->op) {
    case EMU_OP_ADD:
    case EMU_OP_OR:
    case EMU_OP_ADC:
    case EMU_OP_SBB:
    case EMU_OP_AND:
    case EMU_OP_SUB:
    case EMU_OP_XOR:
    case EMU_OP_INC:
    case EMU_OP_DEC:
    case EMU_OP_NEG:
    case EMU_OP_NOT:
    case EMU_OP_BTS:
    case EMU_OP_BTR:
    case EMU_OP_BTC:
    case EMU_OP_XCHG:
    case EMU_OP_XADD:
    case EMU_OP_CMPXCHG:
    case EMU_OP_CMPXCHG8B:
    case EMU_OP_CMPXCHG16B:
        return true;
    default:
        return false;
    }
}

/* See EMU_I_FLAT32. */
static bool flat32(const emu_decoder *d)
{
    unsigned seg = d->insn->mem & EMU_MEM_SEG;

    if (!(d->mode & EMU_MODE_FLAT))
        return false;
    switch (d->insn->form) {
    case EMU_FORM_M:
    case EMU_FORM_RM:
    case EMU_FORM_MR:
    case EMU_FORM_MI:
        return d->asize == EMU_MEM_A32 &&
               (seg == VSR_X86_ES || seg == VSR_X86_SS || seg == VSR_X86_DS);
    default:
        return true;
    }
}

static bool ends_block(unsigned op)
{
    switch (op) {
    case EMU_OP_INVALID:
    case EMU_OP_POPF:
    case EMU_OP_JMP:
    case EMU_OP_CALL:
    case EMU_OP_RET:
    case EMU_OP_JCC:
    case EMU_OP_LOOP:
    case EMU_OP_LOOPE:
    case EMU_OP_LOOPNE:
    case EMU_OP_JCXZ:
    case EMU_OP_JMPF:
    case EMU_OP_CALLF:
    case EMU_OP_RETF:
    case EMU_OP_IRET:
    case EMU_OP_INT:
    case EMU_OP_INT3:
    case EMU_OP_INTO:
    case EMU_OP_ICEBP:
    case EMU_OP_SYSCALL:
    case EMU_OP_SYSRET:
    case EMU_OP_SYSENTER:
    case EMU_OP_SYSEXIT:
    case EMU_OP_RSM:
    case EMU_OP_HLT:
    case EMU_OP_POP_SEG:
    case EMU_OP_MOV_TO_SEG:
    case EMU_OP_LOADFAR:
    case EMU_OP_MOV_CR_R:
    case EMU_OP_MOV_DR_R:
    case EMU_OP_LMSW:
    case EMU_OP_CLTS:
    case EMU_OP_INVLPG:
    case EMU_OP_INVPCID:
    case EMU_OP_WRMSR:
    case EMU_OP_XSETBV:
    case EMU_OP_MWAIT:
    case EMU_OP_VMCALL:
    case EMU_OP_VMMCALL:
        return true;
    default:
        return false;
    }
}

/* Reads prefixes, fills d's view of them, returns the opcode's first byte. */
static uint8_t read_prefixes(emu_decoder *d)
{
    bool has67 = false;
    uint8_t rep = 0;

    for (;;) {
        uint8_t byte = emu_decode_byte(d);

        if (d->status != EMU_DECODE_OK)
            return byte;
        switch (byte) {
        case 0x66:
            d->has66 = true;
            break;
        case 0x67:
            has67 = true;
            break;
        case 0xf0:
            d->lock = true;
            break;
        case 0xf2:
        case 0xf3:
            rep = byte;
            break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
            if (!d->cs64)
                d->seg = (int8_t)((byte >> 3) & 3);
            break;
        case 0x64:
        case 0x65:
            d->seg = byte == 0x64 ? VSR_X86_FS : VSR_X86_GS;
            break;
        default:
            if (d->cs64 && (byte & 0xf0) == 0x40) {
                d->rex = byte; /* counts only right before the opcode */
                continue;
            }
            d->prefix = rep != 0 ? rep : d->has66 ? 0x66 : 0;
            if (d->cs64) {
                d->opsize = d->rex & 8 ? 8 : d->has66 ? 2 : 4;
                d->asize = has67 ? EMU_MEM_A32 : EMU_MEM_A64;
            } else {
                bool wide = d->mode & EMU_MODE_CS32;

                d->opsize = wide != d->has66 ? 4 : 2;
                d->asize = wide != has67 ? EMU_MEM_A32 : EMU_MEM_A16;
            }
            return byte;
        }
        d->rex = 0;
    }
}

emu_decode_status emu_decode(emu_insn *insn, const uint8_t *bytes,
                             unsigned avail, uint32_t mode, unsigned features,
                             unsigned off)
{
    emu_decoder d = {
        .insn = insn,
        .bytes = bytes,
        .avail = avail,
        .mode = mode,
        .cs64 = mode & EMU_MODE_CS64,
        .features = features,
        .seg = -1,
    };
    bool valid = false;
    uint8_t opcode;

    memset(insn, 0, sizeof *insn);
    insn->base = EMU_REG_ZERO;
    insn->index = EMU_REG_ZERO;
    insn->off = (uint16_t)off;

    opcode = read_prefixes(&d);
    if (d.status == EMU_DECODE_OK) {
        insn->flags = (d.has66 ? EMU_I_OP16 : 0) |
                      (d.rex & 8 ? EMU_I_REXW : 0) | (d.lock ? EMU_I_LOCK : 0);
        valid = emu_decode_1b(&d, opcode);
    }
    if (d.status != EMU_DECODE_OK)
        return d.status;
    insn->len = (uint8_t)d.pos;
    if (valid && d.lock && !lock_allowed(insn))
        valid = false;
    if (!valid) {
        insn->op = EMU_OP_INVALID;
        insn->form = EMU_FORM_N;
    }
    if (flat32(&d))
        insn->flags |= EMU_I_FLAT32;
    if (ends_block(insn->op))
        insn->flags |= EMU_I_ENDS;
    if (valid && d.has_modrm && d.mod != 3 && insn->base == EMU_REG_RIP) {
        int64_t disp = (int64_t)insn->disp + insn->len + off;

        if (disp > INT32_MAX) {
            if (off != 0)
                return EMU_DECODE_RESTART;
            /* The last 15 bytes of what 32 bits reach: not representable. */
            insn->op = EMU_OP_INVALID;
            insn->flags |= EMU_I_ENDS;
        }
        insn->disp = (int32_t)disp;
    }
    return EMU_DECODE_OK;
}

const char *emu_op_name(unsigned op)
{
    static const char *const names[EMU_OP_MAX] = {
        "INVALID",
#define EMU_OP(name) [EMU_OP_##name] = #name,
#include "drivers/emu/guest_x86_ops_fp.inc"
#include "drivers/emu/guest_x86_ops_int.inc"
#undef EMU_OP
    };

    return op < EMU_OP_MAX ? names[op] : names[EMU_OP_INVALID];
}
