/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_state_x86.c: a vCPU's whole state, from KVM's structs and to them.
 *
 * KVM checks only as it takes over, piece by piece; so what can be told before
 * is checked before, and if it then refuses a piece, the state of before is put
 * back.
 *
 * Spec:    Linux, Documentation/virt/kvm/api.rst, 4.11 to 4.14 (registers),
 *          4.31 "KVM_GET_VCPU_EVENTS", 4.33 "KVM_GET_DEBUGREGS", 4.38
 *          "KVM_GET_MP_STATE", 4.42 "KVM_GET_XSAVE", 4.43 "KVM_GET_XCRS", 4.57
 *          "KVM_GET_LAPIC"; Intel SDM vol. 3A, 2.5 "Control Registers".
 * Threads: the vCPU's own, or the control thread with vCPUs stopped.
 */
#include "drivers/kvm/kvm_engine.h"

#include <errno.h>
#include <string.h>

#include "drivers/kvm/kvm_host.h"
#include "drivers/kvm/kvm_sys.h"

enum {
    MSR_TSC_DEADLINE = 0x6e0,
    RFLAGS_FIXED = 2,
    XSAVE_LEGACY = 576,
};
#define CR0_PE       UINT64_C(1)
#define CR0_NW       (UINT64_C(1) << 29)
#define CR0_CD       (UINT64_C(1) << 30)
#define CR0_PG       (UINT64_C(1) << 31)
#define CR4_PAE      (UINT64_C(1) << 5)
#define EFER_LME     (UINT64_C(1) << 8)
#define EFER_LMA     (UINT64_C(1) << 10)
#define CR0_VALID    UINT64_C(0xe005003f)
#define RFLAGS_VALID UINT64_C(0x003f7fd7)

/* One vCPU in KVM's own structs. */
typedef struct {
    struct kvm_mp_state mp;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_xcrs xcrs;
    struct kvm_debugregs debug;
    struct kvm_vcpu_events events;
    struct kvm_lapic_state lapic;
    struct kvm_xsave xsave;
} kvm_pieces;

/* --- segments --- */

static vsr_x86_seg seg_from(const struct kvm_segment *seg)
{
    unsigned attr = seg->type & VSR_SEG_TYPE;

    attr |= seg->s ? VSR_SEG_S : 0;
    attr |= ((unsigned)seg->dpl << VSR_SEG_DPL_SHIFT) & VSR_SEG_DPL;
    attr |= seg->present && !seg->unusable ? VSR_SEG_P : 0;
    attr |= seg->avl ? VSR_SEG_AVL : 0;
    attr |= seg->l ? VSR_SEG_L : 0;
    attr |= seg->db ? VSR_SEG_DB : 0;
    attr |= seg->g ? VSR_SEG_G : 0;
    return (vsr_x86_seg){ .base = seg->base,
                          .limit = seg->limit,
                          .selector = seg->selector,
                          .attr = (uint16_t)attr };
}

static struct kvm_segment seg_to(const vsr_x86_seg *seg)
{
    uint16_t attr = seg->attr;

    return (struct kvm_segment){
        .base = seg->base,
        .limit = seg->limit,
        .selector = seg->selector,
        .type = attr & VSR_SEG_TYPE,
        .present = (attr & VSR_SEG_P) != 0,
        .dpl = (attr & VSR_SEG_DPL) >> VSR_SEG_DPL_SHIFT,
        .db = (attr & VSR_SEG_DB) != 0,
        .s = (attr & VSR_SEG_S) != 0,
        .l = (attr & VSR_SEG_L) != 0,
        .g = (attr & VSR_SEG_G) != 0,
        .avl = (attr & VSR_SEG_AVL) != 0,
        .unusable = (attr & VSR_SEG_P) == 0,
    };
}

/* --- get --- */

static void regs_from(const struct kvm_regs *r, vsr_x86_state *out)
{
    const uint64_t gpr[VSR_X86_GPRS] = {
        r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
        r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15,
    };

    memcpy(out->gpr, gpr, sizeof gpr);
    out->rip = r->rip;
    out->rflags = r->rflags;
}

