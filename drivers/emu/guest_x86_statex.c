/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_statex.c: vcpu_get and vcpu_set.
 *
 * A state may come from a file or a peer: all of it is checked before any of it
 * is taken over.
 *
 * Spec:    Intel SDM vol. 3A, 2.5 "Control Registers"; vol. 3C, 26.3.1 "Checks
 *          on the Guest State Area", for what a processor itself refuses.
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_statex.h"

#include <errno.h>

#include "drivers/emu/emu_engine.h"
#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_control.h"
#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_fpstate.h"
#include "drivers/emu/guest_x86_msr.h"
#include "drivers/emu/guest_x86_segment.h"

#define RFLAGS_VALID 0x003f7fd7u
#define CR0_VALID    0xe005003fu

/* --- get --- */

static void get_lapic(emu_cpu *cpu, vsr_x86_state *out)
{
    const vsr_engine_events *ev = cpu->vm->events;
    void *machine = cpu->vm->machine;

    if (ev->cr8_get)
        out->cr8 = ev->cr8_get(machine, cpu->index);
    if (ev->msr) {
        ev->msr(machine, cpu->index, EMU_MSR_APIC_BASE, false, &out->apic_base);
        ev->msr(machine, cpu->index, EMU_MSR_TSC_DEADLINE, false,
                &out->tsc_deadline);
    }
}

static void get_events(const emu_cpu *cpu, vsr_x86_events *out)
{
    out->exception_pending = cpu->inject_exception;
    out->exception_has_error = cpu->inject_has_error;
    out->exception_vector = cpu->inject_vector;
    out->exception_error = cpu->inject_error;
    out->interrupt_injected = cpu->inject_interrupt;
    out->interrupt_vector = cpu->inject_interrupt_vector;
    out->nmi_pending = atomic_load(&cpu->nmis) != 0;
    out->nmi_masked = cpu->nmi_masked;
    out->shadow_sti = cpu->inhibit & EMU_INHIBIT_STI;
    out->shadow_mov_ss = cpu->inhibit & EMU_INHIBIT_MOV_SS;
}

static void get_msrs(emu_cpu *cpu, vsr_x86_state *out)
{
    const uint32_t *list;
    uint32_t n = emu_msr_list(&list);

    for (uint32_t i = 0; i < n; i++) {
        vsr_x86_msr *msr = &out->msrs[out->n_msrs];

        msr->index = list[i];
        if (emu_msr_read(cpu, msr->index, &msr->value))
            out->n_msrs++;
    }
}

void emu_state_get(emu_cpu *cpu, vsr_x86_state *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->gpr, cpu->regs, sizeof out->gpr);
    out->rip = cpu->regs[EMU_REG_RIP];
    out->rflags = emu_eflags(cpu);
    memcpy(out->seg, cpu->seg, sizeof out->seg);
    out->gdt = cpu->gdt;
    out->idt = cpu->idt;
    out->cr0 = cpu->cr0;
    out->cr2 = cpu->cr2;
    out->cr3 = cpu->cr3;
    out->cr4 = cpu->cr4;
    memcpy(out->dr, cpu->dr, sizeof out->dr);
    out->dr[4] = out->dr[5] = 0;
    out->xcr0 = cpu->xcr0;
    out->efer = cpu->efer;
    out->mp_state = cpu->mp_state;
    out->tsc = emu_rdtsc(cpu);
    get_events(cpu, &out->events);
    get_lapic(cpu, out);
    get_msrs(cpu, out);
    out->xsave_len = EMU_XSAVE_LEN;
    emu_xsave_image(cpu, out->xsave);
}

/* --- checks --- */

static bool efer_fits(const emu_cpu *cpu, const vsr_x86_state *in)
{
    uint64_t lme_pg = (in->efer & EMU_EFER_LME) && (in->cr0 & EMU_CR0_PG);
    bool lma = in->efer & EMU_EFER_LMA;

    if (lma != (lme_pg != 0) || (in->efer & ~emu_efer_valid_bits(cpu)))
        return false;
    return !lma || (in->cr4 & EMU_CR4_PAE);
}

