/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sandbox_filters.c: a program of the build: writes the system call filters of
 * visor-vmm's threads as C, so that starting a domain costs no compiling, and
 * visor-vmm needs no libseccomp.
 *
 * What no rule names is forbidden (a SIGSYS that ends the process). Asking for
 * a file by its path is answered with EACCES, since libraries do it and go on.
 *
 * Usage: sandbox_filters > sandbox_made.c
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <asm/ioctls.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>

#include "base/sandbox_kinds.h"

enum { CALLS_MAX = 600 };

enum {
    M = 1 << SANDBOX_MAIN,
    S = 1 << SANDBOX_SERVER,
    C = 1 << SANDBOX_CONTROL,
    I = 1 << SANDBOX_IO,
    V = 1 << SANDBOX_VCPU,
    O = 1 << SANDBOX_OTHER, /* has what any other has, and this */
    ALL = M | S | C | I | V,
    LOOPS = S | C | I,
    /* Only where the domain has a use for it; see SANDBOX_NETWORK. */
    NETWORK = SANDBOX_NETWORK << SANDBOX_KINDS,
    CONNECT = SANDBOX_CONNECT << SANDBOX_KINDS,
    SHARE = SANDBOX_SHARE << SANDBOX_KINDS,
    EXTRAS = (SANDBOX_EXTRAS - 1) << SANDBOX_KINDS,
};

#define LOW32    0xffffffffu
#define NEGATIVE 0x80000000u
/* Of an argument that the kernel takes as 32 bits, only those count. */
#define IS(n, value)                                      \
    {                                                     \
        (n), SCMP_CMP_MASKED_EQ, LOW32, (uint32_t)(value) \
    }
#define HAS_NOT(n, bits)                   \
    {                                      \
        (n), SCMP_CMP_MASKED_EQ, (bits), 0 \
    }
#define HAS(n, bits)                            \
    {                                           \
        (n), SCMP_CMP_MASKED_EQ, (bits), (bits) \
    }

typedef struct {
    unsigned kinds;
    const char *call;
    unsigned n;
    struct scmp_arg_cmp arg[2];
} rule;

