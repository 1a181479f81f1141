/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_system_far.c: far transfers, software interrupts, fast system
 * calls.
 *
 * Spec:    AMD APM vol. 2, 6.1 "Fast System Call and Return"; vol. 3, "SYSCALL",
 *          "SYSRET", "SYSENTER", "SYSEXIT" (not in long mode, as on AMD's
 *          processors); Intel SDM vol. 2, "INT n/INTO/INT3/INT1".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_system.h"

_Noreturn static void gp(emu_cpu *cpu, const emu_insn *insn)
{
    emu_raise_code(cpu, insn, EMU_GP, 0);
}

/* --- far JMP, CALL, RET, IRET --- */

static uint16_t far_target(emu_cpu *cpu, const emu_insn *insn, uint64_t *offset)
{
    unsigned size = insn->opsize;
    uint8_t bytes[10];
    uint16_t selector;

    if (insn->form == EMU_FORM_I) {
        *offset = (uint32_t)insn->imm;
        if (size == 2)
            *offset &= 0xffff;
        return (uint16_t)insn->disp;
    }
    emu_load_bytes(cpu, insn, emu_ea(cpu, insn, size + 2, EMU_READ), bytes,
                   size + 2);
    *offset = 0;
    memcpy(offset, bytes, size);
    memcpy(&selector, bytes + size, 2);
    return selector;
}

EMU_SYSTEM(jmpf)
{
    uint64_t offset;
    uint16_t selector = far_target(cpu, insn, &offset);

    return emu_leave(cpu, emu_far_jump(cpu, insn, selector, offset));
}

EMU_SYSTEM(callf)
{
    uint64_t offset;
    uint16_t selector = far_target(cpu, insn, &offset);

    return emu_leave(cpu, emu_far_call(cpu, insn, selector, offset));
}

EMU_SYSTEM(retf)
{
    unsigned drop = insn->form == EMU_FORM_I ? insn->imm & 0xffff : 0;

    return emu_leave(cpu, emu_far_return(cpu, insn, drop));
}

EMU_SYSTEM(iret)
{
    return emu_leave(cpu, emu_iret(cpu, insn));
}

/* --- software interrupts --- */

EMU_SYSTEM(int_n)
{
    if ((cpu->eflags & EMU_VM) && (cpu->eflags & EMU_IOPL) != EMU_IOPL)
        gp(cpu, insn);
    emu_software_interrupt(cpu, insn, insn->imm & 0xff, false);
}

EMU_SYSTEM(int3)
{
    emu_software_interrupt(cpu, insn, EMU_BP, false);
}

EMU_SYSTEM(into)
{
    if (emu_eflags(cpu) & EMU_OF)
        emu_software_interrupt(cpu, insn, EMU_OF_TRAP, false);
    return emu_leave(cpu, emu_next_rip(cpu, insn));
}

EMU_SYSTEM(icebp)
{
    emu_software_interrupt(cpu, insn, EMU_DB, true);
}

/* --- SYSCALL and its kin --- */

/* Flat 4 GiB, or 64-bit, code and data of privilege `cpl`. */
static void set_flat(emu_cpu *cpu, uint16_t cs, uint16_t ss, unsigned cpl,
                     bool code64)
{
    uint16_t dpl = (uint16_t)(cpl << VSR_SEG_DPL_SHIFT);
    uint16_t common = VSR_SEG_P | VSR_SEG_S | VSR_SEG_G;

    cpu->seg[VSR_X86_CS] = (vsr_x86_seg){
        .limit = 0xffffffff,
        .selector = cs,
        .attr =
            (uint16_t)(common | dpl | 0xb | (code64 ? VSR_SEG_L : VSR_SEG_DB)),
    };
    cpu->seg[VSR_X86_SS] = (vsr_x86_seg){
        .limit = 0xffffffff,
        .selector = ss,
        .attr = (uint16_t)(common | dpl | 0x3 | VSR_SEG_DB),
    };
    cpu->cpl = (uint8_t)cpl;
    emu_mode_update(cpu);
    emu_mmu_mode_changed(cpu);
}

static void need_syscall(emu_cpu *cpu, const emu_insn *insn)
{
    if (!(cpu->efer & EMU_EFER_SCE) || !(cpu->cr0 & EMU_CR0_PE))
        emu_raise(cpu, insn, EMU_UD);
}

