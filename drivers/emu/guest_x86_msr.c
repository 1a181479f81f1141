/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_msr.c: RDMSR and WRMSR.
 *
 * Spec:    AMD APM vol. 2, appendix A "MSR Cross-Reference"; Intel SDM vol. 3B,
 *          18.17.3 "Time-Stamp Counter Adjustment"; what a guest that
 *          knows it runs on KVM may expect of AMD's configuration registers:
 *          they read as 0 and ignore writes.
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_msr.h"

#include "drivers/emu/emu_engine.h"
#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_cpuid.h"
#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_kvmclock.h"
#include "drivers/emu/guest_x86_segment.h"

/* The TSC counts at the P0 frequency. */
#define HWCR_TSC_FREQ_SEL (UINT64_C(1) << 24)
/* Microcode level; nothing depends on it. */
#define PATCH_LEVEL UINT64_C(0x01000065)

static bool lapic_msr(uint32_t index)
{
    return index == EMU_MSR_APIC_BASE || index == EMU_MSR_TSC_DEADLINE ||
           (index >= EMU_MSR_X2APIC && index <= EMU_MSR_X2APIC_END);
}

static bool machine_msr(emu_cpu *cpu, uint32_t index, bool is_write,
                        uint64_t *value)
{
    emu_vm *vm = cpu->vm;
    unsigned was;
    bool ok;

    if (vm->events->msr == NULL)
        return false;
    was = emu_upcall_begin(cpu);
    ok = vm->events->msr(vm->machine, cpu->index, index, is_write, value);
    emu_upcall_end(cpu, was);
    return ok;
}

/* AMD's configuration registers that Linux looks at whatever CPUID says. */
static bool amd_config_msr(uint32_t index)
{
    switch (index) {
    case 0xc0010000: /* performance events and counters */
    case 0xc0010001:
    case 0xc0010002:
    case 0xc0010003:
    case 0xc0010004:
    case 0xc0010005:
    case 0xc0010006:
    case 0xc0010007:
    case EMU_MSR_SYSCFG:
    case EMU_MSR_HWCR:
    case 0xc001001f: /* NB_CFG */
    case 0xc0010055: /* interrupt pending message */
    case 0xc0010114: /* VM_CR */
    case 0xc0010140: /* OS-visible workaround: length */
    case 0xc0010141: /* and status */
    case 0xc0011020: /* LS_CFG */
    case 0xc0011022: /* DC_CFG */
    case 0xc0011023: /* combined unit configuration */
    case 0xc0011029: /* DE_CFG */
    case 0xc001102a: /* BU_CFG2 */
    case 0xc001102e: /* branch predictor configuration */
        return true;
    default:
        return false;
    }
}

/* --- EFER --- */

uint64_t emu_efer_valid_bits(const emu_cpu *cpu)
{
    uint64_t bits = 0;

    if (emu_cpuid_has(cpu, 0x80000001, EMU_EDX, 11))
        bits |= EMU_EFER_SCE;
    if (emu_cpuid_has(cpu, 0x80000001, EMU_EDX, 29))
        bits |= EMU_EFER_LME | EMU_EFER_LMA;
    if (emu_cpuid_has(cpu, 0x80000001, EMU_EDX, 20))
        bits |= EMU_EFER_NXE;
    if (emu_cpuid_has(cpu, 0x80000021, EMU_EAX, 8))
        bits |= EMU_EFER_AIBRSE;
    return bits;
}

static bool efer_write(emu_cpu *cpu, uint64_t value)
{
    if (value & ~emu_efer_valid_bits(cpu))
        return false;
    if (((value ^ cpu->efer) & EMU_EFER_LME) && (cpu->cr0 & EMU_CR0_PG))
        return false;
    cpu->efer = (value & ~(uint64_t)EMU_EFER_LMA) | (cpu->efer & EMU_EFER_LMA);
    emu_mmu_mode_changed(cpu);
    return true;
}

