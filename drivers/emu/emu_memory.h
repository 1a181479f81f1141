/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emu_memory.h: memory and dirty log of a VM: the slots of vsr_engine_ops that
 * have these names, and what the engine's own files need. See emu_engine.h.
 */
#ifndef VSR_DRIVERS_EMU_EMU_MEMORY_H
#define VSR_DRIVERS_EMU_EMU_MEMORY_H

#include "drivers/emu/guest_x86_state.h"

void emu_memory_init(emu_vm *vm);
void emu_memory_free(emu_vm *vm); /* no vCPU is left */
/* The vCPU of this index is gone: its marks go. With vm->lock. */
void emu_memory_forget(emu_vm *vm, uint32_t vcpu);

int emu_mem_add(emu_vm *vm, const vsr_mem_slot *in);
int emu_mem_remove(emu_vm *vm, const vsr_mem_slot *in);
int emu_dirty_start(emu_vm *vm);
int emu_dirty_stop(emu_vm *vm);
int emu_dirty_fetch(emu_vm *vm, uint64_t gpa, uint64_t len,
                    unsigned long *bitmap);
void emu_dirty_mark(emu_vm *vm, uint64_t gpa, uint64_t len);

#endif
