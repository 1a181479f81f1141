/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_sys.c: the real host.
 *
 * Spec:    ioctl(2), mmap(2), signal(7), tgkill(2).
 * Threads: any.
 */
#include "drivers/kvm/kvm_sys.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "base/fd.h"

/* --- files and memory --- */

static int sys_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int sys_ioctl(int fd, unsigned long request, void *arg)
{
    int rc = ioctl(fd, request, arg);

    return rc < 0 ? -errno : rc;
}

static void *map(int fd, size_t len, int flags, int *err)
{
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, 0);

    if (at != MAP_FAILED)
        return at;
    *err = errno;
    return NULL;
}

static void *sys_map(int fd, size_t len, int *err)
{
    return map(fd, len, MAP_SHARED, err);
}

static void *sys_map_anonymous(size_t len, int *err)
{
    return map(-1, len, MAP_PRIVATE | MAP_ANONYMOUS, err);
}

static void sys_unmap(void *at, size_t len)
{
    (void)munmap(at, len);
}

static int sys_read_file(const char *path, char *to, size_t size)
{
    vsr_autofd fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t got = 0;

    to[0] = '\0';
    if (fd < 0)
        return -errno;
    while (got < size - 1) {
        ssize_t n = read(fd, to + got, size - 1 - got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    to[got] = '\0';
    return (int)got;
}

/* --- signals --- */

static int sys_thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

static void sys_signal_block(int signal, int *before)
{
    sigset_t set, old;

    sigemptyset(&set);
    sigaddset(&set, signal);
    sigemptyset(&old);
    (void)pthread_sigmask(SIG_BLOCK, &set, &old);
    *before = sigismember(&old, signal);
}

static void sys_signal_drain(int signal)
{
    const struct timespec at_once = { 0 };
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, signal);
    while (sigtimedwait(&set, NULL, &at_once) > 0)
        ;
}

static void sys_signal_unblock(int signal, int before)
{
    sigset_t set;

    sys_signal_drain(signal);
    sigemptyset(&set);
    sigaddset(&set, signal);
    if (before == 0)
        (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void sys_signal_send(int thread, int signal)
{
    (void)syscall(SYS_tgkill, getpid(), thread, signal);
}

static int sys_signal_pick(void)
{
    for (int signal = SIGRTMAX; signal >= SIGRTMIN; signal--) {
        struct sigaction now;

        if (sigaction(signal, NULL, &now) == 0 &&
            !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL)
            return signal;
    }
    return -EBUSY;
}

static uint64_t sys_signal_mask(int signal)
{
    sigset_t now;
    uint64_t mask = 0;

    sigemptyset(&now);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &now);
    for (int i = 1; i <= 64; i++)
        if (i != signal && sigismember(&now, i) == 1)
            mask |= UINT64_C(1) << (i - 1);
    return mask;
}

/* --- time and processor --- */

static int64_t sys_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static uint64_t sys_tsc(void)
{
    return __rdtsc();
}

static void sys_cpuid(uint32_t leaf, uint32_t out[4])
{
    __cpuid_count(leaf, 0, out[0], out[1], out[2], out[3]);
}

const kvm_sys_ops kvm_sys = {
    .open = sys_open,
    .ioctl = sys_ioctl,
    .close = vsr_close,
    .map = sys_map,
    .map_anonymous = sys_map_anonymous,
    .unmap = sys_unmap,
    .thread_id = sys_thread_id,
    .signal_block = sys_signal_block,
    .signal_unblock = sys_signal_unblock,
    .signal_send = sys_signal_send,
    .signal_drain = sys_signal_drain,
    .signal_pick = sys_signal_pick,
    .signal_mask = sys_signal_mask,
    .now_ns = sys_now_ns,
    .tsc = sys_tsc,
    .cpuid = sys_cpuid,
    .read_file = sys_read_file,
};