static void sregs_from(const struct kvm_sregs *s, vsr_x86_state *out)
{
    const struct kvm_segment *segs[VSR_X86_SEGS] = {
        &s->es, &s->cs, &s->ss, &s->ds, &s->fs, &s->gs, &s->ldt, &s->tr,
    };

    for (int i = 0; i < VSR_X86_SEGS; i++)
        out->seg[i] = seg_from(segs[i]);
    out->gdt = (vsr_x86_dtable){ s->gdt.base, s->gdt.limit };
    out->idt = (vsr_x86_dtable){ s->idt.base, s->idt.limit };
    out->cr0 = s->cr0;
    out->cr2 = s->cr2;
    out->cr3 = s->cr3;
    out->cr4 = s->cr4;
    out->cr8 = s->cr8;
    out->efer = s->efer;
    out->apic_base = s->apic_base;
}

static vsr_mp_state mp_from(uint32_t state)
{
    switch (state) {
    case KVM_MP_STATE_UNINITIALIZED:
        return VSR_MP_WAIT_INIT;
    case KVM_MP_STATE_INIT_RECEIVED:
        return VSR_MP_WAIT_SIPI;
    case KVM_MP_STATE_HALTED:
        return VSR_MP_HALTED;
    default:
        return VSR_MP_RUNNABLE;
    }
}

/* A software interrupt on its way is dropped: RIP is still at the instruction
 * that raises it. An NMI on its way becomes one that waits. */
static void events_from(const struct kvm_vcpu_events *e, vsr_x86_events *out)
{
    *out = (vsr_x86_events){
        .exception_pending = e->exception.injected || e->exception.pending,
        .interrupt_injected = e->interrupt.injected && !e->interrupt.soft,
        .nmi_pending = e->nmi.pending || e->nmi.injected,
        .nmi_masked = e->nmi.masked && !e->nmi.injected,
        .shadow_sti = (e->interrupt.shadow & KVM_X86_SHADOW_INT_STI) != 0,
        .shadow_mov_ss = (e->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS) != 0,
    };
    if (out->exception_pending) {
        out->exception_vector = e->exception.nr;
        out->exception_has_error = e->exception.has_error_code;
        out->exception_error = e->exception.error_code;
    }
    if (out->interrupt_injected)
        out->interrupt_vector = e->interrupt.nr;
}

static void debug_from(const struct kvm_debugregs *d, vsr_x86_state *out)
{
    for (int i = 0; i < 4; i++)
        out->dr[i] = d->db[i];
    out->dr[6] = d->dr6;
    out->dr[7] = d->dr7;
}

static uint64_t xcr0_of(const struct kvm_xcrs *x)
{
    for (uint32_t i = 0; i < x->nr_xcrs && i < KVM_MAX_XCRS; i++)
        if (x->xcrs[i].xcr == 0)
            return x->xcrs[i].value;
    return 1;
}

/* MP state first: asking for it makes KVM take in an INIT or SIPI that waits. */
static int pieces_get(const vsr_engine_vcpu *vcpu, kvm_pieces *p)
{
    const struct {
        unsigned long request;
        void *arg;
    } all[] = {
        { KVM_GET_MP_STATE, &p->mp },        { KVM_GET_REGS, &p->regs },
        { KVM_GET_SREGS, &p->sregs },        { KVM_GET_XSAVE, &p->xsave },
        { KVM_GET_DEBUGREGS, &p->debug },    { KVM_GET_LAPIC, &p->lapic },
        { KVM_GET_VCPU_EVENTS, &p->events },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        int rc = kvm_ioctl(vcpu->fd, all[i].request, all[i].arg);

        if (rc < 0)
            return rc;
    }
    /* Hosts without XSAVE have no XCR0. */
    if (kvm_ioctl(vcpu->fd, KVM_GET_XCRS, &p->xcrs) < 0)
        p->xcrs.nr_xcrs = 0;
    return 0;
}

int kvm_state_get(vsr_engine_vcpu *vcpu, vsr_x86_state *out)
{
    g_autofree kvm_pieces *p = g_new0(kvm_pieces, 1);
    int rc = kvm_nested_check(vcpu);

    if (rc == 0)
        rc = pieces_get(vcpu, p);
    if (rc < 0)
        return rc;
    memset(out, 0, sizeof *out);
    out->mp_state = mp_from(p->mp.mp_state);
    regs_from(&p->regs, out);
    sregs_from(&p->sregs, out);
    events_from(&p->events, &out->events);
    debug_from(&p->debug, out);
    out->xcr0 = xcr0_of(&p->xcrs);
    out->xsave_len = vcpu->xsave_len;
    memcpy(out->xsave, p->xsave.region, vcpu->xsave_len);
    out->lapic_valid = true;
    memcpy(out->lapic, p->lapic.regs, sizeof out->lapic);
    if (kvm_msr_read(vcpu, MSR_TSC_DEADLINE, &out->tsc_deadline) < 0)
        out->tsc_deadline = 0;
    rc = kvm_msrs_get(vcpu, out);
    return rc < 0 ? rc : kvm_tsc_get(vcpu, &out->tsc);
}

