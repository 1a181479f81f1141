/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xattr.c: extended attributes: a fid becomes the value of one, or the list of
 * all, and is read or written like a file.
 *
 * Spec:    diod, protocol.md: xattrwalk, xattrcreate; xattr(7).
 * Threads: one at a time; each of these may wait for the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs9p/state.h"

/* Without those that are ours; the new length. */
static uint32_t filter_list(const vsr_fs9p *fs, uint8_t *list, uint32_t len)
{
    uint32_t kept = 0;

    for (uint32_t at = 0; at < len;) {
        const char *name = (const char *)list + at;
        uint32_t n = (uint32_t)strnlen(name, len - at) + 1;

        n = MIN(n, len - at);
        if (!fs9p_is_hidden(fs, name)) {
            memmove(list + kept, list + at, n);
            kept += n;
        }
        at += n;
    }
    return kept;
}

/* The value, or (no name) the list, newly allocated. */
static int fetch(const vsr_fs9p *fs, int fd, const char *name, uint8_t **out,
                 uint32_t *len)
{
    vsr_autofd attrs = -1;
    uint8_t *data;
    ssize_t n;

    if (fs9p_is_hidden(fs, name))
        return ENODATA;
    attrs = fs9p_open_attributes(fs, fd);
    if (attrs < 0)
        return -attrs;
    /* One byte more, so that a list always ends. */
    data = g_malloc0(FS9P_XATTR_MAX + 1);
    n = name[0] == '\0' ? flistxattr(attrs, (char *)data, FS9P_XATTR_MAX)
                        : fgetxattr(attrs, name, data, FS9P_XATTR_MAX);
    if (n < 0) {
        int err = errno;

        g_free(data);
        return err;
    }
    *len = (uint32_t)n;
    if (name[0] == '\0')
        *len = filter_list(fs, data, *len);
    *out = g_realloc(data, *len + 1);
    return 0;
}

/* Room for so much among all that are in use? */
static bool account(vsr_fs9p *fs, uint32_t bytes)
{
    if (bytes > FS9P_XATTRS_MAX - fs->xattr_bytes)
        return false;
    fs->xattr_bytes += bytes;
    return true;
}

int fs9p_xattrwalk(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    char name[FS9P_NAME_MAX + 1];
    fs9p_fid *fid, *made;
    uint8_t *data = NULL;
    uint32_t len = 0, number;
    int err = fs9p_get_fid(fs, in, &fid), fd;

    number = fs9p_get32(in);
    fs9p_get_string(in, name, sizeof(name));
    if (err != 0 || in->bad)
        return err != 0 ? err : EINVAL;
    err = fetch(fs, fid->fd, name, &data, &len);
    if (err != 0)
        return err;
    fd = fcntl(fid->fd, F_DUPFD_CLOEXEC, 3);
    err = fd < 0 ? errno : 0;
    if (err == 0 && !account(fs, len)) {
        vsr_close(fd);
        err = ENOMEM;
    } else if (err == 0) {
        err = fs9p_fid_add(fs, number, fd, fid->uid, &made);
        if (err != 0)
            fs->xattr_bytes -= len;
    }
    if (err != 0) {
        g_free(data);
        return err;
    }
    made->kind = FID_XATTR_READ;
    made->data = data;
    made->size = made->filled = len;
    fs9p_put(out, len, 8);
    return 0;
}

int fs9p_xattrcreate(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    char name[FS9P_NAME_MAX + 1];
    fs9p_fid *fid;
    uint64_t size;
    uint32_t flags;
    int err = fs9p_get_fid(fs, in, &fid);

    fs9p_get_string(in, name, sizeof(name));
    size = fs9p_get64(in);
    flags = fs9p_get32(in);
    if (err != 0 || in->bad)
        return err != 0 ? err : EINVAL;
    if (fid->kind != FID_PLAIN || name[0] == '\0' ||
        (flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE)) != 0)
        return EINVAL;
    if (fs9p_is_hidden(fs, name))
        return EACCES;
    if (size > FS9P_XATTR_MAX)
        return ENOSPC;
    if (!account(fs, (uint32_t)size))
        return ENOMEM;
    fid->kind = FID_XATTR_WRITE;
    fid->name = g_strdup(name);
    fid->size = (uint32_t)size;
    fid->filled = 0;
    fid->flags = flags;
    fid->data = g_malloc0(size + 1);
    return 0;
}

int fs9p_xattr_read(fs9p_fid *fid, uint64_t offset, uint32_t count,
                    fs9p_out *out)
{
    uint32_t at = (uint32_t)MIN(offset, fid->filled);

    count = MIN(count, fid->filled - at);
    fs9p_put(out, count, 4);
    fs9p_put_bytes(out, fid->data + at, count);
    return 0;
}

int fs9p_xattr_write(fs9p_fid *fid, uint64_t offset, fs9p_in *in,
                     uint32_t count)
{
    /* From the beginning to the end, as it was announced. */
    if (offset != fid->filled || count > fid->size - fid->filled)
        return ENOSPC;
    memcpy(fid->data + fid->filled, in->at, count);
    fid->filled += count;
    return 0;
}

int fs9p_xattr_commit(vsr_fs9p *fs, fs9p_fid *fid)
{
    vsr_autofd attrs = -1;
    int rc;

    if (fid->kind != FID_XATTR_WRITE)
        return 0;
    if (fid->filled != fid->size)
        return EINVAL;
    attrs = fs9p_open_attributes(fs, fid->fd);
    if (attrs < 0)
        return -attrs;
    /* Linux removes one by giving it no value. */
    if (fid->size == 0 && fid->flags == XATTR_REPLACE)
        rc = fremovexattr(attrs, fid->name);
    else
        rc = fsetxattr(attrs, fid->name, fid->data, fid->size, (int)fid->flags);
    return rc < 0 ? errno : 0;
}
