/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_fxsave.c: FXSAVE, XSAVE and their restores, LDMXCSR, STMXCSR, and
 * the same image for vcpu_get and vcpu_set.
 *
 * The code and data segment selectors of the last x87 instruction read as 0
 * (CPUID leaf 7, EBX bit 13). XSAVEOPT saves as XSAVE does.
 *
 * Spec: Intel SDM vol. 1, 10.5 "FXSAVE and FXRSTOR Instructions", 13.4 "XSAVE
 *       Area", 13.7 to 13.9 "Operation of XSAVE, XRSTOR, XSAVEOPT"; vol. 2 by
 *       mnemonic.
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_fpstate.h"

/* As X87_HANDLER: the areas on the stack are gone before the jump. */
#define HANDLER(name)                                                   \
    static inline void name##_body(emu_cpu *cpu, const emu_insn *insn); \
    static const emu_insn *name(emu_cpu *cpu, const emu_insn *insn)     \
    {                                                                   \
        name##_body(cpu, insn);                                         \
        EMU_NEXT(cpu, insn);                                            \
    }                                                                   \
    static inline void name##_body(emu_cpu *cpu, const emu_insn *insn)

/* The legacy region, and XSAVE's header behind it. */
typedef struct {
    uint16_t cw;
    uint16_t sw;
    uint8_t tags; /* bit n: physical register n is not empty */
    uint8_t zero;
    uint16_t fop;
    uint64_t fip; /* 32-bit layout: FIP, FCS */
    uint64_t fdp;
    uint32_t mxcsr;
    uint32_t mxcsr_mask;
    struct {
        uint64_t mantissa;
        uint16_t exponent;
        uint16_t zero[3];
    } st[8]; /* ST(0) first */
    uint8_t xmm[16][16];
    uint8_t unused[96];
} fx_area;

typedef struct {
    uint64_t xstate_bv;
    uint64_t xcomp_bv;
    uint64_t reserved[6];
} xsave_header;

_Static_assert(sizeof(fx_area) == EMU_FXSAVE_LEN, "legacy region");
_Static_assert(offsetof(fx_area, xmm) == 160, "legacy region");
_Static_assert(sizeof(fx_area) + sizeof(xsave_header) == EMU_XSAVE_LEN,
               "XSAVE area");

enum { MXCSR_AT = 24, ST_AT = 32, XMM_AT = 160 };

/* --- between the area and the CPU --- */

static void x87_to_area(const emu_cpu *cpu, fx_area *a, bool wide)
{
    const emu_x87 *x87 = &cpu->x87;

    a->cw = x87->cw;
    a->sw = emu_x87_sw(cpu);
    a->tags = x87->valid;
    a->zero = 0;
    a->fop = x87->fop;
    a->fip = wide ? x87->fip : (uint32_t)x87->fip;
    a->fdp = wide ? x87->fdp : (uint32_t)x87->fdp;
    memset(a->st, 0, sizeof a->st);
    for (unsigned i = 0; i < 8; i++) {
        const emu_f80 *r = &x87->st[(x87->top + i) & 7];

        a->st[i].mantissa = r->mantissa;
        a->st[i].exponent = r->exponent;
    }
}

static void x87_from_area(emu_cpu *cpu, const fx_area *a, bool wide)
{
    emu_x87 *x87 = &cpu->x87;

    x87->valid = a->tags;
    x87->fop = a->fop & 0x7ff;
    x87->fip = wide ? a->fip : (uint32_t)a->fip;
    x87->fdp = wide ? a->fdp : (uint32_t)a->fdp;
    emu_x87_set_cw(cpu, a->cw);
    emu_x87_set_sw(cpu, a->sw);
    for (unsigned i = 0; i < 8; i++) {
        emu_f80 *r = &x87->st[(x87->top + i) & 7];

        r->mantissa = a->st[i].mantissa;
        r->exponent = a->st[i].exponent;
    }
}

static void mxcsr_to_area(const emu_cpu *cpu, fx_area *a)
{
    a->mxcsr = emu_mxcsr(cpu);
    a->mxcsr_mask = EMU_MXCSR_VALID;
}

static unsigned xmm_bytes(const emu_cpu *cpu)
{
    return cpu->mode & EMU_MODE_CS64 ? 256 : 128;
}

