/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_exit_x86.c: what made KVM_RUN return: accesses go up to the machine, the
 * rest ends the run with words for people.
 *
 * Spec:    Linux, Documentation/virt/kvm/api.rst, 5 "The kvm_run structure";
 *          Intel SDM vol. 3D, appendix C "VMX Basic Exit Reasons".
 * Threads: the vCPU's own.
 */
#include "drivers/kvm/kvm_engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "drivers/kvm/kvm_sys.h"

enum { INSN_MAX = 15 };

/* --- accesses --- */

static void count(vsr_engine_vcpu *vcpu, kvm_counter which)
{
    __atomic_store_n(&vcpu->count[which], vcpu->count[which] + 1,
                     __ATOMIC_RELAXED);
}

/* INS and OUTS come as `count` accesses at once, in order. */
static void exit_io(vsr_engine_vcpu *vcpu)
{
    const vsr_engine_vm *vm = vcpu->vm;
    struct kvm_run *run = vcpu->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    vsr_io io = { .addr = run->io.port,
                  .size = run->io.size,
                  .vcpu = vcpu->index,
                  .is_write = run->io.direction == KVM_EXIT_IO_OUT };
    uint32_t n = run->io.count;

    count(vcpu, KVM_COUNT_IO);
    if (io.size > 4 || run->io.data_offset > vm->run_len ||
        n > (vm->run_len - run->io.data_offset) / MAX(io.size, 1))
        return;
    for (; n > 0; n--, data += io.size) {
        io.data = 0;
        if (io.is_write)
            memcpy(&io.data, data, io.size);
        vm->events->pio(vm->machine, &io);
        if (!io.is_write)
            memcpy(data, &io.data, io.size);
    }
}

static void exit_mmio(vsr_engine_vcpu *vcpu)
{
    const vsr_engine_vm *vm = vcpu->vm;
    struct kvm_run *run = vcpu->run;
    vsr_io io = { .addr = run->mmio.phys_addr,
                  .size = MIN(run->mmio.len, 8),
                  .vcpu = vcpu->index,
                  .is_write = run->mmio.is_write };

    count(vcpu, KVM_COUNT_MMIO);
    if (io.is_write)
        memcpy(&io.data, run->mmio.data, io.size);
    vm->events->mmio(vm->machine, &io);
    if (!io.is_write)
        memcpy(run->mmio.data, &io.data, io.size);
}

/* --- failures --- */

static const char *internal_name(uint32_t suberror)
{
    switch (suberror) {
    case KVM_INTERNAL_ERROR_EMULATION:
        return "an instruction that KVM cannot emulate";
    case KVM_INTERNAL_ERROR_SIMUL_EX:
        return "two exceptions at once";
    case KVM_INTERNAL_ERROR_DELIVERY_EV:
        return "a fault while an event was delivered";
    case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
        return "an exit that KVM does not know";
    default:
        return "an internal error";
    }
}

/* " at RIP 0x…", which is the first thing one wants to know. */
static void add_rip(vsr_engine_vcpu *vcpu)
{
    size_t len = strlen(vcpu->failure);
    struct kvm_regs regs = { 0 };

    if (kvm_ioctl(vcpu->fd, KVM_GET_REGS, &regs) == 0)
        (void)snprintf(vcpu->failure + len, sizeof vcpu->failure - len,
                       " at RIP 0x%" PRIx64, (uint64_t)regs.rip);
}

/* The bytes that could not be emulated, where KVM says them. */
static void add_insn(vsr_engine_vcpu *vcpu)
{
    const struct kvm_run *run = vcpu->run;
    uint32_t n = MIN(run->emulation_failure.insn_size, INSN_MAX);

    if (run->emulation_failure.suberror != KVM_INTERNAL_ERROR_EMULATION ||
        run->emulation_failure.ndata < 3 ||
        !(run->emulation_failure.flags &
          KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
        return;
    for (uint32_t i = 0; i < n; i++) {
        size_t len = strlen(vcpu->failure);

        (void)snprintf(vcpu->failure + len, sizeof vcpu->failure - len,
                       "%s%02x", i == 0 ? ": " : " ",
                       run->emulation_failure.insn_bytes[i]);
    }
}

static void failed(vsr_engine_vcpu *vcpu, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

static void failed(vsr_engine_vcpu *vcpu, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(vcpu->failure, sizeof vcpu->failure, format, args);
    va_end(args);
    add_rip(vcpu);
}

static int exit_failed(vsr_engine_vcpu *vcpu)
{
    const struct kvm_run *run = vcpu->run;

    switch (run->exit_reason) {
    case KVM_EXIT_INTERNAL_ERROR:
        failed(vcpu, "KVM_EXIT_INTERNAL_ERROR %u: %s", run->internal.suberror,
               internal_name(run->internal.suberror));
        add_insn(vcpu);
        break;
    case KVM_EXIT_FAIL_ENTRY:
        failed(vcpu,
               "KVM_EXIT_FAIL_ENTRY: the processor refused the guest's state"
               " (reason 0x%" PRIx64 ")",
               (uint64_t)run->fail_entry.hardware_entry_failure_reason);
        break;
    case KVM_EXIT_UNKNOWN:
        failed(vcpu, "KVM_EXIT_UNKNOWN (hardware exit reason 0x%" PRIx64 ")",
               (uint64_t)run->hw.hardware_exit_reason);
        break;
    default:
        failed(vcpu, "KVM exit %u, which nobody asked for", run->exit_reason);
        break;
    }
    return VSR_RUN_FAILED;
}

int kvm_exit_failed(vsr_engine_vcpu *vcpu, int rc)
{
    failed(vcpu, "KVM_RUN: %s", g_strerror(-rc));
    return VSR_RUN_FAILED;
}

int kvm_exit(vsr_engine_vcpu *vcpu)
{
    switch (vcpu->run->exit_reason) {
    case KVM_EXIT_IO:
        exit_io(vcpu);
        return -1;
    case KVM_EXIT_MMIO:
        exit_mmio(vcpu);
        return -1;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        return -1;
    case KVM_EXIT_SHUTDOWN:
        return VSR_RUN_SHUTDOWN;
    case KVM_EXIT_DEBUG:
        return VSR_RUN_DEBUG;
    default:
        return exit_failed(vcpu);
    }
}
