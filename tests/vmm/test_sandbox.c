/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_sandbox.c: what a thread of visor-vmm can do no more, and what it can. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/fd.h"
#include "base/thread.h"
#include "tests/support/cm.h"
#include "vmm/sandbox.h"

#ifdef VSR_SANITIZERS
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum { IS_DONE = 7, IS_REFUSED = 8, NO_SANDBOX = 9 };
#define UUID "11111111-2222-3333-4444-555555555555"

static const char *const engines[] = { "emu", "kvm" };

/* A state folder with a domain's folder. */
typedef struct {
    char *root;
    vsr_sandbox sandbox;
} box;

static int setup(void **state)
{
    box *b = g_new0(box, 1);
    g_autofree char *folder = NULL;

    b->root = g_dir_make_tmp("visor-sandbox.XXXXXX", NULL);
    folder = g_build_filename(b->root, UUID, NULL);
    g_strlcpy(b->sandbox.uuid, UUID, sizeof(b->sandbox.uuid));
    *state = b;
    return g_mkdir(folder, 0700);
}

static int teardown(void **state)
{
    box *b = *state;
    g_autofree char *folder = g_build_filename(b->root, UUID, NULL);
    g_autofree char *file = g_build_filename(folder, "status", NULL);

    (void)g_unlink(file);
    (void)g_rmdir(folder);
    (void)g_rmdir(b->root);
    g_free(b->root);
    g_free(b);
    return 0;
}

static bool place(const box *b)
{
    g_autofree char *folder = g_build_filename(b->root, UUID, NULL);
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

    return vsr_sandbox_reserve(NULL) &&
           vsr_sandbox_place(open(b->root, flags), VSR_SANDBOX_ROOT_FD, NULL) &&
           vsr_sandbox_place(open(folder, flags), VSR_SANDBOX_FOLDER_FD, NULL);
}

/* --- forbidden calls ----------------------------------------------------------- */

/* 0, or what the call returned: -1 with errno. Not through libc, whose wrappers
 * may do something else. */
typedef struct {
    const char *name;
    long call;
    long arg[4];
    unsigned allowed; /* bits of vsr_thread_kind */
    bool not_sanitized;
    bool quiet; /* EACCES, not the end */
} attempt;

#define PATH(text) ((long)(uintptr_t)(text))
#define EXEC_PAGE  (PROT_READ | PROT_EXEC)