/* --- checks --- */

static bool is_canonical(uint64_t address)
{
    int64_t high = (int64_t)address >> 47;

    /* 57 bits where the guest has five levels of paging. */
    return high == 0 || high == -1 || (int64_t)address >> 56 == 0 ||
           (int64_t)address >> 56 == -1;
}

static bool control_fits(const vsr_x86_state *in)
{
    bool is_long = (in->efer & EFER_LME) && (in->cr0 & CR0_PG);

    if ((in->cr0 & ~CR0_VALID) || in->cr8 > 15)
        return false;
    if ((in->cr0 & CR0_PG) && !(in->cr0 & CR0_PE))
        return false;
    if ((in->cr0 & CR0_NW) && !(in->cr0 & CR0_CD))
        return false;
    if (is_long != ((in->efer & EFER_LMA) != 0))
        return false;
    return !is_long || (in->cr4 & CR4_PAE);
}

static bool state_fits(const vsr_x86_state *in)
{
    return control_fits(in) && in->n_msrs <= VSR_X86_MSRS_MAX &&
           in->xsave_len <= VSR_X86_XSAVE_MAX &&
           !(in->rflags & ~RFLAGS_VALID) && !(in->dr[6] >> 32) &&
           !(in->dr[7] >> 32) && is_canonical(in->gdt.base) &&
           is_canonical(in->idt.base) && in->gdt.limit <= 0xffff &&
           in->idt.limit <= 0xffff &&
           (unsigned)in->mp_state <= VSR_MP_WAIT_SIPI &&
           (!in->events.exception_pending || in->events.exception_vector < 32);
}

/* --- set --- */

static void regs_to(const vsr_x86_state *in, struct kvm_regs *r)
{
    __u64 *const gpr[VSR_X86_GPRS] = {
        &r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp, &r->rbp, &r->rsi, &r->rdi,
        &r->r8,  &r->r9,  &r->r10, &r->r11, &r->r12, &r->r13, &r->r14, &r->r15,
    };

    for (int i = 0; i < VSR_X86_GPRS; i++)
        *gpr[i] = in->gpr[i];
    r->rip = in->rip;
    r->rflags = in->rflags | RFLAGS_FIXED;
}

static void sregs_to(const vsr_x86_state *in, struct kvm_sregs *s)
{
    struct kvm_segment *const segs[VSR_X86_SEGS] = {
        &s->es, &s->cs, &s->ss, &s->ds, &s->fs, &s->gs, &s->ldt, &s->tr,
    };

    for (int i = 0; i < VSR_X86_SEGS; i++)
        *segs[i] = seg_to(&in->seg[i]);
    s->gdt = (struct kvm_dtable){ .base = in->gdt.base,
                                  .limit = (uint16_t)in->gdt.limit };
    s->idt = (struct kvm_dtable){ .base = in->idt.base,
                                  .limit = (uint16_t)in->idt.limit };
    s->cr0 = in->cr0;
    s->cr2 = in->cr2;
    s->cr3 = in->cr3;
    s->cr4 = in->cr4;
    s->cr8 = in->cr8;
    s->efer = in->efer;
    s->apic_base = in->apic_base;
}

static uint32_t mp_to(vsr_mp_state state)
{
    switch (state) {
    case VSR_MP_WAIT_INIT:
        return KVM_MP_STATE_UNINITIALIZED;
    case VSR_MP_WAIT_SIPI:
        return KVM_MP_STATE_INIT_RECEIVED;
    case VSR_MP_HALTED:
        return KVM_MP_STATE_HALTED;
    case VSR_MP_RUNNABLE:
    default:
        return KVM_MP_STATE_RUNNABLE;
    }
}

