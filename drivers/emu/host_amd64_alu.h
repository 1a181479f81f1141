/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host_amd64_alu.h: the guest's integer operations, done by an x86-64 host.
 *
 * Each function computes one instruction's result and leaves its flags, the
 * undefined ones as this host has them, in *cc (EMU_CC_* in
 * guest_x86_flags.h). Included through host_alu.h only; host_generic_alu.h has
 * the same functions in plain C.
 *
 * Three ways flags go in: not at all; CF only (bt); all six (add, sahf), for
 * instructions that keep some of them.
 *
 * Spec: Intel SDM vol. 2, the instructions' own pages, "Flags Affected".
 */
#ifndef VSR_DRIVERS_EMU_HOST_AMD64_ALU_H
#define VSR_DRIVERS_EMU_HOST_AMD64_ALU_H

#include <stdbool.h>
#include <stdint.h>

#define EMU_ASM_OUT "\n\tlahf\n\tseto %%al"
#define EMU_ASM_CF  "bt $8, %k0\n\t"
#define EMU_ASM_IN  "addb $127, %%al\n\tsahf\n\t"

/* dst op= src; all flags out. */
#define EMU_HOST_BINARY(op, bits, s, q)                               \
    static inline uint##bits##_t emu_##op##bits(                      \
        uint##bits##_t a, uint##bits##_t b, uint16_t *cc)             \
    {                                                                 \
        uint16_t f;                                                   \
                                                                      \
        __asm__(#op s " %2, %1" EMU_ASM_OUT                           \
                : "=a"(f), "+" q(a)                                   \
                : q "m"(b)                                            \
                : "cc");                                              \
        *cc = f;                                                      \
        return a;                                                     \
    }                                                                 \
    static inline void emu_lock_##op##bits(void *p, uint##bits##_t b, \
                                           uint16_t *cc)              \
    {                                                                 \
        uint16_t f;                                                   \
                                                                      \
        __asm__ volatile("lock " #op s " %2, %1" EMU_ASM_OUT          \
                         : "=a"(f), "+m"(*(uint##bits##_t *)p)        \
                         : q(b)                                       \
                         : "cc", "memory");                           \
        *cc = f;                                                      \
    }

/* dst op= src + CF */
#define EMU_HOST_CARRY(op, bits, s, q)                                  \
    static inline uint##bits##_t emu_##op##bits(                        \
        uint##bits##_t a, uint##bits##_t b, uint16_t *cc)               \
    {                                                                   \
        uint16_t f = *cc;                                               \
                                                                        \
        __asm__(EMU_ASM_CF #op s " %2, %1" EMU_ASM_OUT                  \
                : "+a"(f), "+" q(a)                                     \
                : q "m"(b)                                              \
                : "cc");                                                \
        *cc = f;                                                        \
        return a;                                                       \
    }                                                                   \
    static inline void emu_lock_##op##bits(void *p, uint##bits##_t b,   \
                                           uint16_t *cc)                \
    {                                                                   \
        uint16_t f = *cc;                                               \
                                                                        \
        __asm__ volatile(EMU_ASM_CF "lock " #op s " %2, %1" EMU_ASM_OUT \
                         : "+a"(f), "+m"(*(uint##bits##_t *)p)          \
                         : q(b)                                         \
                         : "cc", "memory");                             \
        *cc = f;                                                        \
    }

/* Flags only. */
#define EMU_HOST_COMPARE(op, bits, s, q)                                  \
    static inline void emu_##op##bits(uint##bits##_t a, uint##bits##_t b, \
                                      uint16_t *cc)                       \
    {                                                                     \
        uint16_t f;                                                       \
                                                                          \
        __asm__(#op s " %2, %1" EMU_ASM_OUT                               \
                : "=a"(f)                                                 \
                : q(a), q "m"(b)                                          \
                : "cc");                                                  \
        *cc = f;                                                          \
    }

/* NEG; INC and DEC keep CF. */
#define EMU_HOST_UNARY(op, bits, s, q)                              \
    static inline uint##bits##_t emu_##op##bits(uint##bits##_t a,   \
                                                uint16_t *cc)       \
    {                                                               \
        uint16_t f = *cc;                                           \
                                                                    \
        __asm__(EMU_ASM_CF #op s " %1" EMU_ASM_OUT                  \
                : "+a"(f), "+" q(a)                                 \
                :                                                   \
                : "cc");                                            \
        *cc = f;                                                    \
        return a;                                                   \
    }                                                               \
    static inline void emu_lock_##op##bits(void *p, uint16_t *cc)   \
    {                                                               \
        uint16_t f = *cc;                                           \
                                                                    \
        __asm__ volatile(EMU_ASM_CF "lock " #op s " %1" EMU_ASM_OUT \
                         : "+a"(f), "+m"(*(uint##bits##_t *)p)      \
                         :                                          \
                         : "cc", "memory");                         \
        *cc = f;                                                    \
    }

/* Shifts and rotates; the caller has dealt with a count of zero. */
#define EMU_HOST_SHIFT(op, bits, s, q)                                       \
    static inline uint##bits##_t emu_##op##bits(uint##bits##_t a,            \
                                                uint8_t count, uint16_t *cc) \
    {                                                                        \
        uint16_t f;                                                          \
                                                                             \
        __asm__(#op s " %%cl, %1" EMU_ASM_OUT                                \
                : "=a"(f), "+" q(a)                                          \
                : "c"(count)                                                 \
                : "cc");                                                     \
        *cc = f;                                                             \
        return a;                                                            \
    }
#define EMU_HOST_ROTATE(op, bits, s, q)                                      \
    static inline uint##bits##_t emu_##op##bits(uint##bits##_t a,            \
                                                uint8_t count, uint16_t *cc) \
    {                                                                        \
        uint16_t f = *cc;                                                    \
                                                                             \
        __asm__(EMU_ASM_IN #op s " %%cl, %1" EMU_ASM_OUT                     \
                : "+a"(f), "+" q(a)                                          \
                : "c"(count)                                                 \
                : "cc");                                                     \
        *cc = f;                                                             \
        return a;                                                            \
    }
#define EMU_HOST_DOUBLE_SHIFT(op, bits, s)                               \
    static inline uint##bits##_t emu_##op##bits(                         \
        uint##bits##_t a, uint##bits##_t b, uint8_t count, uint16_t *cc) \
    {                                                                    \
        uint16_t f;                                                      \
                                                                         \
        __asm__(#op s " %%cl, %2, %1" EMU_ASM_OUT                        \
                : "=a"(f), "+r"(a)                                       \
                : "r"(b), "c"(count)                                     \
                : "cc");                                                 \
        *cc = f;                                                         \
        return a;                                                        \
    }

#define EMU_HOST_ALL(bits, s, q)       \
    EMU_HOST_BINARY(add, bits, s, q)   \
    EMU_HOST_BINARY(sub, bits, s, q)   \
    EMU_HOST_BINARY(and, bits, s, q)   \
    EMU_HOST_BINARY(or, bits, s, q)    \
    EMU_HOST_BINARY(xor, bits, s, q)   \
    EMU_HOST_CARRY(adc, bits, s, q)    \
    EMU_HOST_CARRY(sbb, bits, s, q)    \
    EMU_HOST_COMPARE(cmp, bits, s, q)  \
    EMU_HOST_COMPARE(test, bits, s, q) \
    EMU_HOST_UNARY(neg, bits, s, q)    \
    EMU_HOST_UNARY(inc, bits, s, q)    \
    EMU_HOST_UNARY(dec, bits, s, q)    \
    EMU_HOST_SHIFT(shl, bits, s, q)    \
    EMU_HOST_SHIFT(shr, bits, s, q)    \
    EMU_HOST_SHIFT(sar, bits, s, q)    \
    EMU_HOST_ROTATE(rol, bits, s, q)   \
    EMU_HOST_ROTATE(ror, bits, s, q)   \
    EMU_HOST_ROTATE(rcl, bits, s, q)   \
    EMU_HOST_ROTATE(rcr, bits, s, q)

/* Two-operand IMUL; BSF and BSR keep `a` when `b` is 0, as AMD documents. */
#define EMU_HOST_WORD(bits, s)                                                 \
    EMU_HOST_DOUBLE_SHIFT(shld, bits, s)                                       \
    EMU_HOST_DOUBLE_SHIFT(shrd, bits, s)                                       \
    static inline uint##bits##_t emu_imul##bits(                               \
        uint##bits##_t a, uint##bits##_t b, uint16_t *cc)                      \
    {                                                                          \
        uint16_t f;                                                            \
                                                                               \
        __asm__("imul" s " %2, %1" EMU_ASM_OUT                                 \
                : "=a"(f), "+r"(a)                                             \
                : "rm"(b)                                                      \
                : "cc");                                                       \
        *cc = f;                                                               \
        return a;                                                              \
    }                                                                          \
    static inline uint##bits##_t emu_bsf##bits(uint##bits##_t a,               \
                                               uint##bits##_t b, uint16_t *cc) \
    {                                                                          \
        uint16_t f;                                                            \
                                                                               \
        __asm__("bsf" s " %2, %1" EMU_ASM_OUT                                  \
                : "=a"(f), "+r"(a)                                             \
                : "rm"(b)                                                      \
                : "cc");                                                       \
        *cc = f;                                                               \
        return a;                                                              \
    }                                                                          \
    static inline uint##bits##_t emu_bsr##bits(uint##bits##_t a,               \
                                               uint##bits##_t b, uint16_t *cc) \
    {                                                                          \
        uint16_t f;                                                            \
                                                                               \
        __asm__("bsr" s " %2, %1" EMU_ASM_OUT                                  \
                : "=a"(f), "+r"(a)                                             \
                : "rm"(b)                                                      \
                : "cc");                                                       \
        *cc = f;                                                               \
        return a;                                                              \
    }

/* `p` is 16-byte aligned; old[] is the value expected, then the value found. */
static inline bool emu_lock_cmpxchg16(void *p, uint64_t old[2],
                                      const uint64_t new_value[2])
{
    bool equal;

    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(equal), "+m"(*(uint64_t(*)[2])p), "+a"(old[0]),
                       "+d"(old[1])
                     : "b"(new_value[0]), "c"(new_value[1])
                     : "memory");
    return equal;
}

EMU_HOST_ALL(8, "b", "q")
EMU_HOST_ALL(16, "w", "r")
EMU_HOST_ALL(32, "l", "r")
EMU_HOST_ALL(64, "q", "r")
EMU_HOST_WORD(16, "w")
EMU_HOST_WORD(32, "l")
EMU_HOST_WORD(64, "q")

#undef EMU_HOST_BINARY
#undef EMU_HOST_CARRY
#undef EMU_HOST_COMPARE
#undef EMU_HOST_UNARY
#undef EMU_HOST_SHIFT
#undef EMU_HOST_ROTATE
#undef EMU_HOST_DOUBLE_SHIFT
#undef EMU_HOST_ALL
#undef EMU_HOST_WORD
#undef EMU_ASM_OUT
#undef EMU_ASM_CF
#undef EMU_ASM_IN

#endif
