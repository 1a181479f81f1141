/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake_engine.c: see fake_engine.h.
 */
#include "tests/support/fake_engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

enum { WAIT_MAX_US = 60000000, PAGE = 4096 };

struct vsr_engine_vcpu {
    fake_vcpu fake;
};

/* --- the engine --- */

static bool fake_caps(vsr_engine_caps *out, GError **error)
{
    *out = (vsr_engine_caps){ .max_vcpus = FAKE_VCPUS_MAX,
                              .max_slots = FAKE_SLOTS_MAX,
                              .phys_bits = 40,
                              .tsc_hz = 1000000000 };
    return true;
}

static bool fake_caps_with_chips(vsr_engine_caps *out, GError **error)
{
    (void)fake_caps(out, error);
    out->lapic = out->ioapic = true;
    return true;
}

static bool fake_cpuid_supported(vsr_cpuid *out, GError **error)
{
    *out = (vsr_cpuid){
        .n = 2,
        .row = { { .leaf = 0, .eax = 1 },
                 { .leaf = 1,
                   .eax = 0x000306a9,
                   .ecx = 1u << 21 | 1u << 24,
                   .edx = 1u << 9 } },
    };
    return true;
}

static vsr_engine_vm *fake_vm_new(const vsr_vm_config *config,
                                  const vsr_engine_events *events,
                                  void *machine, GError **error)
{
    vsr_engine_vm *vm = g_new0(vsr_engine_vm, 1);

    vm->events = events;
    vm->machine = machine;
    vm->tsc_base_ns = vsr_now_ns();
    g_mutex_init(&vm->lock);
    return vm;
}

static void fake_vm_free(vsr_engine_vm *vm)
{
    if (vm == NULL)
        return;
    g_mutex_clear(&vm->lock);
    g_free(vm);
}

static int fake_vm_pause(vsr_engine_vm *vm)
{
    g_mutex_lock(&vm->lock);
    if (!vm->paused)
        vm->tsc_stopped_ns = vsr_now_ns() - vm->tsc_base_ns;
    vm->paused = true;
    g_mutex_unlock(&vm->lock);
    return 0;
}

static int fake_vm_resume(vsr_engine_vm *vm)
{
    g_mutex_lock(&vm->lock);
    if (vm->paused)
        vm->tsc_base_ns = vsr_now_ns() - vm->tsc_stopped_ns;
    vm->paused = false;
    g_mutex_unlock(&vm->lock);
    return 0;
}

static int fake_mem_add(vsr_engine_vm *vm, const vsr_mem_slot *slot)
{
    int rc = 0;

    g_mutex_lock(&vm->lock);
    if (vm->n_slots == FAKE_SLOTS_MAX)
        rc = -ENOSPC;
    else
        vm->slot[vm->n_slots++] = *slot;
    g_mutex_unlock(&vm->lock);
    return rc;
}

static int fake_mem_remove(vsr_engine_vm *vm, const vsr_mem_slot *slot)
{
    int rc = -ENOENT;

    g_mutex_lock(&vm->lock);
    for (unsigned i = 0; i < vm->n_slots; i++)
        if (vm->slot[i].gpa == slot->gpa && vm->slot[i].len == slot->len) {
            vm->slot[i] = vm->slot[--vm->n_slots];
            rc = 0;
            break;
        }
    g_mutex_unlock(&vm->lock);
    return rc;
}

static vsr_engine_vcpu *fake_vcpu_new(vsr_engine_vm *vm,
                                      const vsr_vcpu_config *config,
                                      GError **error)
{
    vsr_engine_vcpu *vcpu;

    if (config->index >= FAKE_VCPUS_MAX) {
        vsr_fail(error, VISOR_ERR_RESOURCE, "No room for vCPU %u",
                 config->index);
        return NULL;
    }
    vcpu = g_new0(vsr_engine_vcpu, 1);
    vcpu->fake.vm = vm;
    vcpu->fake.index = config->index;
    g_mutex_init(&vcpu->fake.lock);
    g_cond_init(&vcpu->fake.changed);
    vm->vcpu[config->index] = &vcpu->fake;
    return vcpu;
}

static void fake_vcpu_free(vsr_engine_vcpu *vcpu)
{
    if (vcpu == NULL)
        return;
    g_cond_clear(&vcpu->fake.changed);
    g_mutex_clear(&vcpu->fake.lock);
    g_free(vcpu);
}

int fake_wait_for_kick(fake_vcpu *vcpu, void *opaque)
{
    g_mutex_lock(&vcpu->lock);
    while (!vcpu->kicked)
        g_cond_wait(&vcpu->changed, &vcpu->lock);
    vcpu->kicked = false;
    g_mutex_unlock(&vcpu->lock);
    return VSR_RUN_KICKED;
}

static int fake_vcpu_run(vsr_engine_vcpu *vcpu)
{
    fake_vcpu *fake = &vcpu->fake;
    fake_program *program = fake->vm->program;

    g_mutex_lock(&fake->lock);
    fake->n_runs++;
    g_mutex_unlock(&fake->lock);
    if (program == NULL)
        program = fake_wait_for_kick;
    return program(fake, fake->vm->program_opaque);
}