static const attempt attempts[] = {
    { "open",
      SYS_openat,
      { AT_FDCWD, PATH("/etc/passwd"), O_RDONLY, 0 },
      0,
      true,
      true },
    { "old open",
      SYS_open,
      { PATH("/etc/passwd"), O_RDONLY, 0, 0 },
      0,
      true,
      true },
    { "open of a neighbour",
      SYS_openat,
      { VSR_SANDBOX_ROOT_FD, PATH("names"), O_RDONLY, 0 },
      1u << VSR_THREAD_MAIN | 1u << VSR_THREAD_OTHER,
      true,
      false },
    { "openat2",
      SYS_openat2,
      { AT_FDCWD, PATH("/etc/passwd"), 0, 0 },
      0,
      false,
      false },
    { "execve", SYS_execve, { PATH("/bin/true"), 0, 0, 0 }, 0, false, false },
    { "execveat",
      SYS_execveat,
      { AT_FDCWD, PATH("/bin/true"), 0, 0 },
      0,
      false,
      false },
    { "inet socket",
      SYS_socket,
      { AF_INET, SOCK_STREAM, 0, 0 },
      0,
      false,
      false },
    { "unix socket",
      SYS_socket,
      { AF_UNIX, SOCK_STREAM, 0, 0 },
      0,
      false,
      false },
    { "inet socketpair",
      SYS_socketpair,
      { AF_INET, SOCK_STREAM, 0, 0 },
      0,
      false,
      false },
    { "connect", SYS_connect, { 0, 0, 0, 0 }, 0, false, false },
    { "bind", SYS_bind, { 0, 0, 0, 0 }, 0, false, false },
    { "ptrace", SYS_ptrace, { PTRACE_ATTACH, 1, 0, 0 }, 0, true, false },
    { "process_vm_writev",
      SYS_process_vm_writev,
      { 1, 0, 0, 0 },
      0,
      false,
      false },
    { "mount",
      SYS_mount,
      { PATH("none"), PATH("/"), PATH("tmpfs"), 0 },
      0,
      false,
      false },
    { "umount", SYS_umount2, { PATH("/"), MNT_DETACH, 0, 0 }, 0, false, false },
    { "chroot", SYS_chroot, { PATH("/"), 0, 0, 0 }, 0, false, false },
    { "unshare", SYS_unshare, { CLONE_NEWUSER, 0, 0, 0 }, 0, false, false },
    { "setns", SYS_setns, { 0, 0, 0, 0 }, 0, false, false },
    { "kill of another", SYS_kill, { 1, 0, 0, 0 }, 0, true, false },
    { "tgkill of another", SYS_tgkill, { 1, 1, 0, 0 }, 0, false, false },
    { "pidfd_open", SYS_pidfd_open, { 1, 0, 0, 0 }, 0, false, false },
    { "a process", SYS_clone, { SIGCHLD, 0, 0, 0 }, 0, true, false },
    { "fork", SYS_fork, { 0, 0, 0, 0 }, 0, false, false },
    { "vfork", SYS_vfork, { 0, 0, 0, 0 }, 0, false, false },
    { "code",
      SYS_mmap,
      { 0, 4096, EXEC_PAGE, MAP_PRIVATE | MAP_ANONYMOUS },
      0,
      true,
      false },
    { "data to code", SYS_mprotect, { 0, 4096, EXEC_PAGE, 0 }, 0, true, false },
    { "terminal input", SYS_ioctl, { 0, 0x5412, 0, 0 }, 0, true, false },
    { "KVM_CREATE_VM", SYS_ioctl, { 0, 0xae01, 0, 0 }, 0, true, false },
    { "setuid", SYS_setuid, { 0, 0, 0, 0 }, 0, false, false },
    { "capset", SYS_capset, { 0, 0, 0, 0 }, 0, false, false },
    { "prctl", SYS_prctl, { PR_SET_DUMPABLE, 1, 0, 0 }, 0, true, false },
    { "prlimit", SYS_prlimit64, { 0, 0, 0, 0 }, 0, true, false },
    { "bpf", SYS_bpf, { 0, 0, 0, 0 }, 0, false, false },
    { "userfaultfd", SYS_userfaultfd, { 0, 0, 0, 0 }, 0, false, false },
    { "perf_event_open", SYS_perf_event_open, { 0, 0, 0, 0 }, 0, false, false },
    { "open_by_handle_at",
      SYS_open_by_handle_at,
      { 0, 0, 0, 0 },
      0,
      false,
      false },
    { "linkat",
      SYS_linkat,
      { AT_FDCWD, PATH("/a"), AT_FDCWD, PATH("/b") },
      0,
      false,
      false },
    { "mknodat", SYS_mknodat, { AT_FDCWD, PATH("/a"), 0, 0 }, 0, false, false },
    { "chmod", SYS_fchmod, { 0, 0777, 0, 0 }, 0, false, false },
};

/* In a child. */
static void try(const vsr_sandbox *sandbox, vsr_thread_kind kind,
                const attempt *a)
{
    long rc;

    if (!vsr_sandbox_enter_all(sandbox, NULL) ||
        (kind != VSR_THREAD_OTHER && !vsr_sandbox_enter(sandbox, kind, NULL)))
        _exit(NO_SANDBOX);
    rc = syscall(a->call, a->arg[0], a->arg[1], a->arg[2], a->arg[3], -1, 0);
    _exit(rc < 0 && (errno == EACCES || errno == ENOSYS) ? IS_REFUSED
                                                         : IS_DONE);
}

/* The status of a child that tries, and what it wrote to stderr. */
static int run_child(const box *b, vsr_thread_kind kind, const attempt *a,
                     char said[512])
{
    int out[2], state = 0;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        (void)dup2(out[1], STDERR_FILENO);
        if (!place(b))
            _exit(NO_SANDBOX);
        try(&b->sandbox, kind, a);
    }
    assert_true(pid > 0);
    vsr_close(out[1]);
    n = read(out[0], said, 511);
    said[MAX(n, 0)] = '\0';
    vsr_close(out[0]);
    assert_int_equal(waitpid(pid, &state, 0), pid);
    return state;
}

static void check(box *b, const char *engine, vsr_thread_kind kind,
                  const attempt *a)
{
    char said[512];
    int state, wanted = a->quiet ? IS_REFUSED : VSR_SANDBOX_STATUS;

    b->sandbox.engine = engine;
    state = run_child(b, kind, a, said);
    if ((a->allowed & (1u << kind)) != 0)
        wanted = IS_DONE;
    if (!WIFEXITED(state) || WEXITSTATUS(state) != wanted)
        fail_msg("%s, thread kind %d, engine %s: state 0x%x, said '%s'",
                 a->name, (int)kind, engine, (unsigned)state, said);
    if (wanted == VSR_SANDBOX_STATUS)
        assert_non_null(strstr(said, "Sandbox: forbidden system call "));
}

