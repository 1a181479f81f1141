/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * main.c: visor-vmm: one process for one running domain.
 *
 * Spawned by the library with a socket as descriptor 3 and nothing else (see
 * driver/setup.h). It takes the domain's run.lock, builds the machine from what
 * it was handed, runs it when told, answers control.sock, and ends with the
 * domain. Every file of the guest's was opened by the starter; what is opened
 * here later is in the domain's own folder. Before the guest can run, every
 * thread is in the sandbox (vmm/sandbox.h).
 *
 * Threads: main waits for signals and the end; the others are in vmm_main.h.
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <visor/visor.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "driver/driver.h"
#include "driver/names.h"
#include "visor-vmm/vmm_main.h"
#include "vmm/device_resources.h"
#include "xml/domain.h"

#define SECONDS INT64_C(1000000000)
enum { STARTER_FD = 3, WAIT_S = 600 };

/* --- what happens to the domain ---------------------------------------------- */

/* Subscribers and status.json; called with the lock held, so that both are in
 * order. The file is small and not synced: a crash of the host ends us too. */
static void publish(vmm_process *p)
{
    g_autoptr(GError) error = NULL;

    if (!vsr_status_write(p->setup.folder_fd, &p->status, &error))
        vsr_log(VSR_LOG_ERROR, "%s", error->message);
}

static void add_event(vmm_process *p, int kind, int detail, int reason,
                      const char *text)
{
    const vsr_status_event *event = vsr_status_event_add(
        &p->status, &p->last_seq, kind, detail, reason, text);

    if (p->server != NULL)
        vsr_rpc_server_broadcast(p->server, vsr_status_event_format(event));
}

/* With the lock held. */
static void end_job(vmm_process *p, int reason)
{
    const char *name = p->job;

    p->job = NULL;
    if (name != NULL)
        add_event(p, VISOR_EVENT_JOB, VISOR_JOB_ENDED, reason, name);
}

void vmm_process_job_begin(vmm_process *p, const char *name)
{
    g_mutex_lock(&p->lock);
    if (g_strcmp0(p->job, name) != 0) {
        end_job(p, VISOR_REASON_FAILED); /* a destroy overtakes a start */
        p->job = name;
        add_event(p, VISOR_EVENT_JOB, VISOR_JOB_BEGAN, 0, name);
    }
    g_mutex_unlock(&p->lock);
}

void vmm_process_job_end(vmm_process *p)
{
    g_mutex_lock(&p->lock);
    end_job(p, VISOR_REASON_NONE);
    publish(p);
    g_mutex_unlock(&p->lock);
}

void vmm_process_change(vmm_process *p, int state, int reason, int exit_status,
                        const char *text)
{
    int detail[VSR_LIFECYCLE_EVENTS];
    uint32_t n;

    g_mutex_lock(&p->lock);
    p->status.state = state;
    p->status.reason = reason;
    p->status.exit_status = exit_status;
    n = vsr_lifecycle_change(&p->lifecycle, state, reason, p->setup.paused,
                             detail);
    for (uint32_t i = 0; i < n; i++)
        add_event(p, VISOR_EVENT_LIFECYCLE, detail[i], reason, text);
    if (state == VISOR_STATE_SHUTOFF)
        end_job(p, VISOR_REASON_NONE);
    publish(p);
    g_mutex_unlock(&p->lock);
    vsr_log(VSR_LOG_INFO, "Now %s (%s)%s%s", vsr_state_name(state),
            vsr_reason_name(reason), text != NULL ? ": " : "",
            text != NULL ? text : "");
    if (state == VISOR_STATE_SHUTOFF)
        vmm_process_end(p);
}

/* The starter has said `go`: from here on we do not need it. Of a paused start
 * the runtime itself says nothing; unless another client was faster. False: we
 * are to end already. */
