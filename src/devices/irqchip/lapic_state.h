/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lapic_state.h: what the files of the LAPIC model share.
 *
 * Spec:    Intel SDM vol. 3A, "Local APIC Register Address Map".
 * Threads: functions whose comment says "locked" are called with that APIC's
 *          lock held; the others take it themselves. No function holds two of
 *          these locks at once.
 */
#ifndef VSR_DEVICES_IRQCHIP_LAPIC_STATE_H
#define VSR_DEVICES_IRQCHIP_LAPIC_STATE_H

#include "devices/irqchip/lapic.h"
#include "machine/machine.h"

/* Register numbers: the MMIO offset >> 4, the x2APIC MSR - 0x800. */
enum {
    LAPIC_ID = 0x02,
    LAPIC_VERSION = 0x03,
    LAPIC_TPR = 0x08,
    LAPIC_APR = 0x09,
    LAPIC_PPR = 0x0a,
    LAPIC_EOI = 0x0b,
    LAPIC_RRD = 0x0c,
    LAPIC_LDR = 0x0d,
    LAPIC_DFR = 0x0e,
    LAPIC_SVR = 0x0f,
    LAPIC_ISR = 0x10, /* 8 each */
    LAPIC_TMR = 0x18,
    LAPIC_IRR = 0x20,
    LAPIC_ESR = 0x28,
    LAPIC_ICR_LOW = 0x30,
    LAPIC_ICR_HIGH = 0x31,
    LAPIC_LVT_FIRST = 0x32, /* timer, thermal, counters, LINT0, LINT1, error */
    LAPIC_LVT_LAST = 0x37,
    LAPIC_TIMER_INITIAL = 0x38,
    LAPIC_TIMER_CURRENT = 0x39,
    LAPIC_TIMER_DIVIDE = 0x3e,
    LAPIC_SELF_IPI = 0x3f,
};

enum {
    LVT_TIMER,
    LVT_THERMAL,
    LVT_COUNTERS,
    LVT_LINT0,
    LVT_LINT1,
    LVT_ERROR,
    LVT_COUNT,
};

enum {
    LVT_VECTOR = 0xff,
    LVT_MODE_SHIFT = 8,
    LVT_REMOTE_IRR = 1 << 14,
    LVT_STATUS = 1 << 12,
    LVT_MASKED = 1 << 16,
    LVT_TIMER_MODE = 3 << 17,
    LVT_TIMER_PERIODIC = 1 << 17,
    LVT_TIMER_DEADLINE = 2 << 17,

    SVR_ENABLE = 1 << 8,

    /* Error Status Register. */
    ESR_SEND_VECTOR = 1 << 5,
    ESR_RECEIVE_VECTOR = 1 << 6,
    ESR_REGISTER = 1 << 7,

    APIC_BASE_BSP = 1 << 8,
    APIC_BASE_X2 = 1 << 10,
    APIC_BASE_ENABLE = 1 << 11,
};

/* Delivery modes of ICR, LVT, MSI and IOAPIC alike. */
enum {
    DELIVER_FIXED = 0,
    DELIVER_LOWEST = 1,
    DELIVER_SMI = 2,
    DELIVER_NMI = 4,
    DELIVER_INIT = 5,
    DELIVER_SIPI = 6,
    DELIVER_EXTINT = 7,
};

/* IA32_APIC_BASE: where the page is. */
#define APIC_BASE_PAGE (~UINT64_C(0xfff))

typedef struct {
    vsr_timer host;
    bool armed; /* the host timer may be armed without: then it does nothing */
    uint32_t initial;
    uint32_t divide;       /* register */
    uint64_t tsc_deadline; /* deadline mode */
    int64_t deadline_ns;   /* counting modes, CLOCK_MONOTONIC */
    bool stopped;          /* between quiesce and unquiesce */
    int64_t remaining_ns;  /* while stopped */
} lapic_timer;

typedef struct lapics lapics;

