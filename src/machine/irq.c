/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * irq.c: interrupt lines by GSI, and the way to whoever delivers them.
 *
 * Threads: any. A line's lock is taken inside of a device's lock, and a chip's
 * lock inside of a line's.
 */
#include "machine/irq.h"

#include <errno.h>

typedef struct {
    GMutex lock;      /* guards holders, and orders what chips are told */
    uint32_t holders; /* vsr_irq ends that are high */
} irq_line;

typedef struct {
    const vsr_irq_chip *ops;
    void *chip;
} irq_chip;

struct vsr_irqs {
    const vsr_engine_ops *engine;
    vsr_engine_vm *vm;
    bool engine_lines, engine_msi;
    irq_line line[VSR_GSI_MAX];
    irq_chip chip[VSR_IRQ_CHIPS_MAX];
    uint32_t n_chips;
    const vsr_lapic_chip *lapic_ops;
    void *lapic;
};

vsr_irqs *vsr_irqs_new(const vsr_engine_ops *engine, vsr_engine_vm *vm,
                       const vsr_engine_caps *caps)
{
    vsr_irqs *irqs = g_new0(vsr_irqs, 1);

    irqs->engine = engine;
    irqs->vm = vm;
    irqs->engine_lines = caps->ioapic && engine->irq_line != NULL;
    irqs->engine_msi = caps->lapic && engine->msi != NULL;
    for (uint32_t i = 0; i < VSR_GSI_MAX; i++)
        g_mutex_init(&irqs->line[i].lock);
    return irqs;
}

void vsr_irqs_free(vsr_irqs *irqs)
{
    if (irqs == NULL)
        return;
    for (uint32_t i = 0; i < VSR_GSI_MAX; i++)
        g_mutex_clear(&irqs->line[i].lock);
    g_free(irqs);
}

void vsr_irqs_add_chip(vsr_irqs *irqs, const vsr_irq_chip *ops, void *chip)
{
    g_return_if_fail(irqs->n_chips < VSR_IRQ_CHIPS_MAX);
    irqs->chip[irqs->n_chips++] = (irq_chip){ .ops = ops, .chip = chip };
}

void vsr_irqs_remove_chip(vsr_irqs *irqs, void *chip)
{
    for (uint32_t i = 0; i < irqs->n_chips; i++)
        if (irqs->chip[i].chip == chip) {
            irqs->chip[i] = irqs->chip[--irqs->n_chips];
            return;
        }
}

void vsr_irqs_set_lapic(vsr_irqs *irqs, const vsr_lapic_chip *ops, void *chip)
{
    irqs->lapic_ops = ops;
    irqs->lapic = chip;
}

void vsr_irq_init(vsr_irq *irq, vsr_irqs *irqs, uint32_t gsi)
{
    *irq = (vsr_irq){ .irqs = irqs, .gsi = gsi };
}

void vsr_irq_set(vsr_irq *irq, bool level)
{
    vsr_irqs *irqs = irq->irqs;
    irq_line *line;
    bool before;

    if (irqs == NULL || irq->gsi >= VSR_GSI_MAX)
        return;
    line = &irqs->line[irq->gsi];
    g_mutex_lock(&line->lock);
    if (irq->level == level) {
        g_mutex_unlock(&line->lock);
        return;
    }
    irq->level = level;
    before = line->holders > 0;
    if (level)
        line->holders++;
    else
        line->holders--;
    if (before != (line->holders > 0)) {
        if (irqs->engine_lines)
            (void)irqs->engine->irq_line(irqs->vm, irq->gsi, level);
        for (uint32_t i = 0; i < irqs->n_chips; i++)
            if (irqs->chip[i].ops->line != NULL)
                irqs->chip[i].ops->line(irqs->chip[i].chip, irq->gsi, level);
    }
    g_mutex_unlock(&line->lock);
}

int vsr_irq_msi(vsr_irqs *irqs, uint64_t addr, uint32_t data)
{
    if (irqs->engine_msi)
        return irqs->engine->msi(irqs->vm, addr, data);
    for (uint32_t i = 0; i < irqs->n_chips; i++)
        if (irqs->chip[i].ops->msi != NULL)
            return irqs->chip[i].ops->msi(irqs->chip[i].chip, addr, data);
    return -ENXIO;
}

int vsr_irqs_intr_ack(vsr_irqs *irqs, uint32_t vcpu)
{
    return irqs->lapic_ops != NULL
               ? irqs->lapic_ops->intr_ack(irqs->lapic, vcpu)
               : -1;
}

bool vsr_irqs_msr(vsr_irqs *irqs, uint32_t vcpu, uint32_t index, bool is_write,
                  uint64_t *value)
{
    return irqs->lapic_ops != NULL &&
           irqs->lapic_ops->msr(irqs->lapic, vcpu, index, is_write, value);
}

uint64_t vsr_irqs_cr8_get(vsr_irqs *irqs, uint32_t vcpu)
{
    return irqs->lapic_ops != NULL ? irqs->lapic_ops->cr8_get(irqs->lapic, vcpu)
                                   : 0;
}

void vsr_irqs_cr8_set(vsr_irqs *irqs, uint32_t vcpu, uint64_t value)
{
    if (irqs->lapic_ops != NULL)
        irqs->lapic_ops->cr8_set(irqs->lapic, vcpu, value);
}
