/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_sse.h: what the MMX and SSE executors are made of.
 *
 * The host is an x86-64 too: the meaning of an instruction is the host's own
 * instruction on two of its XMM registers, in inline assembly so that the
 * compiler neither folds it nor swaps its operands (which NaN survives depends
 * on their order). MMX operations run on the low half of an XMM register.
 *
 * Handlers are named <op>_<kind>, kind one of
 *   x  XMM, XMM      xm  XMM, memory      q  MMX, MMX      qm  MMX, memory
 * and are made by the SSE_* macros below; a family's look-up function is a
 * switch over op of SSE_CASE_* lines.
 *
 * Spec: Intel SDM vol. 2, chapters 3 to 5; vol. 1, chapters 9 to 12.
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_EXEC_SSE_H
#define VSR_DRIVERS_EMU_GUEST_X86_EXEC_SSE_H

#include <emmintrin.h>

#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_flags.h"
#include "drivers/emu/guest_x86_fpstate.h"
#include "drivers/emu/host_amd64_imm.h"

#define SSE_HANDLER(name) \
    static const emu_insn *name(emu_cpu *cpu, const emu_insn *insn)

/* First thing in every handler. */
#define SSE_GATE()                             \
    do {                                       \
        if (G_UNLIKELY(cpu->sse_blocked != 0)) \
            emu_sse_fault(cpu, insn);          \
    } while (0)
#define MMX_GATE()                             \
    do {                                       \
        if (G_UNLIKELY(cpu->x87_blocked != 0)) \
            emu_mmx_fault(cpu, insn);          \
    } while (0)

/* --- registers --- */

static inline __m128i sse_get(const emu_cpu *cpu, unsigned r)
{
    return _mm_load_si128((const __m128i *)(const void *)&cpu->xmm[r]);
}

static inline void sse_put(emu_cpu *cpu, unsigned r, __m128i v)
{
    _mm_store_si128((__m128i *)(void *)&cpu->xmm[r], v);
}

static inline uint64_t mmx_get64(const emu_cpu *cpu, unsigned r)
{
    return cpu->x87.st[r].mantissa;
}

static inline __m128i mmx_get(const emu_cpu *cpu, unsigned r)
{
    return _mm_loadl_epi64((const __m128i *)(const void *)&cpu->x87.st[r]);
}

/* Every MMX instruction but EMMS: TOP = 0, all registers valid. */
static inline void mmx_touch(emu_cpu *cpu)
{
    cpu->x87.top = 0;
    cpu->x87.valid = 0xff;
}

static inline void mmx_put64(emu_cpu *cpu, unsigned r, uint64_t v)
{
    mmx_touch(cpu);
    cpu->x87.st[r].mantissa = v;
    cpu->x87.st[r].exponent = 0xffff;
}

static inline void mmx_put(emu_cpu *cpu, unsigned r, __m128i v)
{
    mmx_put64(cpu, r, (uint64_t)_mm_cvtsi128_si64(v));
}

/* --- memory --- */

/*
 * A memory operand of kind k, one of
 *   a  16 bytes, aligned or #GP    u  16 bytes     64, 32, 16  bits, the low
 *                                                  ones of the XMM value
 * has sse_load_k(), which does all there is to do, and for the short way
 * sse_host_k(), NULL when a gate is shut, the address not flat or not in the
 * TLB, and sse_at_k() to load from there. A handler that gets NULL goes on in
 * its own slow copy, so that the short way needs no stack frame.
 */

/* guest_x86_exec_sse.c */
void sse_load_slow(emu_cpu *cpu, const emu_insn *insn, uint64_t la, void *to);
void sse_store_slow(emu_cpu *cpu, const emu_insn *insn, uint64_t la, __m128i v);
_Noreturn void sse_misaligned(emu_cpu *cpu, const emu_insn *insn);

static inline __m128i sse_load_u(emu_cpu *cpu, const emu_insn *insn)
{
    __m128i v;

    sse_load_slow(cpu, insn, emu_ea(cpu, insn, 16, EMU_READ), &v);
    return v;
}

static inline __m128i sse_load_a(emu_cpu *cpu, const emu_insn *insn)
{
    uint64_t la = emu_ea(cpu, insn, 16, EMU_READ);
    __m128i v;

    if (la & 15)
        sse_misaligned(cpu, insn);
    sse_load_slow(cpu, insn, la, &v);
    return v;
}

static inline __m128i sse_load_64(emu_cpu *cpu, const emu_insn *insn)
{
    return _mm_cvtsi64_si128(
        (long long)emu_load64(cpu, insn, emu_ea(cpu, insn, 8, EMU_READ)));
}

