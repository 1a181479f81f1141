/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * owner.c: modes and owners of the guest's files: the host's own, or (MAPPED)
 * extended attributes of files that are all ours.
 *
 * Spec:    QEMU, docs "mapped-xattr": user.virtfs.uid, .gid, .mode, .rdev, each
 *          little-endian, of four and (rdev) eight bytes.
 * Threads: one at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs9p/state.h"

#define ATTR_PREFIX "user.virtfs."
#define ATTR_UID    ATTR_PREFIX "uid"
#define ATTR_GID    ATTR_PREFIX "gid"
#define ATTR_MODE   ATTR_PREFIX "mode"
#define ATTR_RDEV   ATTR_PREFIX "rdev"

bool fs9p_is_hidden(const vsr_fs9p *fs, const char *xattr)
{
    return fs->access == VSR_FS9P_MAPPED &&
           g_str_has_prefix(xattr, ATTR_PREFIX);
}

mode_t fs9p_host_mode(const vsr_fs9p *fs, uint32_t mode)
{
    if (fs->access == VSR_FS9P_MAPPED)
        return S_ISDIR(mode) ? 0700 : 0600;
    return mode & 0777;
}

int fs9p_open_attributes(const vsr_fs9p *fs, int fd)
{
    struct stat st;

    if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return -EOPNOTSUPP;
    return fs9p_reopen(fs, fd, O_RDONLY | O_NONBLOCK);
}

static bool get_number(int fd, const char *name, void *to, size_t len)
{
    uint64_t value = 0;

    if (fgetxattr(fd, name, &value, len) != (ssize_t)len)
        return false;
    memcpy(to, &value, len);
    return true;
}

void fs9p_map_stat(const vsr_fs9p *fs, int fd, struct stat *st)
{
    vsr_autofd attrs = fs9p_open_attributes(fs, fd);
    uint32_t value;
    uint64_t rdev;

    if (attrs < 0)
        return;
    if (get_number(attrs, ATTR_UID, &value, sizeof(value)))
        st->st_uid = value;
    if (get_number(attrs, ATTR_GID, &value, sizeof(value)))
        st->st_gid = value;
    /* A folder is one, whatever the attribute says. */
    if (get_number(attrs, ATTR_MODE, &value, sizeof(value)) &&
        S_ISDIR(st->st_mode) == S_ISDIR(value))
        st->st_mode = value;
    if (get_number(attrs, ATTR_RDEV, &rdev, sizeof(rdev)))
        st->st_rdev = rdev;
}

static int set_number(int fd, const char *name, const void *from, size_t len)
{
    return fsetxattr(fd, name, from, len, 0) < 0 ? errno : 0;
}

static int set_attributes(const vsr_fs9p *fs, int fd, const fs9p_owner *owner,
                          bool mode, bool rdev)
{
    vsr_autofd attrs = fs9p_open_attributes(fs, fd);
    int err = 0;

    if (attrs < 0)
        return -attrs;
    if (owner->uid != FS9P_NOBODY)
        err = set_number(attrs, ATTR_UID, &owner->uid, sizeof(owner->uid));
    if (err == 0 && owner->gid != FS9P_NOBODY)
        err = set_number(attrs, ATTR_GID, &owner->gid, sizeof(owner->gid));
    if (err == 0 && mode)
        err = set_number(attrs, ATTR_MODE, &owner->mode, sizeof(owner->mode));
    if (err == 0 && rdev)
        err = set_number(attrs, ATTR_RDEV, &owner->rdev, sizeof(owner->rdev));
    return err;
}

/* Squashed: what the host does not let us set, also as our user namespace has no
 * such number (EINVAL), stays as it is. */
static int allowed(const vsr_fs9p *fs, int err)
{
    bool refused = err == EPERM || err == EINVAL;

    return fs->access == VSR_FS9P_SQUASH && refused ? 0 : err;
}

int fs9p_chown(const vsr_fs9p *fs, int fd, uint32_t uid, uint32_t gid)
{
    const fs9p_owner owner = { .uid = uid, .gid = gid };

    if (fs->access == VSR_FS9P_MAPPED)
        return set_attributes(fs, fd, &owner, false, false);
    if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    return allowed(fs, errno);
}

static int chmod_host(const vsr_fs9p *fs, int fd, uint32_t mode)
{
    char name[16];

    (void)snprintf(name, sizeof(name), "%d", fd);
    /* Through the link of /proc, since there is no fchmod() of O_PATH. */
    return fchmodat(fs->proc_fd, name, mode & 07777, 0) < 0 ? errno : 0;
}

int fs9p_chmod(const vsr_fs9p *fs, int fd, uint32_t mode)
{
    fs9p_owner owner = { .uid = FS9P_NOBODY, .gid = FS9P_NOBODY };
    struct stat st;
    int err = fs9p_stat(fs, fd, &st);

    if (err != 0)
        return err;
    if (S_ISLNK(st.st_mode))
        return EOPNOTSUPP;
    owner.mode = (st.st_mode & S_IFMT) | (mode & 07777);
    if (fs->access == VSR_FS9P_MAPPED)
        return set_attributes(fs, fd, &owner, true, false);
    err = chmod_host(fs, fd, mode);
    return allowed(fs, err);
}

int fs9p_own(const vsr_fs9p *fs, int fd, const fs9p_owner *owner)
{
    int err;

    if (fs->access == VSR_FS9P_MAPPED)
        return set_attributes(fs, fd, owner, true,
                              S_ISCHR(owner->mode) || S_ISBLK(owner->mode));
    /* The owner first: changing it takes away set-user-id bits. */
    err = fs9p_chown(fs, fd, owner->uid, owner->gid);
    if (err == 0 && !S_ISLNK(owner->mode))
        err = chmod_host(fs, fd, owner->mode);
    return err;
}
