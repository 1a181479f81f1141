/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host_generic_alu.h: the guest's integer operations in plain C, for hosts that
 * are no x86-64. Same functions as host_amd64_alu.h, included through
 * host_alu.h only.
 *
 * Flags that the manual leaves undefined come out as on AMD family 1Ah where
 * that is simple: logic clears AF, shifts set it, and OF of shifts and rotates
 * follows the rule for a count of 1.
 *
 * Spec: Intel SDM vol. 2, the instructions' own pages, "Flags Affected".
 */
#ifndef VSR_DRIVERS_EMU_HOST_GENERIC_ALU_H
#define VSR_DRIVERS_EMU_HOST_GENERIC_ALU_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "drivers/emu/guest_x86_flags.h"

static inline uint16_t emu_cc_if(bool yes, unsigned flag)
{
    return (uint16_t)(yes ? flag : 0);
}

#define EMU_TOP(bits, v)   ((v) >> ((bits)-1) & 1)
#define EMU_TOP_2(bits, v) ((v) >> ((bits)-2) & 1)

/* SF, ZF and PF of a result, CF and OF as given, AF by the three operands. */
#define EMU_GENERIC_FLAGS(bits)                                             \
    static inline uint16_t emu_cc##bits(uint##bits##_t r, bool cf, bool of, \
                                        bool af)                            \
    {                                                                       \
        return (                                                            \
            uint16_t)(emu_cc_if(EMU_TOP(bits, r), EMU_CC_SF) |              \
                      emu_cc_if(r == 0, EMU_CC_ZF) |                        \
                      emu_cc_if(!__builtin_parity((uint8_t)r), EMU_CC_PF) | \
                      emu_cc_if(cf, EMU_CC_CF) | emu_cc_if(of, EMU_CC_OF) | \
                      emu_cc_if(af, EMU_CC_AF));                            \
    }                                                                       \
    static inline uint##bits##_t emu_sum##bits(                             \
        uint##bits##_t a, uint##bits##_t b, bool carry, uint16_t *cc)       \
    {                                                                       \
        uint##bits##_t r = (uint##bits##_t)(a + b + carry);                 \
                                                                            \
        *cc = emu_cc##bits(r, carry ? r <= a : r < a,                       \
                           EMU_TOP(bits, (a ^ r) & (b ^ r)),                \
                           (a ^ b ^ r) & 0x10);                             \
        return r;                                                           \
    }                                                                       \
    static inline uint##bits##_t emu_difference##bits(                      \
        uint##bits##_t a, uint##bits##_t b, bool borrow, uint16_t *cc)      \
    {                                                                       \
        uint##bits##_t r = (uint##bits##_t)(a - b - borrow);                \
                                                                            \
        *cc = emu_cc##bits(r, borrow ? a <= b : a < b,                      \
                           EMU_TOP(bits, (a ^ b) & (a ^ r)),                \
                           (a ^ b ^ r) & 0x10);                             \
        return r;                                                           \
    }