static bool control_fits(const emu_cpu *cpu, const vsr_x86_state *in)
{
    if (in->cr0 & ~(uint64_t)CR0_VALID)
        return false;
    if ((in->cr0 & EMU_CR0_PG) && !(in->cr0 & EMU_CR0_PE))
        return false;
    if ((in->cr0 & EMU_CR0_NW) && !(in->cr0 & EMU_CR0_CD))
        return false;
    if (in->cr4 & ~emu_cr4_valid_bits(cpu))
        return false;
    if (in->cr3 & ~(cpu->phys_mask | 0xfff))
        return false;
    if ((in->cr4 & EMU_CR4_PCIDE) && !(in->efer & EMU_EFER_LMA))
        return false;
    return efer_fits(cpu, in) && emu_xcr0_valid(in->xcr0) && in->cr8 <= 15;
}

static bool segments_fit(const vsr_x86_state *in)
{
    bool long_mode = in->efer & EMU_EFER_LMA;
    uint16_t cs = in->seg[VSR_X86_CS].attr;

    for (unsigned s = 0; s < VSR_X86_SEGS; s++) {
        const vsr_x86_seg *seg = &in->seg[s];

        if (seg->attr & ~0xf0ffu || !emu_canonical(seg->base))
            return false;
        if (s <= VSR_X86_DS && (seg->attr & VSR_SEG_P) && seg->base >> 32)
            return false;
    }
    if (!(cs & VSR_SEG_P) || !(cs & VSR_SEG_S))
        return false;
    if (long_mode && (cs & VSR_SEG_L) && (cs & VSR_SEG_DB))
        return false;
    if ((in->rflags & EMU_VM) && (long_mode || !(in->cr0 & EMU_CR0_PE)))
        return false;
    return emu_canonical(in->gdt.base) && emu_canonical(in->idt.base) &&
           in->gdt.limit <= 0xffff && in->idt.limit <= 0xffff;
}

static bool msrs_fit(const emu_cpu *cpu, const vsr_x86_state *in)
{
    if (in->n_msrs > VSR_X86_MSRS_MAX)
        return false;
    for (uint32_t i = 0; i < in->n_msrs; i++)
        if (!emu_msr_valid(cpu, in->msrs[i].index, in->msrs[i].value))
            return false;
    return true;
}

static bool events_fit(const vsr_x86_state *in)
{
    return (unsigned)in->mp_state <= VSR_MP_WAIT_SIPI &&
           (!in->events.exception_pending || in->events.exception_vector < 32);
}

/* --- set --- */

static unsigned cpl_of(const vsr_x86_state *in)
{
    if (!(in->cr0 & EMU_CR0_PE))
        return 0;
    if (in->rflags & EMU_VM)
        return 3;
    return (in->seg[VSR_X86_SS].attr & VSR_SEG_DPL) >> VSR_SEG_DPL_SHIFT;
}

static void set_events(emu_cpu *cpu, const vsr_x86_events *in)
{
    cpu->inject_exception = in->exception_pending;
    cpu->inject_has_error = in->exception_has_error;
    cpu->inject_vector = in->exception_vector;
    cpu->inject_error = in->exception_error;
    cpu->inject_interrupt = in->interrupt_injected;
    cpu->inject_interrupt_vector = in->interrupt_vector;
    cpu->nmi_masked = in->nmi_masked;
    atomic_store(&cpu->nmis, in->nmi_pending);
    cpu->inhibit = (uint8_t)((in->shadow_sti ? EMU_INHIBIT_STI : 0) |
                             (in->shadow_mov_ss ? EMU_INHIBIT_MOV_SS : 0));
    atomic_fetch_and(&cpu->exit_request,
                     ~(uint32_t)(EMU_EXIT_NMI | EMU_EXIT_INIT | EMU_EXIT_SIPI));
    if (in->nmi_pending && !in->nmi_masked)
        atomic_fetch_or(&cpu->exit_request, EMU_EXIT_NMI);
    atomic_fetch_or(&cpu->exit_request, EMU_EXIT_MODE);
}

