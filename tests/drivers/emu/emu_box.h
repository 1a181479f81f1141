/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emu_box.h: a small emulated VM for tests of the MMU, of exceptions and of the
 * vCPU's state: the real engine, RAM at 0, tables built in that RAM, and a
 * machine that notes what reached it.
 *
 * Every exception vector has a handler of its own at BOX_HANDLER(n), which is a
 * HLT, so that a fault shows as an address.
 */
#ifndef VSR_TESTS_DRIVERS_EMU_EMU_BOX_H
#define VSR_TESTS_DRIVERS_EMU_EMU_BOX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "drivers/emu/emu_engine.h"
#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/mmu.h"

enum {
    BOX_RAM = 8 << 20,
    BOX_GDT = 0x1000,
    BOX_IDT = 0x2000,
    BOX_TSS = 0x3000,
    BOX_STACK = 0x8000, /* top; of ring 0 */
    BOX_RING0 = 0x9000, /* TSS: the stack of ring 0 for ring 3's faults */
    BOX_IST1 = 0xa000,
    BOX_USER_STACK = 0xb000,
    BOX_HANDLERS = 0x10000,
    BOX_CODE = 0x20000,
    BOX_DATA = 0x30000,
    BOX_CR3 = 0x100000, /* page tables from here on */

    /* Selectors. */
    BOX_CS = 0x08, /* 64-bit or 32-bit code, ring 0 */
    BOX_DS = 0x10,
    BOX_CS3 = 0x1b,
    BOX_DS3 = 0x23,
    BOX_TR = 0x28, /* two slots in long mode */
    BOX_TSS2 = 0x38,
    BOX_FREE = 0x40, /* for the test itself: to 0x78 */
};
#define BOX_HANDLER(n) (BOX_HANDLERS + 16u * (n))

enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 32, PTE_D = 64, PTE_PS = 128 };
enum { PTE_G = 256 };
#define PTE_NX (UINT64_C(1) << 63)

typedef struct {
    vsr_engine_vm *vm;
    vsr_engine_vcpu *vcpu[2];
    emu_cpu *cpu[2];
    uint8_t *ram;
    uint32_t tables; /* next free page for page tables */

    /* The machine. */
    vsr_engine_events events;
    vsr_io io[16]; /* what came, in order */
    unsigned n_io;
    uint64_t io_value; /* what reads get */
    int vector;        /* what intr_ack answers, once; -1: nothing */
    unsigned acks;
} emu_box;

emu_box *emu_box_new(unsigned vcpus);
void emu_box_free(emu_box *box);

/* Protected mode with flat segments; long: 64-bit code, paging on, the low 8
 * MiB mapped to themselves, writable, supervisor. Ring 0, RIP at BOX_CODE. */
void emu_box_long(emu_box *box, unsigned n);
void emu_box_prot(emu_box *box, unsigned n);
void emu_box_real(emu_box *box, unsigned n);
/* After emu_box_long or _prot: ring 3, on BOX_USER_STACK. */
void emu_box_user(emu_box *box, unsigned n);

/* 4-level tables: one page of 4 KiB. Does not flush. */
void emu_box_map(emu_box *box, uint64_t la, uint64_t entry);
/* The entry of that page, to look at. */
uint64_t *emu_box_pte(emu_box *box, uint64_t la);
void emu_box_gate(emu_box *box, unsigned vector, unsigned dpl, unsigned ist);
void emu_box_desc(emu_box *box, unsigned selector, uint32_t base,
                  uint32_t limit, uint32_t attr);
void emu_box_code(emu_box *box, const void *bytes, size_t len);

/* vcpu_run until HLT in a handler (with interrupts off) or at the code's end;
 * a watchdog kicks it after a second. Returns the reason. */
int emu_box_run(emu_box *box, unsigned n);

/* The vector of the handler that RIP is in, or -1. */
int emu_box_handler(const emu_cpu *cpu);

/* The vector that `expr` raises on `cpu`, or BOX_NOTHING. */
enum { BOX_NOTHING = -2 };
#define BOX_RAISES(cpu, expr)                                            \
    (sigsetjmp((cpu)->unwind, 0) == 0 ? ((void)(expr), (int)BOX_NOTHING) \
                                      : emu_box_handler(cpu))

static inline uint64_t box_read(const emu_box *box, uint64_t gpa, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, box->ram + gpa, size);
    return v;
}

static inline void box_write(emu_box *box, uint64_t gpa, unsigned size,
                             uint64_t v)
{
    memcpy(box->ram + gpa, &v, size);
}

/* An instruction without operands in memory, for calls that want one. */
extern const emu_insn box_insn;

#endif
