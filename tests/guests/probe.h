/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe.h: what the programs of probe.elf share. Their output is the same on
 * every engine: no times, no frequencies, no names of processors.
 */
#ifndef VSR_TESTS_GUESTS_PROBE_H
#define VSR_TESTS_GUESTS_PROBE_H

#include <stdbool.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

enum { CPUS_MAX = 8, VECTORS = 256, PIC_VECTOR = 0x20, LAPIC_SVR = 0xf0 };

/* As probe_start.S pushes it. */
typedef struct {
    u64 r15, r14, r13, r12, r11, r10, r9, r8;
    u64 rbp, rdi, rsi, rdx, rcx, rbx, rax;
    u64 vector, code, rip, cs, rflags, rsp, ss;
} frame;

/* --- probe.c --- */

void print(const char *text);
void print_hex(u64 value, unsigned digits);
void print_dec(u64 value);
/* "NAME: 0xVALUE" and the line's end. */
void line_hex(const char *name, u64 value, unsigned digits);
void line_dec(const char *name, u64 value);
void line_is(const char *name, bool is);

/* Interrupts of a vector, since interrupts_expect(). */
extern volatile u32 interrupts[VECTORS];
/* From now on `ack` is called after each of that vector was counted. */
void interrupts_expect(u8 vector, void (*ack)(void));
/* Halts until there were that many. */
void interrupts_wait(u8 vector, u32 count);
/* What the last exception was; its instruction is skipped. */
typedef struct {
    volatile u64 at, resume; /* by CATCH */
    volatile u64 vector, code, offset, cr2;
    volatile bool step; /* the next #DB only clears TF */
} fault_record;
extern fault_record fault;
/* Sees every exception instead, and says where to go on. */
extern void (*on_any_exception)(frame *f);

void power_off(void) __attribute__((noreturn));

/* --- the programs --- */

void program_compute(void);
void program_float(void);
void program_faults(void);
void program_traps(void);
void program_pic(void);
void program_ioapic(void);
void program_lapic(void);
void program_x2apic(void);
void program_board(void);
void program_smp(unsigned cpus);
/* `what`: a letter, and for garbage the two digits of its seed. */
void program_hostile(const char *what);

/* --- probe_chips.c --- */

u32 lapic_read(u32 reg);
void lapic_write(u32 reg, u32 value);
void lapic_enable(void);
void lapic_eoi(void);

/* --- probe_start.S --- */

extern u32 start_info;
extern const u8 trampoline[], trampoline_end[];

/* --- instructions --- */

static inline void out8(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out16(u16 port, u16 value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out32(u16 port, u32 value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline u8 in8(u16 port)
{
    u8 value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline u32 in32(u16 port)
{
    u32 value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void irq_on(void)
{
    __asm__ volatile("sti" : : : "memory");
}

static inline void irq_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}

static inline u64 msr_read(u32 index)
{
    u32 low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return (u64)high << 32 | low;
}

static inline void msr_write(u32 index, u64 value)
{
    __asm__ volatile("wrmsr"
                     :
                     : "c"(index), "a"((u32)value), "d"((u32)(value >> 32))
                     : "memory");
}

#endif
