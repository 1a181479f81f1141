/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_cpuid.c: what this host's KVM can show a guest, less what a vCPU's state
 * (engine/state_x86.h) could not carry: PMU, SGX, processor trace, AMX, CET,
 * FRED. Nested virtualization and MONITOR are in it where the host has them;
 * src/machine keeps them from guests that did not ask.
 *
 * Spec:    Linux, Documentation/virt/kvm/api.rst, 4.46
 *          "KVM_GET_SUPPORTED_CPUID", 4.18 "KVM_GET_MSRS" (system), 7.13
 *          "KVM_CAP_X86_DISABLE_EXITS"; Documentation/virt/kvm/x86/cpuid.rst;
 *          Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E.
 * Threads: any.
 */
#include "drivers/kvm/kvm_host.h"

#include <linux/kvm.h>
#include <string.h>

#include "base/error.h"
#include "drivers/kvm/kvm_sys.h"

#define BIT(n) (UINT32_C(1) << (n))

enum {
    ENTRIES_MAX = 512,
    LEAF_MONITOR = 5,
    MSR_MICROCODE = 0x8b,
    MSR_ARCH_CAPABILITIES = 0x10a,
    VENDOR_AMD_EBX = 0x68747541,   /* "Auth" */
    VENDOR_HYGON_EBX = 0x6f677948, /* "Hygo" */
};

#define LEAF_BRAND UINT32_C(0x80000002) /* and the next two */

/* What the rows depend on beside themselves. */
typedef struct {
    bool has_deadline;
    bool has_mwait; /* without an exit */
    bool is_amd;
} host_facts;

/* x87, SSE, AVX, MPX, AVX-512, PKRU */
#define XCR0_KEPT UINT32_C(0x2ff)
/* CLOCKSOURCE NOP_IO_DELAY CLOCKSOURCE2 ASYNC_PF STEAL_TIME PV_EOI PV_UNHALT
 * PV_TLB_FLUSH ASYNC_PF_VMEXIT PV_SEND_IPI POLL_CONTROL PV_SCHED_YIELD
 * ASYNC_PF_INT CLOCKSOURCE_STABLE */
#define PARAVIRTUAL_KEPT                                                     \
    (BIT(0) | BIT(1) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(9) | \
     BIT(10) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(24))

/* Whole leaves that are not for guests. */
static bool leaf_is_dropped(uint32_t leaf)
{
    switch (leaf) {
    case 0xa:        /* PMU */
    case 0x12:       /* SGX */
    case 0x14:       /* processor trace */
    case 0x1d:       /* AMX */
    case 0x1e:       /* AMX */
    case 0x8000001f: /* SEV */
    case 0x80000022: /* PMU */
        return true;
    default:
        return false;
    }
}

/* KVM makes IA32_ARCH_CAPABILITIES up for AMD's processors, which have none;
 * some guests take that for a broken one. */
static void trim_leaf_7(vsr_cpuid_row *row, bool is_amd)
{
    if (row->subleaf == 0) {
        row->ebx &= ~(BIT(2) | BIT(25)); /* SGX, PT */
        row->ecx &= ~(BIT(7) | BIT(30)); /* SHSTK, SGX_LC */
        /* IBT, AMX */
        row->edx &= ~(BIT(20) | BIT(22) | BIT(24) | BIT(25));
        if (is_amd)
            row->edx &= ~BIT(29);
    } else if (row->subleaf == 1) {
        row->eax &= ~(BIT(17) | BIT(21)); /* FRED, AMX_FP16 */
        row->edx &= ~(BIT(5) | BIT(8));   /* AMX_COMPLEX, AMX_INT8 */
    }
}

static void trim(vsr_cpuid_row *row, const host_facts *facts)
{
    switch (row->leaf) {
    case 1:
        row->ecx &= ~(BIT(3) | BIT(15) | BIT(27)); /* MONITOR PDCM OSXSAVE */
        row->ecx |= BIT(21) | BIT(31); /* x2APIC is KVM's; hypervisor */
        if (facts->has_deadline)
            row->ecx |= BIT(24);
        if (facts->has_mwait)
            row->ecx |= BIT(3);
        break;
    case 7:
        trim_leaf_7(row, facts->is_amd);
        break;
    case 0xd:
        if (row->subleaf == 0) {
            row->eax &= XCR0_KEPT;
            row->edx = 0;
        } else if (row->subleaf == 1) {
            row->eax &= ~BIT(4); /* XFD */
            row->ecx = row->edx = 0;
        }
        break;
    case 0x40000001:
        row->eax &= PARAVIRTUAL_KEPT;
        break;
    case 0x80000001:
        row->ecx &= ~(BIT(23) | BIT(24) | BIT(28)); /* PMU */
        break;
    default:
        break;
    }
}

