/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmm_main.h: what the files of visor-vmm share.
 *
 * Threads: main sets up and waits; `serve` (a loop) answers the control socket;
 *          the runtime's control thread reports states.
 */
#ifndef VSR_VISOR_VMM_VMM_MAIN_H
#define VSR_VISOR_VMM_VMM_MAIN_H

#include "base/loop.h"
#include "driver/lifecycle.h"
#include "driver/setup.h"
#include "driver/status.h"
#include "rpc/server.h"
#include "vmm/sandbox.h"
#include "vmm/vmm.h"

typedef struct vmm_log vmm_log;

typedef struct {
    vsr_setup setup;     /* constant once placed */
    vsr_sandbox sandbox; /* main's, then the server's */
    vmm_log *log;
    vsr_domain_conf *conf;  /* guarded by lock: metadata may change */
    vsr_vmm *vmm;           /* set once under lock, NULL until built */
    vsr_loop *loop;         /* of the server */
    vsr_rpc_server *server; /* NULL until it serves; guarded by lock */
    int end_fd;             /* an eventfd: the domain is off */

    GMutex lock;
    vsr_status status;
    int64_t last_seq; /* of status.events */
    vsr_lifecycle lifecycle;
    const char *job; /* that was told to have begun; NULL: none */
    bool is_ended;   /* off, or told to end before it was built */
} vmm_process;

/* main.c: what happened, to status.json and subscribers. Any thread. */
void vmm_process_change(vmm_process *p, int state, int reason, int exit_status,
                        const char *text);
void vmm_process_reboot(vmm_process *p);
/* The job "start" ends with vmm_process_job_end(), "destroy" with the run. */
void vmm_process_job_begin(vmm_process *p, const char *name);
void vmm_process_job_end(vmm_process *p);
/* What a device that comes holds of the host stays usable in the sandbox.
 * NO_SUPPORT. The server's thread. */
bool vmm_process_keep_device(vmm_process *p, vsr_device_resource *device,
                             GError **error);
/* Ask main to end. Any thread. */
void vmm_process_end(vmm_process *p);

/* methods.c: the table for the control socket; opaque is the vmm_process. */
extern const vsr_rpc_method vmm_methods[];

/* log.c: stdout, stderr and the log sink, into vmm.log of a folder, with times;
 * at most two files of 1 MiB. */
vmm_log *vmm_log_open(int folder_fd, GError **error);
/* From now on the files are changed on `loop` (NULL: by whoever writes). It is
 * taken back before the loop is freed. */
void vmm_log_set_rotator(vmm_log *log, vsr_loop *loop);
void vmm_log_close(vmm_log *log);

/* folder.c */
/* run.lock is ours; false if another process has it. Kept until we end. */
bool vmm_folder_claim(const vsr_setup *setup, GError **error);
/* The listening control socket, or -1. */
int vmm_folder_listen(const vsr_setup *setup, GError **error);
/* The end: no socket, and no folder if the domain is transient. */
void vmm_folder_leave(const vsr_setup *setup);

#endif
