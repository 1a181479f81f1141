/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmm.h: the runtime of one domain. No global state: visor-vmm hosts one, an
 * embedding program as many as it likes.
 *
 * It owns a control thread (a vsr_loop). Every function here is for any thread,
 * runs on the control thread and waits for it; destroy is bounded to 200 ms,
 * the others to what loading the kernel takes.
 */
#ifndef VSR_VMM_VMM_H
#define VSR_VMM_VMM_H

#include "chardev/chardev.h"
#include "conf/change.h"
#include "engine/engine.h"
#include "vmm/device_resources.h"

typedef struct vsr_vmm vsr_vmm;

/* The numbers are the public VISOR_STATE_* and VISOR_REASON_* of
 * <visor/domain.h>. */
typedef enum {
    VSR_STATE_SHUTOFF = 0,
    VSR_STATE_RUNNING = 1,
    VSR_STATE_PAUSED = 2,
    VSR_STATE_SHUTTING_DOWN = 3,
    VSR_STATE_CRASHED = 4,
} vsr_state;

typedef enum {
    VSR_REASON_NONE = 0,
    VSR_REASON_BOOTED = 1,         /* running */
    VSR_REASON_RESUMED = 2,        /* running */
    VSR_REASON_RESET = 3,          /* running, after a reset */
    VSR_REASON_USER = 4,           /* paused by request */
    VSR_REASON_STARTING = 5,       /* paused: built, not yet run */
    VSR_REASON_GUEST_POWEROFF = 6, /* shutoff */
    VSR_REASON_DESTROYED = 7,      /* shutoff */
    VSR_REASON_CRASHED = 8,    /* shutoff or crashed: triple fault, engine */
    VSR_REASON_FAILED = 9,     /* shutoff: could not start, process died */
    VSR_REASON_EXIT = 10,      /* shutoff: debug-exit port */
    VSR_REASON_PRESERVED = 11, /* paused: on_* says preserve */
    VSR_REASON_IO_ERROR = 12,  /* paused: a disk's error_policy says stop */
} vsr_reason;

typedef struct {
    /* Control thread of the vmm; must not call back into it. `detail` is one
     * line or NULL; `status` the guest's exit status (VSR_REASON_EXIT). The
     * last call has VSR_STATE_SHUTOFF. */
    void (*state)(void *opaque, vsr_state state, vsr_reason reason, int status,
                  const char *detail);
    /* The guest rebooted (its own doing); O. */
    void (*rebooted)(void *opaque);
    /* A device came or has gone while the domain was active; O. */
    void (*device)(void *opaque, const char *alias, bool is_there);
} vsr_vmm_events;

/* What was opened with the caller's rights. Taken by vsr_vmm_new in any case. */
typedef struct {
    int kernel_fd, initrd_fd, firmware_fd; /* -1: none */
    vsr_chardev_source serial[VSR_SERIALS_MAX];
    uint32_t n_serials;
    GPtrArray *devices; /* of vsr_device_resource, owned: as conf->devices; or
                           NULL where there are none */
} vsr_vmm_resources;

/* Opens all of conf's files and back ends. stdio: fds (in, out) that a STDIO
 * serial uses, duplicated; -1, -1: such a serial is an error. `output`, if not
 * NULL, makes STDIO serials call it instead (embed). */
bool vsr_vmm_resources_open(vsr_vmm_resources *res, const vsr_domain_conf *conf,
                            const int stdio[2],
                            void (*output)(const void *data, size_t len,
                                           void *opaque),
                            void *opaque, GError **error);
void vsr_vmm_resources_clear(vsr_vmm_resources *res);
/* Another process has them now: clearing leaves its sockets' files alone. */
void vsr_vmm_resources_handed_over(vsr_vmm_resources *res);

/* Build the machine: state PAUSED, reason STARTING. `engine` matches
 * conf->type. conf is copied. The image is looked at here and loaded by the
 * first resume, which fails with IMAGE if its inside is wrong. */
vsr_vmm *vsr_vmm_new(const vsr_engine_ops *engine, const vsr_domain_conf *conf,
                     vsr_vmm_resources *res, const vsr_vmm_events *events,
                     void *opaque, GError **error);
/* Stops (event SHUTOFF/DESTROYED if it was not off yet) and frees. */
void vsr_vmm_free(vsr_vmm *vmm);

bool vsr_vmm_resume(vsr_vmm *vmm, GError **error);  /* STATE unless paused */
bool vsr_vmm_suspend(vsr_vmm *vmm, GError **error); /* STATE unless running */
bool vsr_vmm_reset(vsr_vmm *vmm, GError **error);
/* Presses the ACPI power button. */
bool vsr_vmm_shutdown(vsr_vmm *vmm, GError **error);
/* As shutdown, and when the guest powers off it starts again. */
bool vsr_vmm_reboot(vsr_vmm *vmm, GError **error);
bool vsr_vmm_destroy(vsr_vmm *vmm,
                     GError **error); /* → SHUTOFF, keeps object */