static bool settle_built(vmm_process *p, bool run)
{
    bool is_ended;

    g_mutex_lock(&p->lock);
    is_ended = p->is_ended;
    p->status.building = false;
    if (!run && p->status.state == VISOR_STATE_PAUSED &&
        !p->lifecycle.started) {
        int detail[VSR_LIFECYCLE_EVENTS];
        uint32_t n = vsr_lifecycle_change(&p->lifecycle, p->status.state,
                                          p->status.reason, true, detail);

        for (uint32_t i = 0; i < n; i++)
            add_event(p, VISOR_EVENT_LIFECYCLE, detail[i], p->status.reason,
                      NULL);
    }
    if (!run)
        publish(p);
    g_mutex_unlock(&p->lock);
    return !is_ended;
}

void vmm_process_reboot(vmm_process *p)
{
    g_mutex_lock(&p->lock);
    add_event(p, VISOR_EVENT_REBOOT, 0, 0, NULL);
    publish(p);
    g_mutex_unlock(&p->lock);
}

void vmm_process_end(vmm_process *p)
{
    uint64_t one = 1;

    g_mutex_lock(&p->lock);
    p->is_ended = true;
    g_mutex_unlock(&p->lock);
    (void)vsr_write_all(p->end_fd, &one, sizeof(one));
}

static bool has_ended(vmm_process *p)
{
    bool ended;

    g_mutex_lock(&p->lock);
    ended = p->is_ended;
    g_mutex_unlock(&p->lock);
    return ended;
}

static void on_state(void *opaque, vsr_state state, vsr_reason reason,
                     int status, const char *text)
{
    vmm_process_change(opaque, (int)state, (int)reason,
                       reason == VSR_REASON_EXIT ? status : -1, text);
}

static void on_device(void *opaque, const char *alias, bool is_there)
{
    vmm_process *p = opaque;

    g_mutex_lock(&p->lock);
    add_event(p, VISOR_EVENT_DEVICE,
              is_there ? VISOR_DEVICE_ADDED : VISOR_DEVICE_REMOVED, 0, alias);
    publish(p);
    g_mutex_unlock(&p->lock);
}

static void on_rebooted(void *opaque)
{
    vmm_process_reboot(opaque);
}

/* --- building ------------------------------------------------------------------ */

static bool serve(vmm_process *p, GError **error)
{
    vsr_rpc_server *server;
    int fd = vmm_folder_listen(&p->setup, error);

    if (fd < 0)
        return false;
    p->loop = vsr_loop_new("control", error);
    if (p->loop == NULL) {
        vsr_close(fd);
        return false;
    }
    vmm_log_set_rotator(p->log, p->loop);
    server = vsr_rpc_server_new(p->loop, fd, vmm_methods, p, error);
    g_mutex_lock(&p->lock);
    p->server = server;
    g_mutex_unlock(&p->lock);
    return server != NULL;
}

/* --- the sandbox --------------------------------------------------------------- */

/* A folder that stays in sight. */
static bool keep_folder(vsr_sandbox *sandbox, int *fd, GError **error)
{
    int number = VSR_SANDBOX_KEPT_FD + (int)sandbox->n_folders;

    if (sandbox->n_folders == VSR_SANDBOX_FOLDERS)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "More than %d listening sockets and shared folders",
                        (int)VSR_SANDBOX_FOLDERS);
    if (!vsr_sandbox_place(vsr_steal_fd(fd), number, error))
        return false;
    *fd = number;
    sandbox->n_folders++;
    return true;
}

static bool keep_chardev(vsr_sandbox *sandbox, vsr_chardev_source *source,
                         GError **error)
{
    sandbox->writes_files |=
        source->kind == VSR_CHARDEV_FILE || source->kind == VSR_CHARDEV_FD;
    return !source->is_listening ||
           keep_folder(sandbox, &source->dir_fd, error);
}

static bool keep_device(vsr_sandbox *sandbox, vsr_device_resource *device,
                        GError **error)
{
    sandbox->writes_files |= device->kind == VSR_DEVICE_DISK;
    if (device->kind == VSR_DEVICE_INTERFACE &&
        device->net.kind == VSR_NET_USER)
        sandbox->extras |= SANDBOX_NETWORK;
    if (device->kind == VSR_DEVICE_VSOCK)
        sandbox->extras |= SANDBOX_CONNECT;
    if (device->kind == VSR_DEVICE_FILESYSTEM) {
        sandbox->extras |= SANDBOX_SHARE;
        sandbox->writes_files = true;
        return keep_folder(sandbox, &device->fd, error);
    }
    return keep_chardev(sandbox, &device->chardev, error);
}

