/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_cpu.c: what a processor computes, and how its exceptions arrive.
 *
 * Spec: Intel SDM vol. 3A, 6.15 "Exception and Interrupt Reference".
 */
#include "probe.h"

/* Notes the place of the instruction and of what follows it. */
#define CATCH(instruction, ...)                                    \
    __asm__ volatile("leaq 1f(%%rip), %%r10\n\tmovq %%r10, %0\n\t" \
                     "leaq 2f(%%rip), %%r10\n\tmovq %%r10, %1\n\t" \
                     "1: " instruction "\n2:"                      \
                     : "=m"(fault.at), "=m"(fault.resume)          \
                     : __VA_ARGS__                                 \
                     : "r10", "memory", "cc")

static u64 data[512];

/* --- integers --- */

static u64 mix(u64 sum, u64 value)
{
    sum = (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 29;
}

static u64 arithmetic(void)
{
    u64 sum = 0, x = UINT64_C(0x123456789abcdef);

    for (u32 i = 1; i <= 2000; i++) {
        u64 low, high, flags;

        x = x * 6364136223846793005u + i;
        __asm__("mulq %3" : "=a"(low), "=d"(high) : "a"(x), "r"(~x));
        sum = mix(mix(sum, low), high);
        __asm__("divq %4"
                : "=a"(low), "=d"(high)
                : "a"(x), "d"((u64)i), "r"(x | UINT64_C(1) << 63));
        sum = mix(mix(sum, low), high);
        __asm__("addq %2, %0; pushfq; popq %1"
                : "+r"(low), "=r"(flags)
                : "r"(x)
                : "cc");
        sum = mix(mix(sum, low), flags & 0x8d5);
        __asm__("rorq %%cl, %0; bswapq %0" : "+r"(low) : "c"(i & 63) : "cc");
        sum = mix(sum, low);
    }
    return sum;
}

static u64 bits(void)
{
    u64 sum = 0, x = UINT64_C(0xfedcba9876543210);

    for (u32 i = 0; i < 1000; i++) {
        u64 a, b;
        u8 carry;

        x = x * 6364136223846793005u + 1;
        __asm__("bsfq %2, %0; bsrq %2, %1"
                : "=&r"(a), "=&r"(b)
                : "r"(x | 0x100)
                : "cc");
        sum = mix(sum, a * 64 + b);
        __asm__("btcq %3, %0; setc %1; shldq $7, %2, %0"
                : "+r"(a), "=q"(carry)
                : "r"(x), "r"((u64)i & 63)
                : "cc");
        sum = mix(sum, a + carry);
        __asm__("cmpxchgq %2, %1; setz %0"
                : "=q"(carry), "+m"(data[0])
                : "r"(x), "a"(data[0] + (i & 1))
                : "cc");
        sum = mix(sum, data[0] + carry);
    }
    return sum;
}

static u64 strings(void)
{
    u64 sum = 0;
    u8 *at = (u8 *)data;
    const void *from = data;
    void *to;
    u64 n;

    for (unsigned i = 0; i < sizeof data; i++)
        at[i] = (u8)(i * 7 + (i >> 5));
    to = at + 1024;
    n = 1000;
    __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(n) : : "memory");
    sum = mix(sum, (u64)to - (u64)at);
    n = 100;
    to = at + 3000;
    __asm__ volatile("std; rep stosw; cld"
                     : "+D"(to), "+c"(n)
                     : "a"(0xbeef)
                     : "memory");
    sum = mix(sum, (u64)to - (u64)at);
    n = sizeof data;
    to = at;
    __asm__ volatile("repne scasb"
                     : "+D"(to), "+c"(n)
                     : "a"(0xef)
                     : "memory", "cc");
    sum = mix(sum, n);
    n = 1024;
    from = at;
    to = at + 1024;
    __asm__ volatile("repe cmpsb"
                     : "+S"(from), "+D"(to), "+c"(n)
                     :
                     : "memory", "cc");
    sum = mix(sum, n);
    for (unsigned i = 0; i < sizeof data / 8; i++)
        sum = mix(sum, data[i]);
    return sum;
}