/* A component of XSAVE that the state has no room for. */
static bool component_is_dropped(const vsr_cpuid_row *row)
{
    return row->leaf == 0xd && row->subleaf >= 2 &&
           (row->subleaf >= 32 || !(XCR0_KEPT >> row->subleaf & 1) ||
            row->ebx + row->eax > VSR_X86_XSAVE_MAX);
}

/* Zeros are what a guest reads where there is no row. */
static bool row_is_zero(const vsr_cpuid_row *row)
{
    return (row->eax | row->ebx | row->ecx | row->edx) == 0;
}

/* Of the processor itself, added later. */
static bool is_own(uint32_t leaf)
{
    return leaf == LEAF_MONITOR ||
           (leaf >= LEAF_BRAND && leaf < LEAF_BRAND + 3);
}

static bool row_add(vsr_cpuid *out, const vsr_cpuid_row *row, GError **error)
{
    if (out->n == VSR_CPUID_ROWS_MAX)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "This host's KVM has more than %d rows of CPUID",
                        (int)VSR_CPUID_ROWS_MAX);
    out->row[out->n++] = *row;
    return true;
}

static bool take_rows(const struct kvm_cpuid2 *from, const host_facts *facts,
                      vsr_cpuid *out, GError **error)
{
    for (uint32_t i = 0; i < from->nent && i < ENTRIES_MAX; i++) {
        const struct kvm_cpuid_entry2 *e = &from->entries[i];
        vsr_cpuid_row row = {
            .leaf = e->function,
            .subleaf = e->index,
            .has_subleaf = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            .eax = e->eax,
            .ebx = e->ebx,
            .ecx = e->ecx,
            .edx = e->edx,
        };

        trim(&row, facts);
        if (leaf_is_dropped(row.leaf) || component_is_dropped(&row) ||
            row_is_zero(&row) || is_own(row.leaf))
            continue;
        if (!row_add(out, &row, error))
            return false;
    }
    return true;
}

/* A leaf of the processor itself, where KVM has nothing to say. */
static bool add_own(vsr_cpuid *out, uint32_t leaf, GError **error)
{
    vsr_cpuid_row row = { .leaf = leaf };
    uint32_t regs[4];

    kvm_sys.cpuid(leaf, regs);
    row.eax = regs[0];
    row.ebx = regs[1];
    row.ecx = regs[2];
    row.edx = regs[3];
    return row_add(out, &row, error);
}

static bool add_brand(vsr_cpuid *out, GError **error)
{
    for (uint32_t leaf = LEAF_BRAND; leaf < LEAF_BRAND + 3; leaf++)
        if (!add_own(out, leaf, error))
            return false;
    return true;
}

/* 0: there is no such MSR. */
static uint64_t feature_msr(int fd, uint32_t index)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } list = { .head.nmsrs = 1, .entry.index = index };

    if (kvm_host_extension(fd, KVM_CAP_GET_MSR_FEATURES) == 0 ||
        kvm_ioctl(fd, KVM_GET_MSRS, &list) != 1)
        return 0;
    return list.entry.data;
}

static bool is_amd(const struct kvm_cpuid2 *all)
{
    for (uint32_t i = 0; i < all->nent && i < ENTRIES_MAX; i++)
        if (all->entries[i].function == 0)
            return all->entries[i].ebx == VENDOR_AMD_EBX ||
                   all->entries[i].ebx == VENDOR_HYGON_EBX;
    return false;
}

static bool read_host(int fd, vsr_cpuid *out, GError **error)
{
    size_t len = sizeof(struct kvm_cpuid2) +
                 ENTRIES_MAX * sizeof(struct kvm_cpuid_entry2);
    g_autofree struct kvm_cpuid2 *all = g_malloc0(len);
    host_facts facts;
    int rc;

    all->nent = ENTRIES_MAX;
    rc = kvm_ioctl(fd, KVM_GET_SUPPORTED_CPUID, all);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "KVM_GET_SUPPORTED_CPUID");
    facts.has_deadline = kvm_host_extension(fd, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
    facts.has_mwait = kvm_host_extension(fd, KVM_CAP_X86_DISABLE_EXITS) &
                      KVM_X86_DISABLE_EXITS_MWAIT;
    facts.is_amd = is_amd(all);

    out->n = 0;
    out->microcode = feature_msr(fd, MSR_MICROCODE);
    out->arch_capabilities =
        facts.is_amd ? 0 : feature_msr(fd, MSR_ARCH_CAPABILITIES);
    /* What a guest's MWAIT reaches is the processor's own. */
    return take_rows(all, &facts, out, error) && add_brand(out, error) &&
           (!facts.has_mwait || add_own(out, LEAF_MONITOR, error));
}

bool kvm_host_cpuid(vsr_cpuid *out, GError **error)
{
    int fd = kvm_host_open(error);
    bool ok;

    if (fd < 0)
        return false;
    ok = read_host(fd, out, error);
    kvm_sys.close(fd);
    return ok;
}
