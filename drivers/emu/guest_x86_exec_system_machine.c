/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_system_machine.c: CPUID, MSRs, time, ports, hypercalls, caches
 * and random numbers.
 *
 * Spec:    AMD APM vol. 3; Intel SDM vol. 2; Linux,
 *          Documentation/virt/kvm/x86/hypercalls.rst.
 * Threads: the vCPU's own.
 */
#include <sys/random.h>

#include "drivers/emu/emu_engine.h"
#include "drivers/emu/guest_x86_cpuid.h"
#include "drivers/emu/guest_x86_exec_system.h"
#include "drivers/emu/guest_x86_msr.h"
#include "drivers/emu/mmu_tlb.h"

enum { KVM_ENOSYS = 1000 };

_Noreturn static void gp(emu_cpu *cpu, const emu_insn *insn)
{
    emu_raise_code(cpu, insn, EMU_GP, 0);
}

static void set_edx_eax(emu_cpu *cpu, uint64_t value)
{
    EMU_SET_R32(cpu, VSR_X86_RAX, value);
    EMU_SET_R32(cpu, VSR_X86_RDX, value >> 32);
}

/* A local APIC that IA32_APIC_BASE turned off is not there. */
static bool lapic_is_off(emu_cpu *cpu)
{
    uint64_t base;

    return emu_msr_read(cpu, EMU_MSR_APIC_BASE, &base) &&
           !(base & EMU_APIC_BASE_ENABLE);
}

