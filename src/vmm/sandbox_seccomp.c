/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sandbox_seccomp.c: installs the filters that sandbox_filters.c made at build
 * time, and says what hit them.
 *
 * A forbidden call does not happen: it becomes a SIGSYS, whose handler writes
 * the call's name to stderr, which is the domain's log, and ends the process.
 * A thread that has blocked the signal is killed by it: ours have not.
 *
 * Spec:    seccomp(2), Linux, Documentation/userspace-api/seccomp_filter.rst.
 * Threads: the one that enters; the handler on the one that was caught.
 */
#include "vmm/sandbox.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "vmm/sandbox_table.h"

G_STATIC_ASSERT((int)SANDBOX_MAIN == (int)VSR_THREAD_MAIN);
G_STATIC_ASSERT((int)SANDBOX_OTHER == (int)VSR_THREAD_OTHER);

#ifdef VSR_SECCOMP
/* --- the caught ------------------------------------------------------------------ */

typedef struct {
    char text[256];
    size_t len;
} line;

static void put(line *l, const char *text)
{
    while (*text != '\0' && l->len < sizeof(l->text))
        l->text[l->len++] = *text++;
}

static void put_number(line *l, uint64_t number, unsigned base)
{
    char digits[24];
    int n = sizeof(digits);

    digits[--n] = '\0';
    do {
        digits[--n] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    put(l, digits + n);
}

static void put_arguments(line *l, const ucontext_t *at)
{
    static const int registers[] = { REG_RDI, REG_RSI, REG_RDX };

    for (size_t i = 0; i < VSR_ARRAY_SIZE(registers); i++) {
        put(l, i == 0 ? " with 0x" : ", 0x");
        put_number(l, (uint64_t)at->uc_mcontext.gregs[registers[i]], 16);
    }
}

/* Only what a signal handler may do. */
static void on_caught(int sig, siginfo_t *info, void *context)
{
    unsigned call = (unsigned)info->si_syscall;
    const char *name =
        call < vsr_sandbox_n_calls ? vsr_sandbox_calls[call] : NULL;
    line l = { .len = 0 };

    put(&l, "Sandbox: forbidden system call ");
    put_number(&l, call, 10);
    put(&l, " (");
    put(&l, name != NULL ? name : "unknown");
    put(&l, ")");
    put_arguments(&l, context);
    put(&l, ": the process ends\n");
    (void)!write(STDERR_FILENO, l.text, l.len);
    for (;;)
        (void)syscall(SYS_exit_group, VSR_SANDBOX_STATUS);
}

static bool catch_forbidden(GError **error)
{
    struct sigaction action = { .sa_sigaction = on_caught,
                                .sa_flags = SA_SIGINFO };
    sigset_t set;

    sigfillset(&action.sa_mask);
    sigemptyset(&set);
    sigaddset(&set, SIGSYS);
    if (sigaction(SIGSYS, &action, NULL) < 0 ||
        sigprocmask(SIG_UNBLOCK, &set, NULL) < 0)
        return vsr_fail_errno(error, errno, "Cannot catch SIGSYS");
    return true;
}

/* --- filters ------------------------------------------------------------------------- */

static bool install(const vsr_sandbox *sandbox, vsr_thread_kind kind,
                    unsigned flags, GError **error)
{
    const sandbox_filter *f =
        &vsr_sandbox_filters[strcmp(sandbox->engine, "kvm") == 0]
                            [sandbox->extras][kind];
    g_autofree struct sock_filter *code =
        g_memdup2(f->code, f->n * sizeof(*code));
    struct sock_fprog program = { .len = (unsigned short)f->n, .filter = code };
    long rc;

    for (uint32_t i = 0; i < f->n; i++)
        if (code[i].k == SANDBOX_PID_MARK)
            code[i].k = (uint32_t)getpid();
    rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (rc == 0)
        return true;
    if (rc < 0 && (errno == ENOSYS || errno == EINVAL)) {
        vsr_log(VSR_LOG_WARN,
                "Sandbox: this kernel has no system call filters: %s",
                g_strerror(errno));
        return true;
    }
    return vsr_fail_errno(error, rc < 0 ? errno : EBUSY,
                          "Cannot install the system call filter");
}

bool vsr_sandbox_enter_all(const vsr_sandbox *sandbox, GError **error)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return vsr_fail_errno(error, errno, "Cannot give up new privileges");
    return catch_forbidden(error) &&
           install(sandbox, VSR_THREAD_OTHER, SECCOMP_FILTER_FLAG_TSYNC, error);
}

bool vsr_sandbox_enter(const vsr_sandbox *sandbox, vsr_thread_kind kind,
                       GError **error)
{
    return install(sandbox, kind, 0, error);
}

bool vsr_sandbox_has_filter(void)
{
    return true;
}
#else
bool vsr_sandbox_enter_all(const vsr_sandbox *sandbox, GError **error)
{
    return true;
}

bool vsr_sandbox_enter(const vsr_sandbox *sandbox, vsr_thread_kind kind,
                       GError **error)
{
    return true;
}

bool vsr_sandbox_has_filter(void)
{
    return false;
}
#endif
