/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * irq.h: interrupts from devices to whatever delivers them: the engine's chips
 * where it has them, ours (devices/irqchip) otherwise.
 *
 * Threads: any.
 */
#ifndef VSR_MACHINE_IRQ_H
#define VSR_MACHINE_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "engine/engine.h"

typedef struct vsr_irqs vsr_irqs;

/* Our own chips, each optional. Any thread. `line` is called on changes only,
 * with a lock of that GSI held so that changes arrive in order: it must not call
 * vsr_irq_set(). `msi` is called without locks of ours. */
typedef struct {
    void (*line)(void *chip, uint32_t gsi, bool level); /* IOAPIC, PIC */
    int (*msi)(void *chip, uint64_t addr, uint32_t data); /* LAPICs */
} vsr_irq_chip;

/* What a LAPIC model answers to the engine's up-calls. */
typedef struct {
    int (*intr_ack)(void *chip, uint32_t vcpu);
    bool (*msr)(void *chip, uint32_t vcpu, uint32_t index, bool is_write,
                uint64_t *value);
    uint64_t (*cr8_get)(void *chip, uint32_t vcpu);
    void (*cr8_set)(void *chip, uint32_t vcpu, uint64_t value);
} vsr_lapic_chip;

enum { VSR_GSI_MAX = 24, VSR_IRQ_CHIPS_MAX = 4 };

vsr_irqs *vsr_irqs_new(const vsr_engine_ops *engine, vsr_engine_vm *vm,
                       const vsr_engine_caps *caps);
void vsr_irqs_free(vsr_irqs *irqs);

/* Control, before vCPUs run. At most VSR_IRQ_CHIPS_MAX. */
void vsr_irqs_add_chip(vsr_irqs *irqs, const vsr_irq_chip *ops, void *chip);
void vsr_irqs_remove_chip(vsr_irqs *irqs, void *chip);
void vsr_irqs_set_lapic(vsr_irqs *irqs, const vsr_lapic_chip *ops, void *chip);

/* A device's own end of a line: several devices may share a GSI, the line is
 * high while any of them holds it. A GSI of VSR_GSI_MAX or more is connected to
 * nothing. */
typedef struct {
    vsr_irqs *irqs;
    uint32_t gsi;
    bool level;
} vsr_irq;

void vsr_irq_init(vsr_irq *irq, vsr_irqs *irqs, uint32_t gsi);
void vsr_irq_set(vsr_irq *irq, bool level);
static inline void vsr_irq_pulse(vsr_irq *irq)
{
    vsr_irq_set(irq, true);
    vsr_irq_set(irq, false);
}
int vsr_irq_msi(vsr_irqs *irqs, uint64_t addr, uint32_t data);

/* For the machine's up-calls. */
int vsr_irqs_intr_ack(vsr_irqs *irqs, uint32_t vcpu);
bool vsr_irqs_msr(vsr_irqs *irqs, uint32_t vcpu, uint32_t index, bool is_write,
                  uint64_t *value);
uint64_t vsr_irqs_cr8_get(vsr_irqs *irqs, uint32_t vcpu);
void vsr_irqs_cr8_set(vsr_irqs *irqs, uint32_t vcpu, uint64_t value);

#endif
