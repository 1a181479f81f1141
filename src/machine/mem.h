/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mem.h: guest RAM and the address map of it.
 *
 * RAM is aligned to 2 MiB and the process's own, so that the host backs it with
 * huge pages: hosts as they come do so for anonymous memory only, and a guest's
 * first touch of each page costs 100 times fewer faults. Memory that others are
 * to map as well is one memfd per region, on request. Guest addresses are
 * checked here and nowhere else.
 *
 * Threads: add and remove on the control thread with vCPUs stopped; the rest
 *          from any thread.
 */
#ifndef VSR_MACHINE_MEM_H
#define VSR_MACHINE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "engine/engine.h"

typedef struct vsr_mem vsr_mem;

typedef struct {
    uint64_t page_bytes; /* huge pages of that size from the host's pool; 0:
                            ordinary ones */
    bool shared;         /* a memfd */
    bool prealloc;       /* touch every page now */
    uint32_t threads;    /* that touch them; 0: one */
    bool locked;         /* never swapped; there from the start, unless … */
    bool lock_on_touch;  /* … pages come when they are touched */
    bool no_thp;         /* do not advise transparent huge pages */
    bool no_merge;       /* the host must not share equal pages (KSM) */
    uint64_t total;      /* bytes of all of the machine's RAM, for checks that
                            look at the whole; 0: this region */
} vsr_mem_options;

/* max_slots: how many regions the engine takes, for messages; 0: unknown. */
vsr_mem *vsr_mem_new(const vsr_engine_ops *engine, vsr_engine_vm *vm,
                     uint32_t max_slots);
/* After the engine's VM, with which its slots go: to remove one takes KVM up to
 * 100 ms on a busy host. */
void vsr_mem_free(vsr_mem *mem);

/* Allocate `len` bytes (page multiple) and map them at `gpa`. `name` is for
 * /proc and errors. readonly: ROM, filled through
 * vsr_mem_rom_write(). RESOURCE if the host has not that much, or not so. */
bool vsr_mem_add_ram(vsr_mem *mem, const char *name, uint64_t gpa, uint64_t len,
                     bool readonly, const vsr_mem_options *options,
                     GError **error);
/* The second half of a region whose first half is at another address: the PCI
 * hole splits one RAM block in two. Maps [offset, offset+len) of `name`, which
 * is shared, and whose memfd grows where that lies beyond its end. */
bool vsr_mem_add_alias(vsr_mem *mem, const char *name, uint64_t offset,
                       uint64_t gpa, uint64_t len, GError **error);

/* Spare memory: an empty place of `len` bytes, where units of `unit` bytes (a
 * power of two that gpa and len are multiples of) come and go. What is not there
 * is no memory, to the guest and to devices. Pages come when they are touched,
 * whatever the options say. Counts nothing in vsr_mem_ram_bytes(). Control,
 * vCPUs stopped. NO_SUPPORT: locked or huge pages, CONFIG: no such units, or
 * more than the engine has slots. */
bool vsr_mem_add_spare(vsr_mem *mem, const char *name, uint64_t gpa,
                       uint64_t len, uint64_t unit,
                       const vsr_mem_options *options, GError **error);
/* The place that begins at `gpa` goes, with all that is in it. Control, vCPUs
 * stopped. */
void vsr_mem_remove_spare(vsr_mem *mem, uint64_t gpa);
/* Whole units, all of which are not there (plug) or there (unplug), else
 * -EINVAL; or the engine's error; nothing is changed then. What comes reads as
 * zeros; what goes is given back to the host. Any thread, one at a time for each
 * place; vCPUs may run. */
int vsr_mem_plug(vsr_mem *mem, uint64_t gpa, uint64_t len);
int vsr_mem_unplug(vsr_mem *mem, uint64_t gpa, uint64_t len);
/* Bytes of the units that the range touches which are there; 0 where it is no
 * range of one place. */
uint64_t vsr_mem_plugged(vsr_mem *mem, uint64_t gpa, uint64_t len);

/* Whole range or nothing: 0, or -EFAULT when any byte is not RAM (or, for
 * write, read-only). Marks pages dirty and drops code decoded from them. */
int vsr_mem_read(vsr_mem *mem, uint64_t gpa, void *to, uint64_t len);
int vsr_mem_write(vsr_mem *mem, uint64_t gpa, const void *from, uint64_t len);
/* The host address of a range inside one region, or NULL (also for ROM).
 * Whoever writes through it calls vsr_mem_written() afterwards. */
void *vsr_mem_map(vsr_mem *mem, uint64_t gpa, uint64_t len);
void vsr_mem_written(vsr_mem *mem, uint64_t gpa, uint64_t len);
/* Give the pages of a range back to the host; they read as zeros again.
 * -EFAULT and nothing done when any byte is not RAM, -EINVAL when it is not of
 * whole pages, -EOPNOTSUPP where the memory is locked or of the host's huge
 * pages. A length of 0 only asks about the place. */
int vsr_mem_discard(vsr_mem *mem, uint64_t gpa, uint64_t len);
/* Control, machine stopped: also into ROM. */
int vsr_mem_rom_write(vsr_mem *mem, uint64_t gpa, const void *from,
                      uint64_t len);
/* Control, machine stopped: all RAM reads as zero again, given back to the host. */
int vsr_mem_clear(vsr_mem *mem);

uint64_t vsr_mem_ram_bytes(const vsr_mem *mem);
/* Calls fn for each region in order of address; fd is -1 where the memory is
 * not shared. */
typedef bool vsr_mem_visit(uint64_t gpa, uint64_t len, bool readonly, int fd,
                           uint64_t fd_offset, void *host, void *opaque);
bool vsr_mem_foreach(vsr_mem *mem, vsr_mem_visit *fn, void *opaque);

#endif
