/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_msr_x86.c: the MSRs of a vCPU's state. Which of them a vCPU has depends
 * on the host, the module and CPUID: it is tried once. Those that say what the
 * processor is are set once, with CPUID. Write-only ones are no state: PRED_CMD,
 * FLUSH_CMD, the acknowledgement of asynchronous page faults.
 *
 * Spec:    Linux, Documentation/virt/kvm/api.rst, 4.18 "KVM_GET_MSRS", 4.19
 *          "KVM_SET_MSRS"; Documentation/virt/kvm/x86/msr.rst; Intel SDM vol.
 *          4; AMD APM vol. 2, appendix A.
 * Threads: the vCPU's own, or the control thread with vCPUs stopped.
 */
#include "drivers/kvm/kvm_engine.h"

#include <errno.h>
#include <string.h>

#include "drivers/kvm/kvm_sys.h"

enum {
    MSR_MICROCODE = 0x8b,
    MSR_ARCH_CAPABILITIES = 0x10a,
    MSR_KVM_WALL_OLD = 0x11,
    MSR_KVM_TIME_OLD = 0x12,
    MSR_MC0 = 0x400,
    MSRS_PER_BANK = 4,
    MTRR_FIRST = 0x200, /* variable ranges: base and mask */
    MTRR_COUNT = 16,
};

static const uint32_t state_msrs[] = {
    0x0000003a,                         /* FEATURE_CONTROL */
    0x0000003b,                         /* TSC_ADJUST */
    0x00000048,                         /* SPEC_CTRL */
    0x000000e1,                         /* UMWAIT_CONTROL */
    0x00000122,                         /* TSX_CTRL */
    0x00000140,                         /* MISC_FEATURES_ENABLES */
    0x00000174,                         /* SYSENTER_CS, _ESP, _EIP */
    0x00000175, 0x00000176, 0x0000017a, /* MCG_STATUS, MCG_CTL */
    0x0000017b, 0x000001a0,             /* MISC_ENABLE */
    0x00000250,                         /* MTRRs of fixed ranges */
    0x00000258, 0x00000259, 0x00000268, 0x00000269,
    0x0000026a, 0x0000026b, 0x0000026c, 0x0000026d,
    0x0000026e, 0x0000026f, 0x00000277, /* PAT */
    0x000002ff,                         /* MTRR_DEF_TYPE */
    0x00000da0,                         /* XSS */
    0xc0000081,                         /* STAR, LSTAR, CSTAR, SFMASK */
    0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102, /* KERNEL_GS_BASE */
    0xc0000103,                                     /* TSC_AUX */
    0xc0000104,                                     /* TSC_RATIO */
    0xc0010015,                                     /* HWCR */
    0xc0010117,                                     /* VM_HSAVE_PA */
    0xc001011f,                                     /* VIRT_SPEC_CTRL */
    0x4b564d00, /* wall clock, system time, asynchronous page faults, steal
                   time, end of interrupt, poll control, … */
    0x4b564d01, 0x4b564d03, 0x4b564d04, 0x4b564d05,
    0x4b564d06, 0x4b564d02, /* turns asynchronous page faults on: after the vector */
};
G_STATIC_ASSERT(G_N_ELEMENTS(state_msrs) + MTRR_COUNT +
                    KVM_MCE_BANKS * MSRS_PER_BANK <=
                VSR_X86_MSRS_MAX);

typedef struct {
    struct kvm_msrs head;
    struct kvm_msr_entry entry[VSR_X86_MSRS_MAX];
} msr_list;

/* How many of the list's first were done, or -errno. */
static int msrs_ioctl(const vsr_engine_vcpu *vcpu, unsigned long request,
                      msr_list *list)
{
    return kvm_ioctl(vcpu->fd, request, &list->head);
}

static int one(const vsr_engine_vcpu *vcpu, unsigned long request,
               uint32_t index, uint64_t *value)
{
    msr_list list = { .head.nmsrs = 1,
                      .entry = { { .index = index, .data = *value } } };
    int rc = msrs_ioctl(vcpu, request, &list);

    if (rc < 0)
        return rc;
    *value = list.entry[0].data;
    return rc == 1 ? 0 : -EINVAL;
}

int kvm_msr_read(vsr_engine_vcpu *vcpu, uint32_t index, uint64_t *out)
{
    *out = 0;
    return one(vcpu, KVM_GET_MSRS, index, out);
}

int kvm_msr_write(vsr_engine_vcpu *vcpu, uint32_t index, uint64_t value)
{
    return one(vcpu, KVM_SET_MSRS, index, &value);
}

static bool has_arch_capabilities(const vsr_cpuid *rows)
{
    for (uint32_t i = 0; i < rows->n; i++)
        if (rows->row[i].leaf == 7 && rows->row[i].subleaf == 0)
            return rows->row[i].edx >> 29 & 1;
    return false;
}