static bool pat_valid(uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned type = value >> (8 * i) & 0xff;

        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

/* --- the plain ones: a 64-bit field each --- */

typedef enum {
    ANY,
    CANONICAL, /* an address */
    LOW32,     /* the upper half must be 0 */
    PAT,
} msr_kind;

typedef struct {
    uint32_t index;
    uint16_t offset; /* in emu_cpu */
    uint8_t kind;    /* msr_kind */
} plain_msr;

#define PLAIN(index, field, kind)             \
    {                                         \
        index, offsetof(emu_cpu, field), kind \
    }
static const plain_msr plain_msrs[] = {
    PLAIN(EMU_MSR_SYSENTER_CS, sysenter_cs, ANY),
    PLAIN(EMU_MSR_SYSENTER_ESP, sysenter_esp, CANONICAL),
    PLAIN(EMU_MSR_SYSENTER_EIP, sysenter_eip, CANONICAL),
    PLAIN(EMU_MSR_MISC_ENABLE, misc_enable, ANY),
    PLAIN(EMU_MSR_PAT, pat, PAT),
    PLAIN(EMU_MSR_STAR, star, ANY),
    PLAIN(EMU_MSR_LSTAR, lstar, CANONICAL),
    PLAIN(EMU_MSR_CSTAR, cstar, CANONICAL),
    PLAIN(EMU_MSR_SFMASK, sfmask, LOW32),
    PLAIN(EMU_MSR_KERNEL_GS_BASE, kernel_gs_base, CANONICAL),
    PLAIN(EMU_MSR_TSC_AUX, tsc_aux, LOW32),
};
#undef PLAIN

static const plain_msr *plain_find(uint32_t index)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(plain_msrs); i++)
        if (plain_msrs[i].index == index)
            return &plain_msrs[i];
    return NULL;
}

static bool plain_valid(const plain_msr *msr, uint64_t value)
{
    switch ((msr_kind)msr->kind) {
    case CANONICAL:
        return emu_canonical(value);
    case LOW32:
        return value >> 32 == 0;
    case PAT:
        return pat_valid(value);
    case ANY:
        break;
    }
    return true;
}

static uint64_t *plain_field(emu_cpu *cpu, const plain_msr *msr)
{
    return (uint64_t *)(void *)((uint8_t *)cpu + msr->offset);
}

static void set_base(emu_cpu *cpu, unsigned seg, uint64_t base)
{
    cpu->seg[seg].base = base;
    cpu->seg_base[seg] = base;
}

static bool kvm_msr(const emu_cpu *cpu, uint32_t index)
{
    switch (index) {
    case EMU_MSR_KVM_WALL_OLD:
    case EMU_MSR_KVM_TIME_OLD:
        return emu_cpuid_has(cpu, EMU_KVM_FEATURES, EMU_EAX, 0);
    case EMU_MSR_KVM_WALL:
    case EMU_MSR_KVM_TIME:
        return emu_cpuid_has(cpu, EMU_KVM_FEATURES, EMU_EAX, 3);
    default:
        return false;
    }
}

/* --- TSC --- */

static bool has_tsc_adjust(const emu_cpu *cpu)
{
    return emu_cpuid_has(cpu, 7, EMU_EBX, 1);
}

/* 18.17.3: what is added to the one is added to the other. */
static void tsc_write(emu_cpu *cpu, uint64_t value)
{
    uint64_t before = cpu->tsc_offset;

    emu_tsc_set(cpu, value);
    cpu->tsc_adjust += cpu->tsc_offset - before;
    emu_kvmclock_update(cpu);
}

static void tsc_adjust_write(emu_cpu *cpu, uint64_t value)
{
    uint64_t offset = cpu->tsc_offset + (value - cpu->tsc_adjust);

    __atomic_store_n(&cpu->tsc_offset, offset, __ATOMIC_RELAXED);
    cpu->tsc_adjust = value;
    emu_kvmclock_update(cpu);
}

static bool is_wall(uint32_t index)
{
    return index == EMU_MSR_KVM_WALL_OLD || index == EMU_MSR_KVM_WALL;
}

