/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.c: vmm.log, bounded.
 *
 * Threads: any; the lock is the innermost.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "visor-vmm/vmm_main.h"

enum { LOG_MAX = 1 << 20 };

struct vmm_log {
    GMutex lock;
    int folder_fd; /* borrowed */
    int fd;        /* owned */
    size_t written;
    vsr_loop *rotator; /* borrowed; NULL: whoever writes rotates */
    bool is_asked;     /* the rotator will come */
};

static int open_file(int folder_fd)
{
    return openat(folder_fd, "vmm.log",
                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* What libraries print goes there too. */
static void redirect(int fd)
{
    (void)dup2(fd, STDOUT_FILENO);
    (void)dup2(fd, STDERR_FILENO);
}

/* Lock held. */
static void rotate(vmm_log *log)
{
    int fd;

    (void)renameat(log->folder_fd, "vmm.log", log->folder_fd, "vmm.log.old");
    fd = open_file(log->folder_fd);
    if (fd < 0)
        return;
    vsr_close(log->fd);
    log->fd = fd;
    log->written = 0;
    redirect(fd);
}

static void rotate_asked(void *opaque)
{
    vmm_log *log = opaque;

    g_mutex_lock(&log->lock);
    log->is_asked = false;
    if (log->written > LOG_MAX)
        rotate(log);
    g_mutex_unlock(&log->lock);
}

/* Lock held. Not every thread may open files. */
static void make_room(vmm_log *log)
{
    if (log->rotator == NULL)
        rotate(log);
    else if (!log->is_asked)
        vsr_loop_call(log->rotator, rotate_asked, log);
    log->is_asked = log->rotator != NULL;
}

static void sink(vsr_log_level level, const char *message, void *opaque)
{
    static const char *const words[] = { "error", "warn", "info", "debug" };
    vmm_log *log = opaque;
    struct timespec now;
    struct tm tm;
    char stamp[32];
    char line[1024];
    int n;

    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &tm) == NULL ||
        strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        return;
    n = snprintf(line, sizeof(line), "%s.%03ldZ %s: %s\n", stamp,
                 now.tv_nsec / 1000000, words[level], message);
    if (n < 0)
        return;
    if ((size_t)n >= sizeof(line)) {
        n = sizeof(line) - 1;
        line[n - 1] = '\n';
    }
    g_mutex_lock(&log->lock);
    if (log->written > LOG_MAX)
        make_room(log);
    log->written += (size_t)n;
    (void)vsr_write_all(log->fd, line, (size_t)n);
    g_mutex_unlock(&log->lock);
}

vmm_log *vmm_log_open(int folder_fd, GError **error)
{
    vmm_log *log;
    struct stat st = { 0 };
    int fd = open_file(folder_fd);

    if (fd < 0 || fstat(fd, &st) < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot open 'vmm.log'");
        vsr_close(fd);
        return NULL;
    }
    log = g_new0(vmm_log, 1);
    g_mutex_init(&log->lock);
    log->folder_fd = folder_fd;
    log->fd = fd;
    log->written = (size_t)st.st_size;
    redirect(fd);
    vsr_log_set_sink(sink, log);
    return log;
}

void vmm_log_set_rotator(vmm_log *log, vsr_loop *loop)
{
    g_mutex_lock(&log->lock);
    log->rotator = loop;
    g_mutex_unlock(&log->lock);
}

void vmm_log_close(vmm_log *log)
{
    if (log == NULL)
        return;
    vsr_log_set_sink(NULL, NULL);
    vsr_close(log->fd);
    g_mutex_clear(&log->lock);
    g_free(log);
}
