/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmm_state.h: what the files of src/vmm share.
 *
 * Threads: the control thread owns all of it, except where a comment names
 *          another. Functions here are called on it.
 */
#ifndef VSR_VMM_VMM_STATE_H
#define VSR_VMM_VMM_STATE_H

#include "conf/device_conf.h"
#include "devices/pci/function.h"
#include "devices/virtio/blk.h"
#include "machine/boot/boot.h"
#include "machine/machine.h"
#include "machine/x86/board.h"
#include "vmm/vmm.h"

enum {
    /* More restarts than this in VMM_STORM_NS, and the guest has crashed. */
    VMM_STORM_RESTARTS = 10,
};
#define VMM_STORM_NS   INT64_C(10000000000)
#define VMM_FLUSH_NS   INT64_C(2000000000) /* the guest ended by itself */
#define VMM_DESTROY_NS INT64_C(50000000)   /* somebody wants it gone now */

struct vsr_vmm {
    vsr_loop *loop; /* the control thread */
    const vsr_engine_ops *engine;
    vsr_domain_conf *conf; /* live: pty paths filled */
    vsr_vmm_events events;
    void *opaque;
    vsr_vmm_resources res; /* the files: every restart reads them again */

    vsr_board board;
    vsr_machine *machine; /* NULL when shut off */
    vsr_device *power;    /* acpi_pm or acpi_reduced, the machine's */
    vsr_device *lapic;    /* likewise; NULL: the engine has it */
    vsr_device *cpus;     /* cpu_hotplug, likewise; NULL: vCPUs stay */
    vsr_chardev *serial[VSR_SERIALS_MAX]; /* as conf->serials */
    uint32_t n_serials;

    vsr_loop *io;        /* of disks and networks; NULL without */
    GPtrArray *plugged;  /* of vmm_plugged, owned; as conf->devices */
    vsr_pci_host *host;  /* pci board; the machine's */
    vsr_device *hotplug; /* likewise */
    uint32_t n_windows;  /* micro board: taken of board.mmio */
    uint32_t n_channels;
    uint32_t n_of_kind[VSR_DEVICE_KINDS]; /* that ever were: for aliases */

    vsr_state state;
    vsr_reason reason;
    bool loaded;      /* kernel or firmware is in RAM: not before the first run,
                         so that a domain that starts paused costs little */
    bool stopping;    /* inside vmm_stop() */
    bool ended;       /* the guest ended and was kept: only reset or destroy */
    bool reboot_next; /* vsr_vmm_reboot(): the next power-off is a restart */
    gint hurry;       /* atomic: somebody waits for the end in destroy or free:
                         written by any thread */
    gint generation;  /* atomic: counts resets, to know stale requests; read by
                         the machine's threads */
    int64_t restarts_ns[VMM_STORM_RESTARTS]; /* when, a ring */
    uint32_t n_restarts;
    int64_t built_ns;
    vsr_thread_fn *thread_fn; /* of vsr_vmm_each_thread(): for later threads */
    void *thread_opaque;
    int smaps_fd; /* of this process; -1: not to be had. Opened early: in a
                     sandbox there are no paths */
};

/* build.c. On failure nothing is left but what vmm_teardown() frees. */
bool vmm_build(vsr_vmm *vmm, GError **error);
void vmm_teardown(vsr_vmm *vmm);
/* Reset and load, vCPUs stopped. */
bool vmm_power_on(vsr_vmm *vmm, GError **error);
/* policy.c */
bool vmm_check_engine(const vsr_vmm *vmm, const vsr_engine_caps *caps,
                      GError **error);
/* What the guest sees of its processor; owned by the caller. */
vsr_cpuid *vmm_make_cpuid(vsr_vmm *vmm, const vsr_engine_caps *caps,
                          GError **error);
vsr_mem_options vmm_memory_options(const vsr_vmm *vmm);
/* chips.c: interrupt chips and timers the engine lacks; devices of the board. */
bool vmm_add_chips(vsr_vmm *vmm, GError **error);
bool vmm_add_devices(vsr_vmm *vmm, GError **error);
/* The host failed a disk's request and its guest is to wait: suspend. */
void vmm_disk_failed(void *opaque, vsr_device *device,
                     vsr_virtio_blk_policy action, int error);
/* The guest has let go of what is in `slot`. */
void vmm_slot_ejected(void *opaque, uint8_t slot);
/* hotplug_cpu.c: the device of vCPUs that come and go, where the board has it. */
bool vmm_add_cpu_hotplug(vsr_vmm *vmm, GError **error);
/* Before a start: as many as there are, without a gap. vCPUs stopped. */
bool vmm_arrange_vcpus(vsr_vmm *vmm, GError **error);
/* memory.c. The RAM there is from the start. */
uint64_t vmm_ram_kib(const vsr_domain_conf *conf);
/* Bytes of the guest's address space that memory devices share. */
uint64_t vmm_device_memory(const vsr_domain_conf *conf);
/* Where in it `bytes` are free, from a multiple of `align` on. RESOURCE. */
bool vmm_place_memory(const vsr_vmm *vmm, uint64_t bytes, uint64_t align,
                      uint64_t *gpa, GError **error);
/* A memory device goes, and its place is free. */
void vmm_free_memory(vsr_vmm *vmm, vsr_device *device);
/* <currentMemory> at the start, with the balloon that has come. */
bool vmm_start_balloon(vsr_vmm *vmm, vsr_device *balloon, GError **error);
/* What there is now, into vmm->conf. */
void vmm_refresh_memory(vsr_vmm *vmm);
void vmm_memory_stats(vsr_vmm *vmm, vsr_stat_fn *fn, void *opaque);
/* STATE: a memory device whose memory is still wanted or used. */
bool vmm_check_memory_gone(const vsr_vmm *vmm, const vsr_device_conf *conf,
                           GError **error);

/* There are devices, hence a button. */
void vmm_power_button(vsr_vmm *vmm);

/* run.c */
extern const vsr_machine_events vmm_machine_events;
void vmm_set_state(vsr_vmm *vmm, vsr_state state, vsr_reason reason, int status,
                   const char *detail);
/* Flushes the serials, frees the machine, SHUTOFF. */
void vmm_stop(vsr_vmm *vmm, vsr_reason reason, int status, const char *detail,
              int64_t flush_ns);
/* Power-on again; runs unless `stay_paused`. On failure the domain is off. */
bool vmm_restart(vsr_vmm *vmm, bool stay_paused, GError **error);

/* vmm.c: run fn on the control thread. */
typedef bool vmm_fn(vsr_vmm *vmm, void *args, GError **error);
bool vmm_control(vsr_vmm *vmm, vmm_fn *fn, void *args, GError **error);

#endif
