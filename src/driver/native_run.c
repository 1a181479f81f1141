/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * native_run.c: session and system mode: starting visor-vmm for a domain,
 * asking it, waiting for it, and ending it whether it answers or not.
 *
 * Threads: any.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <visor/visor.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "driver/native.h"
#include "driver/setup.h"
#include "driver/spawn.h"
#include "net/net.h"
#include "rpc/client.h"
#include "xml/domain.h"

#define MS INT64_C(1000000)
enum {
    DESTROY_ASK_MS = 300, /* then it is killed */
    DESTROY_END_MS = 500, /* until it must be gone */
    KILL_END_MS = 10000,  /* a kill always works, on a crowded host late */
    END_MS = 3000,        /* for the root lock, to take back a failed start */
    BLIND_MS = 20,        /* between two looks without inotify */
    CONNECT_MS = 2,       /* between two tries at a socket that comes */
    LOG_MAX = 4 << 20,
};

/* --- starting ---------------------------------------------------------------- */

/* The process died instead of answering: its last words are the best reason. */
static bool explain(const vsr_setup *setup, GError **error)
{
    g_autofree char *log = NULL;
    char *line;

    if (error == NULL || *error == NULL || (*error)->code != VISOR_ERR_CRASHED)
        return vsr_fail_prefix(error, "Domain '%s'", setup->name);
    g_clear_error(error);
    if (vsr_folder_has(setup->folder_fd, "killed"))
        return vsr_fail(error, VISOR_ERR_CANCELLED,
                        "Domain '%s': The domain was destroyed while it "
                        "started",
                        setup->name);
    log = vsr_folder_read(setup->folder_fd, "vmm.log", LOG_MAX, NULL);
    line = log == NULL ? NULL : strrchr(g_strchomp(log), '\n');
    line = line != NULL ? line + 1 : log;
    return vsr_fail(error, VISOR_ERR_CRASHED,
                    "Domain '%s': visor-vmm ended before the domain ran: %s",
                    setup->name,
                    line != NULL && *line != '\0' ? line : "no log");
}

/* Setup, built, go: see setup.h. */
static bool hand_over(vsr_session *session, vsr_rpc_client *client,
                      const vsr_setup *setup, int64_t deadline, GError **error)
{
    g_autoptr(vsr_json) result = NULL;
    vsr_json *params;

    if (!vsr_setup_send(client, setup, deadline, error))
        return false;
    g_mutex_lock(&session->lock);
    if (session->watch != NULL)
        vsr_watch_settle(session->watch, setup->uuid);
    g_mutex_unlock(&session->lock);
    params = vsr_json_new_object();
    vsr_json_set_bool(params, "run", !setup->paused);
    result = vsr_rpc_call(client, "go", params, NULL, 0, NULL, deadline, error);
    return result != NULL;
}

/* Until when a domain must have started. Memory that is to be there from the
 * start takes its time: 64 MiB a second on crowded hosts. */
static int64_t start_deadline(vsr_conn *conn, const vsr_domain_conf *conf)
{
    int64_t deadline = vsr_session_deadline(conn);
    int64_t touch_ns = (int64_t)conf->memory_kib * 16 * 1000;
    bool is_touched = conf->backing.allocation == VSR_ALLOCATION_IMMEDIATE ||
                      (conf->backing.locked &&
                       conf->backing.allocation != VSR_ALLOCATION_ONDEMAND);

    return is_touched && deadline < INT64_MAX - touch_ns ? deadline + touch_ns
                                                         : deadline;
}

/* Its program is loaded while we go on. It waits for `setup`, has nothing until
 * then, and ends when we hang up. */
static vsr_rpc_client *spawn_vmm(vsr_conn *conn, GError **error)
{
    g_autofree char *path = vsr_spawn_find_vmm(conn->vmm_path, error);
    g_autoptr(vsr_rpc_client) client = NULL;
    int pair[2];
    bool ok;

    if (path == NULL)
        return NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot make a socket pair");
        return NULL;
    }
    client = vsr_rpc_client_new(pair[0]);
    ok = vsr_spawn(path, pair[1], error);
    vsr_close(pair[1]);
    return ok ? g_steal_pointer(&client) : NULL;
}