static const rule allowed[] = {
    /* Memory, never to be executed. */
    { ALL, "brk", 0, { { 0 } } },
    { ALL, "madvise", 0, { { 0 } } },
    { ALL, "mmap", 1, { HAS_NOT(2, PROT_EXEC) } },
    { ALL, "mprotect", 1, { HAS_NOT(2, PROT_EXEC) } },
    { ALL, "mremap", 0, { { 0 } } },
    { ALL, "munmap", 0, { { 0 } } },
    /* Threads among themselves, and their end. */
    { ALL, "exit", 0, { { 0 } } },
    { ALL, "exit_group", 0, { { 0 } } },
    { ALL, "futex", 0, { { 0 } } },
    { ALL, "getpid", 0, { { 0 } } },
    { ALL, "gettid", 0, { { 0 } } },
    { ALL, "restart_syscall", 0, { { 0 } } },
    { ALL, "rt_sigprocmask", 0, { { 0 } } },
    { ALL, "rt_sigreturn", 0, { { 0 } } },
    { V, "rt_sigtimedwait", 0, { { 0 } } },
    { ALL, "sched_yield", 0, { { 0 } } },
    { ALL, "tgkill", 1, { IS(0, SANDBOX_PID_MARK) } },
    /* Time. */
    { ALL, "clock_gettime", 0, { { 0 } } },
    { ALL, "clock_nanosleep", 0, { { 0 } } },
    { ALL, "gettimeofday", 0, { { 0 } } },
    { ALL, "nanosleep", 0, { { 0 } } },
    { ALL, "timerfd_settime", 0, { { 0 } } },
    { ALL, "getrandom", 0, { { 0 } } },
    { C | NETWORK, "getppid", 0, { { 0 } } }, /* libslirp's beginning */
    /* Threads for devices that come later have the filter of who starts them;
     * one that was started just before may not have got so far. Never a
     * process. */
    { C | O, "clone", 1, { HAS(0, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND) } },
    { C | O, "prctl", 1, { IS(0, PR_SET_NAME) } },
    { C | O, "rseq", 0, { { 0 } } },
    { C | O, "set_robust_list", 0, { { 0 } } },
    { C | O, "epoll_create1", 0, { { 0 } } },
    { C | O, "eventfd2", 0, { { 0 } } },
    { C | O, "timerfd_create", 0, { { 0 } } },
    /* Only a narrower filter can follow this one. */
    { O, "seccomp", 1, { IS(0, SECCOMP_SET_MODE_FILTER) } },
    /* What is open. */
    { ALL, "close", 0, { { 0 } } },
    { ALL, "write", 0, { { 0 } } },
    { M | LOOPS, "read", 0, { { 0 } } },
    { M | LOOPS, "poll", 0, { { 0 } } },
    { M | LOOPS, "ppoll", 0, { { 0 } } },
    { M | LOOPS, "epoll_ctl", 0, { { 0 } } },
    { LOOPS, "epoll_wait", 0, { { 0 } } },
    { LOOPS, "epoll_pwait", 0, { { 0 } } },
    { C, "pread64", 0, { { 0 } } },
    { C, "lseek", 0, { { 0 } } },
    { C, "mincore", 0, { { 0 } } },
    { C, "sysinfo", 0, { { 0 } } }, /* for memory devices that come */
    { C, "fallocate", 0, { { 0 } } },
    { S | C | M, "dup2", 0, { { 0 } } }, /* the log, when it is full */
    { S | C | M, "dup3", 0, { { 0 } } },
    { S | C | M, "fstat", 0, { { 0 } } },
    { S | C | M, "newfstatat", 1, { HAS_NOT(0, NEGATIVE) } },
    { S | C | M, "ftruncate", 0, { { 0 } } },
    { S | C | M, "fcntl", 1, { IS(1, F_GETFL) } },
    { S | C | M, "fcntl", 1, { IS(1, F_GETFD) } },
    { S, "fcntl", 1, { IS(1, F_ADD_SEALS) } },
    { S, "memfd_create", 0, { { 0 } } },
    /* Clients and serial ports; never a new address. */
    { S | C, "accept4", 0, { { 0 } } },
    { S | M, "recvmsg", 0, { { 0 } } },
    { S | M, "sendmsg", 0, { { 0 } } },
    { C, "recvfrom", 0, { { 0 } } },
    { C, "sendto", 1, { { 4, SCMP_CMP_EQ, 0, 0 } } },
    { S, "geteuid", 0, { { 0 } } }, /* is the client ours? */
    { S, "getsockopt", 0, { { 0 } } },
    { C, "socketpair", 1, { IS(0, AF_UNIX) } },
    /* Status and log, in the domain's folder. */
    { S | C, "openat", 1, { IS(0, SANDBOX_FOLDER_FD) } },
    { S | C,
      "renameat",
      2,
      { IS(0, SANDBOX_FOLDER_FD), IS(2, SANDBOX_FOLDER_FD) } },
    { S | C,
      "renameat2",
      2,
      { IS(0, SANDBOX_FOLDER_FD), IS(2, SANDBOX_FOLDER_FD) } },
    { S, "unlinkat", 1, { IS(0, SANDBOX_FOLDER_FD) } },
    { C, "unlinkat", 1, { HAS_NOT(0, NEGATIVE) } }, /* sockets' files */
    /* Disks and what else devices read and write; on the control thread when
     * they are closed. */
    { C | O, "preadv", 0, { { 0 } } },
    { C | O, "preadv2", 0, { { 0 } } },
    { C | O, "pread64", 0, { { 0 } } },
    { C | O, "pwrite64", 0, { { 0 } } },
    { C | O, "pwritev", 0, { { 0 } } },
    { C | O, "pwritev2", 0, { { 0 } } },
    { C | O, "readv", 0, { { 0 } } },
    { C | O, "writev", 0, { { 0 } } },
    { C | O, "fallocate", 0, { { 0 } } },
    { C | O, "fdatasync", 0, { { 0 } } },
    { C | O, "ftruncate", 0, { { 0 } } },
    { C | O, "io_uring_enter", 0, { { 0 } } },
    { C | O, "fcntl", 1, { IS(1, F_SETFL) } },
    { C | O, "fcntl", 1, { IS(1, F_DUPFD_CLOEXEC) } },
    { C | O, "fcntl", 1, { IS(1, F_OFD_SETLK) } },
    { C | O, "fcntl", 1, { IS(1, F_OFD_GETLK) } },
    { C | O, "ioctl", 1, { IS(1, BLKGETSIZE64) } },
    { C | O, "ioctl", 1, { IS(1, BLKDISCARD) } },
    { C | O, "ioctl", 1, { IS(1, BLKZEROOUT) } },
    /* What a guest's driver may choose of its tap, its cable; is it there? */
    { O, "ioctl", 1, { IS(1, TUNSETOFFLOAD) } },
    { O, "ioctl", 1, { IS(1, TUNSETQUEUE) } },
    { O, "ioctl", 1, { IS(1, TUNSETCARRIER) } },
    { O, "ioctl", 1, { IS(1, TUNGETIFF) } },
    /* Connections that devices hold. */
    { O, "accept4", 0, { { 0 } } },
    { O, "recvfrom", 0, { { 0 } } },
    { O, "recvmsg", 0, { { 0 } } },
    { O, "sendmsg", 0, { { 0 } } },
    { O, "sendto", 1, { { 4, SCMP_CMP_EQ, 0, 0 } } },
    { O, "shutdown", 0, { { 0 } } },
    { O | CONNECT, "socket", 1, { IS(0, AF_UNIX) } },
    { O | CONNECT, "connect", 0, { { 0 } } },
    /* The file server of shared folders, by descriptors of what is in them. */
    { O | SHARE, "fchmodat", 1, { HAS_NOT(0, NEGATIVE) } },
    { O | SHARE, "fchownat", 1, { HAS_NOT(0, NEGATIVE) } },
    { O | SHARE, "fcntl", 1, { IS(1, F_OFD_SETLKW) } },
    { O | SHARE, "fgetxattr", 0, { { 0 } } },
    { O | SHARE, "flistxattr", 0, { { 0 } } },
    { O | SHARE, "fremovexattr", 0, { { 0 } } },
    { O | SHARE, "fsetxattr", 0, { { 0 } } },
    { O | SHARE, "fstatfs", 0, { { 0 } } },
    { O | SHARE, "linkat", 2, { HAS_NOT(0, NEGATIVE), HAS_NOT(2, NEGATIVE) } },
    { O | SHARE, "mkdirat", 1, { HAS_NOT(0, NEGATIVE) } },
    { O | SHARE, "mknodat", 1, { HAS_NOT(0, NEGATIVE) } },
    { O | SHARE, "openat2", 1, { HAS_NOT(0, NEGATIVE) } },
    { O | SHARE,
      "renameat2",
      2,
      { HAS_NOT(0, NEGATIVE), HAS_NOT(2, NEGATIVE) } },
    { O | SHARE, "symlinkat", 1, { HAS_NOT(1, NEGATIVE) } },
    { O | SHARE, "utimensat", 1, { HAS_NOT(0, NEGATIVE) } },
    /* libslirp, for networks of type user: a host's program as any. */
    { O | NETWORK, "socket", 1, { IS(0, AF_INET) } },
    { O | NETWORK, "socket", 1, { IS(0, AF_INET6) } },
    /* The name server's address, in /etc/resolv.conf. */
    { O | NETWORK, "openat", 2, { HAS(0, NEGATIVE), HAS_NOT(2, O_ACCMODE) } },
    { O | NETWORK, "newfstatat", 1, { HAS(0, NEGATIVE) } },
    { O | NETWORK, "accept", 0, { { 0 } } },
    { O | NETWORK, "bind", 0, { { 0 } } },
    { O | NETWORK, "connect", 0, { { 0 } } },
    { O | NETWORK, "listen", 0, { { 0 } } },
    { O | NETWORK, "getpeername", 0, { { 0 } } },
    { O | NETWORK, "getsockname", 0, { { 0 } } },
    { O | NETWORK, "getsockopt", 0, { { 0 } } },
    { O | NETWORK, "setsockopt", 0, { { 0 } } },
    { O | NETWORK, "sendto", 0, { { 0 } } },
    { O | NETWORK, "ioctl", 1, { IS(1, FIONREAD) } },
    { O | NETWORK, "fcntl", 1, { IS(1, F_GETFL) } },
    { O | NETWORK, "fcntl", 1, { IS(1, F_SETFL) } },
    { O | NETWORK, "fcntl", 1, { IS(1, F_SETFD) } },
    /* The end of a domain without definition: its folder goes. Main touches
     * nothing of the guest's. */
    { M, "openat", 1, { HAS_NOT(0, NEGATIVE) } },
    { M, "renameat", 2, { HAS_NOT(0, NEGATIVE), HAS_NOT(2, NEGATIVE) } },
    { M, "renameat2", 2, { HAS_NOT(0, NEGATIVE), HAS_NOT(2, NEGATIVE) } },
    { M, "unlinkat", 1, { HAS_NOT(0, NEGATIVE) } },
    { M, "faccessat", 1, { HAS_NOT(0, NEGATIVE) } },
    { M, "faccessat2", 1, { HAS_NOT(0, NEGATIVE) } },
    { M, "readlinkat", 1, { HAS_NOT(0, NEGATIVE) } },
    { M, "fcntl", 1, { IS(1, F_SETFD) } },
    { M, "getdents64", 0, { { 0 } } },
    { M, "flock", 0, { { 0 } } },
    { M, "fsync", 0, { { 0 } } },
};