vsr_state vsr_vmm_state(vsr_vmm *vmm, vsr_reason *reason);
/* The live configuration (pty paths filled): a copy. */
vsr_domain_conf *vsr_vmm_conf(vsr_vmm *vmm);
/* A console stream of serial `port`: an fd (caller closes), or -1. */
int vsr_vmm_console(vsr_vmm *vmm, uint32_t port, bool replay, bool force,
                    GError **error);
/* Input for a CALLBACK serial. */
void vsr_vmm_console_input(vsr_vmm *vmm, uint32_t port, const void *data,
                           size_t len);

/* The threads of a process that runs a domain. */
typedef enum {
    VSR_THREAD_MAIN,    /* the program's: waits for the end */
    VSR_THREAD_SERVER,  /* the program's: answers clients */
    VSR_THREAD_CONTROL, /* the runtime's */
    VSR_THREAD_IO,      /* the machine's home loop */
    VSR_THREAD_VCPU,
    VSR_THREAD_OTHER, /* workers of devices */
} vsr_thread_kind;
/* Calls `fn` once on each thread of the runtime, before its first run; stops at
 * the first that returns false. STATE if it runs or is off. */
typedef bool vsr_thread_fn(vsr_thread_kind kind, void *opaque, GError **error);
bool vsr_vmm_each_thread(vsr_vmm *vmm, vsr_thread_fn *fn, void *opaque,
                         GError **error);

/* --- changes of a machine that is there ----------------------------------- */

/* One of those below, by its kind. `resource`: of a device that comes or is
 * updated; taken in any case; else NULL. */
bool vsr_vmm_change(vsr_vmm *vmm, const vsr_change *change,
                    vsr_device_resource *resource, GError **error);
/* Has the guest done its part? */
bool vsr_vmm_is_changed(vsr_vmm *vmm, const vsr_change *change);

/* A further device: on return it is in the machine, and the guest is told.
 * `resource` is taken. STATE; NO_SUPPORT: not on this machine; EXISTS, CONFIG. */
bool vsr_vmm_attach(vsr_vmm *vmm, const vsr_device_conf *conf,
                    vsr_device_resource *resource, GError **error);
/* Asks the guest to let go of the device that `like` means; the event says when
 * it is gone. NOT_FOUND. */
bool vsr_vmm_detach(vsr_vmm *vmm, const vsr_device_conf *like, GError **error);
bool vsr_vmm_has_device(vsr_vmm *vmm, const vsr_device_conf *like);
/* What the device that `like` means is now: the caller's. `link_fd`, if not NULL:
 * a descriptor of its link on the host, which the caller closes; -1: it has none.
 * NOT_FOUND. */
vsr_device_conf *vsr_vmm_device(vsr_vmm *vmm, const vsr_device_conf *like,
                                int *link_fd, GError **error);
/* The device that `conf` means becomes as it says, whatever of that can change
 * while it is used; NO_SUPPORT names what cannot, and then nothing changed.
 * `resource`, of an interface: that of vsr_net_source_update(), by which the host
 * has done its part; taken in any case. NULL: there is none. NOT_FOUND. */
bool vsr_vmm_update(vsr_vmm *vmm, const vsr_device_conf *conf,
                    vsr_device_resource *resource, GError **error);
/* Grows (or shrinks) a disk's image and tells the guest. NOT_FOUND, CONFIG. */
bool vsr_vmm_resize_disk(vsr_vmm *vmm, const char *target, uint64_t bytes,
                         GError **error);
/* More: they are there on return. Fewer: the guest is asked. CONFIG, STATE,
 * NO_SUPPORT. */
bool vsr_vmm_set_vcpus(vsr_vmm *vmm, uint32_t n, GError **error);
uint32_t vsr_vmm_vcpus(vsr_vmm *vmm); /* how many there are */
/* What the guest is to have: the balloon's target. CONFIG, STATE, NO_SUPPORT:
 * there is no balloon. */
bool vsr_vmm_set_memory(vsr_vmm *vmm, uint64_t kib, GError **error);

/* Statistics: "name" → number, libvirt's dotted names where it has one
 * ("cpu.time", "vcpu.0.time", "balloon.current", "vmm.rss" …). */
typedef void vsr_stat_fn(const char *name, uint64_t value, void *opaque);
bool vsr_vmm_stats(vsr_vmm *vmm, vsr_stat_fn *fn, void *opaque, GError **error);

#endif