static void events_to(const vsr_x86_events *in, struct kvm_vcpu_events *e)
{
    *e = (struct kvm_vcpu_events){
        .exception.injected = in->exception_pending,
        .exception.nr = in->exception_vector,
        .exception.has_error_code = in->exception_has_error,
        .exception.error_code = in->exception_error,
        .interrupt.injected = in->interrupt_injected,
        .interrupt.nr = in->interrupt_vector,
        .interrupt.shadow =
            (uint8_t)((in->shadow_sti ? KVM_X86_SHADOW_INT_STI : 0) |
                      (in->shadow_mov_ss ? KVM_X86_SHADOW_INT_MOV_SS : 0)),
        .nmi.pending = in->nmi_pending,
        .nmi.masked = in->nmi_masked,
        .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
    };
}

static void debug_to(const vsr_x86_state *in, struct kvm_debugregs *d)
{
    for (int i = 0; i < 4; i++)
        d->db[i] = in->dr[i];
    d->dr6 = in->dr[6];
    d->dr7 = in->dr[7];
}

/* `p` has the state of now; XCRS keeps its rows, what is not in the neutral
 * state stays. */
static void pieces_fill(const vsr_x86_state *in, kvm_pieces *p)
{
    p->mp.mp_state = mp_to(in->mp_state);
    regs_to(in, &p->regs);
    sregs_to(in, &p->sregs);
    memset(p->sregs.interrupt_bitmap, 0, sizeof p->sregs.interrupt_bitmap);
    events_to(&in->events, &p->events);
    debug_to(in, &p->debug);
    for (uint32_t i = 0; i < p->xcrs.nr_xcrs && i < KVM_MAX_XCRS; i++)
        if (p->xcrs.xcrs[i].xcr == 0)
            p->xcrs.xcrs[i].value = in->xcr0;
    memset(&p->xsave, 0, sizeof p->xsave);
    if (in->xsave_len >= XSAVE_LEGACY)
        memcpy(p->xsave.region, in->xsave, in->xsave_len);
    if (in->lapic_valid)
        memcpy(p->lapic.regs, in->lapic, sizeof p->lapic.regs);
}

/* The LAPIC's page after the APIC base, which says what form it has; its timer
 * after the TSC; events and MP state last, since others touch them. */
static int pieces_set(vsr_engine_vcpu *vcpu, kvm_pieces *p,
                      const vsr_x86_state *in)
{
    const struct {
        unsigned long request;
        void *arg;
    } first[] = {
        { KVM_SET_SREGS, &p->sregs },
        { KVM_SET_REGS, &p->regs },
        { KVM_SET_XCRS, &p->xcrs },
        { KVM_SET_XSAVE, &p->xsave },
        { KVM_SET_DEBUGREGS, &p->debug },
    }, last[] = {
        { KVM_SET_LAPIC, &p->lapic },
        { KVM_SET_MP_STATE, &p->mp },
        { KVM_SET_VCPU_EVENTS, &p->events },
    };
    int rc;

    for (size_t i = 0; i < G_N_ELEMENTS(first); i++) {
        if (first[i].request == KVM_SET_XCRS && p->xcrs.nr_xcrs == 0)
            continue;
        rc = kvm_ioctl(vcpu->fd, first[i].request, first[i].arg);
        if (rc < 0)
            return rc;
    }
    rc = kvm_tsc_set(vcpu, in->tsc);
    if (rc == 0)
        rc = kvm_msrs_set(vcpu, in);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < G_N_ELEMENTS(last); i++) {
        rc = kvm_ioctl(vcpu->fd, last[i].request, last[i].arg);
        if (rc < 0)
            return rc;
    }
    if (in->tsc_deadline != 0)
        rc = kvm_msr_write(vcpu, MSR_TSC_DEADLINE, in->tsc_deadline);
    return MIN(rc, 0);
}

int kvm_state_set(vsr_engine_vcpu *vcpu, const vsr_x86_state *in)
{
    g_autofree kvm_pieces *p = g_new0(kvm_pieces, 1);
    g_autofree vsr_x86_state *before = NULL;
    int rc;

    if (!state_fits(in))
        return -EINVAL;
    before = g_new0(vsr_x86_state, 1);
    /* Whatever follows, the guest's own virtual machine is over. */
    rc = kvm_nested_leave(vcpu);
    if (rc == 0)
        rc = kvm_state_get(vcpu, before);
    if (rc == 0)
        rc = pieces_get(vcpu, p);
    if (rc < 0)
        return rc;
    pieces_fill(in, p);
    rc = pieces_set(vcpu, p, in);
    if (rc < 0) {
        pieces_fill(before, p);
        (void)pieces_set(vcpu, p, before);
    }
    return rc;
}
