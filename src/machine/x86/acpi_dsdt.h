/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* acpi_dsdt.h: the AML of the board's devices, without the table header. */
#ifndef VSR_MACHINE_X86_ACPI_DSDT_H
#define VSR_MACHINE_X86_ACPI_DSDT_H

#include "machine/x86/acpi_aml.h"
#include "machine/x86/board.h"

/* phys_bits: where the 64-bit PCI window may end. */
void vsr_acpi_dsdt(vsr_aml *aml, const vsr_board *board, uint32_t phys_bits);

/* A Generic Event Device that hears of `gsi`, open for its _EVT (ACPI 6.5,
 * 5.6.9). */
vsr_aml_mark vsr_acpi_open_events(vsr_aml *aml, const char *name, uint32_t uid,
                                  uint32_t gsi);

/* acpi_cpu.c */
void vsr_acpi_processors(vsr_aml *aml, const vsr_board *board);
/* acpi_hotplug.c: inside of PCI0; beside it. */
void vsr_acpi_slots(vsr_aml *aml);
void vsr_acpi_slot_events(vsr_aml *aml);

#endif
