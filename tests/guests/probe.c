/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe.c: the test guest that looks at its machine: boots by PVH, runs the
 * program that the command line names ("smp 4": on four processors), powers
 * off. The programs are in probe_*.c; test_transcripts.py runs them all.
 */
#include "probe.h"

enum { COM1 = 0x3f8, PM1A_CNT = 0x604, S5 = 0x3400, SLEEP_S5 = 0x34 };

typedef struct {
    u16 offset_low, selector;
    u8 ist, type;
    u16 offset_mid;
    u32 offset_high, zero;
} gate;

typedef struct {
    u32 magic, version, flags, n_modules;
    u64 modules, command_line, rsdp;
} pvh_info;

extern gate idt[VECTORS];
extern const u8 stubs[];
void probe_main(void);
void on_interrupt(frame *f);

volatile u32 interrupts[VECTORS];
fault_record fault;
void (*on_any_exception)(frame *f);
static void (*acks[VECTORS])(void);

/* --- output --- */

static void put(char c)
{
    while (!(in8(COM1 + 5) & 0x20))
        ;
    out8(COM1, (u8)c);
}

void print(const char *text)
{
    for (; *text != '\0'; text++)
        put(*text);
}

void print_hex(u64 value, unsigned digits)
{
    while (digits-- > 0)
        put("0123456789abcdef"[value >> (4 * digits) & 15]);
}

void print_dec(u64 value)
{
    if (value >= 10)
        print_dec(value / 10);
    put((char)('0' + value % 10));
}

void line_hex(const char *name, u64 value, unsigned digits)
{
    print(name);
    print(": 0x");
    print_hex(value, digits);
    put('\n');
}

void line_dec(const char *name, u64 value)
{
    print(name);
    print(": ");
    print_dec(value);
    put('\n');
}

void line_is(const char *name, bool is)
{
    print(name);
    print(is ? ": yes\n" : ": no\n");
}

void power_off(void)
{
    print("probe: end\n");
    out16(PM1A_CNT, S5);
    out8(0x600, SLEEP_S5); /* a board with reduced hardware */
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* --- interrupts and exceptions --- */

void interrupts_expect(u8 vector, void (*ack)(void))
{
    interrupts[vector] = 0;
    acks[vector] = ack;
}

void interrupts_wait(u8 vector, u32 count)
{
    irq_off();
    while (interrupts[vector] < count)
        __asm__ volatile("sti; hlt; cli" : : : "memory");
    irq_on();
}

static void on_exception(frame *f)
{
    u64 cr2;

    __asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
    fault.vector = f->vector;
    fault.code = f->code;
    fault.offset = f->rip - fault.at;
    fault.cr2 = cr2;
    if (fault.step && f->vector == 1) {
        f->rflags &= ~UINT64_C(0x100);
        fault.step = false;
        return;
    }
    if (fault.resume == 0) {
        print("probe: exception ");
        print_dec(f->vector);
        line_hex(" at", f->rip, 16);
        power_off();
    }
    f->rip = fault.resume;
    fault.resume = 0;
}

void on_interrupt(frame *f)
{
    if (f->vector < 32) {
        if (on_any_exception != 0)
            on_any_exception(f);
        else
            on_exception(f);
        return;
    }
    interrupts[f->vector]++;
    if (acks[f->vector] != 0)
        acks[f->vector]();
}

static void set_gates(void)
{
    for (unsigned i = 0; i < VECTORS; i++) {
        u64 at = (u64)stubs + 16 * i;

        idt[i] = (gate){ .offset_low = (u16)at,
                         .selector = 8,
                         .type = 0x8e,
                         .offset_mid = (u16)(at >> 16) };
    }
}

/* --- programs --- */

static bool word_is(const char *line, const char *word)
{
    while (*word != '\0' && *line == *word) {
        line++;
        word++;
    }
    return *word == '\0' && (*line == '\0' || *line == ' ');
}

void probe_main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } programs[] = {
        { "compute", program_compute }, { "float", program_float },
        { "faults", program_faults },   { "traps", program_traps },
        { "pic", program_pic },         { "ioapic", program_ioapic },
        { "lapic", program_lapic },     { "x2apic", program_x2apic },
        { "board", program_board },
    };
    const pvh_info *info = (const pvh_info *)(u64)start_info;
    const char *line = (const char *)info->command_line;

    set_gates();
    out8(COM1 + 1, 0);
    print("probe: ");
    print(line);
    put('\n');
    for (unsigned i = 0; i < sizeof programs / sizeof programs[0]; i++)
        if (word_is(line, programs[i].name))
            programs[i].run();
    if (word_is(line, "smp"))
        program_smp((unsigned)(line[4] - '0'));
    if (word_is(line, "hostile"))
        program_hostile(line + 8);
    power_off();
}
