/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file.c: files and folders that are open: their contents, locks, syncing.
 *
 * Spec:    diod, protocol.md: lopen, lcreate, read, write, readdir, fsync, lock,
 *          getlock; getdents(2), fcntl(2) "Open file description locks".
 * Threads: one at a time; each of these may wait for the disk.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs9p/state.h"

enum {
    /* Of a client's flags. Those of Linux on x86 are the protocol's. O_DIRECT
     * would ask for alignment that messages do not have. */
    OPEN_FLAGS = O_ACCMODE | O_TRUNC | O_APPEND | O_DSYNC | O_SYNC,
    ENTRY_FIXED = 13 + 8 + 1 + 2, /* of one entry of a folder */
    DENTS = 32 << 10,

    P9_LOCK_SUCCESS = 0,
    P9_LOCK_BLOCKED = 1,
    P9_LOCK_READ = 0,
    P9_LOCK_WRITE = 1,
    P9_LOCK_UNLOCK = 2,
};

static bool wants_to_write(uint32_t flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
}

static void opened(fs9p_fid *fid, fs9p_fid_kind kind, int fd, uint32_t flags)
{
    fid->kind = kind;
    fid->io_fd = fd;
    fid->is_writable = (flags & O_ACCMODE) != O_RDONLY;
}

static void put_opened(const vsr_fs9p *fs, fs9p_out *out, const struct stat *st)
{
    fs9p_put_qid(fs, out, st);
    fs9p_put(out, 0, 4); /* iounit: as much as a message takes */
}

int fs9p_lopen(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    fs9p_fid *fid;
    struct stat st;
    int err = fs9p_get_fid(fs, in, &fid);
    uint32_t flags = fs9p_get32(in);
    int fd;

    if (err != 0 || in->bad)
        return err != 0 ? err : EINVAL;
    if (fid->kind != FID_PLAIN)
        return EBADF;
    if (fs->readonly && wants_to_write(flags))
        return EROFS;
    err = fs9p_stat(fs, fid->fd, &st);
    if (err != 0)
        return err;
    /* Pipes, sockets and devices are the guest's kernel's: opening one here
     * would wait, or reach the host's. */
    if (S_ISLNK(st.st_mode))
        return ELOOP;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return ENXIO;
    if (S_ISDIR(st.st_mode) && wants_to_write(flags))
        return EISDIR;
    fd = S_ISDIR(st.st_mode)
             ? fs9p_reopen(fs, fid->fd, O_RDONLY | O_DIRECTORY)
             : fs9p_reopen(fs, fid->fd, (int)(flags & OPEN_FLAGS));
    if (fd < 0)
        return -fd;
    opened(fid, S_ISDIR(st.st_mode) ? FID_DIRECTORY : FID_FILE, fd, flags);
    put_opened(fs, out, &st);
    return 0;
}

/* `name` was there already, and that is fine. */
static int open_existing(vsr_fs9p *fs, const fs9p_fid *dir, const char *name,
                         uint32_t flags, int *path_fd, int *io_fd)
{
    struct stat st;
    int err;

    *path_fd = fs9p_open_entry(dir->fd, name);
    if (*path_fd < 0)
        return -*path_fd;
    err = fs9p_stat(fs, *path_fd, &st);
    if (err != 0)
        return err;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? EISDIR : EEXIST;
    *io_fd = fs9p_reopen(fs, *path_fd, (int)(flags & OPEN_FLAGS));
    return *io_fd < 0 ? -*io_fd : 0;
}

static int create_new(vsr_fs9p *fs, const fs9p_fid *dir, const char *name,
                      uint32_t flags, const fs9p_owner *owner, int *path_fd,
                      int *io_fd)
{
    int err;

    /* Exclusive: no link is followed, and nothing but a new file is opened. */
    *io_fd = openat(dir->fd, name,
                    (int)(flags & OPEN_FLAGS) | O_CREAT | O_EXCL | O_NOFOLLOW |
                        O_CLOEXEC | O_NOCTTY,
                    fs9p_host_mode(fs, owner->mode));
    if (*io_fd < 0)
        return errno;
    *path_fd = fs9p_reopen(fs, *io_fd, O_PATH);
    err = *path_fd < 0 ? -*path_fd : fs9p_own(fs, *path_fd, owner);
    if (err != 0)
        (void)unlinkat(dir->fd, name, 0);
    return err;
}

