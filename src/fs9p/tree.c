/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tree.c: entries of folders: made, linked, renamed, removed; what a symbolic
 * link says.
 *
 * Spec:    diod, protocol.md: mkdir, symlink, mknod, link, renameat, unlinkat,
 *          readlink.
 * Threads: one at a time; each of these may wait for the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs9p/state.h"

/* What was just made as `name` becomes the guest's, or goes again. */
static int finish(vsr_fs9p *fs, const fs9p_fid *dir, const char *name,
                  const fs9p_owner *owner, fs9p_out *out)
{
    vsr_autofd fd = fs9p_open_entry(dir->fd, name);
    struct stat st;
    int err = fd < 0 ? -fd : fs9p_own(fs, fd, owner);

    if (err == 0)
        err = fs9p_stat(fs, fd, &st);
    if (err == 0)
        fs9p_put_qid(fs, out, &st);
    else
        (void)unlinkat(dir->fd, name, S_ISDIR(owner->mode) ? AT_REMOVEDIR : 0);
    return err;
}

int fs9p_mkdir(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    char name[FS9P_NAME_MAX + 1];
    fs9p_owner owner = { 0 };
    fs9p_fid *dir;
    int err = fs9p_get_fid(fs, in, &dir);

    if (err == 0)
        err = fs9p_get_name(in, name);
    owner.mode = S_IFDIR | (fs9p_get32(in) & 07777);
    owner.gid = fs9p_get32(in);
    if (err != 0 || in->bad)
        return err != 0 ? err : EINVAL;
    owner.uid = dir->uid;
    if (mkdirat(dir->fd, name, fs9p_host_mode(fs, owner.mode)) < 0)
        return errno;
    return finish(fs, dir, name, &owner, out);
}

/* MAPPED: a file with some content that is something else to the guest. */
static int make_mapped(vsr_fs9p *fs, const fs9p_fid *dir, const char *name,
                       const char *content, const fs9p_owner *owner,
                       fs9p_out *out)
{
    vsr_autofd fd = openat(dir->fd, name,
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                           fs9p_host_mode(fs, owner->mode));
    int err;

    if (fd < 0)
        return errno;
    err = vsr_write_all(fd, content, strlen(content));
    if (err != 0) {
        (void)unlinkat(dir->fd, name, 0);
        return -err;
    }
    return finish(fs, dir, name, owner, out);
}

int fs9p_symlink(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    char name[FS9P_NAME_MAX + 1], target[PATH_MAX];
    fs9p_owner owner = { .mode = S_IFLNK | 0777 };
    fs9p_fid *dir;
    int err = fs9p_get_fid(fs, in, &dir);

    if (err == 0)
        err = fs9p_get_name(in, name);
    fs9p_get_string(in, target, sizeof(target));
    owner.gid = fs9p_get32(in);
    if (err != 0 || in->bad)
        return err != 0 ? err : EINVAL;
    owner.uid = dir->uid;
    if (fs->access == VSR_FS9P_MAPPED)
        return make_mapped(fs, dir, name, target, &owner, out);
    if (symlinkat(target, dir->fd, name) < 0)
        return errno;
    return finish(fs, dir, name, &owner, out);
}

int fs9p_mknod(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    char name[FS9P_NAME_MAX + 1];
    fs9p_owner owner = { 0 };
    uint32_t major, minor;
    fs9p_fid *dir;
    int err = fs9p_get_fid(fs, in, &dir);

    if (err == 0)
        err = fs9p_get_name(in, name);
    owner.mode = fs9p_get32(in) & (S_IFMT | 07777);
    major = fs9p_get32(in);
    minor = fs9p_get32(in);
    owner.gid = fs9p_get32(in);
    if (err != 0 || in->bad)
        return err != 0 ? err : EINVAL;
    owner.uid = dir->uid;
    owner.rdev = makedev(major, minor);
    switch (owner.mode & S_IFMT) {
    case S_IFREG:
    case S_IFIFO:
    case S_IFSOCK:
        break;
    case S_IFCHR:
    case S_IFBLK:
        /* A device node in the host's tree would be the host's device. */
        if (fs->access != VSR_FS9P_MAPPED)
            return EPERM;
        break;
    default:
        return EINVAL;
    }
    if (fs->access == VSR_FS9P_MAPPED)
        return make_mapped(fs, dir, name, "", &owner, out);
    if (mknodat(dir->fd, name,
                (owner.mode & S_IFMT) | fs9p_host_mode(fs, owner.mode), 0) < 0)
        return errno;
    return finish(fs, dir, name, &owner, out);
}

int fs9p_link(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    char name[FS9P_NAME_MAX + 1], number[16];
    fs9p_fid *dir, *fid;
    int err = fs9p_get_fid(fs, in, &dir);

    if (err == 0)
        err = fs9p_get_fid(fs, in, &fid);
    if (err == 0)
        err = fs9p_get_name(in, name);
    if (err != 0)
        return err;
    (void)snprintf(number, sizeof(number), "%d", fid->fd);
    /* The link that is followed is /proc's; one that it leads to is not. */
    if (linkat(fs->proc_fd, number, dir->fd, name, AT_SYMLINK_FOLLOW) < 0)
        return errno;
    return 0;
}

int fs9p_renameat(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    char from[FS9P_NAME_MAX + 1], to[FS9P_NAME_MAX + 1];
    fs9p_fid *old_dir, *new_dir;
    int err = fs9p_get_fid(fs, in, &old_dir);

    if (err == 0)
        err = fs9p_get_name(in, from);
    if (err == 0)
        err = fs9p_get_fid(fs, in, &new_dir);
    if (err == 0)
        err = fs9p_get_name(in, to);
    if (err != 0)
        return err;
    return renameat(old_dir->fd, from, new_dir->fd, to) < 0 ? errno : 0;
}

int fs9p_unlinkat(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    char name[FS9P_NAME_MAX + 1];
    fs9p_fid *dir;
    int err = fs9p_get_fid(fs, in, &dir);
    uint32_t flags;

    if (err == 0)
        err = fs9p_get_name(in, name);
    flags = fs9p_get32(in);
    if (err != 0 || in->bad)
        return err != 0 ? err : EINVAL;
    if ((flags & ~(uint32_t)AT_REMOVEDIR) != 0)
        return EINVAL;
    return unlinkat(dir->fd, name, (int)flags) < 0 ? errno : 0;
}

static ssize_t read_mapped(const vsr_fs9p *fs, int fd, char *to, size_t size)
{
    vsr_autofd file = fs9p_reopen(fs, fd, O_RDONLY | O_NONBLOCK);
    ssize_t n;

    if (file < 0)
        return file;
    n = pread(file, to, size, 0);
    return n < 0 ? -errno : n;
}

int fs9p_readlink(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    char target[PATH_MAX];
    fs9p_fid *fid;
    struct stat host, seen;
    ssize_t n;
    int err = fs9p_get_fid(fs, in, &fid);

    if (err == 0)
        err = fs9p_stat(fs, fid->fd, &seen);
    if (err != 0)
        return err;
    if (!S_ISLNK(seen.st_mode))
        return EINVAL;
    if (fstatat(fid->fd, "", &host, AT_EMPTY_PATH) < 0)
        return errno;
    if (S_ISLNK(host.st_mode)) {
        n = readlinkat(fid->fd, "", target, sizeof(target) - 1);
        if (n < 0)
            return errno;
    } else {
        n = read_mapped(fs, fid->fd, target, sizeof(target) - 1);
        if (n < 0)
            return (int)-n;
    }
    target[n] = '\0';
    fs9p_put_string(out, target);
    return 0;
}