#define EMU_GENERIC_BINARY(op, bits, expr)                                  \
    static inline uint##bits##_t emu_##op##bits(                            \
        uint##bits##_t a, uint##bits##_t b, uint16_t *cc)                   \
    {                                                                       \
        return expr;                                                        \
    }                                                                       \
    static inline void emu_lock_##op##bits(void *p, uint##bits##_t b,       \
                                           uint16_t *cc)                    \
    {                                                                       \
        uint16_t before = *cc;                                              \
        uint##bits##_t old =                                                \
            __atomic_load_n((uint##bits##_t *)p, __ATOMIC_RELAXED);         \
        uint##bits##_t r;                                                   \
                                                                            \
        do {                                                                \
            *cc = before;                                                   \
            r = emu_##op##bits(old, b, cc);                                 \
        } while (!__atomic_compare_exchange_n((uint##bits##_t *)p, &old, r, \
                                              false, __ATOMIC_SEQ_CST,      \
                                              __ATOMIC_RELAXED));           \
    }

#define EMU_GENERIC_LOGIC(op, bits, sign)                 \
    static inline uint##bits##_t emu_logic_##op##bits(    \
        uint##bits##_t a, uint##bits##_t b, uint16_t *cc) \
    {                                                     \
        uint##bits##_t r = (uint##bits##_t)(a sign b);    \
                                                          \
        *cc = emu_cc##bits(r, false, false, false);       \
        return r;                                         \
    }                                                     \
    EMU_GENERIC_BINARY(op, bits, emu_logic_##op##bits(a, b, cc))

#define EMU_GENERIC_UNARY(op, bits, expr, keep)                             \
    static inline uint##bits##_t emu_##op##bits(uint##bits##_t a,           \
                                                uint16_t *cc)               \
    {                                                                       \
        uint16_t kept = *cc & (keep);                                       \
        uint##bits##_t r = expr;                                            \
                                                                            \
        *cc = (uint16_t)((*cc & ~(keep)) | kept);                           \
        return r;                                                           \
    }                                                                       \
    static inline void emu_lock_##op##bits(void *p, uint16_t *cc)           \
    {                                                                       \
        uint16_t before = *cc;                                              \
        uint##bits##_t old =                                                \
            __atomic_load_n((uint##bits##_t *)p, __ATOMIC_RELAXED);         \
        uint##bits##_t r;                                                   \
                                                                            \
        do {                                                                \
            *cc = before;                                                   \
            r = emu_##op##bits(old, cc);                                    \
        } while (!__atomic_compare_exchange_n((uint##bits##_t *)p, &old, r, \
                                              false, __ATOMIC_SEQ_CST,      \
                                              __ATOMIC_RELAXED));           \
    }

/* Counts are 1..31 or 63, so they may exceed the width of bytes and words. */
#define EMU_GENERIC_SHIFT(bits)                                               \
    static inline uint##bits##_t emu_shl##bits(uint##bits##_t a,              \
                                               uint8_t count, uint16_t *cc)   \
    {                                                                         \
        uint##bits##_t r = count < (bits) ? (uint##bits##_t)(a << count) : 0; \
        bool cf = count <= (bits) && (a >> ((bits)-count) & 1);               \
                                                                              \
        *cc = emu_cc##bits(r, cf, cf != EMU_TOP(bits, r), true);              \
        return r;                                                             \
    }                                                                         \
    static inline uint##bits##_t emu_shr##bits(uint##bits##_t a,              \
                                               uint8_t count, uint16_t *cc)   \
    {                                                                         \
        uint##bits##_t r = count < (bits) ? (uint##bits##_t)(a >> count) : 0; \
        bool cf = count <= (bits) && (a >> (count - 1) & 1);                  \
                                                                              \
        *cc = emu_cc##bits(r, cf, EMU_TOP_2(bits, r), true);                  \
        return r;                                                             \
    }                                                                         \
    static inline uint##bits##_t emu_sar##bits(uint##bits##_t a,              \
                                               uint8_t count, uint16_t *cc)   \
    {                                                                         \
        unsigned n = count < (bits) ? count : (bits)-1;                       \
        uint##bits##_t r = (uint##bits##_t)((int##bits##_t)a >> n);           \
        bool cf = (int##bits##_t)a >> (count <= (bits) ? count - 1u : n) & 1; \
                                                                              \
        *cc = emu_cc##bits(r, cf, false, true);                               \
        return r;                                                             \
    }

#define EMU_GENERIC_ROTATED(cc, cf, of)                                       \
    (uint16_t)(((cc) & ~(EMU_CC_CF | EMU_CC_OF)) | emu_cc_if(cf, EMU_CC_CF) | \
               emu_cc_if(of, EMU_CC_OF))

#define EMU_GENERIC_ROTATE(bits)                                             \
    static inline uint##bits##_t emu_rol##bits(uint##bits##_t a,             \
                                               uint8_t count, uint16_t *cc)  \
    {                                                                        \
        unsigned n = count % (bits);                                         \
        uint##bits##_t r =                                                   \
            n == 0 ? a : (uint##bits##_t)(a << n | a >> ((bits)-n));         \
                                                                             \
        *cc = EMU_GENERIC_ROTATED(*cc, r & 1, (r & 1) != EMU_TOP(bits, r));  \
        return r;                                                            \
    }                                                                        \
    static inline uint##bits##_t emu_ror##bits(uint##bits##_t a,             \
                                               uint8_t count, uint16_t *cc)  \
    {                                                                        \
        unsigned n = count % (bits);                                         \
        uint##bits##_t r =                                                   \
            n == 0 ? a : (uint##bits##_t)(a >> n | a << ((bits)-n));         \
                                                                             \
        *cc = EMU_GENERIC_ROTATED(*cc, EMU_TOP(bits, r),                     \
                                  EMU_TOP(bits, r) != EMU_TOP_2(bits, r));   \
        return r;                                                            \
    }                                                                        \
    static inline uint##bits##_t emu_rcl##bits(uint##bits##_t a,             \
                                               uint8_t count, uint16_t *cc)  \
    {                                                                        \
        bool cf = *cc & EMU_CC_CF;                                           \
                                                                             \
        if (count % ((bits) + 1) == 0)                                       \
            return a;                                                        \
        for (unsigned n = count % ((bits) + 1); n > 0; n--) {                \
            bool out = EMU_TOP(bits, a);                                     \
                                                                             \
            a = (uint##bits##_t)(a << 1 | cf);                               \
            cf = out;                                                        \
        }                                                                    \
        *cc = EMU_GENERIC_ROTATED(*cc, cf, cf != EMU_TOP(bits, a));          \
        return a;                                                            \
    }                                                                        \
    static inline uint##bits##_t emu_rcr##bits(uint##bits##_t a,             \
                                               uint8_t count, uint16_t *cc)  \
    {                                                                        \
        bool cf = *cc & EMU_CC_CF;                                           \
                                                                             \
        if (count % ((bits) + 1) == 0)                                       \
            return a;                                                        \
        for (unsigned n = count % ((bits) + 1); n > 0; n--) {                \
            bool out = a & 1;                                                \
                                                                             \
            a = (uint##bits##_t)(a >> 1 | (uint##bits##_t)cf << ((bits)-1)); \
            cf = out;                                                        \
        }                                                                    \
        *cc = EMU_GENERIC_ROTATED(*cc, cf,                                   \
                                  EMU_TOP(bits, a) != EMU_TOP_2(bits, a));   \
        return a;                                                            \
    }

#define EMU_GENERIC_ALL(bits)                                              \
    EMU_GENERIC_FLAGS(bits)                                                \
    EMU_GENERIC_BINARY(add, bits, emu_sum##bits(a, b, false, cc))          \
    EMU_GENERIC_BINARY(adc, bits, emu_sum##bits(a, b, *cc &EMU_CC_CF, cc)) \
    EMU_GENERIC_BINARY(sub, bits, emu_difference##bits(a, b, false, cc))   \
    EMU_GENERIC_BINARY(sbb, bits,                                          \
                       emu_difference##bits(a, b, *cc &EMU_CC_CF, cc))     \
    EMU_GENERIC_LOGIC(and, bits, &)                                        \
    EMU_GENERIC_LOGIC(or, bits, |)                                         \
    EMU_GENERIC_LOGIC(xor, bits, ^)                                        \
    static inline void emu_cmp##bits(uint##bits##_t a, uint##bits##_t b,   \
                                     uint16_t *cc)                         \
    {                                                                      \
        emu_sub##bits(a, b, cc);                                           \
    }                                                                      \
    static inline void emu_test##bits(uint##bits##_t a, uint##bits##_t b,  \
                                      uint16_t *cc)                        \
    {                                                                      \
        emu_and##bits(a, b, cc);                                           \
    }                                                                      \
    EMU_GENERIC_UNARY(neg, bits, emu_sub##bits(0, a, cc), 0)               \
    EMU_GENERIC_UNARY(inc, bits, emu_add##bits(a, 1, cc), EMU_CC_CF)       \
    EMU_GENERIC_UNARY(dec, bits, emu_sub##bits(a, 1, cc), EMU_CC_CF)       \
    EMU_GENERIC_SHIFT(bits)                                                \
    EMU_GENERIC_ROTATE(bits)

/* SHLD, SHRD; words shifted by more than 16 are undefined: like by n - 16. */
#define EMU_GENERIC_DOUBLE(bits)                                               \
    static inline uint##bits##_t emu_shld##bits(                               \
        uint##bits##_t a, uint##bits##_t b, uint8_t count, uint16_t *cc)       \
    {                                                                          \
        unsigned n = count > (bits) ? count - (bits) : count;                  \
        uint##bits##_t r =                                                     \
            n == (bits) ? b : (uint##bits##_t)(a << n | b >> ((bits)-n));      \
                                                                               \
        *cc = emu_cc##bits(r, a >> ((bits)-n) & 1,                             \
                           EMU_TOP(bits, a) != EMU_TOP(bits, r), true);        \
        return r;                                                              \
    }                                                                          \
    static inline uint##bits##_t emu_shrd##bits(                               \
        uint##bits##_t a, uint##bits##_t b, uint8_t count, uint16_t *cc)       \
    {                                                                          \
        unsigned n = count > (bits) ? count - (bits) : count;                  \
        uint##bits##_t r =                                                     \
            n == (bits) ? b : (uint##bits##_t)(a >> n | b << ((bits)-n));      \
                                                                               \
        *cc = emu_cc##bits(r, a >> (n - 1) & 1,                                \
                           EMU_TOP(bits, a) != EMU_TOP(bits, r), true);        \
        return r;                                                              \
    }                                                                          \
    static inline uint##bits##_t emu_imul##bits(                               \
        uint##bits##_t a, uint##bits##_t b, uint16_t *cc)                      \
    {                                                                          \
        int##bits##_t r;                                                       \
        bool over =                                                            \
            __builtin_mul_overflow((int##bits##_t)a, (int##bits##_t)b, &r);    \
                                                                               \
        *cc = emu_cc##bits((uint##bits##_t)r, over, over, false);              \
        return (uint##bits##_t)r;                                              \
    }                                                                          \
    static inline uint##bits##_t emu_bsf##bits(uint##bits##_t a,               \
                                               uint##bits##_t b, uint16_t *cc) \
    {                                                                          \
        *cc = emu_cc_if(b == 0, EMU_CC_ZF);                                    \
        return b == 0 ? a : (uint##bits##_t)__builtin_ctzll(b);                \
    }                                                                          \
    static inline uint##bits##_t emu_bsr##bits(uint##bits##_t a,               \
                                               uint##bits##_t b, uint16_t *cc) \
    {                                                                          \
        *cc = emu_cc_if(b == 0, EMU_CC_ZF);                                    \
        return b == 0 ? a : (uint##bits##_t)(63 - __builtin_clzll(b));         \
    }

EMU_GENERIC_ALL(8)
EMU_GENERIC_ALL(16)
EMU_GENERIC_ALL(32)
EMU_GENERIC_ALL(64)
EMU_GENERIC_DOUBLE(16)
EMU_GENERIC_DOUBLE(32)
EMU_GENERIC_DOUBLE(64)

#ifdef __clang__
/* Without -mcx16 it is a call into libatomic, which is what we want. */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Watomic-alignment"
#endif

/* `p` is 16-byte aligned; old[] is the value expected, then the value found. */
static inline bool emu_lock_cmpxchg16(void *p, uint64_t old[2],
                                      const uint64_t new_value[2])
{
    __extension__ unsigned __int128 expected, desired;
    bool equal;

    memcpy(&expected, old, sizeof expected);
    memcpy(&desired, new_value, sizeof desired);
    equal = __atomic_compare_exchange((__typeof__(expected) *)p, &expected,
                                      &desired, false, __ATOMIC_SEQ_CST,
                                      __ATOMIC_SEQ_CST);
    memcpy(old, &expected, sizeof expected);
    return equal;
}

#ifdef __clang__
#pragma clang diagnostic pop
#endif

#undef EMU_TOP
#undef EMU_TOP_2
#undef EMU_GENERIC_FLAGS
#undef EMU_GENERIC_BINARY
#undef EMU_GENERIC_LOGIC
#undef EMU_GENERIC_UNARY
#undef EMU_GENERIC_SHIFT
#undef EMU_GENERIC_ROTATED
#undef EMU_GENERIC_ROTATE
#undef EMU_GENERIC_ALL
#undef EMU_GENERIC_DOUBLE

#endif
