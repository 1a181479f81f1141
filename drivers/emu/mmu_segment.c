/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mmu_segment.c: segment base, limit and type checks.
 *
 * Spec:    Intel SDM vol. 3A, 5.3 "Limit Checking", 5.4 "Type Checking".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec.h"

_Noreturn static void refuse(emu_cpu *cpu, const emu_insn *insn, unsigned seg)
{
    emu_raise_code(cpu, insn, seg == VSR_X86_SS ? EMU_SS : EMU_GP, 0);
}

/* Data, expand-down: valid offsets are above the limit. */
static bool within(const vsr_x86_seg *s, uint64_t offset, unsigned size)
{
    uint64_t last = offset + size - 1;

    if ((s->attr & (VSR_SEG_S | 0xc)) == (VSR_SEG_S | 0x4))
        return offset > s->limit &&
               last <= (s->attr & VSR_SEG_DB ? 0xffffffffu : 0xffffu);
    return last <= s->limit;
}

/* In real mode and VM86 only the limit counts. */
static bool type_allows(const vsr_x86_seg *s, emu_access access)
{
    unsigned type = s->attr & VSR_SEG_TYPE;

    if (!(s->attr & VSR_SEG_P))
        return false;
    if (access == EMU_WRITE || access == EMU_RMW)
        return (type & 0xa) == 0x2; /* data, writable */
    if (access == EMU_EXEC)
        return true;
    return (type & 0xa) != 0x8; /* all but execute-only code */
}

G_GNUC_NO_INLINE static uint64_t check(emu_cpu *cpu, const emu_insn *insn,
                                       unsigned seg, uint64_t offset,
                                       unsigned size, emu_access access)
{
    const vsr_x86_seg *s = &cpu->seg[seg];

    if ((cpu->mode & EMU_MODE_PROT) && !type_allows(s, access))
        refuse(cpu, insn, seg);
    if (!within(s, offset, size))
        refuse(cpu, insn, seg);
    return (uint32_t)(s->base + offset);
}

static inline bool writes(emu_access access)
{
    return access == EMU_WRITE || access == EMU_RMW;
}

static inline uint64_t translate(emu_cpu *cpu, const emu_insn *insn,
                                 unsigned seg, uint64_t offset, unsigned size,
                                 emu_access access)
{
    unsigned need = writes(access) ? EMU_WIDE_W : EMU_WIDE_R;

    if (cpu->mode & EMU_MODE_CS64)
        return cpu->seg_base[seg] + offset;
    if (G_LIKELY(cpu->seg_wide[seg] & need) &&
        G_LIKELY(offset + size - 1 <= 0xffffffff))
        return (uint32_t)(cpu->seg_base[seg] + offset);
    return check(cpu, insn, seg, offset, size, access);
}

uint64_t emu_segment_check(emu_cpu *cpu, const emu_insn *insn, unsigned seg,
                           uint64_t offset, unsigned size, emu_access access)
{
    return translate(cpu, insn, seg, offset, size, access);
}

uint64_t emu_ea_slow(emu_cpu *cpu, const emu_insn *insn, unsigned size,
                     emu_access access)
{
    return translate(cpu, insn, insn->mem & EMU_MEM_SEG,
                     emu_ea_offset(cpu, insn), size, access);
}
