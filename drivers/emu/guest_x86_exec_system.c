/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_system.c: control and debug registers, paging, modes.
 *
 * Spec:    AMD APM vol. 3, chapter 4 "System Instruction Reference"; Intel SDM
 *          vol. 2, "MOV—Move to/from Control Registers"; vol. 3A, 2.5 "Control
 *          Registers".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_system.h"

#include "drivers/emu/emu_engine.h"
#include "drivers/emu/guest_x86_control.h"
#include "drivers/emu/guest_x86_cpuid.h"
#include "drivers/emu/guest_x86_exception.h"
#include "drivers/emu/guest_x86_fpstate.h"

emu_exec_fn *emu_exec_find_system(const emu_insn *insn)
{
    static emu_exec_fn *(*const files[])(const emu_insn *) = {
        emu_find_control,    emu_find_machine, emu_find_segment,
        emu_find_descriptor, emu_find_far,
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
        emu_exec_fn *exec = files[i](insn);

        if (exec)
            return exec;
    }
    return NULL;
}

_Noreturn static void gp(emu_cpu *cpu, const emu_insn *insn)
{
    emu_raise_code(cpu, insn, EMU_GP, 0);
}

/* --- control registers --- */

EMU_SYSTEM(mov_r_cr)
{
    emu_vm *vm = cpu->vm;
    uint64_t value = 0;

    emu_need_cpl0(cpu, insn);
    switch (insn->rm) {
    case 0:
        value = cpu->cr0;
        break;
    case 2:
        value = cpu->cr2;
        break;
    case 3:
        value = cpu->cr3;
        break;
    case 4:
        value = cpu->cr4;
        break;
    case 8:
        if (vm->events->cr8_get) {
            unsigned was = emu_upcall_begin(cpu);

            value = vm->events->cr8_get(vm->machine, cpu->index);
            emu_upcall_end(cpu, was);
        }
        break;
    default:
        emu_raise(cpu, insn, EMU_UD);
    }
    emu_put_reg(cpu, insn->reg, insn->opsize, value);
    EMU_NEXT(cpu, insn);
}

static void write_cr8(emu_cpu *cpu, const emu_insn *insn, uint64_t value)
{
    emu_vm *vm = cpu->vm;
    unsigned was;

    if (value > 15)
        gp(cpu, insn);
    if (vm->events->cr8_set == NULL)
        return;
    was = emu_upcall_begin(cpu);
    vm->events->cr8_set(vm->machine, cpu->index, value);
    emu_upcall_end(cpu, was);
}

EMU_SYSTEM(mov_cr_r)
{
    uint64_t value = cpu->regs[insn->rm];
    uint64_t next = emu_next_rip(cpu, insn);
    bool ok = true;

    emu_need_cpl0(cpu, insn);
    if (insn->opsize == 4)
        value = (uint32_t)value;
    switch (insn->reg) {
    case 0:
        ok = emu_write_cr0(cpu, insn, value);
        break;
    case 2:
        cpu->cr2 = value;
        break;
    case 3:
        ok = emu_write_cr3(cpu, insn, value);
        break;
    case 4:
        ok = emu_write_cr4(cpu, insn, value);
        break;
    case 8:
        write_cr8(cpu, insn, value);
        EMU_NEXT(cpu, insn);
    default:
        emu_raise(cpu, insn, EMU_UD);
    }
    if (!ok)
        gp(cpu, insn);
    return emu_leave(cpu, next);
}

EMU_SYSTEM(lmsw)
{
    uint64_t next = emu_next_rip(cpu, insn);
    uint16_t value;

    emu_need_cpl0(cpu, insn);
    value = emu_source16(cpu, insn, insn->reg) & 0xf;
    /* It can set PE, but not clear it. */
    if (!emu_write_cr0(cpu, insn, (cpu->cr0 & ~UINT64_C(0xe)) | value))
        gp(cpu, insn);
    return emu_leave(cpu, next);
}

