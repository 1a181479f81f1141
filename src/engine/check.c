/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check.c: is an engine's table complete? A slot that is missing shows when the
 * engine is first opened, not when a guest first needs it.
 *
 * Threads: control.
 */
#include "engine/engine.h"

#include "base/error.h"

typedef struct {
    const char *name;
    bool is_set;
} slot;

#define SLOT(ops, member)              \
    {                                  \
#member, (ops)->member != NULL \
    }

static bool need_all(const vsr_engine_ops *ops, const slot *slots, size_t n,
                     const char *why, GError **error)
{
    for (size_t i = 0; i < n; i++)
        if (!slots[i].is_set)
            return vsr_fail(error, VISOR_ERR_INTERNAL,
                            "Engine '%s': %s needs the slot '%s'", ops->name,
                            why, slots[i].name);
    return true;
}

/* Slots that make sense only together: a, b, a, b, … */
static bool need_pairs(const vsr_engine_ops *ops, const slot *slots, size_t n,
                       GError **error)
{
    for (size_t i = 0; i + 1 < n; i += 2)
        if (slots[i].is_set != slots[i + 1].is_set)
            return vsr_fail(error, VISOR_ERR_INTERNAL,
                            "Engine '%s': '%s' and '%s' come together",
                            ops->name, slots[i].name, slots[i + 1].name);
    return true;
}

static bool check_common(const vsr_engine_ops *ops, GError **error)
{
    const slot all[] = {
        SLOT(ops, caps),       SLOT(ops, vm_new),      SLOT(ops, vm_free),
        SLOT(ops, mem_add),    SLOT(ops, mem_remove),  SLOT(ops, dirty_start),
        SLOT(ops, dirty_stop), SLOT(ops, dirty_fetch), SLOT(ops, dirty_mark),
        SLOT(ops, clock_get),  SLOT(ops, clock_set),
    };
    const slot pairs[] = {
        SLOT(ops, vm_pause),     SLOT(ops, vm_resume),
        SLOT(ops, irqfd_add),    SLOT(ops, irqfd_remove),
        SLOT(ops, doorbell_add), SLOT(ops, doorbell_remove),
        SLOT(ops, break_add),    SLOT(ops, break_remove),
    };

    return need_all(ops, all, G_N_ELEMENTS(all), "every engine", error) &&
           need_pairs(ops, pairs, G_N_ELEMENTS(pairs), error);
}

static bool check_run_style(const vsr_engine_ops *ops, GError **error)
{
    const slot all[] = {
        SLOT(ops, cpuid_supported), SLOT(ops, vcpu_new), SLOT(ops, vcpu_free),
        SLOT(ops, vcpu_kick),       SLOT(ops, vcpu_get), SLOT(ops, vcpu_set),
        SLOT(ops, vcpu_failure),
    };

    return need_all(ops, all, G_N_ELEMENTS(all), "a run-style engine", error);
}

static bool check_pump_style(const vsr_engine_ops *ops, GError **error)
{
    const slot all[] = {
        SLOT(ops, pump_stop),
        SLOT(ops, vm_save),
        SLOT(ops, vm_load),
    };

    return need_all(ops, all, G_N_ELEMENTS(all), "a pump-style engine", error);
}

bool vsr_engine_check(const vsr_engine_ops *ops, GError **error)
{
    if (ops == NULL || ops->name == NULL || ops->name[0] == '\0')
        return vsr_fail(error, VISOR_ERR_INTERNAL, "Engine without a name");
    if ((ops->vcpu_run != NULL) == (ops->pump_start != NULL))
        return vsr_fail(error, VISOR_ERR_INTERNAL,
                        "Engine '%s' fills %s of vcpu_run and pump_start",
                        ops->name, ops->vcpu_run != NULL ? "both" : "none");
    return check_common(ops, error) &&
           (ops->vcpu_run != NULL ? check_run_style(ops, error)
                                  : check_pump_style(ops, error));
}

bool vsr_engine_check_caps(const vsr_engine_ops *ops,
                           const vsr_engine_caps *caps, GError **error)
{
    const slot no_lapic[] = { SLOT(ops, vcpu_signal), SLOT(ops, vcpu_tsc) };
    const slot lapic[] = { SLOT(ops, msi) };
    const slot ioapic[] = { SLOT(ops, irq_line) };

    if (caps->max_vcpus == 0 || caps->phys_bits < 32 || caps->phys_bits > 52)
        return vsr_fail(error, VISOR_ERR_INTERNAL,
                        "Engine '%s' offers %u vCPUs and %u address bits",
                        ops->name, caps->max_vcpus, caps->phys_bits);
    if (caps->lapic &&
        !need_all(ops, lapic, G_N_ELEMENTS(lapic), "its LAPIC", error))
        return false;
    if (!caps->lapic && ops->vcpu_run != NULL) {
        if (!need_all(ops, no_lapic, G_N_ELEMENTS(no_lapic), "our LAPIC",
                      error))
            return false;
        if (caps->tsc_hz == 0)
            return vsr_fail(error, VISOR_ERR_INTERNAL,
                            "Engine '%s' gives no TSC frequency", ops->name);
    }
    return !caps->ioapic ||
           need_all(ops, ioapic, G_N_ELEMENTS(ioapic), "its IOAPIC", error);
}
