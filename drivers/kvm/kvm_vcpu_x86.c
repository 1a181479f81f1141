/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_vcpu_x86.c: a vCPU's life, its run loop, and the kick (kvm_engine.h says
 * how that works).
 *
 * Spec:    Linux, Documentation/virt/kvm/api.rst, 4.7 "KVM_CREATE_VCPU", 4.10
 *          "KVM_RUN", 4.21 "KVM_SET_SIGNAL_MASK", 4.45 "KVM_SET_CPUID2", 4.105
 *          "KVM_X86_SETUP_MCE", 5 "The kvm_run structure".
 * Threads: the vCPU's own; kick and stats from any.
 */
#include "drivers/kvm/kvm_engine.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "drivers/kvm/kvm_host.h"
#include "drivers/kvm/kvm_sys.h"

enum { XSAVE_LEGACY = 576, LEAF_XSAVE = 0xd };

/* MCG_CTL_P, MCG_SER_P */
#define MCG_CAP (UINT64_C(1) << 8 | UINT64_C(1) << 24)

/* --- new and free --- */

static int set_cpuid(const vsr_engine_vcpu *vcpu, const vsr_cpuid *rows)
{
    size_t len =
        sizeof(struct kvm_cpuid2) + rows->n * sizeof(struct kvm_cpuid_entry2);
    g_autofree struct kvm_cpuid2 *all = g_malloc0(len);

    all->nent = rows->n;
    for (uint32_t i = 0; i < rows->n; i++) {
        const vsr_cpuid_row *row = &rows->row[i];

        all->entries[i] = (struct kvm_cpuid_entry2){
            .function = row->leaf,
            .index = row->subleaf,
            .flags = row->has_subleaf ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
            .eax = row->eax,
            .ebx = row->ebx,
            .ecx = row->ecx,
            .edx = row->edx,
        };
    }
    return kvm_ioctl(vcpu->fd, KVM_SET_CPUID2, all);
}

/* The paravirtual MSRs and calls that CPUID does not show are not there. Older
 * kernels have them all the same, which does no harm. */
static int enforce_paravirtual(const vsr_engine_vcpu *vcpu)
{
    struct kvm_enable_cap cap = { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID,
                                  .args = { 1 } };
    int rc = 0;

    if (kvm_host_extension(vcpu->vm->device_fd,
                           KVM_CAP_ENFORCE_PV_FEATURE_CPUID) > 0)
        rc = kvm_ioctl(vcpu->fd, KVM_ENABLE_CAP, &cap);
    return MIN(rc, 0);
}

/* Bytes of the standard XSAVE format that these rows describe. */
static uint32_t xsave_len(const vsr_cpuid *rows)
{
    uint32_t len = XSAVE_LEGACY;

    for (uint32_t i = 0; i < rows->n; i++) {
        const vsr_cpuid_row *row = &rows->row[i];

        if (row->leaf == LEAF_XSAVE && row->has_subleaf && row->subleaf >= 2 &&
            row->ebx + row->eax <= VSR_X86_XSAVE_MAX)
            len = MAX(len, row->ebx + row->eax);
    }
    return len;
}

/* The kick's signal reaches this vCPU only inside of KVM_RUN. */
static int set_signal_mask(const vsr_engine_vcpu *vcpu)
{
    uint8_t raw[sizeof(struct kvm_signal_mask) + 8] = { 0 };
    struct kvm_signal_mask *mask = (struct kvm_signal_mask *)(void *)raw;
    uint64_t blocked = kvm_sys.signal_mask(vcpu->vm->signal);

    mask->len = sizeof blocked;
    memcpy(mask->sigset, &blocked, sizeof blocked);
    return kvm_ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, mask);
}

/* Few banks: each costs the guest's boot several exits. */
static int set_machine_check(const vsr_engine_vcpu *vcpu)
{
    uint64_t has = 0, want;
    int rc;

    if (kvm_host_extension(vcpu->vm->device_fd, KVM_CAP_MCE) == 0)
        return 0;
    rc = kvm_ioctl(vcpu->vm->device_fd, KVM_X86_GET_MCE_CAP_SUPPORTED, &has);
    if (rc < 0)
        return rc;
    want = (has & MCG_CAP) | KVM_MCE_BANKS;
    return kvm_ioctl(vcpu->fd, KVM_X86_SETUP_MCE, &want);
}