int fs9p_lcreate(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    char name[FS9P_NAME_MAX + 1];
    fs9p_owner owner = { 0 };
    vsr_autofd path_fd = -1, io_fd = -1;
    fs9p_fid *fid;
    struct stat st;
    uint32_t flags;
    int err = fs9p_get_fid(fs, in, &fid);

    if (err == 0)
        err = fs9p_get_name(in, name);
    flags = fs9p_get32(in);
    owner.mode = S_IFREG | (fs9p_get32(in) & 07777);
    owner.gid = fs9p_get32(in);
    if (err != 0 || in->bad)
        return err != 0 ? err : EINVAL;
    if (fid->kind != FID_PLAIN)
        return EBADF;
    owner.uid = fid->uid;
    err = create_new(fs, fid, name, flags, &owner, &path_fd, &io_fd);
    if (err == EEXIST && (flags & O_EXCL) == 0)
        err = open_existing(fs, fid, name, flags, &path_fd, &io_fd);
    if (err == 0)
        err = fs9p_stat(fs, path_fd, &st);
    if (err != 0)
        return err;
    /* The fid is the file's from now on, and no longer the folder's. */
    vsr_close(fid->fd);
    fid->fd = vsr_steal_fd(&path_fd);
    fid->is_root = false;
    opened(fid, FID_FILE, vsr_steal_fd(&io_fd), flags);
    put_opened(fs, out, &st);
    return 0;
}

/* --- contents ------------------------------------------------------------------------ */

int fs9p_read(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    fs9p_fid *fid;
    int err = fs9p_get_fid(fs, in, &fid);
    uint64_t offset = fs9p_get64(in);
    uint32_t count = fs9p_get32(in), n;
    ssize_t got;

    if (err != 0 || in->bad)
        return err != 0 ? err : EINVAL;
    if (out->max < out->len + 4 || offset > INT64_MAX)
        return EINVAL;
    count = MIN(count, out->max - out->len - 4);
    if (fid->kind == FID_XATTR_READ)
        return fs9p_xattr_read(fid, offset, count, out);
    if (fid->kind != FID_FILE)
        return fid->kind == FID_DIRECTORY ? EISDIR : EBADF;
    do
        got = pread(fid->io_fd, out->base + out->len + 4, count, (off_t)offset);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno;
    n = (uint32_t)got;
    fs9p_put(out, n, 4);
    out->len += n;
    return 0;
}

int fs9p_write(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    fs9p_fid *fid;
    int err = fs9p_get_fid(fs, in, &fid);
    uint64_t offset = fs9p_get64(in);
    uint32_t count = fs9p_get32(in);
    ssize_t done;

    if (err != 0 || in->bad)
        return err != 0 ? err : EINVAL;
    if (count > in->left || offset > INT64_MAX)
        return EINVAL;
    if (fid->kind == FID_XATTR_WRITE) {
        err = fs9p_xattr_write(fid, offset, in, count);
        fs9p_put(out, count, 4);
        return err;
    }
    if (fid->kind != FID_FILE || !fid->is_writable)
        return EBADF;
    do
        done = pwrite(fid->io_fd, in->at, count, (off_t)offset);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return errno;
    fs9p_put(out, (uint64_t)done, 4);
    return 0;
}

int fs9p_fsync(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    fs9p_fid *fid;
    int err = fs9p_get_fid(fs, in, &fid);
    /* Old clients do not send it. */
    bool data_only = in->left >= 4 && fs9p_get32(in) != 0;

    if (err != 0)
        return err;
    if (fid->io_fd < 0)
        return EBADF;
    return (data_only ? fdatasync(fid->io_fd) : fsync(fid->io_fd)) < 0 ? errno
                                                                       : 0;
}

/* --- folders --------------------------------------------------------------------------- */

static void put_entry(const vsr_fs9p *fs, fs9p_out *out,
                      const struct dirent64 *entry)
{
    uint8_t type = entry->d_type, qid = 0;

    /* In a mapped folder a file may be anything; a look at it tells. */
    if (fs->access == VSR_FS9P_MAPPED && type == DT_REG)
        type = DT_UNKNOWN;
    if (type == DT_DIR)
        qid = 0x80;
    else if (type == DT_LNK)
        qid = 0x02;
    fs9p_put_raw_qid(out, qid, 0, entry->d_ino);
    fs9p_put(out, (uint64_t)entry->d_off, 8);
    fs9p_put(out, type, 1);
    fs9p_put_string(out, entry->d_name);
}

