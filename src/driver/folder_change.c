/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * folder_change.c: making, replacing and removing in the state folder, and
 * cleaning up after what died.
 *
 * Threads: any, with the locks that folder.h says.
 */
#include "driver/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <visor/domain.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "net/net.h"

enum { REPAIR_WAIT_NS = 1000 * 1000 * 1000 };

/* --- files --------------------------------------------------------------- */

static int write_file(int folder_fd, const char *file, const char *text,
                      bool sync)
{
    vsr_autofd fd =
        openat(folder_fd, file,
               O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc;

    if (fd < 0)
        return -errno;
    rc = vsr_write_all(fd, text, strlen(text));
    if (rc == 0 && sync && fsync(fd) < 0)
        rc = -errno;
    return rc;
}

static bool replace_file(int folder_fd, const char *file, const char *text,
                         bool sync, GError **error)
{
    g_autofree char *temp = g_strconcat(file, ".new", NULL);
    int rc = write_file(folder_fd, temp, text, sync);

    if (rc == 0 && !sync)
        rc = vsr_rename_over(folder_fd, temp, file);
    else if (rc == 0 && renameat(folder_fd, temp, folder_fd, file) < 0)
        rc = -errno;
    if (rc == 0 && sync && fsync(folder_fd) < 0)
        rc = -errno;
    if (rc < 0) {
        (void)unlinkat(folder_fd, temp, 0);
        return vsr_fail_errno(error, rc, "Cannot write '%s'", file);
    }
    return true;
}

bool vsr_folder_write(int folder_fd, const char *file, const char *text,
                      GError **error)
{
    return replace_file(folder_fd, file, text, true, error);
}

char *vsr_folder_read(int folder_fd, const char *file, size_t max,
                      GError **error)
{
    vsr_autofd fd = openat(folder_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    g_autofree char *text = NULL;
    struct stat st;
    int rc;

    if (fd < 0 || fstat(fd, &st) < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot open '%s'", file);
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > max) {
        (void)vsr_fail(error, VISOR_ERR_RESOURCE,
                       "File '%s' is longer than %zu bytes", file, max);
        return NULL;
    }
    text = g_try_malloc((size_t)st.st_size + 1);
    rc = text == NULL ? -ENOMEM : vsr_read_all(fd, text, (size_t)st.st_size);
    if (rc < 0) {
        (void)vsr_fail_errno(error, rc, "Cannot read '%s'", file);
        return NULL;
    }
    text[st.st_size] = '\0';
    return g_steal_pointer(&text);
}

void vsr_folder_mark_killed(int folder_fd, bool killed)
{
    if (killed)
        (void)write_file(folder_fd, "killed", "", false);
    else
        (void)unlinkat(folder_fd, "killed", 0);
}

/* Everything in a folder without subfolders, then the folder. */
static void remove_tree(int parent_fd, const char *name)
{
    int fd = openat(parent_fd, name,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (dir == NULL) {
        vsr_close(fd);
        (void)unlinkat(parent_fd, name, 0);
        return;
    }
    while ((entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            (void)unlinkat(fd, entry->d_name, 0);
    closedir(dir);
    (void)unlinkat(parent_fd, name, AT_REMOVEDIR);
}

/* What a killed process left half-made or half-removed. The root lock is held,
 * so nobody is at it now. */
static void sweep(int tmp_fd)
{
    int fd = openat(tmp_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (dir == NULL) {
        vsr_close(fd);
        return;
    }
    while ((entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_tree(tmp_fd, entry->d_name);
    closedir(dir);
}

static int open_tmp(const vsr_root *root, GError **error)
{
    int fd = openat(root->fd, "tmp",
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        (void)vsr_fail_errno(error, errno, "Cannot open '%s/tmp'", root->path);
    else
        sweep(fd);
    return fd;
}

/* --- making and removing ------------------------------------------------- */

/* A link that leads nowhere was left by a killed process: it counts as none. */
static bool claim_name(const vsr_root *root, const char *name, const char *uuid,
                       GError **error)
{
    char other[37];

    if (vsr_root_find_name(root, name, other)) {
        if (vsr_folder_has(root->fd, other))
            return vsr_fail(error, VISOR_ERR_EXISTS,
                            "Domain '%s' exists, with uuid %s", name, other);
        (void)unlinkat(root->names_fd, name, 0);
    }
    if (symlinkat(uuid, root->names_fd, name) < 0)
        return vsr_fail_errno(error, errno, "Cannot make '%s/names/%s'",
                              root->path, name);
    return true;
}

static int fill_folder(int fd, const char *name, const char *xml)
{
    int rc = write_file(fd, "name", name, true);

    if (rc == 0 && xml != NULL)
        rc = write_file(fd, "domain.xml", xml, true);
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    return rc;
}

int vsr_root_make(const vsr_root *root, const char *name, const char *uuid,
                  const char *xml, int *job_lock, GError **error)
{
    vsr_autofd tmp = open_tmp(root, error);
    vsr_autofd fd = -1;
    int rc, lock = -1;

    if (tmp < 0)
        return -1;
    if (vsr_folder_has(root->fd, uuid)) {
        (void)vsr_fail(error, VISOR_ERR_EXISTS, "A domain with uuid %s exists",
                       uuid);
        return -1;
    }
    if (mkdirat(tmp, uuid, 0700) < 0 ||
        (fd = openat(tmp, uuid, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot make a folder in '%s/tmp'",
                             root->path);
        return -1;
    }
    rc = fill_folder(fd, name, xml);
    if (rc < 0) {
        (void)vsr_fail_errno(error, rc, "Cannot write in '%s/tmp'", root->path);
        goto failed;
    }
    if (job_lock != NULL &&
        (lock = vsr_folder_lock(NULL, uuid, fd, 0, error)) < 0)
        goto failed;
    if (!claim_name(root, name, uuid, error))
        goto failed;
    if (renameat(tmp, uuid, root->fd, uuid) < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot make '%s/%s'", root->path,
                             uuid);
        (void)unlinkat(root->names_fd, name, 0);
        goto failed;
    }
    (void)fsync(root->names_fd);
    (void)fsync(root->fd);
    if (job_lock != NULL)
        *job_lock = lock;
    return vsr_steal_fd(&fd);

failed:
    vsr_folder_unlock(lock);
    remove_tree(tmp, uuid);
    return -1;
}

bool vsr_root_remove(const vsr_root *root, const char *name, const char *uuid,
                     GError **error)
{
    vsr_autofd tmp = open_tmp(root, error);
    char other[37];

    if (tmp < 0)
        return false;
    if (renameat(root->fd, uuid, tmp, uuid) < 0)
        return vsr_fail_errno(error, errno, "Cannot remove '%s/%s'", root->path,
                              uuid);
    if (name != NULL && vsr_root_find_name(root, name, other) &&
        strcmp(other, uuid) == 0)
        (void)unlinkat(root->names_fd, name, 0);
    (void)fsync(root->fd);
    remove_tree(tmp, uuid);
    return true;
}

int vsr_root_next_id(const vsr_root *root, int64_t deadline_ns, GError **error)
{
    g_autofree char *text = NULL;
    g_autofree char *next = NULL;
    int lock = vsr_root_lock(root, deadline_ns, error);
    uint64_t id = 0;
    bool ok;

    if (lock < 0)
        return -1;
    text = vsr_folder_read(root->fd, "next-id", 32, NULL);
    if (text != NULL)
        id = g_ascii_strtoull(text, NULL, 10);
    if (id == 0 || id >= INT32_MAX)
        id = 1;
    next = g_strdup_printf("%" G_GUINT64_FORMAT "\n", id + 1);
    /* Not synced: a crash of the host ends all that have a number. */
    ok = replace_file(root->fd, "next-id", next, false, error);
    vsr_folder_unlock(lock);
    return ok ? (int)id : -1;
}

/* --- repair -------------------------------------------------------------- */

/* Nobody holds the job lock, so the starter of a process that is still being
 * built is dead: the process sees that, and ends. */
static void end_orphan(const char *uuid, int fd, vsr_view *view)
{
    if (!view->active || !view->status.building)
        return;
    if (!vsr_folder_wait_end(fd, vsr_now_ns() + REPAIR_WAIT_NS) &&
        !vsr_folder_kill(fd, vsr_now_ns() + REPAIR_WAIT_NS))
        vsr_log(VSR_LOG_WARN, "Domain %s: process %d does not end", uuid,
                (int)view->pid);
    vsr_folder_view(fd, view);
}

static void repair_locked(const vsr_root *root, const char *uuid, int fd)
{
    g_autoptr(GError) error = NULL;
    char name[256];
    vsr_view view;
    int lock;

    vsr_folder_view(fd, &view);
    end_orphan(uuid, fd, &view);
    if (!view.needs_repair || view.active)
        return;
    vsr_net_sweep(); /* its links went with it */
    if (view.persistent) {
        view.status.pid = 0;
        if (!vsr_status_write(fd, &view.status, &error))
            vsr_log(VSR_LOG_WARN, "Domain %s: %s", uuid, error->message);
        (void)unlinkat(fd, "control.sock", 0);
        return;
    }
    lock = vsr_root_lock(root, vsr_now_ns() + REPAIR_WAIT_NS, NULL);
    if (lock < 0)
        return;
    /* Defined meanwhile? */
    if (!vsr_folder_has(fd, "domain.xml") &&
        !vsr_root_remove(root, vsr_folder_name(fd, name) ? name : NULL, uuid,
                         &error))
        vsr_log(VSR_LOG_WARN, "Domain %s: %s", uuid, error->message);
    vsr_folder_unlock(lock);
}

void vsr_root_repair(const vsr_root *root, const char *uuid,
                     int64_t deadline_ns)
{
    vsr_autofd fd = vsr_folder_open(root, uuid, NULL);
    int lock;

    if (fd < 0)
        return;
    /* A job that is at it cleans up itself, or its death is seen later. */
    lock = vsr_folder_lock(root, uuid, fd, deadline_ns, NULL);
    if (lock < 0)
        return;
    repair_locked(root, uuid, fd);
    vsr_folder_unlock(lock);
}