static bool has_tsc_offset(const vsr_engine_vcpu *vcpu)
{
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL,
        .attr = KVM_VCPU_TSC_OFFSET,
    };

    return kvm_ioctl(vcpu->fd, KVM_HAS_DEVICE_ATTR, &attr) == 0;
}

/* The one of that id which was freed before, or a new one. */
static int vcpu_open(vsr_engine_vcpu *vcpu)
{
    vsr_engine_vm *vm = vcpu->vm;
    int fd = -1;

    g_mutex_lock(&vm->lock);
    for (guint i = 0; i < vm->parked->len && fd < 0; i++) {
        kvm_parked *parked = &g_array_index(vm->parked, kvm_parked, i);

        if (parked->apic_id != vcpu->apic_id)
            continue;
        fd = parked->fd;
        vcpu->power_on = parked->power_on;
        g_array_remove_index_fast(vm->parked, i);
    }
    g_mutex_unlock(&vm->lock);
    return fd >= 0 ? fd
                   : kvm_ioctl_value(vm->fd, KVM_CREATE_VCPU, vcpu->apic_id);
}

static int power_on(vsr_engine_vcpu *vcpu)
{
    if (vcpu->power_on != NULL)
        return kvm_state_set(vcpu, vcpu->power_on);
    vcpu->power_on = g_new0(vsr_x86_state, 1);
    return kvm_state_get(vcpu, vcpu->power_on);
}

static bool vcpu_init(vsr_engine_vcpu *vcpu, const vsr_vcpu_config *config,
                      GError **error)
{
    vsr_engine_vm *vm = vcpu->vm;
    int err = 0, rc;

    if (!kvm_chips_need(vm, error))
        return false;
    vcpu->fd = vcpu_open(vcpu);
    if (vcpu->fd < 0)
        return vsr_fail_errno(error, vcpu->fd, "KVM_CREATE_VCPU");
    vcpu->run = kvm_sys.map(vcpu->fd, vm->run_len, &err);
    if (vcpu->run == NULL)
        return vsr_fail_errno(error, err, "The vCPU's shared page");
    rc = set_cpuid(vcpu, config->cpuid);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "KVM_SET_CPUID2");
    rc = enforce_paravirtual(vcpu);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "KVM_CAP_ENFORCE_PV_FEATURE_CPUID");
    rc = kvm_msrs_identify(vcpu, config->cpuid);
    if (rc < 0)
        return vsr_fail_errno(error, rc,
                              "What the processor is (microcode, "
                              "IA32_ARCH_CAPABILITIES)");
    vcpu->nested = kvm_nested_of(vm, config->cpuid);
    rc = set_machine_check(vcpu);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "KVM_X86_SETUP_MCE");
    rc = set_signal_mask(vcpu);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "KVM_SET_SIGNAL_MASK");
    vcpu->xsave_len = xsave_len(config->cpuid);
    vcpu->has_tsc_offset = has_tsc_offset(vcpu);
    kvm_msrs_probe(vcpu);
    rc = power_on(vcpu);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "The state at power-on");
    return true;
}

/* False: there is one of that index. */
static bool vcpu_list(vsr_engine_vcpu *vcpu)
{
    vsr_engine_vm *vm = vcpu->vm;
    bool is_new = true;

    g_mutex_lock(&vm->lock);
    for (guint i = 0; i < vm->vcpus->len && is_new; i++)
        is_new = ((const vsr_engine_vcpu *)vm->vcpus->pdata[i])->index !=
                 vcpu->index;
    if (is_new)
        g_ptr_array_add(vm->vcpus, vcpu);
    g_mutex_unlock(&vm->lock);
    return is_new;
}

vsr_engine_vcpu *kvm_vcpu_new(vsr_engine_vm *vm, const vsr_vcpu_config *config,
                              GError **error)
{
    vsr_engine_vcpu *vcpu;

    if (config->index >= vm->max_vcpus || config->cpuid == NULL ||
        config->cpuid->n > VSR_CPUID_ROWS_MAX) {
        vsr_fail(error, VISOR_ERR_CONFIG,
                 "vCPU %u is not one of the %u of this machine", config->index,
                 vm->max_vcpus);
        return NULL;
    }
    vcpu = g_new0(vsr_engine_vcpu, 1);
    vcpu->vm = vm;
    vcpu->index = config->index;
    vcpu->apic_id = config->apic_id;
    vcpu->fd = -1;
    vcpu->thread = kvm_sys.thread_id();
    kvm_sys.signal_block(vm->signal, &vcpu->signal_before);
    if (!vcpu_init(vcpu, config, error)) {
        kvm_vcpu_free(vcpu);
        return NULL;
    }
    if (!vcpu_list(vcpu)) {
        vsr_fail(error, VISOR_ERR_EXISTS, "vCPU %u exists already",
                 config->index);
        kvm_vcpu_free(vcpu);
        return NULL;
    }
    return vcpu;
}