/* Refused: fine if it is so already, or does not matter much. */
static int identify(vsr_engine_vcpu *vcpu, uint32_t index, uint64_t value,
                    bool is_needed)
{
    uint64_t now = 0;
    int rc = kvm_msr_write(vcpu, index, value);

    if (rc != -EINVAL || !is_needed)
        return rc == -EINVAL ? 0 : rc;
    rc = kvm_msr_read(vcpu, index, &now);
    return rc < 0 || now == value ? rc : -EINVAL;
}

int kvm_msrs_identify(vsr_engine_vcpu *vcpu, const vsr_cpuid *rows)
{
    int rc = 0;

    if (rows->microcode != 0)
        rc = identify(vcpu, MSR_MICROCODE, rows->microcode, false);
    if (rc == 0 && has_arch_capabilities(rows))
        rc = identify(vcpu, MSR_ARCH_CAPABILITIES, rows->arch_capabilities,
                      true);
    return rc;
}

static void candidate(msr_list *list, uint32_t index)
{
    list->entry[list->head.nmsrs++].index = index;
}

void kvm_msrs_probe(vsr_engine_vcpu *vcpu)
{
    g_autofree msr_list *list = g_new0(msr_list, 1);
    uint32_t first = 0, n;

    for (size_t i = 0; i < G_N_ELEMENTS(state_msrs); i++)
        candidate(list, state_msrs[i]);
    for (uint32_t i = 0; i < MTRR_COUNT; i++)
        candidate(list, MTRR_FIRST + i);
    for (uint32_t i = 0; i < KVM_MCE_BANKS * MSRS_PER_BANK; i++)
        candidate(list, MSR_MC0 + i);
    n = list->head.nmsrs;

    vcpu->n_msrs = 0;
    while (first < n) {
        msr_list part = { .head.nmsrs = n - first };
        int done;

        memcpy(part.entry, list->entry + first,
               (n - first) * sizeof part.entry[0]);
        done = msrs_ioctl(vcpu, KVM_GET_MSRS, &part);
        if (done < 0 || (uint32_t)done > n - first)
            return;
        for (int i = 0; i < done; i++)
            vcpu->msr[vcpu->n_msrs++] = part.entry[i].index;
        first += (uint32_t)done + 1; /* past the one that is not there */
    }
}

int kvm_msrs_get(vsr_engine_vcpu *vcpu, vsr_x86_state *out)
{
    msr_list list = { .head.nmsrs = vcpu->n_msrs };
    int done;

    for (uint32_t i = 0; i < vcpu->n_msrs; i++)
        list.entry[i].index = vcpu->msr[i];
    done = msrs_ioctl(vcpu, KVM_GET_MSRS, &list);
    if (done < 0)
        return done;
    if ((uint32_t)done != vcpu->n_msrs)
        return -EIO;
    out->n_msrs = vcpu->n_msrs;
    for (uint32_t i = 0; i < vcpu->n_msrs; i++)
        out->msrs[i] = (vsr_x86_msr){ .index = list.entry[i].index,
                                      .value = list.entry[i].data };
    return 0;
}

static bool has_msr(const vsr_engine_vcpu *vcpu, uint32_t index)
{
    for (uint32_t i = 0; i < vcpu->n_msrs; i++)
        if (vcpu->msr[i] == index)
            return true;
    return false;
}

/* One that this vCPU does not have can only be 0. The old numbers of the
 * paravirtual clock are the new ones' registers. */
static bool is_left_out(const vsr_engine_vcpu *vcpu, const vsr_x86_msr *msr)
{
    return msr->index == MSR_KVM_WALL_OLD || msr->index == MSR_KVM_TIME_OLD ||
           (msr->value == 0 && !has_msr(vcpu, msr->index));
}

int kvm_msrs_set(vsr_engine_vcpu *vcpu, const vsr_x86_state *in)
{
    msr_list list = { .head.nmsrs = 0 };
    uint32_t first = 0, n = 0;

    for (uint32_t i = 0; i < in->n_msrs; i++)
        if (!is_left_out(vcpu, &in->msrs[i]))
            list.entry[n++] =
                (struct kvm_msr_entry){ .index = in->msrs[i].index,
                                        .data = in->msrs[i].value };
    while (first < n) {
        msr_list part = { .head.nmsrs = n - first };
        const struct kvm_msr_entry *refused;
        uint64_t now = 0;
        int done;

        memcpy(part.entry, list.entry + first,
               (n - first) * sizeof part.entry[0]);
        done = msrs_ioctl(vcpu, KVM_SET_MSRS, &part);
        if (done < 0)
            return done;
        first += (uint32_t)done;
        if (first >= n)
            break;
        /* Some can be read but not be written: fine if nothing changes. */
        refused = &list.entry[first++];
        if (kvm_msr_read(vcpu, refused->index, &now) < 0 ||
            now != refused->data)
            return -EINVAL;
    }
    return 0;
}