/* Files by path: there are none. */
static const rule refused[] = {
    { ALL, "access", 0, { { 0 } } },
    { ALL, "open", 0, { { 0 } } },
    { ALL, "readlink", 0, { { 0 } } },
    { ALL, "stat", 0, { { 0 } } },
    { ALL, "lstat", 0, { { 0 } } },
    { ALL, "statx", 0, { { 0 } } },
    { ALL, "unlink", 0, { { 0 } } },
    { ALL, "openat", 1, { HAS(0, NEGATIVE) } },
    { ALL, "faccessat", 1, { HAS(0, NEGATIVE) } },
    { ALL, "faccessat2", 1, { HAS(0, NEGATIVE) } },
    { ALL, "newfstatat", 1, { HAS(0, NEGATIVE) } },
    { ALL, "readlinkat", 1, { HAS(0, NEGATIVE) } },
};

#ifndef VSR_SANITIZERS
enum { SANITIZED = 0 };
#else
enum { SANITIZED = 1 };
/* Their run time: maps of the process, leaks looked for at the end, traces. */
static const char *const sanitizers[] = {
    "arch_prctl",
    "clone",
    "clone3",
    "fstatfs",
    "getcwd",
    "getegid",
    "geteuid",
    "getgid",
    "getppid",
    "getrlimit",
    "getuid",
    "kill",
    "mmap",
    "mprotect",
    "open",
    "openat",
    "pipe2",
    "prctl",
    "prlimit64",
    "process_vm_readv",
    "ptrace",
    "pread64",
    "readlink",
    "readlinkat",
    "read",
    "rseq",
    "rt_sigaction",
    "sched_getaffinity",
    "set_robust_list",
    "sigaltstack",
    "stat",
    "newfstatat",
    "fstat",
    "lseek",
    "sysinfo",
    "uname",
    "unlink",
    "wait4",
    "waitid",
    "getdents64",
    "fcntl",
    "dup",
    "dup2",
    "pipe",
    "writev",
    "ioctl",
    "access",
    "personality",
};
#endif