static void forbidden_calls_end_the_process(void **state)
{
    if (!vsr_sandbox_has_filter())
        skip();
    for (size_t i = 0; i < G_N_ELEMENTS(attempts); i++) {
        if (SANITIZED && attempts[i].not_sanitized)
            continue;
        for (size_t e = 0; e < G_N_ELEMENTS(engines); e++)
            for (int kind = VSR_THREAD_MAIN; kind <= VSR_THREAD_OTHER; kind++)
                check(*state, engines[e], (vsr_thread_kind)kind, &attempts[i]);
    }
}

static void the_log_names_the_call_and_its_arguments(void **state)
{
    const attempt a = { "socket", SYS_socket, { AF_INET, SOCK_STREAM, 0, 0 },
                        0,        false,      false };
    box *b = *state;
    char said[512];

    if (!vsr_sandbox_has_filter())
        skip();
    b->sandbox.engine = "emu";
    (void)run_child(b, VSR_THREAD_VCPU, &a, said);
    assert_string_equal(said, "Sandbox: forbidden system call 41 (socket) with "
                              "0x2, 0x1, 0x0: the process ends\n");
}

/* A vCPU's ioctls are for vCPUs, and where there is KVM. */
static void kvm_run_is_for_vcpus(void **state)
{
    attempt run = { "KVM_RUN", SYS_ioctl, { 0, 0xae80, 0, 0 }, 0, true, false };

    if (!vsr_sandbox_has_filter() || SANITIZED)
        skip();
    for (int kind = VSR_THREAD_MAIN; kind <= VSR_THREAD_OTHER; kind++) {
        run.allowed = 0;
        check(*state, "emu", (vsr_thread_kind)kind, &run);
#ifdef WITH_KVM
        run.allowed = 1u << VSR_THREAD_VCPU | 1u << VSR_THREAD_OTHER;
#endif
        check(*state, "kvm", (vsr_thread_kind)kind, &run);
    }
}

/* A vCPU that comes later is made before its thread becomes one of vCPUs. */
static void vcpus_are_made_where_they_may_come(void **state)
{
    attempt make = {
        "KVM_CREATE_VCPU", SYS_ioctl, { 0, 0xae41, 0, 0 }, 0, true, false
    };
    box *b = *state;

    if (!vsr_sandbox_has_filter() || SANITIZED)
        skip();
    check(b, "kvm", VSR_THREAD_OTHER, &make);
    b->sandbox.extras = SANDBOX_VCPUS;
    check(b, "emu", VSR_THREAD_OTHER, &make);
#ifdef WITH_KVM
    make.allowed = 1u << VSR_THREAD_OTHER;
#endif
    for (int kind = VSR_THREAD_MAIN; kind <= VSR_THREAD_OTHER; kind++)
        check(b, "kvm", (vsr_thread_kind)kind, &make);
}

/* --- what goes on --------------------------------------------------------------- */

/* Runs fn in a child that may not fail. */
static void in_child(int (*fn)(box *b), box *b)
{
    int state = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(place(b) ? fn(b) : NO_SANDBOX);
    assert_int_equal(waitpid(pid, &state, 0), pid);
    assert_true(WIFEXITED(state));
    if (WEXITSTATUS(state) == NO_SANDBOX)
        skip();
    assert_int_equal(WEXITSTATUS(state), 0);
}

static int write_status(box *b)
{
    vsr_autofd fd = -1;
    uint64_t one = 1;
    vsr_autofd event = eventfd(0, EFD_CLOEXEC);

    if (!vsr_sandbox_enter_all(&b->sandbox, NULL) ||
        !vsr_sandbox_enter(&b->sandbox, VSR_THREAD_SERVER, NULL))
        return NO_SANDBOX;
    fd = openat(VSR_SANDBOX_FOLDER_FD, "status.new",
                O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 ||
        renameat(VSR_SANDBOX_FOLDER_FD, "status.new", VSR_SANDBOX_FOLDER_FD,
                 "status") < 0)
        return 1;
    if (write(event, &one, sizeof(one)) != sizeof(one))
        return 2;
    /* Its own threads may be signalled, memory grows, errors have names. */
    if (syscall(SYS_tgkill, getpid(), gettid(), 0) < 0)
        return 3;
    memset(g_malloc(8 << 20), 1, 8 << 20);
    return strlen(g_strerror(ENOSPC)) > 4 ? 0 : 4;
}

static void a_server_thread_writes_in_the_domains_folder(void **state)
{
    box *b = *state;

    b->sandbox.engine = "emu";
    in_child(write_status, b);
}

