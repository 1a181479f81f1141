/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_segment.h: descriptors, segment loads and far transfers.
 *
 * Spec:    AMD APM vol. 2, chapter 4 "Segmented Virtual Memory"; Intel SDM
 *          vol. 3A, chapter 5 "Protection", chapter 8 "Task Management".
 * Threads: the vCPU's own.
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_SEGMENT_H
#define VSR_DRIVERS_EMU_GUEST_X86_SEGMENT_H

#include "drivers/emu/guest_x86_exec.h"

/* One descriptor as it lies in memory. */
typedef struct {
    uint32_t lo, hi;
    uint32_t base_hi; /* 16-byte descriptors of long mode */
} emu_desc;

static inline unsigned emu_desc_type(const emu_desc *d)
{
    return (d->hi >> 8) & 0xf;
}

static inline unsigned emu_desc_dpl(const emu_desc *d)
{
    return (d->hi >> 13) & 3;
}

static inline bool emu_desc_is_code(const emu_desc *d)
{
    return (d->hi & 0x1800) == 0x1800;
}

static inline bool emu_desc_is_data(const emu_desc *d)
{
    return (d->hi & 0x1800) == 0x1000;
}

static inline bool emu_desc_system(const emu_desc *d)
{
    return !(d->hi & 0x1000);
}

static inline bool emu_desc_present(const emu_desc *d)
{
    return d->hi & 0x8000;
}

/* Data: writable. Code: readable. */
static inline bool emu_desc_rw(const emu_desc *d)
{
    return d->hi & 0x200;
}

/* Code: conforming. Data: expand-down. */
static inline bool emu_desc_conforming(const emu_desc *d)
{
    return d->hi & 0x400;
}

/* In 16-bit gates: offset 0..15 of lo; in 32-bit ones with the high half. */
uint32_t emu_desc_base(const emu_desc *d);
uint32_t emu_desc_limit(const emu_desc *d);
vsr_x86_seg emu_desc_segment(const emu_desc *d, uint16_t selector);

/* False: outside of the table, or a null selector in the GDT (no fault). */
bool emu_desc_read(emu_cpu *cpu, const emu_insn *insn, uint16_t selector,
                   emu_desc *out);
/* Sets the accessed bit in memory and in *d, when it is clear. */
void emu_desc_accessed(emu_cpu *cpu, const emu_insn *insn, uint16_t selector,
                       emu_desc *d);
/* A system descriptor of long mode: reads the upper 8 bytes. */
void emu_desc_read_high(emu_cpu *cpu, const emu_insn *insn, uint16_t selector,
                        emu_desc *d);

/* MOV Sreg, POP Sreg, LDS …: any register but CS, all modes. Faults before
 * anything changes. */
void emu_segment_load(emu_cpu *cpu, const emu_insn *insn, unsigned seg,
                      uint16_t selector);
/* Same for the state a mode has, without checks: real mode and VM86. */
void emu_segment_real(emu_cpu *cpu, unsigned seg, uint16_t selector);
/* Puts a loaded register in place, with what follows from it. */
void emu_segment_set(emu_cpu *cpu, unsigned seg, const vsr_x86_seg *value);
/* CPL with its MMU consequences. */
void emu_set_cpl(emu_cpu *cpu, unsigned cpl);

/* cpu->mode and seg_base[] from CS, CR0, EFER, EFLAGS.VM, TF and DR7. Whoever
 * changes one of them calls this; the functions here do. */
void emu_mode_update(emu_cpu *cpu);

/* The stack pointer's width of the current SS. */
static inline uint64_t emu_stack_mask(const emu_cpu *cpu)
{
    if (cpu->mode & EMU_MODE_CS64)
        return ~UINT64_C(0);
    return cpu->seg[VSR_X86_SS].attr & VSR_SEG_DB ? 0xffffffffu : 0xffffu;
}

static inline bool emu_canonical(uint64_t la)
{
    return (uint64_t)((int64_t)(la << 16) >> 16) == la;
}

typedef enum {
    EMU_TASK_JUMP,
    EMU_TASK_CALL,
    EMU_TASK_IRET,
    EMU_TASK_GATE
} emu_task_why;
/* Switches to the task of TSS `selector` (whose descriptor is *d); `rip` is
 * what the old task resumes at. GATE: an interrupt; pushes *error if not NULL.
 * (guest_x86_task.c) */
void emu_task_switch(emu_cpu *cpu, const emu_insn *insn, uint16_t selector,
                     const emu_desc *d, emu_task_why why, uint64_t rip,
                     const uint32_t *error);

/* Far transfers; the caller leaves with emu_leave(cpu, returned RIP). */
uint64_t emu_far_jump(emu_cpu *cpu, const emu_insn *insn, uint16_t selector,
                      uint64_t offset);
uint64_t emu_far_call(emu_cpu *cpu, const emu_insn *insn, uint16_t selector,
                      uint64_t offset);
uint64_t emu_far_return(emu_cpu *cpu, const emu_insn *insn, unsigned drop);
uint64_t emu_iret(emu_cpu *cpu, const emu_insn *insn);

#endif
