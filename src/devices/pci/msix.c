/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * msix.c: see msix.h. The table is at 0 of the BAR, the pending bits at 0x800.
 *
 * Spec:    PCI Local Bus 3.0, 6.8.2.3 "Message Control for MSI-X", 6.8.2.6
 *          "Table Offset/Table BIR", 6.8.2.9 "Vector Control", 6.8.2.10
 *          "Pending Bits".
 * Threads: as msix.h says.
 */
#include "devices/pci/msix.h"

#include <string.h>

#include "base/error.h"
#include "machine/machine.h"

enum {
    CAPABILITY_ID = 0x11,
    CAPABILITY_LEN = 12,
    CONTROL = 2, /* of the capability; high byte at 3 */
    CONTROL_MASK_ALL = 0x40,
    CONTROL_ENABLE = 0x80,
    ENTRY_MASKED = 1,
    PBA = 0x800,
    BAR_LEN = 0x1000,
};

static bool is_masked(const vsr_msix *m)
{
    return m->function->config[m->capability + CONTROL + 1] & CONTROL_MASK_ALL;
}

bool vsr_msix_is_enabled(const vsr_msix *m)
{
    return m->function->config[m->capability + CONTROL + 1] & CONTROL_ENABLE;
}

/* A function that is no bus master cannot write its message either. */
static bool may_send(const vsr_msix *m, uint32_t vector)
{
    return vsr_msix_is_enabled(m) && !is_masked(m) &&
           (m->table[vector].control & ENTRY_MASKED) == 0 &&
           vsr_pci_is_master(m->function);
}

static void send(vsr_msix *m, uint32_t vector)
{
    const vsr_msix_entry *entry = &m->table[vector];

    m->pending[vector / 64] &= ~(UINT64_C(1) << vector % 64);
    (void)vsr_irq_msi(m->function->device->machine->irqs, entry->addr,
                      entry->data);
}

void vsr_msix_notify(vsr_msix *m, uint32_t vector)
{
    if (vector >= m->n || !vsr_msix_is_enabled(m))
        return;
    if (may_send(m, vector))
        send(m, vector);
    else
        m->pending[vector / 64] |= UINT64_C(1) << vector % 64;
}

static void send_pending(vsr_msix *m, uint32_t vector)
{
    if ((m->pending[vector / 64] & UINT64_C(1) << vector % 64) != 0 &&
        may_send(m, vector))
        send(m, vector);
}

void vsr_msix_written(vsr_msix *m, uint32_t offset, uint32_t len)
{
    const uint32_t control = m->capability + CONTROL + 1u;
    bool touched =
        (offset <= control && offset + len > control) ||
        (offset <= VSR_PCI_COMMAND && offset + len > VSR_PCI_COMMAND);

    for (uint32_t i = 0; touched && i < m->n; i++)
        send_pending(m, i);
}

/* --- the BAR ---------------------------------------------------------------- */

static uint32_t *word_at(vsr_msix *m, uint64_t offset)
{
    if (offset / sizeof(vsr_msix_entry) >= m->n)
        return NULL;
    return (uint32_t *)m->table + offset / 4;
}

static uint64_t table_read(void *opaque, uint64_t offset, uint32_t size)
{
    vsr_msix *m = opaque;
    const uint32_t *word;

    if (offset >= PBA) {
        uint64_t i = (offset - PBA) / 8;

        return i < (m->n + 63) / 64 ? m->pending[i] >> offset % 8 * 8 : 0;
    }
    word = word_at(m, offset);
    if (word == NULL)
        return 0;
    return size == 8 ? word[0] | (uint64_t)word[1] << 32 : word[0];
}

static void write_word(vsr_msix *m, uint64_t offset, uint32_t value)
{
    uint32_t *word = word_at(m, offset);
    uint32_t vector = (uint32_t)(offset / sizeof(vsr_msix_entry));

    if (word == NULL)
        return;
    switch (offset % sizeof(vsr_msix_entry)) {
    case 0:
        *word = value & ~UINT32_C(3);
        break;
    case 12:
        *word = value & ENTRY_MASKED;
        send_pending(m, vector);
        break;
    default:
        *word = value;
        break;
    }
}

static void table_write(void *opaque, uint64_t offset, uint32_t size,
                        uint64_t value)
{
    if (offset >= PBA)
        return;
    write_word(opaque, offset, (uint32_t)value);
    if (size == 8)
        write_word(opaque, offset + 4, (uint32_t)(value >> 32));
}

static const vsr_region_ops table_ops = {
    .read = table_read,
    .write = table_write,
    .min_size = 4,
    .max_size = 8,
};

/* --- life -------------------------------------------------------------------- */

bool vsr_msix_init(vsr_msix *m, vsr_pci_function *f, uint32_t bar,
                   uint32_t vectors, GError **error)
{
    const vsr_pci_bar table = {
        .len = BAR_LEN,
        .ops = &table_ops,
        .opaque = m,
        .lock = &f->device->lock,
    };
    uint8_t *at;

    G_STATIC_ASSERT(sizeof(vsr_msix_entry) == 16);
    G_STATIC_ASSERT(VSR_MSIX_VECTORS_MAX * sizeof(vsr_msix_entry) <= PBA);
    g_return_val_if_fail(vectors > 0 && vectors <= VSR_MSIX_VECTORS_MAX, false);
    m->function = f;
    m->n = vectors;
    if (!vsr_pci_add_bar(f, bar, &table, error))
        return false;
    m->capability = vsr_pci_add_capability(f, CAPABILITY_ID, CAPABILITY_LEN);
    if (m->capability == 0)
        return vsr_fail(error, VISOR_ERR_INTERNAL,
                        "Device '%s': no room for the MSI-X capability",
                        f->name);
    at = f->config + m->capability;
    at[CONTROL] = (uint8_t)(vectors - 1);
    at[4] = (uint8_t)bar; /* table: offset 0 */
    at[8] = (uint8_t)bar; /* pending bits */
    at[9] = (uint8_t)(PBA >> 8);
    f->writable[m->capability + CONTROL + 1] =
        CONTROL_ENABLE | CONTROL_MASK_ALL;
    vsr_pci_function_seal(f);
    vsr_msix_reset(m);
    return true;
}

void vsr_msix_reset(vsr_msix *m)
{
    memset(m->table, 0, sizeof(m->table));
    memset(m->pending, 0, sizeof(m->pending));
    for (uint32_t i = 0; i < m->n; i++)
        m->table[i].control = ENTRY_MASKED;
}