static void fail(const char *what, int rc)
{
    fprintf(stderr, "sandbox_filters: %s: %s\n", what, strerror(-rc));
    exit(1);
}

static void add(scmp_filter_ctx ctx, uint32_t action, const rule *r)
{
    int number = seccomp_syscall_resolve_name(r->call);
    int rc;

    if (number == __NR_SCMP_ERROR)
        fail(r->call, -ENOSYS);
    rc = seccomp_rule_add_array(ctx, action, number, r->n, r->arg);
    if (rc < 0)
        fail(r->call, rc);
}

/* The filter of other threads holds for all of them: it has every rule. */
static int is_for(unsigned kinds, unsigned kind)
{
    return kind == SANDBOX_OTHER || (kinds & (1u << kind)) != 0;
}

static int has_extras(unsigned kinds, unsigned extras)
{
    return (kinds & EXTRAS & ~(extras << SANDBOX_KINDS)) == 0;
}

static void add_all(scmp_filter_ctx ctx, unsigned kind, unsigned extras)
{
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        if (is_for(allowed[i].kinds, kind) &&
            has_extras(allowed[i].kinds, extras))
            add(ctx, SCMP_ACT_ALLOW, &allowed[i]);
}

/* Threads of other kinds have a filter of their own for that. */
static void refuse_paths(scmp_filter_ctx ctx, unsigned kind, unsigned extras)
{
    if (kind == SANDBOX_OTHER && (extras & SANDBOX_NETWORK) != 0)
        return;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        add(ctx, SCMP_ACT_ERRNO(EACCES), &refused[i]);
}

/* What there is another way for: of clone3 the flags are in memory, where no
 * filter sees them, and a new ring would do what no filter sees. */
static void refuse_newer(scmp_filter_ctx ctx)
{
    static const rule newer[] = {
        { 0, "clone3", 0, { { 0 } } },
        { 0, "io_uring_setup", 0, { { 0 } } },
    };

    for (size_t i = 0; i < sizeof(newer) / sizeof(newer[0]); i++)
        add(ctx, SCMP_ACT_ERRNO(ENOSYS), &newer[i]);
}

static void add_requests(scmp_filter_ctx ctx, unsigned kind, unsigned extras)
{
#ifdef VSR_WITH_KVM
    for (const sandbox_request *q = vsr_kvm_sandbox_requests; q->request != 0;
         q++) {
        rule r = { 0, "ioctl", 1, { IS(1, q->request) } };

        if (is_for(q->kinds, kind) && has_extras(q->kinds, extras))
            add(ctx, SCMP_ACT_ALLOW, &r);
    }
#endif
}