/* Takes the client. */
static bool hand_over_or_end(vsr_conn *conn, vsr_rpc_client *vmm,
                             const vsr_setup *setup, int64_t deadline,
                             GError **error)
{
    g_autoptr(vsr_rpc_client) client = vmm;

    if (hand_over(vsr_session_of(conn), client, setup, deadline, error))
        return true;
    /* It ends when we hang up; if it cannot, it is killed. */
    g_clear_pointer(&client, vsr_rpc_client_free);
    if (!vsr_folder_wait_end(setup->folder_fd,
                             vsr_now_ns() + DESTROY_END_MS * MS))
        (void)vsr_folder_kill(setup->folder_fd,
                              vsr_now_ns() + KILL_END_MS * MS);
    return explain(setup, error);
}

/* Takes the client. */
static bool run_domain(vsr_conn *conn, vsr_rpc_client *vmm, int folder_fd,
                       const vsr_domain_conf *conf, uint32_t flags, int *id_out,
                       GError **error)
{
    g_autoptr(vsr_rpc_client) client = vmm;
    vsr_root *root = &vsr_session_of(conn)->root;
    g_autofree char *xml = vsr_domain_xml_format(conf, -1, 0);
    vsr_setup setup = { .xml = xml, .root_fd = root->fd };
    int stdio[2];
    bool ok;

    /* The one before has said that it is off, but may not have gone yet. */
    if (!vsr_folder_wait_end(folder_fd, vsr_session_deadline(conn)))
        return vsr_fail(error, VISOR_ERR_BUSY,
                        "Domain '%s': its last process has not ended",
                        conf->name);
    setup.id = vsr_root_next_id(root, vsr_session_deadline(conn), error);
    if (setup.id < 0)
        return false;
    g_mutex_lock(&conn->lock);
    stdio[0] =
        conn->stdio[0] < 0 ? -1 : fcntl(conn->stdio[0], F_DUPFD_CLOEXEC, 3);
    stdio[1] =
        conn->stdio[1] < 0 ? -1 : fcntl(conn->stdio[1], F_DUPFD_CLOEXEC, 3);
    g_mutex_unlock(&conn->lock);
    ok = vsr_vmm_resources_open(&setup.res, conf, stdio, NULL, NULL, error);
    vsr_close(stdio[0]);
    vsr_close(stdio[1]);
    if (!ok)
        return vsr_fail_prefix(error, "Domain '%s'", conf->name);
    g_strlcpy(setup.name, conf->name, sizeof(setup.name));
    g_strlcpy(setup.uuid, conf->uuid, sizeof(setup.uuid));
    setup.folder_fd = folder_fd;
    vsr_folder_mark_killed(folder_fd, false);
    setup.paused = (flags & VISOR_START_PAUSED) != 0;
    ok = hand_over_or_end(conn, g_steal_pointer(&client), &setup,
                          start_deadline(conn, conf), error);
    if (ok)
        vsr_vmm_resources_handed_over(&setup.res);
    vsr_vmm_resources_clear(&setup.res);
    *id_out = setup.id;
    return ok;
}

bool vsr_session_start(vsr_conn *conn, const char *uuid, uint32_t flags,
                       GError **error)
{
    vsr_view view;
    vsr_autofd fd = vsr_session_open_domain(conn, uuid, &view, error);
    g_autoptr(vsr_domain_conf) conf = NULL;
    g_autoptr(vsr_rpc_client) client = NULL;
    int job, id = -1;
    bool ok = false;

    if (fd < 0)
        return false;
    job = vsr_folder_lock(&vsr_session_of(conn)->root, uuid, fd,
                          vsr_session_deadline(conn), error);
    if (job < 0)
        return false;
    vsr_folder_view(fd, &view);
    if (view.active)
        (void)vsr_fail(error, VISOR_ERR_STATE, "The domain is already active");
    else
        client = spawn_vmm(conn, error);
    if (client != NULL)
        conf = vsr_session_load_conf(fd, error);
    if (conf != NULL)
        ok = run_domain(conn, g_steal_pointer(&client), fd, conf, flags, &id,
                        error);
    vsr_folder_unlock(job);
    return ok;
}

