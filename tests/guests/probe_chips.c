/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_chips.c: interrupt controllers and timers.
 *
 * Spec: Intel 8259A, 8254, 82093AA (IOAPIC); Intel SDM vol. 3A, 10 "Advanced
 *       Programmable Interrupt Controller".
 */
#include "probe.h"

#define LAPIC  UINT64_C(0xfee00000)
#define IOAPIC UINT64_C(0xfec00000)

enum {
    PIC1 = 0x20,
    PIC2 = 0xa0,
    PIT = 0x40,
    SPEAKER = 0x61,
    COM1 = 0x3f8,
    TICKS = 10,
    TPR = 0x80,
    EOI = 0xb0,
    SVR = 0xf0,
    ISR = 0x100,
    IRR = 0x200,
    ICR = 0x300,
    LVT_TIMER = 0x320,
    LVT_LINT0 = 0x350,
    TIMER_START = 0x380,
    TIMER_NOW = 0x390,
    TIMER_DIVIDE = 0x3e0,
    MSR_APIC_BASE = 0x1b,
};

u32 lapic_read(u32 reg)
{
    return *(volatile u32 *)(LAPIC + reg);
}

void lapic_write(u32 reg, u32 value)
{
    *(volatile u32 *)(LAPIC + reg) = value;
}

void lapic_enable(void)
{
    lapic_write(SVR, 0x100 | 0xff);
}

void lapic_eoi(void)
{
    lapic_write(EOI, 0);
}

static u32 ioapic_read(u8 reg)
{
    *(volatile u32 *)IOAPIC = reg;
    return *(volatile u32 *)(IOAPIC + 0x10);
}

static void ioapic_write(u8 reg, u32 value)
{
    *(volatile u32 *)IOAPIC = reg;
    *(volatile u32 *)(IOAPIC + 0x10) = value;
}

static void ioapic_pin(u8 pin, u64 entry)
{
    ioapic_write((u8)(0x11 + 2 * pin), (u32)(entry >> 32));
    ioapic_write((u8)(0x10 + 2 * pin), (u32)entry);
}

/* --- PIC and PIT --- */

static void pic_setup(void)
{
    out8(PIC1, 0x11);
    out8(PIC1 + 1, PIC_VECTOR);
    out8(PIC1 + 1, 4);
    out8(PIC1 + 1, 1);
    out8(PIC2, 0x11);
    out8(PIC2 + 1, PIC_VECTOR + 8);
    out8(PIC2 + 1, 2);
    out8(PIC2 + 1, 1);
    out8(PIC1 + 1, 0xff);
    out8(PIC2 + 1, 0xff);
}

static volatile u32 in_service;

static void ack_pic(void)
{
    out8(PIC1, 0x0b); /* OCW3: read the ISR */
    in_service = in8(PIC1);
    out8(PIC1, 0x20);
}

static void pit_start(u16 count)
{
    out8(PIT + 3, 0x34); /* channel 0, both bytes, mode 2 */
    out8(PIT, (u8)count);
    out8(PIT, (u8)(count >> 8));
}

static u16 pit_count(void)
{
    u8 low;

    out8(PIT + 3, 0);
    low = in8(PIT);
    return (u16)(low | in8(PIT) << 8);
}

static void pit_speaker(void)
{
    u8 before = in8(SPEAKER);

    out8(SPEAKER, (u8)((before & ~2) | 1)); /* gate up, no sound */
    out8(PIT + 3, 0xb0);                    /* channel 2, mode 0 */
    out8(PIT + 2, 0xff);
    out8(PIT + 2, 0x20);
    line_is("channel 2 is done at once", in8(SPEAKER) & 0x20);
    while (!(in8(SPEAKER) & 0x20))
        ;
    print("channel 2 is done\n");
    line_hex("gate and sound", in8(SPEAKER) & 3, 1);
}

void program_pic(void)
{
    u16 now, low = 0xffff, high = 0;

    lapic_enable();
    lapic_write(LVT_LINT0, 0x700); /* the PIC's interrupts go through */
    pic_setup();
    out8(PIC1 + 1, 0xa5);
    out8(PIC2 + 1, 0x5a);
    line_hex("masks", (u64)in8(PIC1 + 1) << 8 | in8(PIC2 + 1), 4);
    out8(PIC1 + 1, 0xff);
    out8(PIC2 + 1, 0xff);
    out8(0x4d0, 0xff); /* what may be level-triggered */
    out8(0x4d1, 0xff);
    line_hex("level", (u64)in8(0x4d0) << 8 | in8(0x4d1), 4);
    out8(0x4d0, 0);
    out8(0x4d1, 0);
    pit_start(1193 * 5);
    out8(PIT + 3, 0xe2); /* status of channel 0 */
    line_hex("status of channel 0", in8(PIT) & 0x3f, 2);
    for (unsigned i = 0; i < 200; i++) {
        now = pit_count();
        low = now < low ? now : low;
        high = now > high ? now : high;
    }
    line_is("it counts within its limits", low != high && high <= 1193 * 5);
    interrupts_expect(PIC_VECTOR, ack_pic);
    out8(PIC1 + 1, 0xfe);
    interrupts_wait(PIC_VECTOR, TICKS);
    out8(PIC1 + 1, 0xff);
    line_dec("ticks", TICKS);
    line_hex("in service", in_service, 2);
    out8(PIC1, 0x0b);
    line_hex("in service after it", in8(PIC1), 2);
    pit_speaker();
    interrupts_expect(PIC_VECTOR + 4, ack_pic);
    out8(PIC1 + 1, 0xef);
    irq_on();
    out8(COM1 + 4, 0x0b);
    out8(COM1 + 1, 2); /* the transmitter is empty: at once */
    interrupts_wait(PIC_VECTOR + 4, 1);
    line_hex("the UART says", in8(COM1 + 2) & 0xf, 1);
    out8(COM1 + 1, 0);
    irq_off();
}

