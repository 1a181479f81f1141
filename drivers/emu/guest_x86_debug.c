/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_debug.c: single-stepping and the debug registers' breakpoints.
 *
 * While DR7 enables anything, EMU_MODE_STEP makes the run loop go one
 * instruction at a time, and the pages of data breakpoints have no TLB tags, so
 * that every access to them comes to emu_watch_access().
 *
 * Spec:    Intel SDM vol. 3B, 17.2 "Debug Registers", 17.3 "Debug Exceptions".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/emu_run.h"
#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_exception.h"
#include "drivers/emu/mmu_tlb.h"

enum { BREAK_EXEC = 0, BREAK_WRITE = 1, BREAK_IO = 2, BREAK_RW = 3 };

static bool enabled(const emu_cpu *cpu, unsigned n)
{
    return cpu->dr[7] >> (2 * n) & 3;
}

static unsigned kind(const emu_cpu *cpu, unsigned n)
{
    return cpu->dr[7] >> (16 + 4 * n) & 3;
}

/* Bytes watched: LEN is 1, 2, 8, 4; the address is aligned to it. */
static unsigned length(const emu_cpu *cpu, unsigned n)
{
    static const uint8_t lengths[4] = { 1, 2, 8, 4 };

    return lengths[cpu->dr[7] >> (18 + 4 * n) & 3];
}

bool emu_watched_page(const emu_cpu *cpu, uint64_t la)
{
    if (G_LIKELY((cpu->dr[7] & 0xff) == 0))
        return false;
    for (unsigned n = 0; n < 4; n++)
        if (enabled(cpu, n) && (kind(cpu, n) & 1) &&
            ((cpu->dr[n] ^ la) & EMU_PAGE_MASK) == 0)
            return true;
    return false;
}

void emu_watch_access(emu_cpu *cpu, uint64_t la, unsigned len, bool write)
{
    uint64_t hit = 0;
    bool any = false;

    for (unsigned n = 0; n < 4; n++) {
        uint64_t size = length(cpu, n);
        uint64_t at = cpu->dr[n] & ~(size - 1);

        if (!(kind(cpu, n) & 1) || (kind(cpu, n) == BREAK_WRITE && !write))
            continue;
        if (at < la + len && la < at + size) {
            hit |= UINT64_C(1) << n;
            any |= enabled(cpu, n);
        }
    }
    if (any)
        cpu->dr6_pending |= hit;
}

void emu_watch_io(emu_cpu *cpu, uint16_t port, unsigned size)
{
    if (G_LIKELY((cpu->dr[7] & 0xff) == 0) || !(cpu->cr4 & EMU_CR4_DE))
        return;
    for (unsigned n = 0; n < 4; n++) {
        uint64_t at = cpu->dr[n] & ~(uint64_t)(length(cpu, n) - 1);

        if (enabled(cpu, n) && kind(cpu, n) == BREAK_IO &&
            at < (uint64_t)port + size && port < at + length(cpu, n))
            cpu->dr6_pending |= UINT64_C(1) << n;
    }
}

bool emu_step_before(emu_cpu *cpu)
{
    uint64_t la = cpu->seg_base[VSR_X86_CS] + cpu->regs[EMU_REG_RIP];
    uint64_t hit = 0;
    bool any = false;

    cpu->step_rf = cpu->eflags & EMU_RF;
    /* MOV SS held it back, and INT n brought us here. */
    if (cpu->dr6_pending && !(cpu->inhibit & EMU_INHIBIT_MOV_SS))
        emu_raise_debug(cpu, NULL, cpu->dr6_pending);
    if ((cpu->dr[7] & 0xff) == 0 || cpu->step_rf)
        return false;
    for (unsigned n = 0; n < 4; n++) {
        if (kind(cpu, n) == BREAK_EXEC && cpu->dr[n] == la) {
            hit |= UINT64_C(1) << n;
            any |= enabled(cpu, n);
        }
    }
    if (any)
        emu_raise_debug(cpu, NULL, hit);
    return false;
}

bool emu_step_after(emu_cpu *cpu, bool tf)
{
    uint64_t hit = cpu->dr6_pending;

    /* Not the RF that this instruction, an IRET, has just loaded. */
    if (cpu->step_rf)
        cpu->eflags &= ~(uint32_t)EMU_RF;
    if (tf)
        hit |= EMU_DR6_BS;
    /* MOV SS and POP SS hold traps back too; the data breakpoint is then
     * reported after the next instruction. */
    if (cpu->inhibit & EMU_INHIBIT_MOV_SS)
        return false;
    if (hit)
        emu_raise_debug(cpu, NULL, hit);
    return false;
}