static void set_msrs(emu_cpu *cpu, const vsr_x86_state *in)
{
    for (uint32_t i = 0; i < in->n_msrs; i++) {
        const vsr_x86_msr *msr = &in->msrs[i];

        switch (msr->index) {
        case EMU_MSR_KVM_TIME:
        case EMU_MSR_KVM_TIME_OLD:
            /* The page is written when the vCPU next runs. */
            if (msr->value || msr->index == EMU_MSR_KVM_TIME)
                cpu->kvmclock_msr = msr->value;
            break;
        case EMU_MSR_KVM_WALL:
        case EMU_MSR_KVM_WALL_OLD:
            /* Not written again: the guest has had it. */
            if (msr->value || msr->index == EMU_MSR_KVM_WALL)
                cpu->kvm_wall_msr = msr->value;
            break;
        case EMU_MSR_TSC_ADJUST:
            cpu->tsc_adjust = msr->value; /* the TSC has it already */
            break;
        default:
            emu_msr_write(cpu, msr->index, msr->value);
            break;
        }
    }
}

int emu_state_set(emu_cpu *cpu, const vsr_x86_state *in)
{
    if (!control_fits(cpu, in) || !segments_fit(in) || !msrs_fit(cpu, in) ||
        !events_fit(in) || (in->rflags & ~(uint64_t)RFLAGS_VALID) ||
        in->dr[6] >> 32 || in->dr[7] >> 32 || in->xsave_len > VSR_X86_XSAVE_MAX)
        return -EINVAL;
    if (!emu_xsave_restore(cpu, in->xsave, in->xsave_len))
        return -EINVAL;

    memcpy(cpu->regs, in->gpr, sizeof in->gpr);
    cpu->regs[EMU_REG_RIP] = in->rip;
    memcpy(cpu->seg, in->seg, sizeof cpu->seg);
    cpu->gdt = in->gdt;
    cpu->idt = in->idt;
    cpu->cr0 = in->cr0 | EMU_CR0_ET;
    cpu->cr2 = in->cr2;
    cpu->cr3 = in->cr3;
    cpu->cr4 = in->cr4;
    cpu->efer = in->efer;
    cpu->xcr0 = in->xcr0;
    memcpy(cpu->dr, in->dr, sizeof cpu->dr);
    cpu->dr[6] = (in->dr[6] & 0xe00f) | EMU_DR6_FIXED;
    cpu->dr[7] = (in->dr[7] & 0xffff23ff) | EMU_DR7_FIXED;
    cpu->dr6_pending = 0;
    cpu->delivering = -1;
    cpu->cpl = (uint8_t)cpl_of(in);
    cpu->eflags = 2;
    emu_set_eflags(cpu, (uint32_t)in->rflags, 0xffffffff);
    cpu->mp_state = in->mp_state;
    emu_tsc_set(cpu, in->tsc);
    set_events(cpu, &in->events);
    set_msrs(cpu, in);
    memset(cpu->pdptr, 0, sizeof cpu->pdptr);
    if ((cpu->cr0 & EMU_CR0_PG) && (cpu->cr4 & EMU_CR4_PAE) &&
        !emu_long_mode(cpu))
        emu_load_pdptrs(cpu, cpu->cr3);

    emu_mode_update(cpu);
    emu_mmu_mode_changed(cpu);
    emu_tlb_flush(cpu, true);
    emu_fp_mode_changed(cpu);
    cpu->vcpu->clock_epoch = 0; /* never the VM's: write the clock page */
    return 0;
}