/* --- IOAPIC --- */

void program_ioapic(void)
{
    u32 version = ioapic_read(1);

    pic_setup(); /* all of it masked */
    lapic_enable();
    line_hex("pins less one", version >> 16 & 0xff, 2);
    ioapic_pin(7, UINT64_C(0xff00000000015af1));
    line_hex("pin 7", ioapic_read(0x10 + 14) & ~(1u << 14 | 1u << 12), 8);
    line_hex("its destination", ioapic_read(0x11 + 14) >> 24, 2);
    ioapic_pin(7, 0x10000);
    interrupts_expect(0x41, lapic_eoi);
    interrupts_expect(0x42, lapic_eoi);
    irq_on();
    ioapic_pin(2, 0x41); /* the timer: edge, fixed, to APIC 0 */
    pit_start(1193 * 5);
    interrupts_wait(0x41, TICKS);
    ioapic_pin(2, 0x10041);
    line_dec("ticks through pin 2", TICKS);
    ioapic_pin(4, 0x42);
    out8(COM1 + 4, 0x0b);
    for (u32 i = 1; i <= 3; i++) {
        out8(COM1 + 1, 2);
        interrupts_wait(0x42, i);
        (void)in8(COM1 + 2);
        out8(COM1 + 1, 0);
    }
    ioapic_pin(4, 0x10042);
    irq_off();
    line_dec("the UART's through pin 4", interrupts[0x42]);
}

/* --- LAPIC --- */

static void send_self(u8 vector)
{
    lapic_write(ICR, 0x44000u | vector);
}

static bool bit_is(u32 reg, u8 vector)
{
    return lapic_read(reg + vector / 32 * 0x10) >> vector % 32 & 1;
}

static void lapic_timer(void)
{
    u32 first;

    lapic_write(TIMER_DIVIDE, 3); /* by 16 */
    lapic_write(LVT_TIMER, 0x71);
    lapic_write(TIMER_START, 0xffffffff);
    first = lapic_read(TIMER_NOW);
    line_is("the timer counts down", first > lapic_read(TIMER_NOW));
    interrupts_expect(0x71, lapic_eoi);
    irq_on();
    lapic_write(TIMER_START, 100000);
    interrupts_wait(0x71, 1);
    line_dec("one shot: left", lapic_read(TIMER_NOW));
    interrupts_expect(0x71, lapic_eoi);
    lapic_write(LVT_TIMER, 0x20071); /* periodic */
    lapic_write(TIMER_START, 500000);
    interrupts_wait(0x71, TICKS);
    lapic_write(TIMER_START, 0);
    lapic_write(LVT_TIMER, 0x10071);
    irq_off();
    line_dec("periodic: ticks", TICKS);
}

void program_lapic(void)
{
    line_hex("base", msr_read(MSR_APIC_BASE), 16);
    line_hex("id", lapic_read(0x20) >> 24, 2);
    line_hex("spurious vector at reset", lapic_read(SVR), 8);
    lapic_enable();
    interrupts_expect(0x51, lapic_eoi);
    interrupts_expect(0x61, lapic_eoi);
    irq_off();
    send_self(0x51);
    send_self(0x61);
    line_is("both are requested", bit_is(IRR, 0x51) && bit_is(IRR, 0x61));
    lapic_write(TPR, 0x50);
    interrupts_wait(0x61, 1);
    line_dec("with priority 5: of 0x61", interrupts[0x61]);
    line_dec("with priority 5: of 0x51", interrupts[0x51]);
    lapic_write(TPR, 0);
    interrupts_wait(0x51, 1);
    irq_off();
    line_dec("with priority 0: of 0x51", interrupts[0x51]);
    line_is("in service", bit_is(ISR, 0x51) || bit_is(ISR, 0x61));
    lapic_timer();
}

void program_x2apic(void)
{
    lapic_enable();
    msr_write(MSR_APIC_BASE, msr_read(MSR_APIC_BASE) | 0xc00);
    line_hex("id", msr_read(0x802), 8);
    line_hex("spurious vector", msr_read(0x80f), 8);
    interrupts_expect(0x55, 0);
    irq_on();
    msr_write(0x83f, 0x55); /* SELF IPI */
    interrupts_wait(0x55, 1);
    irq_off();
    line_is("in service", msr_read(0x812) >> 21 & 1);
    msr_write(0x80b, 0);
    line_is("in service after its end", msr_read(0x812) >> 21 & 1);
}