static scmp_filter_ctx make(unsigned kind, int kvm, unsigned extras)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);
    int rc;

    if (ctx == NULL)
        fail("seccomp_init", -ENOMEM);
    rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (rc < 0)
        fail("architecture", rc);
#ifdef VSR_SANITIZERS
    for (size_t i = 0; i < sizeof(sanitizers) / sizeof(sanitizers[0]); i++) {
        rule r = { 0, sanitizers[i], 0, { { 0 } } };

        add(ctx, SCMP_ACT_ALLOW, &r);
    }
#endif
    add_all(ctx, kind, extras);
    if (!SANITIZED)
        refuse_paths(ctx, kind, extras);
    if (!SANITIZED && is_for(C, kind))
        refuse_newer(ctx);
    if (kvm)
        add_requests(ctx, kind, extras);
    /* What a vCPU does most is looked at first. */
    rc = seccomp_syscall_priority(ctx, SCMP_SYS(ioctl), 255);
    if (rc < 0)
        fail("priority", rc);
    return ctx;
}

static void print_code(scmp_filter_ctx ctx, const char *name)
{
    int fd = memfd_create("filter", 0);
    struct sock_filter op;
    int rc = fd < 0 ? -errno : seccomp_export_bpf(ctx, fd);
    unsigned marks = 0;

    if (rc < 0 || lseek(fd, 0, SEEK_SET) < 0)
        fail("seccomp_export_bpf", rc < 0 ? rc : -errno);
    printf("static const struct sock_filter filter_%s[] = {\n", name);
    while (read(fd, &op, sizeof(op)) == (ssize_t)sizeof(op)) {
        printf("    { 0x%02x, %u, %u, 0x%08x },\n", op.code, op.jt, op.jf,
               op.k);
        marks +=
            op.k == SANDBOX_PID_MARK && op.code == (BPF_JMP | BPF_JEQ | BPF_K);
    }
    printf("};\n");
    if (marks != 1)
        fail("our process id is not compared with once", -EINVAL);
    close(fd);
}

/* Only the filter of other threads has extras. */
static unsigned extras_of(unsigned kind, unsigned extras)
{
    return kind == SANDBOX_OTHER ? extras : 0;
}

/* A filter's name has a digit for each of its three questions. */
static void print_filters(void)
{
    char name[32];

    for (unsigned i = 0; i < 2 * SANDBOX_EXTRAS * SANDBOX_KINDS; i++) {
        unsigned kind = i % SANDBOX_KINDS;
        unsigned extras = i / SANDBOX_KINDS % SANDBOX_EXTRAS;
        int kvm = i / SANDBOX_KINDS / SANDBOX_EXTRAS != 0;
        scmp_filter_ctx ctx;

        if (extras_of(kind, extras) != extras)
            continue;
        ctx = make(kind, kvm, extras);
        snprintf(name, sizeof(name), "%d_%u_%u", kvm, extras, kind);
        print_code(ctx, name);
        seccomp_release(ctx);
    }
}

static void print_table(void)
{
    printf("#define FILTER(n) { filter_##n, COUNT(filter_##n) }\n"
           "const sandbox_filter vsr_sandbox_filters[2][SANDBOX_EXTRAS]"
           "[SANDBOX_KINDS] = {\n");
    for (int kvm = 0; kvm < 2; kvm++) {
        printf("  {\n");
        for (unsigned extras = 0; extras < SANDBOX_EXTRAS; extras++) {
            printf("    {");
            for (unsigned kind = 0; kind < SANDBOX_KINDS; kind++)
                printf(" FILTER(%d_%u_%u),", kvm, extras_of(kind, extras),
                       kind);
            printf(" },\n");
        }
        printf("  },\n");
    }
    printf("};\n");
}

int main(void)
{
    printf("/* Made by sandbox_filters.c. */\n"
           "#include \"vmm/sandbox_table.h\"\n\n"
           "#define COUNT(a) (sizeof(a) / sizeof((a)[0]))\n"
           "const char *const vsr_sandbox_calls[] = {\n");
    for (int i = 0; i < CALLS_MAX; i++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);

        if (name != NULL)
            printf("    [%d] = \"%s\",\n", i, name);
        free(name);
    }
    printf("};\n");
    printf("const unsigned vsr_sandbox_n_calls = COUNT(vsr_sandbox_calls);\n");
    print_filters();
    print_table();
    return ferror(stdout) || fflush(stdout) != 0;
}
