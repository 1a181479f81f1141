/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_arch.h: bits of the control and model-specific registers.
 *
 * Spec: AMD APM vol. 2, 3.1 "System-Control Registers", appendix A "MSR Cross-
 *       Reference".
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_ARCH_H
#define VSR_DRIVERS_EMU_GUEST_X86_ARCH_H

#include <stdint.h>

#define EMU_CR0_PE (1u << 0)
#define EMU_CR0_MP (1u << 1)
#define EMU_CR0_EM (1u << 2)
#define EMU_CR0_TS (1u << 3)
#define EMU_CR0_ET (1u << 4)
#define EMU_CR0_NE (1u << 5)
#define EMU_CR0_WP (1u << 16)
#define EMU_CR0_AM (1u << 18)
#define EMU_CR0_NW (1u << 29)
#define EMU_CR0_CD (1u << 30)
#define EMU_CR0_PG (1u << 31)

/* CR3 while CR4.PCIDE: which address space, and "keep its translations" (in the
 * source of a MOV only). */
#define EMU_CR3_PCID    UINT64_C(0xfff)
#define EMU_CR3_NOFLUSH (UINT64_C(1) << 63)

#define EMU_CR4_VME        (1u << 0)
#define EMU_CR4_PVI        (1u << 1)
#define EMU_CR4_TSD        (1u << 2)
#define EMU_CR4_DE         (1u << 3)
#define EMU_CR4_PSE        (1u << 4)
#define EMU_CR4_PAE        (1u << 5)
#define EMU_CR4_MCE        (1u << 6)
#define EMU_CR4_PGE        (1u << 7)
#define EMU_CR4_PCE        (1u << 8)
#define EMU_CR4_OSFXSR     (1u << 9)
#define EMU_CR4_OSXMMEXCPT (1u << 10)
#define EMU_CR4_UMIP       (1u << 11)
#define EMU_CR4_FSGSBASE   (1u << 16)
#define EMU_CR4_PCIDE      (1u << 17)
#define EMU_CR4_OSXSAVE    (1u << 18)
#define EMU_CR4_SMEP       (1u << 20)
#define EMU_CR4_SMAP       (1u << 21)

#define EMU_EFER_SCE    (1u << 0)
#define EMU_EFER_LME    (1u << 8)
#define EMU_EFER_LMA    (1u << 10)
#define EMU_EFER_NXE    (1u << 11)
#define EMU_EFER_FFXSR  (1u << 14)
#define EMU_EFER_AIBRSE (1u << 21)

enum {
    EMU_MSR_TSC = 0x10,
    EMU_MSR_KVM_WALL_OLD = 0x11,
    EMU_MSR_KVM_TIME_OLD = 0x12,
    EMU_MSR_APIC_BASE = 0x1b,
    EMU_MSR_TSC_ADJUST = 0x3b,
    EMU_MSR_BIOS_SIGN_ID = 0x8b,
    EMU_MSR_SYSENTER_CS = 0x174,
    EMU_MSR_SYSENTER_ESP = 0x175,
    EMU_MSR_SYSENTER_EIP = 0x176,
    EMU_MSR_MCG_CAP = 0x179,
    EMU_MSR_MCG_STATUS = 0x17a,
    EMU_MSR_MISC_ENABLE = 0x1a0,
    EMU_MSR_PAT = 0x277,
    EMU_MSR_TSC_DEADLINE = 0x6e0,
    EMU_MSR_X2APIC = 0x800,
    EMU_MSR_X2APIC_END = 0x8ff,
    EMU_MSR_KVM_WALL = 0x4b564d00,
    EMU_MSR_KVM_TIME = 0x4b564d01,
};
#define EMU_MSR_EFER           0xc0000080u
#define EMU_MSR_STAR           0xc0000081u
#define EMU_MSR_LSTAR          0xc0000082u
#define EMU_MSR_CSTAR          0xc0000083u
#define EMU_MSR_SFMASK         0xc0000084u
#define EMU_MSR_FS_BASE        0xc0000100u
#define EMU_MSR_GS_BASE        0xc0000101u
#define EMU_MSR_KERNEL_GS_BASE 0xc0000102u
#define EMU_MSR_TSC_AUX        0xc0000103u
#define EMU_MSR_SYSCFG         0xc0010010u
#define EMU_MSR_HWCR           0xc0010015u

#define EMU_APIC_BASE_ENABLE (1u << 11)
/* CPUID leaves 1 and 0x80000001, EDX. */
#define EMU_CPUID_APIC (1u << 9)

/* Bits of DR6 and DR7. */
#define EMU_DR6_FIXED 0xffff0ff0u
#define EMU_DR6_BD    (1u << 13)
#define EMU_DR6_BS    (1u << 14)
#define EMU_DR6_BT    (1u << 15)
#define EMU_DR7_FIXED 0x400u
#define EMU_DR7_GD    (1u << 13)

#define EMU_PAT_RESET UINT64_C(0x0007040600070406)

#endif