bool vmm_process_keep_device(vmm_process *p, vsr_device_resource *device,
                             GError **error)
{
    vsr_sandbox wanted = p->sandbox;

    /* Decided when the sandbox closed. */
    if (device->kind == VSR_DEVICE_FILESYSTEM ||
        (device->kind == VSR_DEVICE_VSOCK &&
         (wanted.extras & SANDBOX_CONNECT) == 0) ||
        (device->kind == VSR_DEVICE_INTERFACE &&
         device->net.kind == VSR_NET_USER &&
         (wanted.extras & SANDBOX_NETWORK) == 0))
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "The domain's process has given up the rights that "
                        "such a device needs: it can only be there from the "
                        "start");
    return keep_device(&p->sandbox, device, error);
}

/* The folders get the numbers that the filters know. */
static bool place_folders(vmm_process *p, GError **error)
{
    vsr_setup *setup = &p->setup;
    vsr_sandbox *sandbox = &p->sandbox;
    const GPtrArray *devices = setup->res.devices;

    g_strlcpy(sandbox->uuid, setup->uuid, sizeof(sandbox->uuid));
    if (!vsr_sandbox_place(vsr_steal_fd(&setup->folder_fd),
                           VSR_SANDBOX_FOLDER_FD, error) ||
        !vsr_sandbox_place(vsr_steal_fd(&setup->root_fd), VSR_SANDBOX_ROOT_FD,
                           error))
        return false;
    setup->folder_fd = VSR_SANDBOX_FOLDER_FD;
    setup->root_fd = VSR_SANDBOX_ROOT_FD;
    for (uint32_t i = 0; i < setup->res.n_serials; i++)
        if (!keep_chardev(sandbox, &setup->res.serial[i], error))
            return false;
    for (guint i = 0; devices != NULL && i < devices->len; i++)
        if (!keep_device(sandbox, devices->pdata[i], error))
            return false;
    return true;
}

typedef struct {
    const vsr_sandbox *sandbox;
    GError **error;
    bool ok;
} server_entry;

static void enter_server(void *opaque)
{
    server_entry *e = opaque;

    e->ok = vsr_sandbox_enter(e->sandbox, VSR_THREAD_SERVER, e->error);
}

static bool enter_thread(vsr_thread_kind kind, void *opaque, GError **error)
{
    return vsr_sandbox_enter(opaque, kind, error);
}

/* All threads there will ever be; those that nobody names have a wider filter
 * from vsr_sandbox_confine(). */
static bool enter_sandbox(vmm_process *p, vsr_vmm *vmm, GError **error)
{
    server_entry server = { &p->sandbox, error, false };

    /* Looked up on disk once by the C library. */
    (void)g_strerror(ENOENT);
    /* Disks may come later. */
    p->sandbox.writes_files |= p->conf->os.machine == VSR_MACHINE_PCI;
    if (p->conf->vcpus != 0 && p->conf->vcpus < p->conf->vcpus_max)
        p->sandbox.extras |= SANDBOX_VCPUS;
    if (!vsr_sandbox_confine(&p->sandbox, error) ||
        !vsr_vmm_each_thread(vmm, enter_thread, &p->sandbox, error))
        return false;
    vsr_loop_sync(p->loop, enter_server, &server);
    if (!server.ok || !vsr_sandbox_enter(&p->sandbox, VSR_THREAD_MAIN, error))
        return false;
    if (!vsr_sandbox_has_filter())
        vsr_log(VSR_LOG_WARN,
                "Sandbox: this visor-vmm was built without system call filters "
                "(libseccomp)");
    return true;
}

/* In the order of their undoing: lock, status, socket, machine. Nobody can make
 * the guest run before the sandbox is complete. */
