/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reset.c: the architectural reset state.
 *
 * Spec:    Intel SDM vol. 3A, 9.1.1 "Processor State After Reset", Table 9-1
 *          (10-1 in newer editions); vol. 1, 13.4 "XSAVE Area"; vol. 4 for the
 *          MSRs. Table 9-1 says Present, Read/Write, Accessed for CS; it is
 *          loaded as a code segment here, as the processors do.
 * Threads: any.
 */
#include "machine/x86/reset.h"

#include <string.h>

#include <glib.h>

#include "base/util.h"
#include "machine/x86/layout.h"

enum {
    XSAVE_FCW = 0,
    XSAVE_FTW = 4, /* abridged: bit n set, register n is not empty */
    XSAVE_MXCSR = 24,
    XSAVE_XSTATE_BV = 512,
    XSAVE_LEGACY_LEN = 576, /* with the header */
    APIC_BASE_BSP = 1 << 8,
    APIC_BASE_ENABLE = 1 << 11,
};

static const struct {
    uint32_t index;
    uint64_t value;
} reset_msrs[] = {
    { 0x0000003b, 0 }, /* TSC_ADJUST */
    { 0x00000174, 0 }, /* SYSENTER_CS, _ESP, _EIP */
    { 0x00000175, 0 },
    { 0x00000176, 0 },
    { 0x000001a0, 1 }, /* MISC_ENABLE: fast strings */
    { 0x00000277, UINT64_C(0x0007040600070406) }, /* PAT */
    { 0x000002ff, 0 },                            /* MTRR_DEF_TYPE */
    { 0xc0000081, 0 }, /* STAR, LSTAR, CSTAR, SFMASK */
    { 0xc0000082, 0 },
    { 0xc0000083, 0 },
    { 0xc0000084, 0 },
    { 0xc0000102, 0 }, /* KERNEL_GS_BASE */
    { 0xc0000103, 0 }, /* TSC_AUX */
    { 0x4b564d00, 0 }, /* the paravirtual clock's pages: off */
    { 0x4b564d01, 0 },
    { 0x00000011, 0 },
    { 0x00000012, 0 },
};

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void reset_segments(vsr_x86_state *state)
{
    enum {
        DATA = VSR_SEG_P | VSR_SEG_S | 3,
        CODE = VSR_SEG_P | VSR_SEG_S | 11,
        LDT = VSR_SEG_P | 2,
        TSS_BUSY = VSR_SEG_P | 11,
    };

    for (int i = 0; i < VSR_X86_SEGS; i++)
        state->seg[i] = (vsr_x86_seg){ .limit = 0xffff, .attr = DATA };
    state->seg[VSR_X86_CS] = (vsr_x86_seg){
        .base = 0xffff0000, .limit = 0xffff, .selector = 0xf000, .attr = CODE
    };
    state->seg[VSR_X86_LDTR].attr = LDT;
    state->seg[VSR_X86_TR].attr = TSS_BUSY;
    state->gdt.limit = 0xffff;
    state->idt.limit = 0xffff;
}

static void reset_fpu(vsr_x86_state *state)
{
    state->xsave_len = XSAVE_LEGACY_LEN;
    put16(state->xsave + XSAVE_FCW, 0x0040);
    state->xsave[XSAVE_FTW] = 0xff; /* tags say zero, not empty */
    put16(state->xsave + XSAVE_MXCSR, 0x1f80);
    state->xsave[XSAVE_XSTATE_BV] = 3; /* x87 and SSE are in the area */
}

static uint32_t signature(const vsr_cpuid *rows)
{
    for (uint32_t i = 0; rows != NULL && i < rows->n; i++)
        if (rows->row[i].leaf == 1)
            return rows->row[i].eax;
    return 0x00000600;
}

static uint64_t reset_msr(uint32_t index, uint64_t otherwise)
{
    for (size_t i = 0; i < VSR_ARRAY_SIZE(reset_msrs); i++)
        if (reset_msrs[i].index == index)
            return reset_msrs[i].value;
    return otherwise;
}

void vsr_x86_reset_state(vsr_x86_state *state, const vsr_cpuid *rows,
                         bool is_boot)
{
    uint32_t n_msrs = MIN(state->n_msrs, VSR_X86_MSRS_MAX);
    uint32_t xsave_len = MIN(state->xsave_len, VSR_X86_XSAVE_MAX);
    vsr_x86_msr msrs[VSR_X86_MSRS_MAX];

    memcpy(msrs, state->msrs, sizeof msrs);
    memset(state, 0, sizeof *state);
    state->n_msrs = n_msrs;
    for (uint32_t i = 0; i < n_msrs; i++)
        state->msrs[i] = (vsr_x86_msr){
            .index = msrs[i].index,
            .value = reset_msr(msrs[i].index, msrs[i].value),
        };

    state->gpr[VSR_X86_RDX] = signature(rows);
    state->rip = 0xfff0;
    state->rflags = 2;
    state->cr0 = 0x60000010;
    state->dr[6] = 0xffff0ff0;
    state->dr[7] = 0x400;
    state->xcr0 = 1;
    state->apic_base =
        VSR_LAPIC_BASE | APIC_BASE_ENABLE | (is_boot ? APIC_BASE_BSP : 0);
    state->mp_state = is_boot ? VSR_MP_RUNNABLE : VSR_MP_WAIT_SIPI;
    reset_segments(state);
    reset_fpu(state);
    state->xsave_len = MAX(state->xsave_len, xsave_len);
}
