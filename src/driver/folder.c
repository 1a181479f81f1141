/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * folder.c: see folder.h. Opening, locking, looking; folder_change.c changes.
 *
 * Spec:    fcntl(2) "Advisory record locking", flock(2), pidfd_open(2).
 * Threads: any.
 */
#include "driver/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <visor/domain.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/loop.h"

enum { POLL_MIN_US = 100, POLL_MAX_US = 5000, END_POLL_MAX_US = 1000 };

/* --- the root ------------------------------------------------------------ */

/* Only we may write to it, else somebody could put a domain in there. */
static bool check_ours(int fd, const char *path, GError **error)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return vsr_fail_errno(error, errno, "Cannot look at '%s'", path);
    if (st.st_uid != geteuid())
        return vsr_fail(error, VISOR_ERR_ACCESS,
                        "Folder '%s' belongs to user %u, not to us (%u)", path,
                        (unsigned)st.st_uid, (unsigned)geteuid());
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return vsr_fail(error, VISOR_ERR_ACCESS,
                        "Folder '%s' can be written by others (mode %04o)",
                        path, (unsigned)(st.st_mode & 07777));
    return true;
}

static int open_subfolder(int fd, const char *path, const char *name,
                          GError **error)
{
    g_autofree char *full = g_build_filename(path, name, NULL);
    vsr_autofd sub = -1;

    if (mkdirat(fd, name, 0700) < 0 && errno != EEXIST) {
        (void)vsr_fail_errno(error, errno, "Cannot make folder '%s'", full);
        return -1;
    }
    sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (sub < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot open folder '%s'", full);
        return -1;
    }
    return check_ours(sub, full, error) ? vsr_steal_fd(&sub) : -1;
}

bool vsr_root_open(vsr_root *root, const char *path, const char *engine,
                   GError **error)
{
    vsr_autofd top = -1;
    vsr_autofd tmp = -1;

    root->fd = root->names_fd = -1;
    root->path = g_build_filename(path, engine, NULL);
    if (g_mkdir_with_parents(path, 0700) < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot make folder '%s'", path);
        goto failed;
    }
    top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot open folder '%s'", path);
        goto failed;
    }
    if (!check_ours(top, path, error))
        goto failed;
    root->fd = open_subfolder(top, path, engine, error);
    if (root->fd < 0)
        goto failed;
    root->names_fd = open_subfolder(root->fd, root->path, "names", error);
    tmp = open_subfolder(root->fd, root->path, "tmp", error);
    if (root->names_fd < 0 || tmp < 0)
        goto failed;
    return true;

failed:
    vsr_root_close(root);
    return false;
}

void vsr_root_close(vsr_root *root)
{
    vsr_close(root->fd);
    vsr_close(root->names_fd);
    g_clear_pointer(&root->path, g_free);
    root->fd = root->names_fd = -1;
}

/* --- locks --------------------------------------------------------------- */

/* flock belongs to the open file, so that each call of ours excludes every
 * other. flock itself cannot be given a time: hence the polling. */