static bool build(vmm_process *p, GError **error)
{
    static const vsr_vmm_events events = {
        .state = on_state,
        .rebooted = on_rebooted,
        .device = on_device,
    };
    const vsr_engine_ops *engine;
    vsr_vmm *vmm;

    p->conf = vsr_domain_xml_parse(p->setup.xml, strlen(p->setup.xml), error);
    if (p->conf == NULL)
        return false;
    engine = vsr_engine_find(vsr_domain_type_text(p->conf->type));
    if (engine == NULL)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "This visor-vmm has no engine '%s'",
                        vsr_domain_type_text(p->conf->type));
    p->sandbox.engine = engine->name;
    vsr_sandbox_isolate(&p->sandbox); /* while we are one thread */
    p->status.state = VISOR_STATE_PAUSED;
    p->status.reason = VISOR_REASON_STARTING;
    p->status.id = p->setup.id;
    p->status.pid = getpid();
    p->status.building = true;
    vmm_process_job_begin(p, "start");
    if (!vsr_status_write(p->setup.folder_fd, &p->status, error) ||
        !serve(p, error))
        return false;
    vmm = vsr_vmm_new(engine, p->conf, &p->setup.res, &events, p, error);
    if (vmm != NULL && !enter_sandbox(p, vmm, error))
        g_clear_pointer(&vmm, vsr_vmm_free);
    g_mutex_lock(&p->lock);
    p->vmm = vmm;
    g_mutex_unlock(&p->lock);
    return vmm != NULL;
}

/* --- the starter ------------------------------------------------------------------ */

static bool answer(int64_t id, const GError *failure)
{
    g_autoptr(vsr_json) json = failure == NULL ? vsr_message_result(id, NULL, 0)
                                               : vsr_message_error(id, failure);

    return vsr_message_send(STARTER_FD, json, NULL, 0, vsr_now_ns() + SECONDS,
                            NULL);
}

/* Waits for `go`. The starter's end, or its silence, is the domain's. */
static bool wait_go(vmm_process *p, vsr_frame_reader *reader, GError **error)
{
    vsr_message message = { 0 };
    const char *method = NULL;
    g_autoptr(GError) failure = NULL;
    int64_t id = 0;
    bool run = false, ok;

    if (!vsr_message_recv(reader, STARTER_FD, vsr_now_ns() + WAIT_S * SECONDS,
                          &message, error))
        return false;
    ok = vsr_json_get_int(message.json, "id", 0, INT64_MAX, &id) &&
         vsr_json_get_string(message.json, "method", &method) &&
         strcmp(method, "go") == 0 &&
         vsr_json_get_bool(vsr_json_get(message.json, "params"), "run", &run);
    vsr_message_clear(&message);
    if (!ok)
        return vsr_fail(error, VISOR_ERR_PROTOCOL, "The second call is not go");
    ok = settle_built(p, run) && (!run || vsr_vmm_resume(p->vmm, &failure));
    if (!ok) {
        if (has_ended(p)) {
            g_clear_error(&failure);
            (void)vsr_fail(&failure, VISOR_ERR_CANCELLED,
                           "The domain was destroyed while it started");
        }
        (void)answer(id, failure);
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
    }
    vmm_process_job_end(p);
    (void)answer(id, NULL); /* if the starter has gone now, so be it */
    return true;
}

static bool start(vmm_process *p, vsr_frame_reader *reader, int64_t setup_id,
                  GError **error)
{
    g_autoptr(GError) failure = NULL;
    bool ok = build(p, &failure);

    if (!ok || !answer(setup_id, NULL)) {
        if (!ok)
            (void)answer(setup_id, failure);
        else
            (void)vsr_fail(&failure, VISOR_ERR_CRASHED, "The starter has gone");
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
    }
    return wait_go(p, reader, error);
}

/* --- the process ------------------------------------------------------------------- */

/* Until the domain is off or somebody signals us. */
static void wait_end(vmm_process *p, int signal_fd)
{
    struct pollfd fds[2] = {
        { .fd = p->end_fd, .events = POLLIN },
        { .fd = signal_fd, .events = POLLIN },
    };

    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    if (fds[0].revents == 0)
        vsr_log(VSR_LOG_INFO, "Ended by a signal");
}

/* The order matters: the last status is on disk and told before the socket
 * goes, no call is in the runtime when it is freed, and the lock goes with the
 * process. */