static void fake_vcpu_kick(vsr_engine_vcpu *vcpu)
{
    g_mutex_lock(&vcpu->fake.lock);
    vcpu->fake.kicked = true;
    g_cond_broadcast(&vcpu->fake.changed);
    g_mutex_unlock(&vcpu->fake.lock);
}

static const char *fake_vcpu_failure(vsr_engine_vcpu *vcpu)
{
    return "fake failure";
}

static int fake_vcpu_get(vsr_engine_vcpu *vcpu, vsr_x86_state *out)
{
    *out = vcpu->fake.state;
    return 0;
}

static int fake_vcpu_set(vsr_engine_vcpu *vcpu, const vsr_x86_state *in)
{
    vcpu->fake.state = *in;
    return 0;
}

static int fake_vcpu_signal(vsr_engine_vcpu *vcpu, vsr_vcpu_signal signal,
                            uint32_t arg)
{
    fake_vcpu *fake = &vcpu->fake;

    g_mutex_lock(&fake->lock);
    switch (signal) {
    case VSR_SIGNAL_INTR:
        fake->intr = arg != 0;
        fake->n_intr++;
        break;
    case VSR_SIGNAL_NMI:
        fake->n_nmi++;
        break;
    case VSR_SIGNAL_INIT:
        fake->n_init++;
        break;
    case VSR_SIGNAL_SIPI:
        fake->n_sipi++;
        fake->sipi_vector = arg;
        break;
    case VSR_SIGNAL_SMI:
        fake->n_smi++;
        break;
    }
    g_cond_broadcast(&fake->changed);
    g_mutex_unlock(&fake->lock);
    return 0;
}

static uint64_t fake_vcpu_tsc(vsr_engine_vcpu *vcpu)
{
    vsr_engine_vm *vm = vcpu->fake.vm;
    int64_t ns;

    g_mutex_lock(&vm->lock);
    ns = vm->paused ? vm->tsc_stopped_ns : vsr_now_ns() - vm->tsc_base_ns;
    g_mutex_unlock(&vm->lock);
    return (uint64_t)ns;
}

static int fake_irq_line(vsr_engine_vm *vm, uint32_t gsi, bool level)
{
    g_mutex_lock(&vm->lock);
    vm->chips.level[gsi] = level;
    vm->chips.changes[gsi]++;
    g_mutex_unlock(&vm->lock);
    return 0;
}

static int fake_msi(vsr_engine_vm *vm, uint64_t addr, uint32_t data)
{
    g_mutex_lock(&vm->lock);
    vm->chips.n_msi++;
    vm->chips.msi_addr = addr;
    vm->chips.msi_data = data;
    g_mutex_unlock(&vm->lock);
    return 0;
}

static int fake_doorbell_add(vsr_engine_vm *vm, uint64_t addr, uint32_t size,
                             uint64_t value, bool is_pio, int fd)
{
    g_mutex_lock(&vm->lock);
    vm->n_doorbells++;
    g_mutex_unlock(&vm->lock);
    return 0;
}

static int fake_doorbell_remove(vsr_engine_vm *vm, uint64_t addr, uint32_t size,
                                uint64_t value, bool is_pio, int fd)
{
    g_mutex_lock(&vm->lock);
    vm->n_doorbells--;
    g_mutex_unlock(&vm->lock);
    return 0;
}

static int fake_dirty_start(vsr_engine_vm *vm)
{
    return 0;
}

static int fake_dirty_fetch(vsr_engine_vm *vm, uint64_t gpa, uint64_t len,
                            unsigned long *bitmap)
{
    return 0;
}

static void fake_dirty_mark(vsr_engine_vm *vm, uint64_t gpa, uint64_t len)
{
    g_mutex_lock(&vm->lock);
    vm->n_marks++;
    vm->marked_pages += (gpa + len - 1) / PAGE - gpa / PAGE + 1;
    g_mutex_unlock(&vm->lock);
}

static int fake_clock_get(vsr_engine_vm *vm, vsr_engine_clock *out)
{
    *out = (vsr_engine_clock){ 0 };
    return 0;
}

static int fake_clock_set(vsr_engine_vm *vm, const vsr_engine_clock *in)
{
    return 0;
}

static uint32_t fake_vcpu_stats(vsr_engine_vcpu *vcpu, const char **names,
                                uint64_t *values, uint32_t max)
{
    if (max < 1)
        return 0;
    names[0] = "runs";
    g_mutex_lock(&vcpu->fake.lock);
    values[0] = vcpu->fake.n_runs;
    g_mutex_unlock(&vcpu->fake.lock);
    return 1;
}