/* Entries until `end` is reached; -errno, 0: no more, 1: no room for more. */
static int put_entries(const vsr_fs9p *fs, const fs9p_fid *fid, fs9p_out *out,
                       uint32_t end)
{
    union {
        struct dirent64 entry;
        char bytes[DENTS];
    } *room = g_malloc(sizeof(*room));
    long n;
    int rc = 0;

    /* What was read and does not fit is read again: the client says where it
     * goes on. */
    do {
        uint32_t want = MIN((uint32_t)DENTS, end - out->len);

        n = syscall(SYS_getdents64, fid->io_fd, room, (size_t)want);
        if (n < 0)
            rc = errno == EINVAL ? 1 : -errno; /* not even for one */
        for (long at = 0; at < n && rc == 0;) {
            const struct dirent64 *entry =
                (const struct dirent64 *)(const void *)(room->bytes + at);

            if (end - out->len < ENTRY_FIXED + strlen(entry->d_name))
                rc = 1;
            else
                put_entry(fs, out, entry);
            at += entry->d_reclen;
        }
    } while (n > 0 && rc == 0);
    g_free(room);
    return rc;
}

int fs9p_readdir(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    fs9p_fid *fid;
    int err = fs9p_get_fid(fs, in, &fid);
    uint64_t offset = fs9p_get64(in);
    uint32_t count = fs9p_get32(in), at = out->len, n;
    int rc;

    if (err != 0 || in->bad)
        return err != 0 ? err : EINVAL;
    if (fid->kind != FID_DIRECTORY)
        return ENOTDIR;
    if (out->max < at + 4)
        return EINVAL;
    count = MIN(count, out->max - at - 4);
    if (lseek(fid->io_fd, (off_t)offset, SEEK_SET) < 0)
        return errno;
    fs9p_put(out, 0, 4);
    rc = put_entries(fs, fid, out, out->len + count);
    n = out->len - at - 4;
    if (rc < 0 && n == 0)
        return -rc;
    if (rc == 1 && n == 0)
        return EINVAL;
    memcpy(out->base + at, &n, sizeof(n));
    return 0;
}

/* --- locks -------------------------------------------------------------------------------- */

typedef struct {
    uint8_t type;
    uint64_t start, len;
    uint32_t process;
    char client[256];
} lock_request;

static int get_lock(fs9p_in *in, bool has_flags, lock_request *out)
{
    out->type = (uint8_t)fs9p_get(in, 1);
    if (has_flags)
        (void)fs9p_get32(in); /* to wait or not: the client asks again */
    out->start = fs9p_get64(in);
    out->len = fs9p_get64(in);
    out->process = fs9p_get32(in);
    fs9p_get_string(in, out->client, sizeof(out->client));
    if (in->bad || out->type > P9_LOCK_UNLOCK || out->start > INT64_MAX ||
        out->len > INT64_MAX - out->start)
        return EINVAL;
    return 0;
}

static struct flock to_flock(const lock_request *lock)
{
    static const short types[] = { F_RDLCK, F_WRLCK, F_UNLCK };

    return (struct flock){ .l_type = types[lock->type],
                           .l_whence = SEEK_SET,
                           .l_start = (off_t)lock->start,
                           .l_len = (off_t)lock->len };
}

int fs9p_lock(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    lock_request lock;
    struct flock how;
    fs9p_fid *fid;
    int err = fs9p_get_fid(fs, in, &fid);

    if (err == 0)
        err = get_lock(in, true, &lock);
    if (err != 0)
        return err;
    if (fid->kind != FID_FILE)
        return EBADF;
    how = to_flock(&lock);
    if (fcntl(fid->io_fd, F_OFD_SETLK, &how) == 0) {
        fs9p_put(out, P9_LOCK_SUCCESS, 1);
        return 0;
    }
    if (errno != EAGAIN && errno != EACCES)
        return errno;
    fs9p_put(out, P9_LOCK_BLOCKED, 1);
    return 0;
}

int fs9p_getlock(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    lock_request lock;
    struct flock how;
    fs9p_fid *fid;
    int err = fs9p_get_fid(fs, in, &fid);

    if (err == 0)
        err = get_lock(in, false, &lock);
    if (err != 0)
        return err;
    if (fid->kind != FID_FILE)
        return EBADF;
    /* Linux asks for no lock at all where its own kernel has none in the way:
     * what it wants is not known, only a writer's lock surely hinders. */
    if (lock.type == P9_LOCK_UNLOCK)
        lock.type = P9_LOCK_READ;
    how = to_flock(&lock);
    if (fcntl(fid->io_fd, F_OFD_GETLK, &how) < 0)
        return errno;
    if (how.l_type == F_UNLCK) {
        lock.type = P9_LOCK_UNLOCK;
    } else {
        lock.type = how.l_type == F_WRLCK ? P9_LOCK_WRITE : P9_LOCK_READ;
        lock.start = (uint64_t)how.l_start;
        lock.len = (uint64_t)how.l_len;
    }
    fs9p_put(out, lock.type, 1);
    fs9p_put(out, lock.start, 8);
    fs9p_put(out, lock.len, 8);
    fs9p_put(out, lock.process, 4);
    fs9p_put_string(out, lock.client);
    return 0;
}