/* A transient domain that did not start leaves nothing. Job lock held. */
static void take_back(vsr_root *root, const vsr_domain_conf *conf, int fd)
{
    int lock = vsr_root_lock(root, vsr_now_ns() + END_MS * MS, NULL);

    if (lock < 0)
        return; /* the next look finds it */
    if (vsr_folder_is_current(root, conf->uuid, fd) &&
        !vsr_folder_has(fd, "domain.xml"))
        (void)vsr_root_remove(root, conf->name, conf->uuid, NULL);
    vsr_folder_unlock(lock);
}

bool vsr_session_create(vsr_conn *conn, const char *xml, uint32_t flags,
                        vsr_domain_ident *out, GError **error)
{
    vsr_root *root = &vsr_session_of(conn)->root;
    g_autoptr(vsr_domain_conf) conf = vsr_native_parse(conn, xml, 0, error);
    g_autoptr(vsr_rpc_client) client = NULL;
    vsr_autofd fd = -1;
    int lock, job = -1, id = -1;
    bool ok;

    if (conf == NULL)
        return false;
    client = spawn_vmm(conn, error);
    if (client == NULL)
        return false;
    vsr_session_clear_way(conn, conf->name, conf->uuid);
    lock = vsr_root_lock(root, vsr_session_deadline(conn), error);
    if (lock < 0)
        return false;
    fd = vsr_root_make(root, conf->name, conf->uuid, NULL, &job, error);
    vsr_folder_unlock(lock);
    if (fd < 0)
        return false;
    ok =
        run_domain(conn, g_steal_pointer(&client), fd, conf, flags, &id, error);
    if (!ok)
        take_back(root, conf, fd);
    vsr_folder_unlock(job);
    if (ok)
        vsr_native_ident(out, conf->name, conf->uuid, id);
    return ok;
}

/* --- asking ------------------------------------------------------------------ */

/* It did not answer: is it that it does not run any more? */
static bool explain_silence(int folder_fd, GError **error)
{
    vsr_view view;

    vsr_folder_view(folder_fd, &view);
    if (!view.active && view.status.reason == VISOR_REASON_FAILED)
        return vsr_fail(error, VISOR_ERR_CRASHED,
                        "The domain's process has died");
    if (!view.active)
        return vsr_fail(error, VISOR_ERR_STATE, "The domain is not running");
    return false;
}

static vsr_json *ask(vsr_conn *conn, int folder_fd, const char *method,
                     vsr_json *params, const int *fds, uint32_t n_fds,
                     int *fd_out, GError **error)
{
    int64_t deadline = vsr_session_deadline(conn);
    g_autoptr(GError) cause = NULL;
    int fd = vsr_rpc_connect(folder_fd, "control.sock", deadline, &cause);
    vsr_json *result = NULL;

    if (fd >= 0) {
        g_autoptr(vsr_rpc_client) client = vsr_rpc_client_new(fd);

        result = vsr_rpc_call(client, method, params, fds, n_fds, fd_out,
                              deadline, &cause);
    } else {
        vsr_json_free(params);
        if (cause->code == VISOR_ERR_NOT_FOUND)
            cause->code = VISOR_ERR_CRASHED;
    }
    if (result != NULL)
        return result;
    if (cause->code == VISOR_ERR_CRASHED)
        (void)explain_silence(folder_fd, &cause);
    g_propagate_error(error, g_steal_pointer(&cause));
    return NULL;
}

vsr_json *vsr_session_ask(vsr_conn *conn, int folder_fd, const char *method,
                          vsr_json *params, int *fd_out, GError **error)
{
    return ask(conn, folder_fd, method, params, NULL, 0, fd_out, error);
}

vsr_json *vsr_session_ask_fds(vsr_conn *conn, int folder_fd, const char *method,
                              vsr_json *params, const int *fds, uint32_t n_fds,
                              GError **error)
{
    return ask(conn, folder_fd, method, params, fds, n_fds, NULL, error);
}

/* A call without parameters or result, to a domain that must be active. */
static bool tell(vsr_conn *conn, const char *uuid, const char *method,
                 GError **error)
{
    vsr_view view;
    vsr_autofd fd = vsr_session_open_domain(conn, uuid, &view, error);
    g_autoptr(vsr_json) result = NULL;

    if (fd < 0)
        return false;
    if (!view.active)
        return vsr_fail(error, VISOR_ERR_STATE, "The domain is not running");
    result = vsr_session_ask(conn, fd, method, NULL, NULL, error);
    return result != NULL;
}