static int lock_file(int fd, const char *file, int64_t deadline_ns,
                     GError **error)
{
    vsr_autofd lock = openat(
        fd, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    gulong nap = POLL_MIN_US;

    if (lock < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot open lock '%s'", file);
        return -1;
    }
    while (flock(lock, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            (void)vsr_fail_errno(error, errno, "Cannot lock '%s'", file);
            return -1;
        }
        if (vsr_now_ns() >= deadline_ns) {
            (void)vsr_fail(error, VISOR_ERR_BUSY,
                           "Another process is at it and has not ended");
            return -1;
        }
        g_usleep(nap);
        nap = MIN(nap * 2, (gulong)POLL_MAX_US);
    }
    return vsr_steal_fd(&lock);
}

int vsr_root_lock(const vsr_root *root, int64_t deadline_ns, GError **error)
{
    return lock_file(root->fd, ".lock", deadline_ns, error);
}

bool vsr_folder_is_current(const vsr_root *root, const char *uuid,
                           int folder_fd)
{
    struct stat by_name, by_fd;

    return fstatat(root->fd, uuid, &by_name, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstat(folder_fd, &by_fd) == 0 && by_name.st_ino == by_fd.st_ino &&
           by_name.st_dev == by_fd.st_dev;
}

int vsr_folder_lock(const vsr_root *root, const char *uuid, int folder_fd,
                    int64_t deadline_ns, GError **error)
{
    int lock = lock_file(folder_fd, "lock", deadline_ns, error);

    if (lock < 0)
        return -1;
    if (root != NULL && !vsr_folder_is_current(root, uuid, folder_fd)) {
        vsr_folder_unlock(lock);
        (void)vsr_fail(error, VISOR_ERR_NOT_FOUND,
                       "No domain with uuid '%s' any more", uuid);
        return -1;
    }
    return lock;
}

void vsr_folder_unlock(int lock_fd)
{
    if (lock_fd < 0)
        return;
    /* Explicitly: a child that the host program forked may have a copy. */
    (void)flock(lock_fd, LOCK_UN);
    vsr_close(lock_fd);
}

/* --- looking ------------------------------------------------------------- */

int vsr_folder_open(const vsr_root *root, const char *uuid, GError **error)
{
    int fd =
        openat(root->fd, uuid, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) {
        if (errno == ENOENT)
            (void)vsr_fail(error, VISOR_ERR_NOT_FOUND,
                           "No domain with uuid '%s'", uuid);
        else
            (void)vsr_fail_errno(error, errno, "Cannot open folder '%s/%s'",
                                 root->path, uuid);
    }
    return fd;
}

bool vsr_folder_has(int folder_fd, const char *file)
{
    return faccessat(folder_fd, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

pid_t vsr_folder_owner(int folder_fd)
{
    vsr_autofd fd =
        openat(folder_fd, "run.lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
        return 0;
    return lock.l_pid > 0 ? lock.l_pid : -1;
}

/* The status says that it runs: does it? */
static void check_alive(int folder_fd, vsr_view *out)
{
    out->pid = vsr_folder_owner(folder_fd);
    out->active = out->pid != 0;
    if (!out->active) {
        out->status.state = VISOR_STATE_SHUTOFF;
        /* Killed by a destroy, who may not have said so yet; or by others. */
        out->status.reason = vsr_folder_has(folder_fd, "killed")
                                 ? VISOR_REASON_DESTROYED
                                 : VISOR_REASON_FAILED;
        out->status.exit_status = -1;
        out->needs_repair = true;
    } else if (out->pid > 0 && out->status.pid != out->pid) {
        /* A new process that has not said anything yet. */
        out->status.state = VISOR_STATE_PAUSED;
        out->status.reason = VISOR_REASON_STARTING;
        out->status.id = -1;
        out->status.n_events = 0;
    }
}

void vsr_folder_view(int folder_fd, vsr_view *out)
{
    out->persistent = vsr_folder_has(folder_fd, "domain.xml");
    out->active = out->needs_repair = false;
    out->pid = 0;
    if (vsr_status_read(folder_fd, &out->status) &&
        out->status.state != VISOR_STATE_SHUTOFF)
        check_alive(folder_fd, out);
    if (!out->active)
        out->status.id = -1;
    if (out->active ? out->status.building : !out->persistent)
        out->needs_repair = true;
}

bool vsr_root_view(const vsr_root *root, const char *uuid, vsr_view *out)
{
    vsr_autofd fd = -1;
    char path[64];

    memset(out, 0, offsetof(vsr_view, status));
    (void)snprintf(path, sizeof(path), "%s/domain.xml", uuid);
    out->persistent = vsr_folder_has(root->fd, path);
    (void)snprintf(path, sizeof(path), "%s/status.json", uuid);
    if (out->persistent && (!vsr_status_read_at(root->fd, path, &out->status) ||
                            out->status.state == VISOR_STATE_SHUTOFF)) {
        out->status.id = -1;
        return true;
    }
    fd = vsr_folder_open(root, uuid, NULL);
    if (fd >= 0)
        vsr_folder_view(fd, out);
    return fd >= 0;
}

bool vsr_folder_name(int folder_fd, char out[256])
{
    vsr_autofd fd =
        openat(folder_fd, "name", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n;

    if (fd < 0)
        return false;
    n = TEMP_FAILURE_RETRY(read(fd, out, 255));
    if (n <= 0)
        return false;
    out[n] = '\0';
    return memchr(out, '\0', (size_t)n) == NULL;
}

bool vsr_root_find_name(const vsr_root *root, const char *name, char uuid[37])
{
    ssize_t n = readlinkat(root->names_fd, name, uuid, 37);

    if (n != 36)
        return false;
    uuid[36] = '\0';
    return true;
}

bool vsr_root_each(const vsr_root *root,
                   void (*fn)(const char *name, const char *uuid, void *opaque),
                   void *opaque, GError **error)
{
    int fd = openat(root->names_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (dir == NULL) {
        (void)vsr_fail_errno(error, errno, "Cannot read folder '%s/names'",
                             root->path);
        vsr_close(fd);
        return false;
    }
    while ((entry = readdir(dir)) != NULL) {
        char uuid[37];

        if (strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0 &&
            vsr_root_find_name(root, entry->d_name, uuid))
            fn(entry->d_name, uuid, opaque);
    }
    closedir(dir);
    return true;
}

/* --- ends ---------------------------------------------------------------- */

/* Not by a pidfd: the lock goes before the namespaces do, for which a process
 * waits 100 ms on a crowded host. */
bool vsr_folder_wait_end(int folder_fd, int64_t deadline_ns)
{
    gulong nap = POLL_MIN_US;

    while (vsr_folder_owner(folder_fd) != 0) {
        if (vsr_now_ns() >= deadline_ns)
            return false;
        g_usleep(nap);
        nap = MIN(nap * 2, (gulong)END_POLL_MAX_US);
    }
    return true;
}

/* The pid is looked up again once there is a descriptor for it: in between it
 * cannot have become another process. */
bool vsr_folder_kill(int folder_fd, int64_t deadline_ns)
{
    pid_t pid = vsr_folder_owner(folder_fd);
    vsr_autofd pidfd = -1;

    if (pid == 0)
        return true;
    if (pid < 0)
        return false;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd >= 0 && vsr_folder_owner(folder_fd) == pid)
        (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    return vsr_folder_wait_end(folder_fd, deadline_ns);
}
