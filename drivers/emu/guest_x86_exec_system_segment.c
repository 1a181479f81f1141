/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_system_segment.c: segment registers and their bases.
 *
 * Spec:    Intel SDM vol. 2, "MOV", "POP", "LDS/LES/LFS/LGS/LSS", "SWAPGS",
 *          "RDFSBASE/RDGSBASE", "WRFSBASE/WRGSBASE".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_system.h"

EMU_SYSTEM(push_seg)
{
    /* A 4- or 8-byte slot is written whole, with zeros above. */
    emu_push(cpu, insn, insn->opsize, cpu->seg[insn->reg].selector);
    EMU_NEXT(cpu, insn);
}

/* MOV SS and POP SS: nothing comes between them and the next instruction. */
static void shadow(emu_cpu *cpu, unsigned seg)
{
    if (seg == VSR_X86_SS)
        cpu->inhibit |= EMU_INHIBIT_MOV_SS;
}

EMU_SYSTEM(pop_seg)
{
    uint32_t mode = cpu->mode;
    uint64_t mask = emu_stack_mask(cpu);
    uint64_t sp = cpu->regs[VSR_X86_RSP];
    uint16_t sel = (uint16_t)emu_stack_read(cpu, insn, 0, insn->opsize);

    emu_segment_load(cpu, insn, insn->reg, sel);
    /* By the width of the stack it came from. */
    sp += insn->opsize;
    if (mask == 0xffff)
        EMU_R16(cpu, VSR_X86_RSP) = (uint16_t)sp;
    else
        cpu->regs[VSR_X86_RSP] = sp & mask;
    shadow(cpu, insn->reg);
    return emu_go_on(cpu, insn, mode);
}

EMU_SYSTEM(mov_from_seg)
{
    if (emu_in_memory(insn))
        emu_store16(cpu, insn, emu_ea(cpu, insn, 2, EMU_WRITE),
                    cpu->seg[insn->reg].selector);
    else
        emu_put_reg(cpu, insn->reg, insn->opsize, cpu->seg[insn->rm].selector);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(mov_to_seg)
{
    uint32_t mode = cpu->mode;

    emu_segment_load(cpu, insn, insn->reg, emu_source16(cpu, insn, insn->rm));
    shadow(cpu, insn->reg);
    return emu_go_on(cpu, insn, mode);
}

/* LES, LDS, LSS, LFS, LGS: offset, then selector. */
EMU_SYSTEM(load_far)
{
    uint32_t mode = cpu->mode;
    unsigned size = insn->opsize;
    uint64_t la = emu_ea(cpu, insn, size + 2, EMU_READ);
    uint8_t bytes[10];
    uint64_t offset = 0;
    uint16_t sel;

    emu_load_bytes(cpu, insn, la, bytes, size + 2);
    memcpy(&offset, bytes, size);
    memcpy(&sel, bytes + size, 2);
    emu_segment_load(cpu, insn, insn->aux, sel);
    emu_put_reg(cpu, insn->reg, size, offset);
    return emu_go_on(cpu, insn, mode);
}

/* --- bases --- */

static void need_fsgsbase(emu_cpu *cpu, const emu_insn *insn)
{
    if (!(cpu->cr4 & EMU_CR4_FSGSBASE) || !(cpu->mode & EMU_MODE_CS64))
        emu_raise(cpu, insn, EMU_UD);
}

static const emu_insn *read_base(emu_cpu *cpu, const emu_insn *insn,
                                 unsigned seg)
{
    need_fsgsbase(cpu, insn);
    emu_put_reg(cpu, insn->reg, insn->opsize, cpu->seg[seg].base);
    EMU_NEXT(cpu, insn);
}

static const emu_insn *write_base(emu_cpu *cpu, const emu_insn *insn,
                                  unsigned seg)
{
    uint64_t base =
        insn->opsize == 4 ? EMU_R32(cpu, insn->reg) : EMU_R64(cpu, insn->reg);

    need_fsgsbase(cpu, insn);
    if (!emu_canonical(base))
        emu_raise_code(cpu, insn, EMU_GP, 0);
    cpu->seg[seg].base = base;
    cpu->seg_base[seg] = base;
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(rdfsbase)
{
    return read_base(cpu, insn, VSR_X86_FS);
}

EMU_SYSTEM(rdgsbase)
{
    return read_base(cpu, insn, VSR_X86_GS);
}

EMU_SYSTEM(wrfsbase)
{
    return write_base(cpu, insn, VSR_X86_FS);
}

EMU_SYSTEM(wrgsbase)
{
    return write_base(cpu, insn, VSR_X86_GS);
}

EMU_SYSTEM(swapgs)
{
    uint64_t base = cpu->kernel_gs_base;

    if (!(cpu->mode & EMU_MODE_CS64))
        emu_raise(cpu, insn, EMU_UD);
    emu_need_cpl0(cpu, insn);
    cpu->kernel_gs_base = cpu->seg[VSR_X86_GS].base;
    cpu->seg[VSR_X86_GS].base = base;
    cpu->seg_base[VSR_X86_GS] = base;
    EMU_NEXT(cpu, insn);
}

emu_exec_fn *emu_find_segment(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_PUSH_SEG:
        return push_seg;
    case EMU_OP_POP_SEG:
        return pop_seg;
    case EMU_OP_MOV_FROM_SEG:
        return mov_from_seg;
    case EMU_OP_MOV_TO_SEG:
        return mov_to_seg;
    case EMU_OP_LOADFAR:
        return load_far;
    case EMU_OP_RDFSBASE:
        return rdfsbase;
    case EMU_OP_RDGSBASE:
        return rdgsbase;
    case EMU_OP_WRFSBASE:
        return wrfsbase;
    case EMU_OP_WRGSBASE:
        return wrgsbase;
    case EMU_OP_SWAPGS:
        return swapgs;
    default:
        return NULL;
    }
}
