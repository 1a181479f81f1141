/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_control.c: what a write to CR0, CR3, CR4 and DRn does.
 *
 * Spec:    Intel SDM vol. 3A, 2.5 "Control Registers", 4.1.1 "Four Paging
 *          Modes", 4.4.1 "PDPTE Registers", 4.10.1 "Process-Context
 *          Identifiers", 9.8.5 "Initializing IA-32e Mode".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_control.h"

#include "drivers/emu/emu_engine.h"
#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_cpuid.h"
#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_fpstate.h"
#include "drivers/emu/guest_x86_segment.h"

enum { PDPTE_P = 1 };

static bool pae_legacy(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return (cr0 & EMU_CR0_PG) && (cr4 & EMU_CR4_PAE) && !(efer & EMU_EFER_LMA);
}

bool emu_load_pdptrs(emu_cpu *cpu, uint64_t cr3)
{
    uint64_t at = cr3 & 0xffffffe0;
    emu_slot *slot = emu_slot_find(cpu->vm, at);
    uint64_t reserved = 0x1e6 | ~(cpu->phys_mask | 0xfff);
    uint64_t entry[4];

    if (slot == NULL)
        return false;
    memcpy(entry, slot->host + (at - slot->gpa), sizeof entry);
    for (unsigned i = 0; i < 4; i++)
        if ((entry[i] & PDPTE_P) && (entry[i] & reserved))
            return false;
    memcpy(cpu->pdptr, entry, sizeof entry);
    return true;
}

static void mode_changed(emu_cpu *cpu)
{
    emu_mode_update(cpu);
    emu_mmu_mode_changed(cpu);
    emu_fp_mode_changed(cpu);
}

bool emu_write_cr0(emu_cpu *cpu, const emu_insn *insn, uint64_t value)
{
    uint64_t known = EMU_CR0_PE | EMU_CR0_MP | EMU_CR0_EM | EMU_CR0_TS |
                     EMU_CR0_ET | EMU_CR0_NE | EMU_CR0_WP | EMU_CR0_AM |
                     EMU_CR0_NW | EMU_CR0_CD | EMU_CR0_PG;
    uint64_t old = cpu->cr0, efer = cpu->efer;

    if (value >> 32)
        return false;
    value = (value & known) | EMU_CR0_ET;
    if ((value & EMU_CR0_PG) && !(value & EMU_CR0_PE))
        return false;
    if ((value & EMU_CR0_NW) && !(value & EMU_CR0_CD))
        return false;
    if (!(old & EMU_CR0_PG) && (value & EMU_CR0_PG) && (efer & EMU_EFER_LME)) {
        if (!(cpu->cr4 & EMU_CR4_PAE) ||
            (cpu->seg[VSR_X86_CS].attr & VSR_SEG_L))
            return false;
        efer |= EMU_EFER_LMA;
    }
    if ((old & EMU_CR0_PG) && !(value & EMU_CR0_PG)) {
        if ((cpu->mode & EMU_MODE_CS64) || (cpu->cr4 & EMU_CR4_PCIDE))
            return false;
        efer &= ~(uint64_t)EMU_EFER_LMA;
    }
    if (((old ^ value) & (EMU_CR0_PG | EMU_CR0_CD | EMU_CR0_NW)) &&
        pae_legacy(value, cpu->cr4, efer) && !emu_load_pdptrs(cpu, cpu->cr3))
        return false;
    cpu->cr0 = value;
    cpu->efer = efer;
    mode_changed(cpu);
    return true;
}

bool emu_write_cr3(emu_cpu *cpu, const emu_insn *insn, uint64_t value)
{
    bool keep = (cpu->cr4 & EMU_CR4_PCIDE) && (value & EMU_CR3_NOFLUSH);

    if (keep)
        value &= ~EMU_CR3_NOFLUSH; /* never reads back */
    if (emu_long_mode(cpu) && (value & ~(cpu->phys_mask | 0xfff)))
        return false;
    if (pae_legacy(cpu->cr0, cpu->cr4, cpu->efer) &&
        !emu_load_pdptrs(cpu, value))
        return false;
    cpu->cr3 = value;
    emu_tlb_new_cr3(cpu, keep);
    return true;
}

uint64_t emu_cr4_valid_bits(const emu_cpu *cpu)
{
    uint64_t bits = EMU_CR4_TSD | EMU_CR4_DE | EMU_CR4_PSE | EMU_CR4_PAE |
                    EMU_CR4_PGE | EMU_CR4_PCE | EMU_CR4_OSFXSR |
                    EMU_CR4_OSXMMEXCPT;

    if (emu_cpuid_has(cpu, 1, EMU_ECX, 17))
        bits |= EMU_CR4_PCIDE;
    if (emu_cpuid_has(cpu, 1, EMU_ECX, 26))
        bits |= EMU_CR4_OSXSAVE;
    if (emu_cpuid_has(cpu, 7, EMU_EBX, 0))
        bits |= EMU_CR4_FSGSBASE;
    if (emu_cpuid_has(cpu, 7, EMU_EBX, 7))
        bits |= EMU_CR4_SMEP;
    if (emu_cpuid_has(cpu, 7, EMU_EBX, 20))
        bits |= EMU_CR4_SMAP;
    if (emu_cpuid_has(cpu, 7, EMU_ECX, 2))
        bits |= EMU_CR4_UMIP;
    return bits;
}

bool emu_write_cr4(emu_cpu *cpu, const emu_insn *insn, uint64_t value)
{
    uint64_t changed = value ^ cpu->cr4;

    if (value & ~emu_cr4_valid_bits(cpu))
        return false;
    if (emu_long_mode(cpu) && !(value & EMU_CR4_PAE))
        return false;
    if ((changed & value & EMU_CR4_PCIDE) &&
        (!emu_long_mode(cpu) || (cpu->cr3 & EMU_CR3_PCID)))
        return false;
    if ((changed & (EMU_CR4_PAE | EMU_CR4_PSE | EMU_CR4_PGE | EMU_CR4_SMEP)) &&
        pae_legacy(cpu->cr0, value, cpu->efer) &&
        !emu_load_pdptrs(cpu, cpu->cr3))
        return false;
    cpu->cr4 = value;
    mode_changed(cpu);
    return true;
}

bool emu_xcr0_valid(uint64_t value)
{
    return (value & EMU_XSTATE_X87) && !(value & ~(uint64_t)EMU_XSTATE_ALL);
}

void emu_write_dr(emu_cpu *cpu, unsigned n, uint64_t value)
{
    if (n == 6)
        value = (value & 0xe00f) | EMU_DR6_FIXED;
    else if (n == 7)
        value = (value & 0xffff23ff) | EMU_DR7_FIXED;
    cpu->dr[n] = value;
    if (n == 6)
        return;
    /* Watched pages lose their tags, others get them back. */
    emu_tlb_flush(cpu, true);
    emu_mode_update(cpu);
}

void emu_need_umip(emu_cpu *cpu, const emu_insn *insn)
{
    if (cpu->cpl != 0 && (cpu->cr4 & EMU_CR4_UMIP) && (cpu->cr0 & EMU_CR0_PE))
        emu_raise_code(cpu, insn, EMU_GP, 0);
}