static inline __m128i sse_load_32(emu_cpu *cpu, const emu_insn *insn)
{
    return _mm_cvtsi32_si128(
        (int)emu_load32(cpu, insn, emu_ea(cpu, insn, 4, EMU_READ)));
}

static inline __m128i sse_load_16(emu_cpu *cpu, const emu_insn *insn)
{
    return _mm_cvtsi32_si128(
        emu_load16(cpu, insn, emu_ea(cpu, insn, 2, EMU_READ)));
}

static inline __m128i sse_at_u(const void *p)
{
    return _mm_loadu_si128(p);
}

static inline __m128i sse_at_a(const void *p)
{
    return _mm_loadu_si128(p);
}

static inline __m128i sse_at_64(const void *p)
{
    return _mm_loadl_epi64(p);
}

static inline __m128i sse_at_32(const void *p)
{
    int32_t v;

    memcpy(&v, p, sizeof v);
    return _mm_cvtsi32_si128(v);
}

static inline __m128i sse_at_16(const void *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return _mm_cvtsi32_si128(v);
}

/* `keep`: address bits that must equal the tag: the page, and 15 when the
 * operand must be aligned; `last`: distance of its last byte (aligned: 0). */
static inline void *sse_host(emu_cpu *cpu, const emu_insn *insn, unsigned last,
                             uint64_t keep, bool write)
{
    const emu_tlb_entry *e;
    uint64_t la;

    if (G_UNLIKELY(cpu->sse_blocked != 0))
        return NULL;
    la = emu_offset(cpu, insn);
    if (G_UNLIKELY(!(insn->mem & EMU_MEM_FLAT))) {
        if (!(insn->flags & EMU_I_FLAT32))
            return NULL;
        la = (uint32_t)la;
    }
    e = emu_tlb_at(cpu, la);
    if (G_UNLIKELY(((la + last) & keep) !=
                   (write ? e->write_tag : e->read_tag)))
        return NULL;
    return (void *)(uintptr_t)(la + e->addend);
}

/* Likewise sse_store_k() and sse_hostw_k(), sse_to_k(). */
static inline void sse_store_u(emu_cpu *cpu, const emu_insn *insn, __m128i v)
{
    sse_store_slow(cpu, insn, emu_ea(cpu, insn, 16, EMU_WRITE), v);
}

static inline void sse_store_a(emu_cpu *cpu, const emu_insn *insn, __m128i v)
{
    uint64_t la = emu_ea(cpu, insn, 16, EMU_WRITE);

    if (la & 15)
        sse_misaligned(cpu, insn);
    sse_store_slow(cpu, insn, la, v);
}

static inline void sse_store_64(emu_cpu *cpu, const emu_insn *insn, __m128i v)
{
    emu_store64(cpu, insn, emu_ea(cpu, insn, 8, EMU_WRITE),
                (uint64_t)_mm_cvtsi128_si64(v));
}

static inline void sse_store_32(emu_cpu *cpu, const emu_insn *insn, __m128i v)
{
    emu_store32(cpu, insn, emu_ea(cpu, insn, 4, EMU_WRITE),
                (uint32_t)_mm_cvtsi128_si32(v));
}

static inline void sse_to_u(void *p, __m128i v)
{
    _mm_storeu_si128(p, v);
}

static inline void sse_to_a(void *p, __m128i v)
{
    _mm_storeu_si128(p, v);
}

static inline void sse_to_64(void *p, __m128i v)
{
    _mm_storel_epi64(p, v);
}

static inline void sse_to_32(void *p, __m128i v)
{
    int32_t n = _mm_cvtsi128_si32(v);

    memcpy(p, &n, sizeof n);
}

#define sse_host_a(cpu, insn)   sse_host(cpu, insn, 0, EMU_PAGE_MASK | 15, false)
#define sse_host_u(cpu, insn)   sse_host(cpu, insn, 15, EMU_PAGE_MASK, false)
#define sse_host_64(cpu, insn)  sse_host(cpu, insn, 7, EMU_PAGE_MASK, false)
#define sse_host_32(cpu, insn)  sse_host(cpu, insn, 3, EMU_PAGE_MASK, false)
#define sse_host_16(cpu, insn)  sse_host(cpu, insn, 1, EMU_PAGE_MASK, false)
#define sse_hostw_a(cpu, insn)  sse_host(cpu, insn, 0, EMU_PAGE_MASK | 15, true)
#define sse_hostw_u(cpu, insn)  sse_host(cpu, insn, 15, EMU_PAGE_MASK, true)
#define sse_hostw_64(cpu, insn) sse_host(cpu, insn, 7, EMU_PAGE_MASK, true)
#define sse_hostw_32(cpu, insn) sse_host(cpu, insn, 3, EMU_PAGE_MASK, true)