bool vsr_session_shutdown(vsr_conn *conn, const char *uuid, GError **error)
{
    return tell(conn, uuid, "shutdown", error);
}

bool vsr_session_reboot(vsr_conn *conn, const char *uuid, GError **error)
{
    return tell(conn, uuid, "reboot", error);
}

bool vsr_session_reset(vsr_conn *conn, const char *uuid, GError **error)
{
    return tell(conn, uuid, "reset", error);
}

bool vsr_session_suspend(vsr_conn *conn, const char *uuid, GError **error)
{
    return tell(conn, uuid, "suspend", error);
}

bool vsr_session_resume(vsr_conn *conn, const char *uuid, GError **error)
{
    return tell(conn, uuid, "resume", error);
}

bool vsr_session_stats(vsr_conn *conn, const char *uuid,
                       void (*fn)(const char *name, uint64_t value,
                                  void *opaque),
                       void *opaque, GError **error)
{
    vsr_view view;
    vsr_autofd fd = vsr_session_open_domain(conn, uuid, &view, error);
    g_autoptr(vsr_json) result = NULL;

    if (fd < 0)
        return false;
    if (!view.active)
        return vsr_fail(error, VISOR_ERR_STATE, "The domain is not running");
    result = vsr_session_ask(conn, fd, "stats", NULL, NULL, error);
    if (result == NULL)
        return false;
    for (uint32_t i = 0; i < vsr_json_len(result); i++) {
        uint64_t value = 0;

        if (vsr_json_uint(vsr_json_at(result, i), &value))
            fn(vsr_json_key_at(result, i), value, opaque);
    }
    return true;
}

int vsr_session_console(vsr_conn *conn, const char *uuid, uint32_t port,
                        uint32_t flags, GError **error)
{
    vsr_view view;
    vsr_autofd fd = vsr_session_open_domain(conn, uuid, &view, error);
    g_autoptr(vsr_json) result = NULL;
    vsr_json *params;
    int stream = -1;

    if (fd < 0)
        return -1;
    if (!view.active) {
        (void)vsr_fail(error, VISOR_ERR_STATE, "The domain is not running");
        return -1;
    }
    params = vsr_json_new_object();
    vsr_json_set_int(params, "port", port);
    vsr_json_set_bool(params, "replay", (flags & VISOR_CONSOLE_REPLAY) != 0);
    vsr_json_set_bool(params, "force", (flags & VISOR_CONSOLE_FORCE) != 0);
    result = vsr_session_ask(conn, fd, "console", params, &stream, error);
    if (result != NULL && stream < 0)
        (void)vsr_fail(error, VISOR_ERR_PROTOCOL,
                       "The answer to 'console' came without a stream");
    return stream;
}

/* --- ending ------------------------------------------------------------------ */

/* True: it said that it will, or has ended already. One that has just started
 * may not listen yet. */
static bool ask_to_end(int folder_fd)
{
    int64_t deadline = vsr_now_ns() + DESTROY_ASK_MS * MS;
    g_autoptr(vsr_rpc_client) client = NULL;
    g_autoptr(vsr_json) result = NULL;
    int fd;

    while ((fd = vsr_rpc_connect(folder_fd, "control.sock", deadline, NULL)) <
           0) {
        if (vsr_folder_owner(folder_fd) == 0)
            return true;
        if (vsr_now_ns() >= deadline)
            return false;
        g_usleep(CONNECT_MS * 1000);
    }
    client = vsr_rpc_client_new(fd);
    result =
        vsr_rpc_call(client, "destroy", NULL, NULL, 0, NULL, deadline, NULL);
    return result != NULL;
}

/* What a killed process could not write any more. */
static void bury(vsr_root *root, const char *uuid, int folder_fd)
{
    int job = vsr_folder_lock(root, uuid, folder_fd, vsr_now_ns(), NULL);
    vsr_view view;

    if (job < 0)
        return;
    vsr_folder_view(folder_fd, &view);
    if (view.needs_repair && view.persistent) {
        view.status.reason = VISOR_REASON_DESTROYED;
        view.status.pid = 0;
        (void)vsr_status_write(folder_fd, &view.status, NULL);
        (void)unlinkat(folder_fd, "control.sock", 0);
    }
    vsr_folder_unlock(job);
    vsr_root_repair(root, uuid, 0);
}

