/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emu_stand_in.c: see emu_stand_in.h.
 */
#include "tests/drivers/emu/emu_stand_in.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/emu/guest_x86_decode.h"
#include "drivers/emu/guest_x86_segment.h"

/* One test thread, one stand-in at a time. */
static _Thread_local stand_in *current;

stand_in *stand_in_new(uint64_t base, uint8_t *memory, uint32_t len)
{
    stand_in *s = g_new0(stand_in, 1);

    s->cpu = g_new0(emu_cpu, 1);
    s->base = base;
    s->memory = memory;
    s->len = len;
    s->cpu->space = &s->cpu->first_space;
    s->cpu->tlb = s->cpu->space->sets[0];
    s->cpu->eflags = 0x202;
    stand_in_set_tlb(s, false);
    stand_in_set_mode(s, 64);
    current = s;
    return s;
}

void stand_in_free(stand_in *s)
{
    g_free(s->cpu);
    g_free(s);
    current = NULL;
}

static bool overlaps(uint64_t from, uint64_t to, uint64_t a, uint64_t b)
{
    return from < b && a < to;
}

void stand_in_set_tlb(stand_in *s, bool filled)
{
    for (unsigned i = 0; i < EMU_TLB_ENTRIES; i++)
        s->cpu->tlb[i] =
            (emu_tlb_entry){ EMU_TLB_NONE, EMU_TLB_NONE, EMU_TLB_NONE, 0 };
    for (uint32_t at = 0; filled && at < s->len; at += EMU_PAGE_SIZE) {
        uint64_t la = s->base + at;
        emu_tlb_entry *e = emu_tlb_at(s->cpu, la);
        uint32_t end = at + EMU_PAGE_SIZE;

        e->addend = (uintptr_t)s->memory - s->base;
        e->read_tag = la;
        if (!overlaps(at, end, s->slow_from, s->slow_to) &&
            !overlaps(at, end, s->readonly_from, s->readonly_to))
            e->write_tag = la;
    }
}

void stand_in_set_mode(stand_in *s, unsigned bits)
{
    emu_cpu *cpu = s->cpu;

    cpu->mode = EMU_MODE_PROT | (bits == 64   ? EMU_MODE_CS64
                                 : bits == 32 ? EMU_MODE_CS32
                                              : 0);
    for (unsigned i = 0; i < VSR_X86_LDTR; i++)
        cpu->seg[i] = (vsr_x86_seg){
            .limit = 0xffffffff,
            .attr = (uint16_t)(VSR_SEG_S | VSR_SEG_P | 3 |
                               (bits == 32 ? VSR_SEG_DB : 0)),
        };
}

/* Threaded handlers go on to the next one by themselves. */
static const emu_insn *end_of_code(emu_cpu *cpu, const emu_insn *insn)
{
    return insn;
}

bool stand_in_run(stand_in *s, const emu_insn *insn, emu_exec_fn *exec)
{
    emu_insn code[2] = { *insn };
    const emu_insn *next;

    s->vector = STAND_IN_NO_FAULT;
    s->left = false;
    s->locked = false;
    code[0].exec = exec;
    code[1].exec = end_of_code;
    if (sigsetjmp(s->cpu->unwind, 0) != 0)
        return false;
    next = exec(s->cpu, code);
    assert_true(next == NULL ? s->left : next == &code[1]);
    assert_false(s->locked);
    return next != NULL;
}

bool stand_in_run_bytes(stand_in *s, const char *bytes, unsigned len)
{
    emu_insn insn;
    emu_exec_fn *exec;

    assert_int_equal(
        emu_decode(&insn, (const uint8_t *)bytes, len, s->cpu->mode, 0, 0),
        EMU_DECODE_OK);
    assert_int_equal(insn.len, len);
    exec = emu_exec_find_integer(&insn);
    if (exec == NULL)
        exec = emu_exec_find_string(&insn);
    assert_non_null(exec);
    return stand_in_run(s, &insn, exec);
}

/* --- faults --- */

_Noreturn static void fault(emu_cpu *cpu, int vector, uint32_t error)
{
    current->vector = vector;
    current->error = error;
    current->locked = false;
    siglongjmp(cpu->unwind, 1);
}