static void finish(vmm_process *p, const GError *failure)
{
    vsr_rpc_server *server;

    if (failure != NULL)
        vsr_log(VSR_LOG_ERROR, "%s", failure->message);
    if (p->vmm != NULL && vsr_vmm_state(p->vmm, NULL) != VSR_STATE_SHUTOFF)
        (void)vsr_vmm_destroy(p->vmm, NULL);
    g_mutex_lock(&p->lock);
    server = p->server;
    if (failure != NULL)
        end_job(p, VISOR_REASON_FAILED);
    p->server = NULL;
    if (p->status.state != VISOR_STATE_SHUTOFF || failure != NULL) {
        p->status.state = VISOR_STATE_SHUTOFF;
        p->status.reason =
            failure != NULL ? VISOR_REASON_FAILED : VISOR_REASON_DESTROYED;
        publish(p);
    }
    g_mutex_unlock(&p->lock);
    vsr_rpc_server_free(server);
    vmm_log_set_rotator(p->log, NULL);
    if (p->loop != NULL)
        vsr_loop_free(p->loop);
    vsr_vmm_free(p->vmm);
    vmm_folder_leave(&p->setup);
}

static int block_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void restrict_process(void)
{
    const struct rlimit none = { 0, 0 };

    (void)mallopt(M_ARENA_MAX, 2); /* a heap a thread is memory for nothing */
    (void)umask(077);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)setrlimit(RLIMIT_CORE, &none); /* a core has the guest's memory */
    (void)prctl(PR_SET_NAME, "visor-vmm", 0, 0, 0);
}

static int run(vmm_process *p, vsr_frame_reader *reader, int64_t setup_id,
               int signal_fd)
{
    g_autoptr(GError) error = NULL;
    bool ok = place_folders(p, &error);

    p->log = ok ? vmm_log_open(p->setup.folder_fd, &error) : NULL;
    ok = p->log != NULL && vmm_folder_claim(&p->setup, &error);

    /* Not ours: nothing in there is to be touched. */
    if (!ok) {
        (void)answer(setup_id, error);
        vmm_log_close(p->log);
        return 1;
    }
    vsr_log(VSR_LOG_INFO, "visor-vmm %s, domain '%s', pid %d", VSR_VERSION,
            p->setup.name, (int)getpid());
    ok = start(p, reader, setup_id, &error);
    vsr_close(STARTER_FD);
    if (ok)
        wait_end(p, signal_fd);
    finish(p, error);
    vmm_log_close(p->log);
    return ok ? 0 : 1;
}

static bool is_socket(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

#ifdef __SANITIZE_ADDRESS__
/* Leaks are looked for through /proc and in another process, of which there are
 * none in the sandbox: the end would wait for them for ever. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

int main(int argc, char **argv)
{
    vmm_process p = { .end_fd = -1 };
    g_autoptr(GError) error = NULL;
    vsr_frame_reader reader;
    int64_t setup_id = 0;
    int signal_fd, rc = 1;

    if (!is_socket(STARTER_FD)) {
        (void)fprintf(stderr,
                      "visor-vmm %s runs one domain of libvisor. It is started "
                      "by the library,\nnot by hand: see vctl(1).\n",
                      VSR_VERSION);
        return 2;
    }
    restrict_process();
    if (!vsr_sandbox_reserve(&error))
        return 1; /* the starter hears the socket close */
    signal_fd = block_signals();
    p.end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_mutex_init(&p.lock);
    vsr_status_init(&p.status);
    vsr_frame_reader_init(&reader, VSR_FRAME_FDS);
    if (signal_fd < 0 || p.end_fd < 0)
        return 1;
    if (vsr_setup_recv(&reader, STARTER_FD, vsr_now_ns() + WAIT_S * SECONDS,
                       &p.setup, &setup_id, &error))
        rc = run(&p, &reader, setup_id, signal_fd);
    else
        (void)answer(setup_id, error);
    vsr_frame_reader_fini(&reader);
    vsr_setup_clear(&p.setup);
    vsr_domain_conf_free(p.conf);
    g_mutex_clear(&p.lock);
    vsr_close(p.end_fd);
    vsr_close(signal_fd);
    return rc;
}