EMU_SYSTEM(cpuid)
{
    uint32_t leaf = EMU_R32(cpu, VSR_X86_RAX);
    uint32_t out[4];

    emu_cpuid(cpu, leaf, EMU_R32(cpu, VSR_X86_RCX), out);
    if ((leaf == 1 || leaf == 0x80000001) && lapic_is_off(cpu))
        out[EMU_EDX] &= ~EMU_CPUID_APIC;
    EMU_SET_R32(cpu, VSR_X86_RAX, out[EMU_EAX]);
    EMU_SET_R32(cpu, VSR_X86_RBX, out[EMU_EBX]);
    EMU_SET_R32(cpu, VSR_X86_RCX, out[EMU_ECX]);
    EMU_SET_R32(cpu, VSR_X86_RDX, out[EMU_EDX]);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(rdmsr)
{
    uint64_t value;

    emu_need_cpl0(cpu, insn);
    if (!emu_msr_read(cpu, EMU_R32(cpu, VSR_X86_RCX), &value))
        gp(cpu, insn);
    set_edx_eax(cpu, value);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(wrmsr)
{
    uint64_t value =
        (uint64_t)EMU_R32(cpu, VSR_X86_RDX) << 32 | EMU_R32(cpu, VSR_X86_RAX);

    emu_need_cpl0(cpu, insn);
    if (!emu_msr_write(cpu, EMU_R32(cpu, VSR_X86_RCX), value))
        gp(cpu, insn);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(rdpmc)
{
    /* There are no counters. */
    gp(cpu, insn);
}

/* --- time --- */

uint64_t emu_rdtsc(emu_cpu *cpu)
{
    return emu_vm_time(cpu->vm) + cpu->tsc_offset;
}

static void need_tsc(emu_cpu *cpu, const emu_insn *insn)
{
    if ((cpu->cr4 & EMU_CR4_TSD) && cpu->cpl != 0 && (cpu->cr0 & EMU_CR0_PE))
        gp(cpu, insn);
}

EMU_SYSTEM(rdtsc)
{
    need_tsc(cpu, insn);
    set_edx_eax(cpu, emu_rdtsc(cpu));
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(rdtscp)
{
    if (!emu_cpuid_has(cpu, 0x80000001, EMU_EDX, 27))
        emu_raise(cpu, insn, EMU_UD);
    need_tsc(cpu, insn);
    set_edx_eax(cpu, emu_rdtsc(cpu));
    EMU_SET_R32(cpu, VSR_X86_RCX, cpu->tsc_aux);
    EMU_NEXT(cpu, insn);
}

/* --- random numbers --- */

/* Flags: CF tells of success, the others are 0. */
EMU_SYSTEM(rdrand)
{
    bool seed = insn->op == EMU_OP_RDSEED;
    uint64_t value = 0;
    bool ok;

    if (!(seed ? emu_cpuid_has(cpu, 7, EMU_EBX, 18)
               : emu_cpuid_has(cpu, 1, EMU_ECX, 30)))
        emu_raise(cpu, insn, EMU_UD);
    ok = getrandom(&value, insn->opsize, GRND_NONBLOCK) == insn->opsize;
    if (!ok)
        value = 0;
    emu_put_reg(cpu, insn->reg, insn->opsize, value);
    emu_set_eflags(cpu, ok ? EMU_CF : 0, EMU_ARITH);
    EMU_NEXT(cpu, insn);
}

/* --- caches, fences --- */

EMU_SYSTEM(cache_flush)
{
    emu_need_cpl0(cpu, insn);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(clflush)
{
    emu_load8(cpu, insn, emu_ea(cpu, insn, 1, EMU_READ));
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(fence)
{
    atomic_thread_fence(memory_order_seq_cst);
    EMU_NEXT(cpu, insn);
}

/* --- hypercalls --- */

EMU_SYSTEM(hypercall)
{
    if (!emu_cpuid_has(cpu, EMU_KVM_LEAF, EMU_EAX, 30))
        emu_raise(cpu, insn, EMU_UD);
    /* None is there: KVM_ENOSYS. */
    cpu->regs[VSR_X86_RAX] = (uint64_t) - (int64_t)KVM_ENOSYS;
    if (!(cpu->mode & EMU_MODE_CS64))
        cpu->regs[VSR_X86_RAX] = (uint32_t)cpu->regs[VSR_X86_RAX];
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(undefined)
{
    emu_raise(cpu, insn, EMU_UD);
}

/* --- ports --- */

void emu_io_check(emu_cpu *cpu, const emu_insn *insn, uint16_t port,
                  unsigned size)
{
    const vsr_x86_seg *tr = &cpu->seg[VSR_X86_TR];
    uint32_t at, mask, bits;

    if (!(cpu->cr0 & EMU_CR0_PE))
        return;
    if (!(cpu->eflags & EMU_VM) &&
        cpu->cpl <= (cpu->eflags & EMU_IOPL) >> EMU_IOPL_SHIFT)
        return;
    /* A 32- or 64-bit TSS with a bitmap that reaches so far; two bytes are
     * always read. */
    if (!(tr->attr & VSR_SEG_P) || !(tr->attr & 8) || tr->limit < 0x67)
        gp(cpu, insn);
    at = (uint32_t)emu_sys_load(cpu, insn, tr->base + 0x66, 2) + port / 8;
    if (at + 1 > tr->limit)
        gp(cpu, insn);
    bits = (uint32_t)emu_sys_load(cpu, insn, tr->base + at, 2);
    mask = (1u << size) - 1;
    if (bits >> (port % 8) & mask)
        gp(cpu, insn);
}

static uint16_t port_of(emu_cpu *cpu, const emu_insn *insn)
{
    return insn->form == EMU_FORM_I ? (uint16_t)(insn->imm & 0xff)
                                    : EMU_R16(cpu, VSR_X86_RDX);
}

/* An interrupt that the access brought comes at once. */
static const emu_insn *behind_port(emu_cpu *cpu, const emu_insn *insn)
{
    if (atomic_load(&cpu->exit_request))
        return emu_leave_behind(cpu, insn);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(in)
{
    uint16_t port = port_of(cpu, insn);
    uint64_t value;

    emu_io_check(cpu, insn, port, insn->opsize);
    value = emu_io_in(cpu, port, insn->opsize);
    emu_watch_io(cpu, port, insn->opsize);
    if (insn->opsize == 1)
        EMU_R8(cpu, 0) = (uint8_t)value;
    else
        emu_put_reg(cpu, VSR_X86_RAX, insn->opsize, value);
    return behind_port(cpu, insn);
}

EMU_SYSTEM(out)
{
    uint16_t port = port_of(cpu, insn);

    emu_io_check(cpu, insn, port, insn->opsize);
    emu_io_out(cpu, port, insn->opsize, cpu->regs[VSR_X86_RAX]);
    emu_watch_io(cpu, port, insn->opsize);
    return behind_port(cpu, insn);
}

emu_exec_fn *emu_find_machine(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_CPUID:
        return cpuid;
    case EMU_OP_RDMSR:
        return rdmsr;
    case EMU_OP_WRMSR:
        return wrmsr;
    case EMU_OP_RDPMC:
        return rdpmc;
    case EMU_OP_RDTSC:
        return rdtsc;
    case EMU_OP_RDTSCP:
        return rdtscp;
    case EMU_OP_RDRAND:
    case EMU_OP_RDSEED:
        return rdrand;
    case EMU_OP_INVD:
    case EMU_OP_WBINVD:
        return cache_flush;
    case EMU_OP_CLFLUSH:
        return clflush;
    case EMU_OP_LFENCE:
    case EMU_OP_MFENCE:
    case EMU_OP_SFENCE:
        return fence;
    case EMU_OP_VMCALL:
    case EMU_OP_VMMCALL:
        return hypercall;
    case EMU_OP_MONITOR:
    case EMU_OP_MWAIT:
    case EMU_OP_RSM:
        return undefined;
    case EMU_OP_IN:
        return in;
    case EMU_OP_OUT:
        return out;
    default:
        return NULL;
    }
}