EMU_SYSTEM(smsw)
{
    emu_need_umip(cpu, insn);
    if (emu_in_memory(insn))
        emu_store16(cpu, insn, emu_ea(cpu, insn, 2, EMU_WRITE),
                    (uint16_t)cpu->cr0);
    else
        emu_put_reg(cpu, insn->reg, insn->opsize, cpu->cr0);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(clts)
{
    emu_need_cpl0(cpu, insn);
    cpu->cr0 &= ~(uint64_t)EMU_CR0_TS;
    emu_fp_mode_changed(cpu);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(xgetbv)
{
    if (!(cpu->cr4 & EMU_CR4_OSXSAVE))
        emu_raise(cpu, insn, EMU_UD);
    if (EMU_R32(cpu, VSR_X86_RCX) != 0)
        gp(cpu, insn);
    EMU_SET_R32(cpu, VSR_X86_RAX, cpu->xcr0);
    EMU_SET_R32(cpu, VSR_X86_RDX, cpu->xcr0 >> 32);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(xsetbv)
{
    uint64_t value =
        (uint64_t)EMU_R32(cpu, VSR_X86_RDX) << 32 | EMU_R32(cpu, VSR_X86_RAX);

    if (!(cpu->cr4 & EMU_CR4_OSXSAVE))
        emu_raise(cpu, insn, EMU_UD);
    emu_need_cpl0(cpu, insn);
    if (EMU_R32(cpu, VSR_X86_RCX) != 0 || !emu_xcr0_valid(value))
        gp(cpu, insn);
    cpu->xcr0 = value;
    emu_fp_mode_changed(cpu);
    EMU_NEXT(cpu, insn);
}

/* --- debug registers --- */

static unsigned dr_number(emu_cpu *cpu, const emu_insn *insn, unsigned n)
{
    if (n == 4 || n == 5) {
        if (cpu->cr4 & EMU_CR4_DE)
            emu_raise(cpu, insn, EMU_UD);
        n += 2;
    }
    if (n > 7)
        emu_raise(cpu, insn, EMU_UD);
    emu_need_cpl0(cpu, insn);
    if (cpu->dr[7] & EMU_DR7_GD)
        emu_raise_debug(cpu, insn, EMU_DR6_BD);
    return n;
}

EMU_SYSTEM(mov_r_dr)
{
    unsigned n = dr_number(cpu, insn, insn->rm);

    emu_put_reg(cpu, insn->reg, insn->opsize, cpu->dr[n]);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(mov_dr_r)
{
    unsigned n = dr_number(cpu, insn, insn->reg);
    uint64_t next = emu_next_rip(cpu, insn);
    uint64_t value = cpu->regs[insn->rm];

    if (insn->opsize == 4)
        value = (uint32_t)value;
    if (n >= 6 && value >> 32)
        gp(cpu, insn);
    emu_write_dr(cpu, n, value);
    return emu_leave(cpu, next);
}

/* --- TLB --- */

EMU_SYSTEM(invlpg)
{
    uint64_t next = emu_next_rip(cpu, insn);
    unsigned seg = insn->mem & EMU_MEM_SEG;
    uint64_t la = emu_ea_offset(cpu, insn) + cpu->seg_base[seg];

    emu_need_cpl0(cpu, insn);
    if (!(cpu->mode & EMU_MODE_CS64))
        la = (uint32_t)la;
    emu_tlb_flush_page(cpu, la);
    return emu_leave(cpu, next);
}

/* INVPCID's register operand. */
enum { INV_ADDRESS, INV_PCID, INV_ALL, INV_ALL_BUT_GLOBAL };

EMU_SYSTEM(invpcid)
{
    uint64_t next = emu_next_rip(cpu, insn);
    uint64_t type = cpu->regs[insn->reg], desc[2], pcid;

    if (!emu_cpuid_has(cpu, 7, EMU_EBX, 10))
        emu_raise(cpu, insn, EMU_UD);
    emu_need_cpl0(cpu, insn);
    if (insn->opsize == 4)
        type = (uint32_t)type;
    if (type > INV_ALL_BUT_GLOBAL)
        gp(cpu, insn);
    emu_load_bytes(cpu, insn, emu_ea(cpu, insn, sizeof desc, EMU_READ), desc,
                   sizeof desc);
    pcid = desc[0];
    if (pcid & ~EMU_CR3_PCID)
        gp(cpu, insn);
    if (type <= INV_PCID && pcid != 0 && !(cpu->cr4 & EMU_CR4_PCIDE))
        gp(cpu, insn);
    if (type == INV_ADDRESS && !emu_canonical(desc[1]))
        gp(cpu, insn);
    switch (type) {
    case INV_ADDRESS:
        emu_tlb_flush_pcid_page(cpu, (unsigned)pcid, desc[1]);
        break;
    case INV_PCID:
        emu_tlb_flush_pcid(cpu, (unsigned)pcid);
        break;
    case INV_ALL:
        emu_tlb_flush(cpu, true);
        break;
    default:
        emu_tlb_flush_pcids(cpu);
        break;
    }
    return emu_leave(cpu, next);
}

/* --- interrupts and the SMAP override --- */

static void need_iopl(emu_cpu *cpu, const emu_insn *insn)
{
    if ((cpu->cr0 & EMU_CR0_PE) &&
        cpu->cpl > (cpu->eflags & EMU_IOPL) >> EMU_IOPL_SHIFT)
        gp(cpu, insn);
}

EMU_SYSTEM(cli)
{
    need_iopl(cpu, insn);
    if (emu_intr_first(cpu, insn))
        return emu_leave_before(cpu, insn);
    cpu->eflags &= ~(uint32_t)EMU_IF;
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(sti)
{
    need_iopl(cpu, insn);
    if (cpu->eflags & EMU_IF)
        EMU_NEXT(cpu, insn);
    cpu->eflags |= EMU_IF;
    emu_intr_unmasked(cpu);
    /* The shadow matters where something waits now, or could be noticed before
     * the next instruction: at the end of the block. */
    if (atomic_load(&cpu->exit_request) || insn[1].op == EMU_OP_NEXT) {
        cpu->inhibit |= EMU_INHIBIT_STI;
        return emu_leave_behind(cpu, insn);
    }
    EMU_NEXT(cpu, insn);
}

static void need_smap(emu_cpu *cpu, const emu_insn *insn)
{
    if (cpu->cpl != 0 || !(emu_cr4_valid_bits(cpu) & EMU_CR4_SMAP))
        emu_raise(cpu, insn, EMU_UD);
}

EMU_SYSTEM(clac)
{
    need_smap(cpu, insn);
    cpu->eflags &= ~(uint32_t)EMU_AC;
    emu_mmu_mode_changed(cpu);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(stac)
{
    need_smap(cpu, insn);
    cpu->eflags |= EMU_AC;
    emu_mmu_mode_changed(cpu);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(hlt)
{
    emu_need_cpl0(cpu, insn);
    cpu->mp_state = VSR_MP_HALTED;
    return emu_leave(cpu, emu_next_rip(cpu, insn));
}

emu_exec_fn *emu_find_control(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_MOV_R_CR:
        return mov_r_cr;
    case EMU_OP_MOV_CR_R:
        return mov_cr_r;
    case EMU_OP_LMSW:
        return lmsw;
    case EMU_OP_SMSW:
        return smsw;
    case EMU_OP_CLTS:
        return clts;
    case EMU_OP_XGETBV:
        return xgetbv;
    case EMU_OP_XSETBV:
        return xsetbv;
    case EMU_OP_MOV_R_DR:
        return mov_r_dr;
    case EMU_OP_MOV_DR_R:
        return mov_dr_r;
    case EMU_OP_INVLPG:
        return invlpg;
    case EMU_OP_INVPCID:
        return invpcid;
    case EMU_OP_CLI:
        return cli;
    case EMU_OP_STI:
        return sti;
    case EMU_OP_CLAC:
        return clac;
    case EMU_OP_STAC:
        return stac;
    case EMU_OP_HLT:
        return hlt;
    default:
        return NULL;
    }
}
