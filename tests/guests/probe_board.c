/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_board.c: what the firmware's tables and the buses say is there; and
 * the other processors.
 *
 * Spec: ACPI 6.5, 5.2 "ACPI System Description Tables"; PCI Local Bus 3.0,
 *       3.2.2.3.2; Intel SDM vol. 3A, 9.4 "Multiple-Processor (MP)
 *       Initialization".
 */
#include "probe.h"

enum {
    TRAMPOLINE = 0x8000,
    ICR = 0x300,
    ICR_HIGH = 0x310,
    IPI_VECTOR = 0x60,
    ROUNDS = 2000,
};

/* --- ACPI --- */

static bool sum_is_zero(const u8 *at, u32 len)
{
    u8 sum = 0;

    for (u32 i = 0; i < len; i++)
        sum = (u8)(sum + at[i]);
    return sum == 0;
}

static void acpi_tables(void)
{
    const u8 *rsdp = (const u8 *)*(const u64 *)((u64)start_info + 32);
    const u8 *xsdt = (const u8 *)*(const u64 *)(rsdp + 24);
    u32 n = (*(const u32 *)(xsdt + 4) - 36) / 8;

    line_is("RSDP's sums", sum_is_zero(rsdp, 20) && sum_is_zero(rsdp, 36));
    for (u32 i = 0; i < n; i++) {
        const u8 *table =
            (const u8 *)((const u64 *)(const void *)(xsdt + 36))[i];
        char name[5] = { 0 };

        for (unsigned j = 0; j < 4; j++)
            name[j] = (char)table[j];
        line_is(name, sum_is_zero(table, *(const u32 *)(table + 4)));
    }
}

/* --- PCI and the clock --- */

static void pci_devices(void)
{
    for (u32 device = 0; device < 32; device++) {
        u32 id, class;

        out32(0xcf8, 0x80000000 | device << 11);
        id = in32(0xcfc);
        if (id == 0xffffffff)
            continue;
        out32(0xcf8, 0x80000000 | device << 11 | 8);
        class = in32(0xcfc);
        print("PCI device ");
        print_dec(device);
        print(": ");
        print_hex(id & 0xffff, 4);
        print(":");
        print_hex(id >> 16, 4);
        line_hex(", class", class >> 8, 6);
    }
    out32(0xcf8, 0);
}

static u8 cmos(u8 reg)
{
    out8(0x70, reg);
    return in8(0x71);
}

static void clock(void)
{
    if (cmos(0xa) == 0xff && cmos(0xd) == 0xff) {
        print("RTC: none\n");
        return;
    }
    while (cmos(0xa) & 0x80)
        ;
    line_hex("RTC: register B", cmos(0xb), 2);
    line_hex("RTC: register D", cmos(0xd), 2);
    line_is("RTC: this century", cmos(0x32) == 0x20);
    line_is("RTC: a month", cmos(8) >= 1 && cmos(8) <= 0x12);
}

void program_board(void)
{
    acpi_tables();
    pci_devices();
    clock();
}

/* --- other processors --- */

static volatile u32 n_ready, seen[CPUS_MAX], n_done;
static volatile u64 counter;
static volatile u32 go;
void smp_main(void);

static void add_up(void)
{
    for (u32 i = 0; i < ROUNDS; i++)
        __asm__ volatile("lock incq %0" : "+m"(counter) : : "cc");
    __asm__ volatile("lock incl %0" : "+m"(n_done) : : "cc");
}

void smp_main(void)
{
    u32 id;

    lapic_enable();
    id = lapic_read(0x20) >> 24;
    if (id < CPUS_MAX)
        seen[id] = 1;
    __asm__ volatile("lock incl %0" : "+m"(n_ready) : : "cc");
    while (!go)
        __asm__ volatile("pause" : : : "memory");
    add_up();
    irq_on();
    for (;;)
        __asm__ volatile("hlt");
}

static volatile u32 n_ipis;

static void count_ipi(void)
{
    __asm__ volatile("lock incl %0" : "+m"(n_ipis) : : "cc");
    lapic_eoi();
}

static void send(u32 id, u32 command)
{
    lapic_write(ICR_HIGH, id << 24);
    lapic_write(ICR, command);
    while (lapic_read(ICR) & 0x1000)
        ;
}

void program_smp(unsigned cpus)
{
    cpus = cpus > CPUS_MAX ? CPUS_MAX : cpus;
    for (u32 i = 0; i < (u32)(trampoline_end - trampoline); i++)
        ((volatile u8 *)TRAMPOLINE)[i] = trampoline[i];
    lapic_enable();
    for (u32 id = 1; id < cpus; id++) {
        send(id, 0x4500); /* INIT */
        send(id, 0x4600 | TRAMPOLINE >> 12);
        while (n_ready < id)
            __asm__ volatile("pause" : : : "memory");
    }
    for (u32 id = 1; id < cpus; id++)
        line_is("started", seen[id]);
    interrupts_expect(IPI_VECTOR, count_ipi);
    go = 1;
    add_up();
    while (n_done < cpus)
        __asm__ volatile("pause" : : : "memory");
    line_dec("added up", counter);
    for (u32 id = 1; id < cpus; id++) {
        send(id, 0x4000 | IPI_VECTOR);
        while (n_ipis < id)
            __asm__ volatile("pause" : : : "memory");
    }
    send(0, 0xc4000 | IPI_VECTOR); /* all but myself */
    while (n_ipis < 2 * (cpus - 1))
        __asm__ volatile("pause" : : : "memory");
    line_dec("interrupts to others", n_ipis);
}
