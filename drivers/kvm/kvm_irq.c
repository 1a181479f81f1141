/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_irq.c: KVM's own interrupt chips and timer, and the ways to them.
 *
 * Spec:    Linux, Documentation/virt/kvm/api.rst, 4.24 "KVM_CREATE_IRQCHIP",
 *          4.25 "KVM_IRQ_LINE", 4.52 "KVM_SET_GSI_ROUTING", 4.59
 *          "KVM_IOEVENTFD", 4.70 "KVM_SIGNAL_MSI", 4.71 "KVM_CREATE_PIT2",
 *          4.75 "KVM_IRQFD".
 * Threads: reset on the control thread, the rest on any.
 */
#include "drivers/kvm/kvm_engine.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "drivers/kvm/kvm_sys.h"

enum { PIC_PINS = 16, ROUTES_MAX = KVM_GSIS + PIC_PINS, TIMER_PIN = 2 };

typedef struct {
    struct kvm_irq_routing head;
    struct kvm_irq_routing_entry entry[ROUTES_MAX];
} routing;

static void route_add(routing *r, uint32_t gsi, uint32_t chip, uint32_t pin)
{
    r->entry[r->head.nr++] = (struct kvm_irq_routing_entry){
        .gsi = gsi,
        .type = KVM_IRQ_ROUTING_IRQCHIP,
        .u.irqchip = { .irqchip = chip, .pin = pin },
    };
}

/* As KVM's default, but GSI 0, the timer, is pin 2 of the IOAPIC, as the MADT
 * says, and GSI 2, the PIC's cascade, is nothing. */
static int set_routing(vsr_engine_vm *vm)
{
    routing r = { .head = { 0 } };

    for (uint32_t gsi = 0; gsi < KVM_GSIS; gsi++) {
        if (gsi == TIMER_PIN)
            continue;
        if (gsi < PIC_PINS)
            route_add(&r, gsi,
                      gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
                      gsi % 8);
        route_add(&r, gsi, KVM_IRQCHIP_IOAPIC, gsi == 0 ? TIMER_PIN : gsi);
    }
    return kvm_ioctl(vm->fd, KVM_SET_GSI_ROUTING, &r.head);
}

static int chips_get(vsr_engine_vm *vm, kvm_chips *out)
{
    int rc;

    for (uint32_t i = 0; i < KVM_CHIPS; i++) {
        out->chip[i].chip_id = i;
        rc = kvm_ioctl(vm->fd, KVM_GET_IRQCHIP, &out->chip[i]);
        if (rc < 0)
            return rc;
    }
    return kvm_ioctl(vm->fd, KVM_GET_PIT2, &out->pit);
}

/* Lock held. */
static bool chips_new(vsr_engine_vm *vm, GError **error)
{
    struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
    g_autofree kvm_chips *power_on = g_new0(kvm_chips, 1);
    int rc = kvm_ioctl(vm->fd, KVM_CREATE_IRQCHIP, NULL);

    if (rc < 0)
        return vsr_fail_errno(error, rc, "KVM_CREATE_IRQCHIP");
    rc = set_routing(vm);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "KVM_SET_GSI_ROUTING");
    rc = kvm_ioctl(vm->fd, KVM_CREATE_PIT2, &pit);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "KVM_CREATE_PIT2");
    rc = chips_get(vm, power_on);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "The interrupt chips' state");
    vm->power_on = g_steal_pointer(&power_on);
    return true;
}

bool kvm_chips_need(vsr_engine_vm *vm, GError **error)
{
    bool ok;

    g_mutex_lock(&vm->lock);
    ok = vm->power_on != NULL || chips_new(vm, error);
    g_mutex_unlock(&vm->lock);
    return ok;
}

/* The slave PIC before the master: what waits there would be passed on as KVM
 * looks at both after each, and a guest that leaves the PICs alone would get it
 * as an interrupt without a sense. */
int kvm_chips_reset(vsr_engine_vm *vm)
{
    static const uint8_t order[KVM_CHIPS] = { KVM_IRQCHIP_PIC_SLAVE,
                                              KVM_IRQCHIP_PIC_MASTER,
                                              KVM_IRQCHIP_IOAPIC };
    kvm_chips state;
    int rc;

    if (vm->power_on == NULL)
        return 0; /* no vCPU, no chips */
    state = *vm->power_on;
    rc = kvm_ioctl(vm->fd, KVM_SET_PIT2, &state.pit);
    for (uint32_t i = 0; i < KVM_CHIPS && rc >= 0; i++)
        rc = kvm_ioctl(vm->fd, KVM_SET_IRQCHIP, &state.chip[order[i]]);
    return MIN(rc, 0);
}

int kvm_irq_line(vsr_engine_vm *vm, uint32_t gsi, bool level)
{
    struct kvm_irq_level line = { .irq = gsi, .level = level };

    return kvm_ioctl(vm->fd, KVM_IRQ_LINE, &line);
}

int kvm_msi(vsr_engine_vm *vm, uint64_t addr, uint32_t data)
{
    struct kvm_msi msi = {
        .address_lo = (uint32_t)addr,
        .address_hi = (uint32_t)(addr >> 32),
        .data = data,
    };
    int rc = kvm_ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);

    return MIN(rc, 0); /* how many took it is not asked for */
}

static int irqfd(vsr_engine_vm *vm, uint32_t gsi, int fd, uint32_t flags)
{
    struct kvm_irqfd arg = { .fd = (uint32_t)fd, .gsi = gsi, .flags = flags };

    return kvm_ioctl(vm->fd, KVM_IRQFD, &arg);
}

int kvm_irqfd_add(vsr_engine_vm *vm, uint32_t gsi, int fd)
{
    return irqfd(vm, gsi, fd, 0);
}

int kvm_irqfd_remove(vsr_engine_vm *vm, uint32_t gsi, int fd)
{
    return irqfd(vm, gsi, fd, KVM_IRQFD_FLAG_DEASSIGN);
}

static int doorbell(vsr_engine_vm *vm, uint64_t addr, uint32_t size,
                    uint64_t value, bool is_pio, int fd, uint32_t flags)
{
    struct kvm_ioeventfd arg = {
        .datamatch = size == 0 ? 0 : value,
        .addr = addr,
        .len = size,
        .fd = fd,
        .flags = flags | (is_pio ? KVM_IOEVENTFD_FLAG_PIO : 0) |
                 (size == 0 ? 0 : KVM_IOEVENTFD_FLAG_DATAMATCH),
    };

    return kvm_ioctl(vm->fd, KVM_IOEVENTFD, &arg);
}

int kvm_doorbell_add(vsr_engine_vm *vm, uint64_t addr, uint32_t size,
                     uint64_t value, bool is_pio, int fd)
{
    return doorbell(vm, addr, size, value, is_pio, fd, 0);
}

int kvm_doorbell_remove(vsr_engine_vm *vm, uint64_t addr, uint32_t size,
                        uint64_t value, bool is_pio, int fd)
{
    return doorbell(vm, addr, size, value, is_pio, fd,
                    KVM_IOEVENTFD_FLAG_DEASSIGN);
}