/* A bridge of ours goes with its last port, a port with its process, and that
 * may end a moment after its domain. */
static void sweep_links(pid_t pid)
{
    vsr_autofd pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    struct pollfd end = { .fd = pidfd, .events = POLLIN };

    if (pidfd >= 0)
        (void)poll(&end, 1, DESTROY_END_MS);
    vsr_net_sweep();
}

bool vsr_session_destroy(vsr_conn *conn, const char *uuid, GError **error)
{
    vsr_root *root = &vsr_session_of(conn)->root;
    vsr_view view;
    vsr_autofd fd = vsr_session_open_domain(conn, uuid, &view, error);

    if (fd < 0)
        return false;
    if (!view.active)
        return vsr_fail(error, VISOR_ERR_STATE, "The domain is not running");
    if (ask_to_end(fd) &&
        vsr_folder_wait_end(fd, vsr_now_ns() + DESTROY_END_MS * MS)) {
        sweep_links(view.pid);
        return true;
    }
    vsr_log(VSR_LOG_WARN, "Domain %s: its process does not answer: killed",
            uuid);
    vsr_folder_mark_killed(fd, true); /* for its starter, if it has one still */
    if (!vsr_folder_kill(fd, vsr_now_ns() + KILL_END_MS * MS))
        return vsr_fail(error, VISOR_ERR_TIMEOUT,
                        "Process %d of the domain cannot be killed",
                        (int)view.pid);
    bury(root, uuid, fd);
    sweep_links(view.pid);
    return true;
}

/* --- waiting ----------------------------------------------------------------- */

/* Changes in the folder, and the process's end. Where the host lets us watch no
 * more, we look again and again. */
static bool wait_change(int notify, pid_t pid, const vsr_cancel *cancel,
                        int64_t deadline, GError **error)
{
    vsr_autofd pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    bool is_blind = notify < 0 || (pid != 0 && pidfd < 0);
    int64_t until = vsr_now_ns() + BLIND_MS * MS;
    g_autoptr(GError) cause = NULL;
    char drop[4096];

    until = is_blind ? MIN(until, deadline) : deadline;
    if (!vsr_cancel_wait(cancel, notify, pidfd, until, &cause) &&
        (cause->code != VISOR_ERR_TIMEOUT || vsr_now_ns() >= deadline)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return false;
    }
    while (notify >= 0 && read(notify, drop, sizeof(drop)) > 0)
        ;
    return true;
}

bool vsr_session_wait(vsr_conn *conn, const char *uuid, uint32_t states,
                      int timeout_ms, const vsr_cancel *cancel, GError **error)
{
    vsr_root *root = &vsr_session_of(conn)->root;
    int64_t deadline = vsr_deadline(timeout_ms);
    g_autofree char *path = g_build_filename(root->path, uuid, NULL);
    vsr_autofd notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    for (;;) {
        g_autoptr(GError) cause = NULL;
        vsr_view view;
        /* The watch before the look, so that nothing falls in between; adding
         * it again does nothing, unless the folder is another now. */
        int wd =
            notify < 0
                ? -1
                : inotify_add_watch(notify, path,
                                    IN_MOVED_TO | IN_DELETE | IN_MOVE_SELF |
                                        IN_DELETE_SELF | IN_ONLYDIR);
        vsr_autofd fd = vsr_session_open_domain(conn, uuid, &view, &cause);

        if (fd < 0) {
            if ((states & (1u << VISOR_STATE_SHUTOFF)) != 0 &&
                cause->code == VISOR_ERR_NOT_FOUND)
                return true;
            g_propagate_error(error, g_steal_pointer(&cause));
            return false;
        }
        if ((states & (1u << view.status.state)) != 0) {
            if (view.status.state == VISOR_STATE_SHUTOFF)
                sweep_links(view.active ? view.pid : 0);
            return true;
        }
        if (!wait_change(wd < 0 ? -1 : notify, view.active ? view.pid : 0,
                         cancel, deadline, error))
            return false;
    }
}