EMU_SYSTEM(fast_call)
{
    uint64_t next = emu_next_rip(cpu, insn);
    uint16_t cs = (uint16_t)(cpu->star >> 32) & 0xfffc;
    uint64_t target;

    need_syscall(cpu, insn);
    if (emu_long_mode(cpu)) {
        cpu->regs[VSR_X86_RCX] = next;
        cpu->regs[11] = emu_eflags(cpu) & ~(uint32_t)EMU_RF;
        target = cpu->mode & EMU_MODE_CS64 ? cpu->lstar : cpu->cstar;
        set_flat(cpu, cs, (uint16_t)(cs + 8), 0, true);
        emu_set_eflags(cpu, 0, (uint32_t)cpu->sfmask | EMU_RF);
    } else {
        EMU_SET_R32(cpu, VSR_X86_RCX, next);
        target = (uint32_t)cpu->star;
        set_flat(cpu, cs, (uint16_t)(cs + 8), 0, false);
        emu_set_eflags(cpu, 0, EMU_VM | EMU_IF | EMU_RF);
    }
    return emu_leave(cpu, target);
}

EMU_SYSTEM(sysret)
{
    uint16_t base = (uint16_t)(cpu->star >> 48);
    uint64_t target;

    need_syscall(cpu, insn);
    emu_need_cpl0(cpu, insn);
    if (insn->opsize == 8) {
        target = cpu->regs[VSR_X86_RCX];
        set_flat(cpu, (uint16_t)((base + 16) | 3), (uint16_t)((base + 8) | 3),
                 3, true);
    } else {
        target = EMU_R32(cpu, VSR_X86_RCX);
        set_flat(cpu, base | 3, (uint16_t)((base + 8) | 3), 3, false);
    }
    if (emu_long_mode(cpu))
        emu_set_eflags(cpu, EMU_R32(cpu, 11), 0x3c7fd7);
    else
        emu_set_eflags(cpu, EMU_IF, EMU_IF);
    return emu_leave(cpu, target);
}

static void need_sysenter(emu_cpu *cpu, const emu_insn *insn)
{
    if (emu_long_mode(cpu))
        emu_raise(cpu, insn, EMU_UD);
    if (!(cpu->cr0 & EMU_CR0_PE) || (cpu->sysenter_cs & 0xfffc) == 0)
        gp(cpu, insn);
}

EMU_SYSTEM(sysenter)
{
    uint16_t cs = (uint16_t)cpu->sysenter_cs & 0xfffc;

    need_sysenter(cpu, insn);
    emu_set_eflags(cpu, 0, EMU_VM | EMU_IF | EMU_RF);
    set_flat(cpu, cs, (uint16_t)(cs + 8), 0, false);
    EMU_SET_R32(cpu, VSR_X86_RSP, cpu->sysenter_esp);
    return emu_leave(cpu, (uint32_t)cpu->sysenter_eip);
}

EMU_SYSTEM(sysexit)
{
    uint16_t cs = (uint16_t)cpu->sysenter_cs & 0xfffc;
    uint64_t target = EMU_R32(cpu, VSR_X86_RDX);

    need_sysenter(cpu, insn);
    emu_need_cpl0(cpu, insn);
    set_flat(cpu, (uint16_t)((cs + 16) | 3), (uint16_t)((cs + 24) | 3), 3,
             false);
    EMU_SET_R32(cpu, VSR_X86_RSP, cpu->regs[VSR_X86_RCX]);
    return emu_leave(cpu, target);
}

emu_exec_fn *emu_find_far(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_JMPF:
        return jmpf;
    case EMU_OP_CALLF:
        return callf;
    case EMU_OP_RETF:
        return retf;
    case EMU_OP_IRET:
        return iret;
    case EMU_OP_INT:
        return int_n;
    case EMU_OP_INT3:
        return int3;
    case EMU_OP_INTO:
        return into;
    case EMU_OP_ICEBP:
        return icebp;
    case EMU_OP_SYSCALL:
        return fast_call;
    case EMU_OP_SYSRET:
        return sysret;
    case EMU_OP_SYSENTER:
        return sysenter;
    case EMU_OP_SYSEXIT:
        return sysexit;
    default:
        return NULL;
    }
}
