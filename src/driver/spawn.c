/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spawn.c: see spawn.h.
 *
 * The caller may be any program: with many threads, a gigabyte of memory, or a
 * SIGCHLD handler that waits for whatever comes. So we neither copy its memory
 * nor become its child: a first process, which shares our memory and sends no
 * signal when it ends, starts a second one that becomes `path`, and ends.
 *
 * Spec:    clone(2), execve(2) ("the termination signal is reset to SIGCHLD":
 *          why one process is not enough), close_range(2).
 * Threads: any. All signals are blocked meanwhile, so that no handler of the
 *          program runs in the processes that share its memory.
 */
#include "driver/spawn.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

#ifdef __SANITIZE_THREAD__
/* ThreadSanitizer stands in front of clone() and takes it for fork(). */
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
#define clone __clone
#endif

enum { STACK = 64 << 10, SOCKET_FD = 3, ENV_MAX = 16 };

typedef struct {
    const char *path;
    char **argv;
    char **envp;
    int socket_fd;
    int null_fd;
    char *stack2;       /* of the second process */
    volatile int error; /* errno of what failed */
} spawn;

/* Both processes: only bare system calls from here on. libc's functions may be
 * a sanitizer's, which would take us for the caller's thread. */
#define ON_OWN_STACK __attribute__((no_sanitize("address", "thread")))

ON_OWN_STACK __attribute__((noreturn)) static void end(int status)
{
    for (;;)
        (void)syscall(SYS_exit_group, status);
}

ON_OWN_STACK __attribute__((noreturn)) static void give_up(spawn *s)
{
    s->error = errno;
    end(127);
}

/* Handlers go with execve; what the caller ignores would stay ignored. */
ON_OWN_STACK static void reset_signals(void)
{
    const uint64_t none[4] = { 0 }; /* SIG_DFL without flags; an empty mask */

    for (int sig = 1; sig < NSIG; sig++)
        (void)syscall(SYS_rt_sigaction, sig, none, NULL, sizeof(none[0]));
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, sizeof(none[0]));
}

/* Descriptors 0 to 3, and no others. */
ON_OWN_STACK static bool arrange_fds(const spawn *s)
{
    /* Out of the way first. */
    long null = syscall(SYS_fcntl, s->null_fd, F_DUPFD_CLOEXEC, 16);
    long sock = syscall(SYS_fcntl, s->socket_fd, F_DUPFD_CLOEXEC, 16);

    if (null < 0 || sock < 0)
        return false;
    for (int fd = 0; fd < SOCKET_FD; fd++)
        if (syscall(SYS_dup3, null, fd, 0) < 0)
            return false;
    return syscall(SYS_dup3, sock, SOCKET_FD, 0) >= 0 &&
           syscall(SYS_close_range, SOCKET_FD + 1, ~0u, 0) >= 0;
}

ON_OWN_STACK static int second_process(void *opaque)
{
    spawn *s = opaque;

    if (syscall(SYS_setsid) < 0 || !arrange_fds(s) ||
        syscall(SYS_chdir, "/") < 0)
        give_up(s);
    reset_signals();
    (void)syscall(SYS_execve, s->path, s->argv, s->envp);
    give_up(s);
}

ON_OWN_STACK static int first_process(void *opaque)
{
    spawn *s = opaque;

    if (clone(second_process, s->stack2 + STACK, CLONE_VM | CLONE_VFORK, s) < 0)
        give_up(s);
    end(s->error == 0 ? 0 : 127);
}

/* What a domain's process may know: the time zone, and how to debug it. */
static void pick_environment(char *envp[ENV_MAX])
{
    static const char *const kept[] = {
        "TZ=",           "VISOR_DEBUG=",   "ASAN_OPTIONS=", "LSAN_OPTIONS=",
        "TSAN_OPTIONS=", "UBSAN_OPTIONS=", "G_SLICE="
    };
    uint32_t n = 0;

    for (char **e = environ; e != NULL && *e != NULL; e++)
        for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
            if (g_str_has_prefix(*e, kept[i]) && n < ENV_MAX - 1)
                envp[n++] = *e;
    envp[n] = NULL;
}

static int run_first(spawn *s)
{
    size_t len = (size_t)STACK * 2;
    char *stacks = mmap(NULL, len, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    sigset_t all, before;
    int pid, rc = 0, state = 0, cancel = 0;

    if (stacks == MAP_FAILED)
        return -errno;
    s->stack2 = stacks + STACK;
    sigfillset(&all);
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    /* No exit signal: the caller is told nothing, and only __WCLONE finds it. */
    pid = clone(first_process, stacks + STACK, CLONE_VM | CLONE_VFORK, s);
    if (pid < 0)
        rc = -errno;
    else
        while (waitpid(pid, &state, __WCLONE) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_setcancelstate(cancel, NULL);
    (void)munmap(stacks, len);
    return rc < 0 ? rc : -s->error;
}

bool vsr_spawn(const char *path, int socket_fd, GError **error)
{
    g_autofree char *name = g_path_get_basename(path);
    char *argv[] = { name, NULL };
    char *envp[ENV_MAX];
    vsr_autofd null = open("/dev/null", O_RDWR | O_CLOEXEC);
    spawn s = {
        .path = path,
        .argv = argv,
        .envp = envp,
        .socket_fd = socket_fd,
        .null_fd = null,
    };
    int rc;

    if (null < 0)
        return vsr_fail_errno(error, errno, "Cannot open '/dev/null'");
    pick_environment(envp);
    rc = run_first(&s);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "Cannot start '%s'", path);
    return true;
}

/* --- which program ------------------------------------------------------- */

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0 && !g_file_test(path, G_FILE_TEST_IS_DIR);
}

char *vsr_spawn_find_vmm(const char *wanted, GError **error)
{
    static const char *const beside[] = {
        "../visor-vmm/visor-vmm",  /* build tree: src/api/libvisor.so */
        "../../libexec/visor-vmm", /* PREFIX/lib/TRIPLET */
        "../libexec/visor-vmm",    /* PREFIX/lib, or PREFIX/bin if static */
    };
    g_autofree char *folder = NULL;
    Dl_info info = { 0 };

    if (wanted != NULL) {
        if (is_program(wanted))
            return g_strdup(wanted);
        (void)vsr_fail(error, VISOR_ERR_NOT_FOUND,
                       "'%s' is not a program that can be run", wanted);
        return NULL;
    }
    if (dladdr((void *)(uintptr_t)&vsr_spawn_find_vmm, &info) != 0 &&
        info.dli_fname != NULL && info.dli_fname[0] == '/') {
        folder = g_path_get_dirname(info.dli_fname);
        for (size_t i = 0; i < G_N_ELEMENTS(beside); i++) {
            g_autofree char *path = g_build_filename(folder, beside[i], NULL);

            if (is_program(path))
                return g_steal_pointer(&path);
        }
    }
    if (is_program(VSR_LIBEXECDIR "/visor-vmm"))
        return g_strdup(VSR_LIBEXECDIR "/visor-vmm");
    (void)vsr_fail(error, VISOR_ERR_NOT_FOUND,
                   "Program 'visor-vmm' is not in '%s' nor beside the library",
                   VSR_LIBEXECDIR);
    return NULL;
}
