/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exec_fixture.h: one instruction of the floating-point units at a time, on a
 * stand-in vCPU with some memory at RBX.
 */
#ifndef VSR_TESTS_DRIVERS_EMU_EXEC_FIXTURE_H
#define VSR_TESTS_DRIVERS_EMU_EXEC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_decode.h"
#include "drivers/emu/guest_x86_fpstate.h"
#include "tests/drivers/emu/emu_stand_in.h"

enum { BASE = 0x10000, LEN = 0x4000, RIP = 0x401000 };

typedef struct {
    stand_in *s;
    emu_cpu *cpu;
    uint8_t *memory;
} fixture;

static inline fixture *fixture_new(uint64_t cr4)
{
    fixture *f = g_new0(fixture, 1);

    f->memory = g_malloc0(LEN);
    f->s = stand_in_new(BASE, f->memory, LEN);
    f->cpu = f->s->cpu;
    f->cpu->cr0 = EMU_CR0_PE | EMU_CR0_NE;
    f->cpu->cr4 = cr4;
    f->cpu->regs[VSR_X86_RBX] = BASE;
    f->cpu->regs[EMU_REG_RIP] = RIP;
    emu_fp_reset(f->cpu);
    emu_x87_init(f->cpu);
    return f;
}

static inline int teardown(void **state)
{
    fixture *f = *state;

    stand_in_free(f->s);
    g_free(f->memory);
    g_free(f);
    return 0;
}

typedef emu_exec_fn *fixture_find_fn(const emu_insn *insn);

/* The vector, or STAND_IN_NO_FAULT. */
static inline int fixture_run(fixture *f, fixture_find_fn *find,
                              const char *bytes, unsigned len)
{
    emu_exec_fn *exec;
    emu_insn insn;

    assert_int_equal(
        emu_decode(&insn, (const uint8_t *)bytes, len, f->cpu->mode, 0, 0),
        EMU_DECODE_OK);
    assert_int_equal(insn.len, len);
    exec = find(&insn);
    assert_non_null(exec);
    emu_fp_enter(f->cpu);
    stand_in_run(f->s, &insn, exec);
    emu_fp_leave(f->cpu);
    return f->s->vector;
}

#endif