void program_compute(void)
{
    line_hex("arithmetic", arithmetic(), 16);
    line_hex("bits", bits(), 16);
    line_hex("strings", strings(), 16);
}

/* --- floating point --- */

/* The compiler was told to keep its hands off these registers. */
void program_float(void)
{
    static const double numbers[4] = { 1.5, -2.25, 1e300, 3.0 };
    static const float singles[4]
        __attribute__((aligned(16))) = { 0.1f, 16777216.0f, -7.75f, 1e-38f };
    u64 bits64 = 0;
    u32 single[4] __attribute__((aligned(16)));
    u16 status;

    __asm__ volatile("fninit; fldl %1; fldl %2; fdivrp; fsqrt; fstpl %0"
                     : "=m"(bits64)
                     : "m"(numbers[0]), "m"(numbers[3]));
    line_hex("x87 square root of a quotient", bits64, 16);
    __asm__ volatile("fldpi; fld1; fpatan; fstpl %0" : "=m"(bits64));
    line_hex("x87 arctangent of pi", bits64, 16);
    __asm__ volatile("fnclex; fldl %2; fldl %2; fmulp; fstpl %0; fnstsw %1"
                     : "=m"(bits64), "=m"(status)
                     : "m"(numbers[2]));
    line_hex("x87 overflow", bits64, 16);
    line_hex("x87 exceptions", status & 0x3f, 2);
    __asm__ volatile("movsd %1, %%xmm0; mulsd %2, %%xmm0; sqrtsd %3, %%xmm1;"
                     "subsd %%xmm1, %%xmm0; movsd %%xmm0, %0"
                     : "=m"(bits64)
                     : "m"(numbers[0]), "m"(numbers[1]), "m"(numbers[3]));
    line_hex("SSE2", bits64, 16);
    __asm__ volatile("movaps %1, %%xmm2; mulps %%xmm2, %%xmm2;"
                     "addps %1, %%xmm2; shufps $0x1b, %%xmm2, %%xmm2;"
                     "movaps %%xmm2, %0"
                     : "=m"(single)
                     : "m"(singles));
    for (unsigned i = 0; i < 4; i++)
        line_hex("SSE", single[i], 8);
}

/* --- exceptions --- */

static void told(const char *name)
{
    print(name);
    print(": vector ");
    print_dec(fault.vector);
    print(", code 0x");
    print_hex(fault.code, 4);
    print(", at +");
    print_dec(fault.offset);
    print("\n");
    fault.vector = 255;
}

void program_faults(void)
{
    CATCH("divq %%rcx", "c"((u64)0), "d"((u64)0));
    told("division by zero");
    CATCH("ud2", "c"((u64)0));
    told("undefined instruction");
    CATCH("movw %w2, %%fs", "r"(0x18));
    told("segment not present");
    CATCH("movw %w2, %%fs", "r"(0x7f8));
    told("selector beyond the table");
    CATCH("movq (%2), %%r10", "r"(UINT64_C(0x800000000000)));
    told("address that is not canonical");
    CATCH("movq (%2), %%r10", "r"(UINT64_C(0x500000000)));
    told("read of nothing");
    line_hex("its address", fault.cr2, 16);
    CATCH("movl %%ecx, (%2)", "r"(UINT64_C(0x3fe00ff8)));
    told("write to a read-only page");
    line_hex("its address", fault.cr2, 16);
    CATCH("jmp *%2", "r"(UINT64_C(0x600000000)));
    line_hex("jump to nothing: its address", fault.cr2, 16);
    line_hex("its code", fault.code, 4);
    CATCH("movq %2, %%cr4", "r"(UINT64_C(1) << 40));
    told("reserved bit of CR4");
    CATCH("wrmsr", "c"(0xc0000080), "d"(0x80000000));
    told("reserved bit of EFER");
}

void program_traps(void)
{
    CATCH("int3", "c"((u64)0));
    told("breakpoint");
    CATCH("int $0x21", "c"((u64)0));
    line_dec("software interrupts of vector 33", interrupts[0x21]);
    fault.step = true;
    fault.vector = 255;
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq; nop; nop"
                     :
                     :
                     : "cc", "memory");
    line_dec("single step: vector", fault.vector);
}