static bool is_absent(int fd, const char *path)
{
    struct stat st;

    return fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

/* A thread that is there already, and of no kind. */
static void *other_thread(void *opaque)
{
    const int *go = opaque;
    char byte;

    (void)!read(go[0], &byte, 1);
    (void)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
    _exit(1);
}

static int be_caught_elsewhere(box *b)
{
    static int go[2];

    if (pipe(go) < 0 || !vsr_thread_new("other", other_thread, go, NULL) ||
        !vsr_sandbox_enter_all(&b->sandbox, NULL) || write(go[1], "", 1) != 1)
        return NO_SANDBOX;
    for (;;)
        (void)poll(NULL, 0, -1);
}

static void every_thread_has_a_filter(void **state)
{
    box *b = *state;
    int status = 0;
    pid_t pid;

    if (!vsr_sandbox_has_filter())
        skip();
    b->sandbox.engine = "emu";
    pid = fork();
    if (pid == 0)
        _exit(be_caught_elsewhere(b));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), VSR_SANDBOX_STATUS);
}

/* Where threads may be started, libc is told to use the call that can be
 * looked into, and new rings are told to be threads. */
static void some_calls_are_not_there(void **state)
{
    attempt calls[] = {
        { "clone3", SYS_clone3, { 0, 0, 0, 0 }, 0, true, false },
        { "io_uring_setup",
          SYS_io_uring_setup,
          { 1, 0, 0, 0 },
          0,
          true,
          false },
    };

    if (!vsr_sandbox_has_filter() || SANITIZED)
        skip();
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
        for (int kind = VSR_THREAD_MAIN; kind <= VSR_THREAD_OTHER; kind++) {
            calls[i].quiet =
                kind == VSR_THREAD_CONTROL || kind == VSR_THREAD_OTHER;
            check(*state, "emu", (vsr_thread_kind)kind, &calls[i]);
        }
}

static void extras_are_for_those_that_use_them(void **state)
{
    const unsigned other = 1u << VSR_THREAD_OTHER;
    const struct {
        unsigned extra;
        attempt a;
    } extras[] = {
        { SANDBOX_NETWORK,
          { "a socket", SYS_socket, { AF_INET, SOCK_DGRAM }, other, 0, 0 } },
        { SANDBOX_CONNECT,
          { "connect", SYS_connect, { -1, 0, 0, 0 }, other, 0, 0 } },
        { SANDBOX_SHARE,
          { "openat2", SYS_openat2, { VSR_SANDBOX_ROOT_FD }, other, 0, 0 } },
    };
    box *b = *state;

    if (!vsr_sandbox_has_filter())
        skip();
    for (size_t i = 0; i < G_N_ELEMENTS(extras); i++) {
        attempt none;

        b->sandbox.extras = extras[i].extra;
        for (int kind = VSR_THREAD_MAIN; kind <= VSR_THREAD_OTHER; kind++)
            check(b, "emu", (vsr_thread_kind)kind, &extras[i].a);
        none = extras[i].a;
        none.allowed = 0;
        b->sandbox.extras = 0;
        check(b, "emu", VSR_THREAD_OTHER, &none);
    }
}

static int leave_the_host(box *b)
{
    static const char up[] = "../../../../../../etc";
    const int flags = O_WRONLY | O_CREAT | O_CLOEXEC;

    vsr_sandbox_isolate(&b->sandbox);
    if (!b->sandbox.has_mounts)
        return NO_SANDBOX;
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) != 0)
            return 6;
    if (mount("none", "/", "tmpfs", 0, NULL) == 0 || errno != EPERM)
        return 7;
    if (!vsr_sandbox_confine(&b->sandbox, NULL))
        return 1;
    /* By a folder's number, since paths alone are not let through. */
    if (!is_absent(VSR_SANDBOX_ROOT_FD, "/etc") ||
        !is_absent(VSR_SANDBOX_ROOT_FD, "/proc") ||
        !is_absent(VSR_SANDBOX_ROOT_FD, up) ||
        !is_absent(VSR_SANDBOX_FOLDER_FD, up))
        return 2;
    if (openat(VSR_SANDBOX_ROOT_FD, "/new", flags, 0600) >= 0 || errno != EROFS)
        return 3;
    if (openat(VSR_SANDBOX_ROOT_FD, "sub", flags, 0600) < 0 ||
        unlinkat(VSR_SANDBOX_ROOT_FD, "sub", 0) < 0)
        return 4;
    return vsr_sandbox_enter(&b->sandbox, VSR_THREAD_MAIN, NULL) ? 0 : 5;
}

static void no_path_of_the_host_is_left(void **state)
{
    box *b = *state;

    b->sandbox.engine = "emu";
    in_child(leave_the_host, b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(forbidden_calls_end_the_process),
        T(the_log_names_the_call_and_its_arguments),
        T(kvm_run_is_for_vcpus),
        T(a_server_thread_writes_in_the_domains_folder),
        T(every_thread_has_a_filter),
        T(some_calls_are_not_there),
        T(vcpus_are_made_where_they_may_come),
        T(extras_are_for_those_that_use_them),
        T(no_path_of_the_host_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