/* --- the operation itself --- */

/* do: a = f(a, b), maybe with an immediate of insn. `text` is the mnemonic. */
#define SSE_DO2(name, text)                                  \
    static inline __m128i name##_do(__m128i a, __m128i b,    \
                                    const emu_insn *insn)    \
    {                                                        \
        __asm__ volatile(text " %1, %0" : "+x"(a) : "x"(b)); \
        return a;                                            \
    }
/* do: f(b); the old value of the destination does not matter. */
#define SSE_DO1(name, text)                                  \
    static inline __m128i name##_do(__m128i a, __m128i b,    \
                                    const emu_insn *insn)    \
    {                                                        \
        (void)a;                                             \
        __asm__ volatile(text " %1, %0" : "=x"(a) : "x"(b)); \
        return a;                                            \
    }

/* do: with the immediate, through the host's stubs. */
#define SSE_DO_IMM(name, op)                              \
    static inline __m128i name##_do(__m128i a, __m128i b, \
                                    const emu_insn *insn) \
    {                                                     \
        return host_##op(a, b, (uint8_t)insn->imm);       \
    }

/* --- handlers --- */

#define SSE_SLOW(name)                                     \
    static const emu_insn *__attribute__((noinline, cold)) \
    name(emu_cpu *cpu, const emu_insn *insn)

