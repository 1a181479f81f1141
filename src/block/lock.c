/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock.c: locks on images, understood by QEMU and by us.
 *
 * Spec:    QEMU, block/file-posix.c ("raw_apply_lock_bytes"): byte 100 + n has
 *          a read lock while somebody uses permission n, byte 200 + n while
 *          somebody does not share it. Who came takes his locks, then looks
 *          whether others have the opposite: two may both give up, never both
 *          go on. Permissions: BLK_PERM_* of include/block/block-common.h.
 * Threads: any.
 */
#include "block/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

enum {
    USED_BASE = 100,
    UNSHARED_BASE = 200,
    PERMISSIONS = 4,
    /* permissions */
    CONSISTENT_READ = 1 << 0,
    WRITE = 1 << 1,
    RESIZE = 1 << 3,
    OWNER_TEXT = 96,
    TRIES = 50,
    TRY_US = 10000,
};

typedef struct {
    uint32_t used, unshared;
} lock_set;

static const lock_set sets[] = {
    [BLK_LOCK_READ] = { CONSISTENT_READ, WRITE | RESIZE },
    [BLK_LOCK_WRITE] = { CONSISTENT_READ | WRITE | RESIZE, WRITE | RESIZE },
    [BLK_LOCK_SHARED_READ] = { CONSISTENT_READ, 0 },
    [BLK_LOCK_SHARED_WRITE] = { CONSISTENT_READ | WRITE, 0 },
};

static struct flock byte_lock(short type, int at)
{
    return (struct flock){
        .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1
    };
}

static int take(int fd, uint32_t bits, int base)
{
    for (int i = 0; i < PERMISSIONS; i++) {
        struct flock lock = byte_lock(F_RDLCK, base + i);

        if ((bits & (1u << i)) != 0 && fcntl(fd, F_OFD_SETLK, &lock) < 0)
            return -errno;
    }
    return 0;
}

/* -EBUSY: another has one of the bytes. */
static int check(int fd, uint32_t bits, int base)
{
    for (int i = 0; i < PERMISSIONS; i++) {
        struct flock lock = byte_lock(F_WRLCK, base + i);

        if ((bits & (1u << i)) == 0)
            continue;
        if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
            return -errno;
        if (lock.l_type != F_UNLCK)
            return -EBUSY;
    }
    return 0;
}

/* --- who has it: the kernel does not say, /proc may --- */

/* By another descriptor than `own_fd`, which is ours. */
static bool process_locks(const char *pid, const struct stat *image, int own_fd)
{
    g_autofree char *folder = g_strdup_printf("/proc/%s/fd", pid);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *number;

    while (dir != NULL && (number = g_dir_read_name(dir)) != NULL) {
        g_autofree char *file = g_strdup_printf("%s/%s", folder, number);
        g_autofree char *info =
            g_strdup_printf("/proc/%s/fdinfo/%s", pid, number);
        g_autofree char *text = NULL;
        struct stat st;

        if (atoi(number) != own_fd && stat(file, &st) == 0 &&
            st.st_dev == image->st_dev && st.st_ino == image->st_ino &&
            st.st_rdev == image->st_rdev &&
            g_file_get_contents(info, &text, NULL, NULL) &&
            strstr(text, "OFDLCK") != NULL)
            return true;
    }
    return false;
}

/* False: nobody that we may look at. */
static bool find_owner(int fd, char *text, size_t size)
{
    g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
    g_autofree char *own = g_strdup_printf("%d", (int)getpid());
    struct stat image;
    const char *pid;

    g_strlcpy(text, "another process", size);
    if (dir == NULL || fstat(fd, &image) < 0)
        return false;
    while ((pid = g_dir_read_name(dir)) != NULL) {
        bool is_own = strcmp(pid, own) == 0;
        g_autofree char *path = NULL;
        g_autofree char *name = NULL;

        if (!g_ascii_isdigit(pid[0]) ||
            !process_locks(pid, &image, is_own ? fd : -1))
            continue;
        path = g_strdup_printf("/proc/%s/comm", pid);
        (void)g_file_get_contents(path, &name, NULL, NULL);
        g_snprintf(text, size, "process %s (%s)", pid,
                   name != NULL ? g_strstrip(name) : "?");
        return true;
    }
    return false;
}

static int try_lock(int fd, const lock_set *set)
{
    int rc = take(fd, set->used, USED_BASE);

    if (rc == 0)
        rc = take(fd, set->unshared, UNSHARED_BASE);
    if (rc == 0)
        rc = check(fd, set->used, UNSHARED_BASE);
    return rc == 0 ? check(fd, set->unshared, USED_BASE) : rc;
}

static bool is_taken(int rc)
{
    return rc == -EBUSY || rc == -EAGAIN || rc == -EACCES;
}

bool blk_lock_take(int fd, const char *name, blk_lock_mode mode, GError **error)
{
    const lock_set *set = &sets[mode];
    bool writes = (set->used & WRITE) != 0;
    char owner[OWNER_TEXT];
    int rc = try_lock(fd, set);

    /* A process that was killed is gone before the kernel has closed what its
     * io_uring uses. */
    for (int i = 0; is_taken(rc) && i < TRIES; i++) {
        if (find_owner(fd, owner, sizeof owner))
            break;
        g_usleep(TRY_US);
        rc = try_lock(fd, set);
    }
    if (rc == 0)
        return true;
    if (!is_taken(rc)) {
        if (!writes || set->unshared == 0) {
            vsr_log(VSR_LOG_WARN, "'%s' is not locked: %s", name,
                    g_strerror(-rc));
            return true;
        }
        return vsr_fail_errno(error, rc, "Cannot lock '%s' for writing", name);
    }
    return vsr_fail(error, VISOR_ERR_BUSY, "'%s' is %s by %s", name,
                    writes ? "in use" : "being written", owner);
}