typedef struct {
    lapics *all;
    uint32_t index; /* of the vCPU, and APIC id */

    GMutex lock;   /* guards all below */
    bool is_used;  /* else APIC_BASE says that it is off, and stays so */
    uint64_t base; /* IA32_APIC_BASE */
    uint32_t tpr, ldr, dfr, svr, esr, esr_pending;
    uint32_t icr_low, icr_high;
    uint32_t lvt[LVT_COUNT];
    uint32_t irr[8], isr[8], tmr[8];
    bool intr;           /* what the vCPU was told */
    bool lint0;          /* the PIC's output */
    bool extint_message; /* an ExtINT came from the IOAPIC */
    lapic_timer timer;
} lapic;

struct lapics {
    vsr_device device;
    uint32_t n;
    lapic *lapic;
    bool has_x2apic, has_deadline; /* the guest's CPUID shows them */
    GMutex move_lock; /* guards moved; outside of the lapics' locks */
    GArray *moved;    /* of uint64_t: pages other than the usual one */
    vsr_lapic_eoi_fn *eoi;
    void *eoi_opaque;
    vsr_lapic_ack_fn *pic_ack;
    void *pic_opaque;
};

static inline bool lapic_is_x2(const lapic *l)
{
    return l->base & APIC_BASE_X2;
}

/* Hardware- and software-enabled. Locked. */
static inline bool lapic_is_on(const lapic *l)
{
    return (l->base & APIC_BASE_ENABLE) && (l->svr & SVR_ENABLE);
}

/* --- lapic.c --- */

/* The highest vector in a 256-bit set, or -1. */
int vsr_lapic_highest(const uint32_t *set);
/* Locked. */
uint32_t vsr_lapic_ppr(const lapic *l);
/* Locked: tell the vCPU whether an interrupt waits. */
void vsr_lapic_update(lapic *l);
/* Locked: a fixed interrupt arrives. */
void vsr_lapic_accept(lapic *l, uint8_t vector, bool is_level);
/* Locked: a local source fires. */
void vsr_lapic_lvt_fire(lapic *l, unsigned entry);
/* Locked. */
void vsr_lapic_error(lapic *l, uint32_t bit);
/* Some APIC_BASE changed: pages where the APICs want theirs now. */
void vsr_lapic_move_pages(lapics *all);
/* Locked: registers as after INIT (not the id, not APIC_BASE). */
void vsr_lapic_init_registers(lapic *l);

/* --- lapic_registers.c --- */

/* By the vCPU itself. False: there is no such register, or (x2APIC) the access
 * is a #GP. */
bool vsr_lapic_read(lapic *l, uint32_t reg, bool is_x2, uint64_t *value);
bool vsr_lapic_write(lapic *l, uint32_t reg, bool is_x2, uint64_t value);
/* IA32_APIC_BASE; false: #GP. */
bool vsr_lapic_write_base(lapic *l, uint64_t value);

/* --- lapic_deliver.c --- */

typedef struct {
    uint32_t dest;
    bool is_logical;
    bool is_wide; /* dest has 32 bits (x2APIC sender), else 8 */
    uint8_t mode;
    uint8_t vector;
    bool is_level;
} lapic_message;

/* To all that match, or the one of lowest priority. False: nobody took it. */
bool vsr_lapic_send(lapics *all, const lapic_message *message);
/* A command is written to l's ICR; high: NULL leaves that half as it is. */
void vsr_lapic_send_icr(lapic *l, uint32_t low, const uint32_t *high);
int vsr_lapic_msi(void *chip, uint64_t addr, uint32_t data);

/* --- lapic_timer.c --- */

/* Locked, all of these. */
void vsr_lapic_timer_reset(lapic *l);
uint32_t vsr_lapic_timer_current(lapic *l);
void vsr_lapic_timer_set_initial(lapic *l, uint32_t value);
void vsr_lapic_timer_set_divide(lapic *l, uint32_t value);
void vsr_lapic_timer_set_lvt(lapic *l, uint32_t value);
uint64_t vsr_lapic_timer_deadline(const lapic *l);
void vsr_lapic_timer_set_deadline(lapic *l, uint64_t tsc);
void vsr_lapic_timer_hold(lapic *l);
void vsr_lapic_timer_go_on(lapic *l);
/* The host timer's callback; `opaque` is the lapic. Not locked. */
void vsr_lapic_timer_expired(void *opaque);

#endif