/* Integer: no exception of its own. */
#define SSE_X(name)                                                            \
    SSE_HANDLER(name##_x)                                                      \
    {                                                                          \
        SSE_GATE();                                                            \
        sse_put(                                                               \
            cpu, insn->reg,                                                    \
            name##_do(sse_get(cpu, insn->reg), sse_get(cpu, insn->rm), insn)); \
        EMU_NEXT(cpu, insn);                                                   \
    }
#define SSE_XM(name, kind)                                                    \
    SSE_SLOW(name##_xm_slow)                                                  \
    {                                                                         \
        __m128i v;                                                            \
                                                                              \
        SSE_GATE();                                                           \
        v = sse_load_##kind(cpu, insn);                                       \
        sse_put(cpu, insn->reg, name##_do(sse_get(cpu, insn->reg), v, insn)); \
        EMU_NEXT(cpu, insn);                                                  \
    }                                                                         \
    SSE_HANDLER(name##_xm)                                                    \
    {                                                                         \
        const void *p = sse_host_##kind(cpu, insn);                           \
                                                                              \
        if (G_UNLIKELY(p == NULL))                                            \
            return name##_xm_slow(cpu, insn);                                 \
        sse_put(cpu, insn->reg,                                               \
                name##_do(sse_get(cpu, insn->reg), sse_at_##kind(p), insn));  \
        EMU_NEXT(cpu, insn);                                                  \
    }

/* The store of a part of register `reg` that `part` gets from its value. */
#define SSE_MR(name, kind, part)                                    \
    SSE_SLOW(name##_mr_slow)                                        \
    {                                                               \
        SSE_GATE();                                                 \
        sse_store_##kind(cpu, insn, part(sse_get(cpu, insn->reg))); \
        EMU_NEXT(cpu, insn);                                        \
    }                                                               \
    SSE_HANDLER(name##_mr)                                          \
    {                                                               \
        void *p = sse_hostw_##kind(cpu, insn);                      \
                                                                    \
        if (G_UNLIKELY(p == NULL))                                  \
            return name##_mr_slow(cpu, insn);                       \
        sse_to_##kind(p, part(sse_get(cpu, insn->reg)));            \
        EMU_NEXT(cpu, insn);                                        \
    }

/* Floating point: with an exception unmasked, the slow copy looks at the flags
 * before it stores the result. */
#define SSE_TRAP()                         \
    do {                                   \
        if (cpu->sse_trap)                 \
            emu_sse_trap_check(cpu, insn); \
    } while (0)
#define SSE_FLOAT_X(name)                                                      \
    SSE_SLOW(name##_x_slow)                                                    \
    {                                                                          \
        __m128i v;                                                             \
                                                                               \
        SSE_GATE();                                                            \
        v = name##_do(sse_get(cpu, insn->reg), sse_get(cpu, insn->rm), insn);  \
        SSE_TRAP();                                                            \
        sse_put(cpu, insn->reg, v);                                            \
        EMU_NEXT(cpu, insn);                                                   \
    }                                                                          \
    SSE_HANDLER(name##_x)                                                      \
    {                                                                          \
        if (G_UNLIKELY(cpu->sse_blocked | cpu->sse_trap))                      \
            return name##_x_slow(cpu, insn);                                   \
        sse_put(                                                               \
            cpu, insn->reg,                                                    \
            name##_do(sse_get(cpu, insn->reg), sse_get(cpu, insn->rm), insn)); \
        EMU_NEXT(cpu, insn);                                                   \
    }
#define SSE_FLOAT_XM(name, kind)                                             \
    SSE_SLOW(name##_xm_slow)                                                 \
    {                                                                        \
        __m128i v;                                                           \
                                                                             \
        SSE_GATE();                                                          \
        v = sse_load_##kind(cpu, insn);                                      \
        v = name##_do(sse_get(cpu, insn->reg), v, insn);                     \
        SSE_TRAP();                                                          \
        sse_put(cpu, insn->reg, v);                                          \
        EMU_NEXT(cpu, insn);                                                 \
    }                                                                        \
    SSE_HANDLER(name##_xm)                                                   \
    {                                                                        \
        const void *p = sse_host_##kind(cpu, insn);                          \
                                                                             \
        if (G_UNLIKELY(p == NULL || cpu->sse_trap))                          \
            return name##_xm_slow(cpu, insn);                                \
        sse_put(cpu, insn->reg,                                              \
                name##_do(sse_get(cpu, insn->reg), sse_at_##kind(p), insn)); \
        EMU_NEXT(cpu, insn);                                                 \
    }

/* MMX; `fn` is the operation on XMM values. */
#define SSE_Q(name, fn)                                                     \
    SSE_HANDLER(name##_q)                                                   \
    {                                                                       \
        MMX_GATE();                                                         \
        mmx_put(cpu, insn->reg,                                             \
                fn(mmx_get(cpu, insn->reg), mmx_get(cpu, insn->rm), insn)); \
        EMU_NEXT(cpu, insn);                                                \
    }
#define SSE_QM(name, fn, kind)                                         \
    SSE_HANDLER(name##_qm)                                             \
    {                                                                  \
        __m128i v;                                                     \
                                                                       \
        MMX_GATE();                                                    \
        v = sse_load_##kind(cpu, insn);                                \
        mmx_put(cpu, insn->reg, fn(mmx_get(cpu, insn->reg), v, insn)); \
        EMU_NEXT(cpu, insn);                                           \
    }

/* An integer operation for XMM, and one for XMM and MMX alike. */
#define SSE_INT_X(name, text) \
    SSE_DO2(name, text)       \
    SSE_X(name)               \
    SSE_XM(name, a)
#define SSE_INT(name, text) \
    SSE_INT_X(name, text)   \
    SSE_Q(name, name##_do)  \
    SSE_QM(name, name##_do, 64)

/* --- look-up --- */

static inline emu_exec_fn *sse_pick(const emu_insn *insn, emu_exec_fn *x,
                                    emu_exec_fn *xm, emu_exec_fn *q,
                                    emu_exec_fn *qm)
{
    if (insn->form == EMU_FORM_RR)
        return insn->opsize == 8 && q != NULL ? q : x;
    if (insn->form == EMU_FORM_RM)
        return insn->opsize == 8 && q != NULL ? qm : xm;
    return NULL;
}

/* XMM only (any opsize); XMM and MMX (opsize 8). */
#define SSE_CASE_X(op, name) \
    case EMU_OP_##op:        \
        return sse_pick(insn, name##_x, name##_xm, NULL, NULL)
#define SSE_CASE_XQ(op, name) \
    case EMU_OP_##op:         \
        return sse_pick(insn, name##_x, name##_xm, name##_q, name##_qm)

/* One look-up for each file; NULL: not mine. */
emu_exec_fn *emu_find_sse_move(const emu_insn *insn);
emu_exec_fn *emu_find_sse_int(const emu_insn *insn);
emu_exec_fn *emu_find_sse_shuffle(const emu_insn *insn);
emu_exec_fn *emu_find_sse_float(const emu_insn *insn);
emu_exec_fn *emu_find_sse_convert(const emu_insn *insn);
emu_exec_fn *emu_find_sse_ssse3(const emu_insn *insn);
emu_exec_fn *emu_find_sse_sse4(const emu_insn *insn);
emu_exec_fn *emu_find_sse_string(const emu_insn *insn);
emu_exec_fn *emu_find_sse_crypto(const emu_insn *insn);
uint32_t emu_sse_crypto_optional(void); /* EMU_SSE_HAS_AES, PCLMUL, SHA */

#endif