bool emu_msr_read(emu_cpu *cpu, uint32_t index, uint64_t *value)
{
    const plain_msr *plain = plain_find(index);

    if (plain) {
        *value = *plain_field(cpu, plain);
        return true;
    }
    if (lapic_msr(index))
        return machine_msr(cpu, index, false, value);
    if (kvm_msr(cpu, index)) {
        *value = is_wall(index) ? cpu->kvm_wall_msr : cpu->kvmclock_msr;
        return true;
    }
    switch (index) {
    case EMU_MSR_TSC:
        *value = emu_rdtsc(cpu);
        return true;
    case EMU_MSR_TSC_ADJUST:
        *value = cpu->tsc_adjust;
        return has_tsc_adjust(cpu);
    case EMU_MSR_EFER:
        *value = cpu->efer;
        return true;
    case EMU_MSR_FS_BASE:
        *value = cpu->seg[VSR_X86_FS].base;
        return true;
    case EMU_MSR_GS_BASE:
        *value = cpu->seg[VSR_X86_GS].base;
        return true;
    case EMU_MSR_BIOS_SIGN_ID:
        *value = PATCH_LEVEL;
        return true;
    case EMU_MSR_HWCR:
        *value = HWCR_TSC_FREQ_SEL;
        return true;
    case EMU_MSR_MCG_CAP: /* no banks, whatever CPUID says of machine checks */
    case EMU_MSR_MCG_STATUS:
        *value = 0;
        return true;
    default:
        *value = 0;
        return amd_config_msr(index);
    }
}

bool emu_msr_write(emu_cpu *cpu, uint32_t index, uint64_t value)
{
    const plain_msr *plain = plain_find(index);

    if (plain) {
        if (!plain_valid(plain, value))
            return false;
        *plain_field(cpu, plain) = value;
        return true;
    }
    if (lapic_msr(index))
        return machine_msr(cpu, index, true, &value);
    if (kvm_msr(cpu, index)) {
        if (is_wall(index))
            emu_kvmclock_wall(cpu, value);
        else
            emu_kvmclock_enable(cpu, value);
        return true;
    }
    switch (index) {
    case EMU_MSR_TSC:
        tsc_write(cpu, value);
        return true;
    case EMU_MSR_TSC_ADJUST:
        if (!has_tsc_adjust(cpu))
            return false;
        tsc_adjust_write(cpu, value);
        return true;
    case EMU_MSR_EFER:
        return efer_write(cpu, value);
    case EMU_MSR_FS_BASE:
        if (!emu_canonical(value))
            return false;
        set_base(cpu, VSR_X86_FS, value);
        return true;
    case EMU_MSR_GS_BASE:
        if (!emu_canonical(value))
            return false;
        set_base(cpu, VSR_X86_GS, value);
        return true;
    case EMU_MSR_BIOS_SIGN_ID:
        return true;
    case EMU_MSR_MCG_STATUS:
        return value == 0;
    default:
        return amd_config_msr(index);
    }
}

/* --- vsr_x86_state --- */

static const uint32_t state_msrs[] = {
    EMU_MSR_SYSENTER_CS, EMU_MSR_SYSENTER_ESP, EMU_MSR_SYSENTER_EIP,
    EMU_MSR_MISC_ENABLE, EMU_MSR_PAT,          EMU_MSR_STAR,
    EMU_MSR_LSTAR,       EMU_MSR_CSTAR,        EMU_MSR_SFMASK,
    EMU_MSR_TSC_AUX,     EMU_MSR_TSC_ADJUST,   EMU_MSR_KERNEL_GS_BASE,
    EMU_MSR_KVM_WALL,    EMU_MSR_KVM_TIME,
};

uint32_t emu_msr_list(const uint32_t **list)
{
    *list = state_msrs;
    return G_N_ELEMENTS(state_msrs);
}

bool emu_msr_valid(const emu_cpu *cpu, uint32_t index, uint64_t value)
{
    const plain_msr *plain = plain_find(index);

    if (plain)
        return plain_valid(plain, value);
    if (index == EMU_MSR_KVM_WALL_OLD || index == EMU_MSR_KVM_TIME_OLD ||
        index == EMU_MSR_KVM_WALL || index == EMU_MSR_KVM_TIME)
        return value == 0 || kvm_msr(cpu, index);
    if (index == EMU_MSR_TSC_ADJUST)
        return value == 0 || has_tsc_adjust(cpu);
    return amd_config_msr(index) || index == EMU_MSR_BIOS_SIGN_ID;
}