void emu_raise(emu_cpu *cpu, const emu_insn *insn, int vector)
{
    fault(cpu, vector, 0);
}

void emu_raise_code(emu_cpu *cpu, const emu_insn *insn, int vector,
                    uint32_t error)
{
    fault(cpu, vector, error);
}

/* --- memory --- */

/* The host address of an access, or unwinds. */
static uint8_t *at(emu_cpu *cpu, uint64_t la, unsigned size, bool write)
{
    stand_in *s = current;
    uint64_t offset = la - s->base;

    if (offset >= s->len || size > s->len - offset ||
        (write &&
         overlaps(offset, offset + size, s->readonly_from, s->readonly_to))) {
        s->cr2 = la;
        fault(cpu, EMU_PAGE_FAULT, write ? 2 : 0);
    }
    return s->memory + offset;
}

uint64_t emu_load_slow(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                       unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, at(cpu, la, size, false), size);
    current->loads++;
    return v;
}

void emu_store_slow(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                    unsigned size, uint64_t value)
{
    memcpy(at(cpu, la, size, true), &value, size);
    if (++current->stores == current->exit_after_stores)
        cpu->exit_request |= EMU_EXIT_INTR;
}

void *emu_host_slow(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                    unsigned size, emu_access access)
{
    bool write = access == EMU_WRITE || access == EMU_RMW;
    uint8_t *p = at(cpu, la, size, write);
    uint64_t offset = la - current->base;

    if ((la & ~EMU_PAGE_MASK) + size > EMU_PAGE_SIZE)
        return NULL;
    if (write &&
        overlaps(offset, offset + size, current->slow_from, current->slow_to))
        return NULL;
    return p;
}

unsigned emu_host_run(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                      unsigned max, emu_access access, uint8_t **host)
{
    unsigned in_page = EMU_PAGE_SIZE - (unsigned)(la & ~EMU_PAGE_MASK);

    *host = emu_host_slow(cpu, insn, la, 1, access);
    return *host == NULL ? 0 : MIN(max, in_page);
}

void emu_split_lock(emu_cpu *cpu)
{
    current->locks++;
    current->locked = true;
}

void emu_split_unlock(emu_cpu *cpu)
{
    current->locked = false;
}

uint64_t emu_segment_check(emu_cpu *cpu, const emu_insn *insn, unsigned seg,
                           uint64_t offset, unsigned size, emu_access access)
{
    const vsr_x86_seg *s = &cpu->seg[seg];

    if (cpu->mode & EMU_MODE_CS64)
        return cpu->seg_base[seg] + offset;
    if (offset + size - 1 > s->limit)
        fault(cpu, seg == VSR_X86_SS ? EMU_SS : EMU_GP, 0);
    return (uint32_t)(s->base + offset);
}

uint64_t emu_ea_slow(emu_cpu *cpu, const emu_insn *insn, unsigned size,
                     emu_access access)
{
    return emu_segment_check(cpu, insn, insn->mem & EMU_MEM_SEG,
                             emu_ea_offset(cpu, insn), size, access);
}

/* --- the rest --- */

const emu_insn *emu_leave(emu_cpu *cpu, uint64_t rip)
{
    current->left = true;
    current->left_rip = rip;
    return NULL;
}

const emu_insn *emu_leave_before(emu_cpu *cpu, const emu_insn *insn)
{
    return emu_leave(cpu, emu_insn_rip(cpu, insn));
}

void emu_mode_update(emu_cpu *cpu)
{
    if (cpu->eflags & EMU_TF)
        cpu->mode |= EMU_MODE_STEP;
    else
        cpu->mode &= ~(uint32_t)EMU_MODE_STEP;
}

void emu_mmu_mode_changed(emu_cpu *cpu)
{
}

void emu_io_check(emu_cpu *cpu, const emu_insn *insn, uint16_t port,
                  unsigned size)
{
    if (current->refuse_io)
        fault(cpu, EMU_GP, 0);
}

uint64_t emu_io_in(emu_cpu *cpu, uint16_t port, unsigned size)
{
    return current->in[current->n_in++ % STAND_IN_PORTS];
}

void emu_io_out(emu_cpu *cpu, uint16_t port, unsigned size, uint64_t value)
{
    current->out[current->n_out++ % STAND_IN_PORTS] = (uint32_t)value;
}
