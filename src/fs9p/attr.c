/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * attr.c: what is known of a file, and of the file system.
 *
 * Spec:    diod, protocol.md: getattr, setattr, statfs.
 * Threads: one at a time; each of these may wait for the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs9p/state.h"

enum {
    GETATTR_BASIC = 0x7ff,

    SET_MODE = 0x1,
    SET_UID = 0x2,
    SET_GID = 0x4,
    SET_SIZE = 0x8,
    SET_ATIME = 0x10,
    SET_MTIME = 0x20,
    SET_CTIME = 0x40, /* which any change does by itself */
    SET_ATIME_TO = 0x80,
    SET_MTIME_TO = 0x100,
    SET_ALL = 0x1ff,
};

static void put_time(fs9p_out *out, const struct timespec *time)
{
    fs9p_put(out, (uint64_t)time->tv_sec, 8);
    fs9p_put(out, (uint64_t)time->tv_nsec, 8);
}

int fs9p_getattr(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    static const struct timespec unknown;
    fs9p_fid *fid;
    struct stat st;
    int err = fs9p_get_fid(fs, in, &fid);

    (void)fs9p_get64(in); /* of what is asked for we have the basics */
    if (err == 0)
        err = in->bad ? EINVAL : fs9p_stat(fs, fid->fd, &st);
    if (err != 0)
        return err;
    fs9p_put(out, GETATTR_BASIC, 8);
    fs9p_put_qid(fs, out, &st);
    fs9p_put(out, st.st_mode, 4);
    fs9p_put(out, st.st_uid, 4);
    fs9p_put(out, st.st_gid, 4);
    fs9p_put(out, st.st_nlink, 8);
    fs9p_put(out, st.st_rdev, 8);
    fs9p_put(out, (uint64_t)st.st_size, 8);
    fs9p_put(out, (uint64_t)st.st_blksize, 8);
    fs9p_put(out, (uint64_t)st.st_blocks, 8);
    put_time(out, &st.st_atim);
    put_time(out, &st.st_mtim);
    put_time(out, &st.st_ctim);
    put_time(out, &unknown); /* of its birth */
    fs9p_put(out, 0, 8);     /* generation */
    fs9p_put(out, 0, 8);     /* version of its data */
    return 0;
}

typedef struct {
    uint32_t valid, mode, uid, gid;
    uint64_t size;
    struct timespec times[2];
} change;

static int get_time(fs9p_in *in, bool now, bool given, struct timespec *out)
{
    uint64_t s = fs9p_get64(in), ns = fs9p_get64(in);

    out->tv_sec = 0;
    out->tv_nsec = now ? UTIME_NOW : UTIME_OMIT;
    if (!given)
        return 0;
    if (ns > 999999999)
        return EINVAL;
    out->tv_sec = (time_t)s;
    out->tv_nsec = (long)ns;
    return 0;
}

static int get_change(fs9p_in *in, change *out)
{
    int err;

    out->valid = fs9p_get32(in);
    out->mode = fs9p_get32(in);
    out->uid = fs9p_get32(in);
    out->gid = fs9p_get32(in);
    out->size = fs9p_get64(in);
    err = get_time(in, (out->valid & SET_ATIME) != 0,
                   (out->valid & SET_ATIME) != 0 &&
                       (out->valid & SET_ATIME_TO) != 0,
                   &out->times[0]);
    if (err == 0)
        err = get_time(in, (out->valid & SET_MTIME) != 0,
                       (out->valid & SET_MTIME) != 0 &&
                           (out->valid & SET_MTIME_TO) != 0,
                       &out->times[1]);
    if (in->bad || (out->valid & ~(uint32_t)SET_ALL) != 0 ||
        out->size > INT64_MAX)
        return EINVAL;
    if ((out->valid & SET_UID) == 0)
        out->uid = FS9P_NOBODY;
    if ((out->valid & SET_GID) == 0)
        out->gid = FS9P_NOBODY;
    return err;
}

static int set_size(const vsr_fs9p *fs, const fs9p_fid *fid, uint64_t size)
{
    vsr_autofd fd = -1;
    struct stat st;
    int err;

    if (fid->kind == FID_FILE && fid->is_writable)
        return ftruncate(fid->io_fd, (off_t)size) < 0 ? errno : 0;
    err = fs9p_stat(fs, fid->fd, &st);
    if (err != 0)
        return err;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    fd = fs9p_reopen(fs, fid->fd, O_WRONLY);
    if (fd < 0)
        return -fd;
    return ftruncate(fd, (off_t)size) < 0 ? errno : 0;
}

int fs9p_setattr(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    fs9p_fid *fid;
    change c;
    int err = fs9p_get_fid(fs, in, &fid);

    if (err == 0)
        err = get_change(in, &c);
    /* In this order: a change of size or owner takes set-user-id bits away and
     * touches the times. */
    if (err == 0 && (c.valid & SET_SIZE) != 0)
        err = set_size(fs, fid, c.size);
    if (err == 0 && (c.valid & (SET_UID | SET_GID)) != 0)
        err = fs9p_chown(fs, fid->fd, c.uid, c.gid);
    if (err == 0 && (c.valid & SET_MODE) != 0)
        err = fs9p_chmod(fs, fid->fd, c.mode);
    if (err == 0 && (c.valid & (SET_ATIME | SET_MTIME)) != 0 &&
        utimensat(fid->fd, "", c.times, AT_EMPTY_PATH) < 0)
        err = errno;
    return err;
}

int fs9p_statfs(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    fs9p_fid *fid;
    struct statfs st;
    uint64_t id;
    int err = fs9p_get_fid(fs, in, &fid);

    if (err != 0)
        return err;
    if (fstatfs(fid->fd, &st) < 0)
        return errno;
    memcpy(&id, &st.f_fsid, sizeof(id));
    fs9p_put(out, (uint64_t)st.f_type, 4);
    fs9p_put(out, (uint64_t)st.f_bsize, 4);
    fs9p_put(out, st.f_blocks, 8);
    fs9p_put(out, st.f_bfree, 8);
    fs9p_put(out, st.f_bavail, 8);
    fs9p_put(out, st.f_files, 8);
    fs9p_put(out, st.f_ffree, 8);
    fs9p_put(out, id, 8);
    fs9p_put(out, (uint64_t)st.f_namelen, 4);
    return 0;
}