#define FAKE_SLOTS                                                            \
    .cpuid_supported = fake_cpuid_supported, .vm_new = fake_vm_new,           \
    .vm_free = fake_vm_free, .vm_pause = fake_vm_pause,                       \
    .vm_resume = fake_vm_resume, .mem_add = fake_mem_add,                     \
    .mem_remove = fake_mem_remove, .vcpu_new = fake_vcpu_new,                 \
    .vcpu_free = fake_vcpu_free, .vcpu_run = fake_vcpu_run,                   \
    .vcpu_kick = fake_vcpu_kick, .vcpu_failure = fake_vcpu_failure,           \
    .vcpu_get = fake_vcpu_get, .vcpu_set = fake_vcpu_set,                     \
    .doorbell_add = fake_doorbell_add,                                        \
    .doorbell_remove = fake_doorbell_remove, .dirty_start = fake_dirty_start, \
    .dirty_stop = fake_dirty_start, .dirty_fetch = fake_dirty_fetch,          \
    .dirty_mark = fake_dirty_mark, .clock_get = fake_clock_get,               \
    .clock_set = fake_clock_set, .vcpu_stats = fake_vcpu_stats

const vsr_engine_ops fake_engine = {
    .name = "fake",
    .caps = fake_caps,
    .vcpu_signal = fake_vcpu_signal,
    .vcpu_tsc = fake_vcpu_tsc,
    FAKE_SLOTS,
};

const vsr_engine_ops fake_engine_with_chips = {
    .name = "fake-with-chips",
    .caps = fake_caps_with_chips,
    .irq_line = fake_irq_line,
    .msi = fake_msi,
    FAKE_SLOTS,
};

/* --- helpers --- */

bool fake_wait_until(bool (*done)(void *opaque), void *opaque)
{
    gint64 end = g_get_monotonic_time() + WAIT_MAX_US;

    while (!done(opaque)) {
        if (g_get_monotonic_time() > end)
            return false;
        g_usleep(200);
    }
    return true;
}

vsr_machine *fake_machine_new_full(const vsr_engine_ops *engine, uint32_t vcpus,
                                   const vsr_machine_events *events,
                                   void *opaque)
{
    g_autoptr(GError) error = NULL;
    vsr_cpuid cpuid = { 0 };
    const vsr_machine_config config = {
        .engine = engine,
        .vcpus = vcpus,
        .max_vcpus = vcpus,
        .cpuid = &cpuid,
    };
    vsr_machine *machine;

    (void)fake_cpuid_supported(&cpuid, NULL);
    machine = vsr_machine_new(&config, events, opaque, &error);
    if (machine == NULL)
        fprintf(stderr, "no machine: %s\n", error->message);
    return machine;
}

vsr_machine *fake_machine_new(uint32_t vcpus)
{
    return fake_machine_new_full(&fake_engine, vcpus, NULL, NULL);
}

static void chips_line(void *opaque, uint32_t gsi, bool level)
{
    fake_chips *chips = opaque;

    chips->level[gsi] = level;
    chips->changes[gsi]++;
}

static int chips_msi(void *opaque, uint64_t addr, uint32_t data)
{
    fake_chips *chips = opaque;

    chips->n_msi++;
    chips->msi_addr = addr;
    chips->msi_data = data;
    return 0;
}

void fake_chips_connect(fake_chips *chips, vsr_machine *machine)
{
    static const vsr_irq_chip ops = { .line = chips_line, .msi = chips_msi };

    vsr_irqs_add_chip(machine->irqs, &ops, chips);
}

uint64_t fake_in(vsr_machine *machine, uint16_t port, uint32_t size)
{
    vsr_io io = { .addr = port, .size = size };

    machine->vm->events->pio(machine, &io);
    return io.data;
}

void fake_out(vsr_machine *machine, uint16_t port, uint32_t size,
              uint64_t value)
{
    vsr_io io = { .addr = port, .size = size, .is_write = true, .data = value };

    machine->vm->events->pio(machine, &io);
}

uint64_t fake_mmio_read(vsr_machine *machine, uint32_t vcpu, uint64_t gpa,
                        uint32_t size)
{
    vsr_io io = { .addr = gpa, .size = size, .vcpu = vcpu };

    machine->vm->events->mmio(machine, &io);
    return io.data;
}

void fake_mmio_write(vsr_machine *machine, uint32_t vcpu, uint64_t gpa,
                     uint32_t size, uint64_t value)
{
    vsr_io io = {
        .addr = gpa, .size = size, .vcpu = vcpu, .is_write = true, .data = value
    };

    machine->vm->events->mmio(machine, &io);
}

bool fake_rdmsr(vsr_machine *machine, uint32_t vcpu, uint32_t index,
                uint64_t *value)
{
    return machine->vm->events->msr(machine, vcpu, index, false, value);
}

bool fake_wrmsr(vsr_machine *machine, uint32_t vcpu, uint32_t index,
                uint64_t value)
{
    return machine->vm->events->msr(machine, vcpu, index, true, &value);
}

int fake_intr_ack(vsr_machine *machine, uint32_t vcpu)
{
    return machine->vm->events->intr_ack(machine, vcpu);
}

bool fake_intr(vsr_machine *machine, uint32_t vcpu)
{
    fake_vcpu *fake = fake_vcpu_of(machine, vcpu);
    bool intr;

    g_mutex_lock(&fake->lock);
    intr = fake->intr;
    g_mutex_unlock(&fake->lock);
    return intr;
}