/* --- FXSAVE, FXRSTOR --- */

static uint64_t fx_address(emu_cpu *cpu, const emu_insn *insn,
                           emu_access access)
{
    uint64_t la;

    if (cpu->x87_blocked & (EMU_FP_EM | EMU_FP_TS))
        emu_raise(cpu, insn, EMU_NM);
    la = emu_ea(cpu, insn, EMU_FXSAVE_LEN, access);
    if (la & 15)
        emu_raise_code(cpu, insn, EMU_GP, 0);
    return la;
}

HANDLER(fxsave)
{
    uint64_t la = fx_address(cpu, insn, EMU_WRITE);
    fx_area a;

    x87_to_area(cpu, &a, insn->flags & EMU_I_REXW);
    mxcsr_to_area(cpu, &a);
    memcpy(a.xmm, cpu->xmm, sizeof a.xmm);
    emu_store_bytes(cpu, insn, la, &a, XMM_AT + xmm_bytes(cpu));
}

HANDLER(fxrstor)
{
    uint64_t la = fx_address(cpu, insn, EMU_READ);
    fx_area a;

    emu_load_bytes(cpu, insn, la, &a, sizeof a);
    if (a.mxcsr & ~(uint32_t)EMU_MXCSR_VALID)
        emu_raise_code(cpu, insn, EMU_GP, 0);
    x87_from_area(cpu, &a, insn->flags & EMU_I_REXW);
    emu_mxcsr_set(cpu, a.mxcsr);
    memcpy(cpu->xmm, a.xmm, xmm_bytes(cpu));
}

/* --- XSAVE, XRSTOR --- */

static uint64_t xsave_address(emu_cpu *cpu, const emu_insn *insn,
                              emu_access access)
{
    uint64_t la;

    if (!(cpu->cr4 & EMU_CR4_OSXSAVE))
        emu_raise(cpu, insn, EMU_UD);
    if (cpu->cr0 & EMU_CR0_TS)
        emu_raise(cpu, insn, EMU_NM);
    la = emu_ea(cpu, insn, EMU_XSAVE_LEN, access);
    if (la & 63)
        emu_raise_code(cpu, insn, EMU_GP, 0);
    return la;
}

/* RFBM: what EDX:EAX asks for and XCR0 enables. */
static uint64_t requested(const emu_cpu *cpu)
{
    return ((uint64_t)(uint32_t)cpu->regs[VSR_X86_RDX] << 32 |
            (uint32_t)cpu->regs[VSR_X86_RAX]) &
           cpu->xcr0;
}

HANDLER(xsave)
{
    uint64_t la = xsave_address(cpu, insn, EMU_WRITE);
    uint64_t rfbm = requested(cpu);
    uint64_t xstate_bv;
    fx_area a;

    emu_load_bytes(cpu, insn, la + EMU_FXSAVE_LEN, &xstate_bv, 8);
    if (rfbm & EMU_XSTATE_X87) {
        x87_to_area(cpu, &a, insn->flags & EMU_I_REXW);
        emu_store_bytes(cpu, insn, la, &a, MXCSR_AT);
        emu_store_bytes(cpu, insn, la + ST_AT, a.st, sizeof a.st);
    }
    if (rfbm & EMU_XSTATE_SSE) {
        mxcsr_to_area(cpu, &a);
        emu_store_bytes(cpu, insn, la + MXCSR_AT, &a.mxcsr, 8);
        emu_store_bytes(cpu, insn, la + XMM_AT, cpu->xmm, xmm_bytes(cpu));
    }
    xstate_bv = (xstate_bv & ~rfbm) | (rfbm & EMU_XSTATE_ALL);
    emu_store_bytes(cpu, insn, la + EMU_FXSAVE_LEN, &xstate_bv, 8);
}

static void x87_to_initial(emu_cpu *cpu)
{
    memset(cpu->x87.st, 0, sizeof cpu->x87.st);
    emu_x87_init(cpu);
}