void kvm_vcpu_free(vsr_engine_vcpu *vcpu)
{
    vsr_engine_vm *vm;

    if (vcpu == NULL)
        return;
    vm = vcpu->vm;
    if (vcpu->run != NULL)
        kvm_sys.unmap(vcpu->run, vm->run_len);
    g_mutex_lock(&vm->lock);
    (void)g_ptr_array_remove_fast(vm->vcpus, vcpu);
    if (vcpu->fd >= 0) {
        const kvm_parked parked = { vcpu->apic_id, vcpu->fd, vcpu->power_on };

        g_array_append_val(vm->parked, parked);
    }
    g_mutex_unlock(&vm->lock);
    kvm_sys.signal_unblock(vm->signal, vcpu->signal_before);
    g_free(vcpu);
}

/* --- run and kick --- */

static void count(vsr_engine_vcpu *vcpu, kvm_counter which)
{
    __atomic_store_n(&vcpu->count[which], vcpu->count[which] + 1,
                     __ATOMIC_RELAXED);
}

/* True: a kick came, and is now used up. In the order opposite to the kick's:
 * one that comes meanwhile is seen here, or makes the next KVM_RUN return. */
static bool take_kick(vsr_engine_vcpu *vcpu)
{
    kvm_sys.signal_drain(vcpu->vm->signal);
    __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    return __atomic_exchange_n(&vcpu->kicked, 0, __ATOMIC_SEQ_CST) != 0;
}

int kvm_vcpu_run(vsr_engine_vcpu *vcpu)
{
    vcpu->failure[0] = '\0';
    for (;;) {
        int rc;

        count(vcpu, KVM_COUNT_RUN);
        /* Pairs with kvm_vcpu_kick(): it sets immediate_exit, then looks at
         * inside. */
        __atomic_store_n(&vcpu->inside, 1, __ATOMIC_SEQ_CST);
        rc = kvm_sys.ioctl(vcpu->fd, KVM_RUN, NULL);
        __atomic_store_n(&vcpu->inside, 0, __ATOMIC_SEQ_CST);
        /* EAGAIN: a processor that waited for its INIT was woken. */
        if (rc == -EINTR || rc == -EAGAIN) {
            if (take_kick(vcpu)) {
                count(vcpu, KVM_COUNT_KICK);
                return VSR_RUN_KICKED;
            }
            continue;
        }
        rc = rc < 0 ? kvm_exit_failed(vcpu, rc) : kvm_exit(vcpu);
        if (rc >= 0)
            return rc;
    }
}

void kvm_vcpu_kick(vsr_engine_vcpu *vcpu)
{
    __atomic_store_n(&vcpu->kicked, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&vcpu->inside, __ATOMIC_SEQ_CST) != 0)
        kvm_sys.signal_send(vcpu->thread, vcpu->vm->signal);
}

const char *kvm_vcpu_failure(vsr_engine_vcpu *vcpu)
{
    return vcpu->failure[0] != '\0' ? vcpu->failure : NULL;
}

uint32_t kvm_vcpu_stats(vsr_engine_vcpu *vcpu, const char **names,
                        uint64_t *values, uint32_t max)
{
    static const char *const all[KVM_COUNTS] = {
        [KVM_COUNT_RUN] = "kvm.runs",
        [KVM_COUNT_IO] = "kvm.io_exits",
        [KVM_COUNT_MMIO] = "kvm.mmio_exits",
        [KVM_COUNT_KICK] = "kvm.kicks",
    };
    uint32_t n = MIN(max, KVM_COUNTS);

    for (uint32_t i = 0; i < n; i++) {
        names[i] = all[i];
        values[i] = __atomic_load_n(&vcpu->count[i], __ATOMIC_RELAXED);
    }
    return n;
}