HANDLER(xrstor)
{
    uint64_t la = xsave_address(cpu, insn, EMU_READ);
    uint64_t rfbm = requested(cpu);
    struct {
        fx_area a;
        xsave_header h;
    } x;

    emu_load_bytes(cpu, insn, la, &x, sizeof x);
    /* No compacted form: XCOMP_BV is 0, and so is what follows it. */
    if ((x.h.xstate_bv & ~cpu->xcr0) != 0 || x.h.xcomp_bv != 0 ||
        x.h.reserved[0] != 0)
        emu_raise_code(cpu, insn, EMU_GP, 0);
    if ((rfbm & EMU_XSTATE_SSE) && (x.a.mxcsr & ~(uint32_t)EMU_MXCSR_VALID))
        emu_raise_code(cpu, insn, EMU_GP, 0);

    if (rfbm & EMU_XSTATE_X87) {
        if (x.h.xstate_bv & EMU_XSTATE_X87)
            x87_from_area(cpu, &x.a, insn->flags & EMU_I_REXW);
        else
            x87_to_initial(cpu);
    }
    if (rfbm & EMU_XSTATE_SSE) {
        /* MXCSR comes from memory even if the registers are initial. */
        emu_mxcsr_set(cpu, x.a.mxcsr);
        if (x.h.xstate_bv & EMU_XSTATE_SSE)
            memcpy(cpu->xmm, x.a.xmm, xmm_bytes(cpu));
        else
            memset(cpu->xmm, 0, xmm_bytes(cpu));
    }
}

/* --- MXCSR alone --- */

HANDLER(ldmxcsr)
{
    uint32_t value;

    if (G_UNLIKELY(cpu->sse_blocked != 0))
        emu_sse_fault(cpu, insn);
    value = emu_load32(cpu, insn, emu_ea(cpu, insn, 4, EMU_READ));
    if (value & ~(uint32_t)EMU_MXCSR_VALID)
        emu_raise_code(cpu, insn, EMU_GP, 0);
    emu_mxcsr_set(cpu, value);
}

HANDLER(stmxcsr)
{
    if (G_UNLIKELY(cpu->sse_blocked != 0))
        emu_sse_fault(cpu, insn);
    emu_store32(cpu, insn, emu_ea(cpu, insn, 4, EMU_WRITE), emu_mxcsr(cpu));
}

emu_exec_fn *emu_exec_find_fpstate(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_FXSAVE:
        return fxsave;
    case EMU_OP_FXRSTOR:
        return fxrstor;
    case EMU_OP_XSAVE:
    case EMU_OP_XSAVEOPT:
        return xsave;
    case EMU_OP_XRSTOR:
        return xrstor;
    case EMU_OP_LDMXCSR:
        return ldmxcsr;
    case EMU_OP_STMXCSR:
        return stmxcsr;
    default:
        return NULL;
    }
}

/* --- vcpu_get, vcpu_set --- */

void emu_xsave_image(const emu_cpu *cpu, uint8_t *to)
{
    xsave_header h = { .xstate_bv = EMU_XSTATE_ALL };
    fx_area a;

    memset(&a, 0, sizeof a);
    x87_to_area(cpu, &a, true);
    mxcsr_to_area(cpu, &a);
    memcpy(a.xmm, cpu->xmm, sizeof a.xmm);
    memcpy(to, &a, sizeof a);
    memcpy(to + sizeof a, &h, sizeof h);
}

bool emu_xsave_restore(emu_cpu *cpu, const uint8_t *from, uint32_t len)
{
    xsave_header h;
    fx_area a;

    if (len < EMU_XSAVE_LEN)
        return false;
    memcpy(&a, from, sizeof a);
    memcpy(&h, from + sizeof a, sizeof h);
    if ((h.xstate_bv & ~(uint64_t)EMU_XSTATE_ALL) != 0 || h.xcomp_bv != 0)
        return false;
    /* With SSE initial, another engine may leave MXCSR unwritten. */
    if (!(h.xstate_bv & EMU_XSTATE_SSE) && a.mxcsr == 0)
        a.mxcsr = EMU_MXCSR_RESET;
    if (a.mxcsr & ~(uint32_t)EMU_MXCSR_VALID)
        return false;

    if (h.xstate_bv & EMU_XSTATE_X87)
        x87_from_area(cpu, &a, true);
    else
        x87_to_initial(cpu);
    if (h.xstate_bv & EMU_XSTATE_SSE)
        memcpy(cpu->xmm, a.xmm, sizeof cpu->xmm);
    else
        memset(cpu->xmm, 0, sizeof cpu->xmm);
    emu_mxcsr_set(cpu, a.mxcsr);
    return true;
}
