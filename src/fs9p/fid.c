/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fid.c: the files a client has in use, each an O_PATH descriptor, so that what
 * it means does not change with names; and how one comes from the other.
 *
 * Spec:    openat2(2), RESOLVE_BENEATH; proc(5), /proc/pid/fd.
 * Threads: one at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs9p/state.h"

enum { QID_DIR = 0x80, QID_SYMLINK = 0x02, QID_FILE = 0 };

void fs9p_fid_free(void *opaque)
{
    fs9p_fid *fid = opaque;

    vsr_close(fid->fd);
    vsr_close(fid->io_fd);
    g_free(fid->name);
    g_free(fid->data);
    g_free(fid);
}

fs9p_fid *fs9p_fid_find(vsr_fs9p *fs, uint32_t number)
{
    return g_hash_table_lookup(fs->fids, GUINT_TO_POINTER(number));
}

int fs9p_fid_add(vsr_fs9p *fs, uint32_t number, int fd, uint32_t uid,
                 fs9p_fid **out)
{
    fs9p_fid *fid;

    if (number == UINT32_MAX || fs9p_fid_find(fs, number) != NULL ||
        g_hash_table_size(fs->fids) >= fs->max_fids) {
        vsr_close(fd);
        return g_hash_table_size(fs->fids) >= fs->max_fids ? ENFILE : EBADF;
    }
    fid = g_new0(fs9p_fid, 1);
    fid->fd = fd;
    fid->io_fd = -1;
    fid->uid = uid;
    g_hash_table_insert(fs->fids, GUINT_TO_POINTER(number), fid);
    *out = fid;
    return 0;
}

void fs9p_fid_remove(vsr_fs9p *fs, uint32_t number)
{
    const fs9p_fid *fid = fs9p_fid_find(fs, number);

    if (fid != NULL && fid->data != NULL)
        fs->xattr_bytes -= fid->size;
    g_hash_table_remove(fs->fids, GUINT_TO_POINTER(number));
}

int fs9p_get_fid(vsr_fs9p *fs, fs9p_in *in, fs9p_fid **out)
{
    uint32_t number = fs9p_get32(in);

    *out = in->bad ? NULL : fs9p_fid_find(fs, number);
    return *out != NULL ? 0 : EBADF;
}

int fs9p_get_name(fs9p_in *in, char name[FS9P_NAME_MAX + 1])
{
    uint32_t left = in->left;

    fs9p_get_string(in, name, FS9P_NAME_MAX + 1);
    if (in->bad)
        return left > FS9P_NAME_MAX + 2 ? ENAMETOOLONG : EINVAL;
    if (name[0] == '\0' || strchr(name, '/') != NULL ||
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return EINVAL;
    return 0;
}

int fs9p_open_entry(int dir_fd, const char *name)
{
    const struct open_how how = {
        .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
        .resolve =
            RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
    };
    long fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));

    return fd < 0 ? -errno : (int)fd;
}

int fs9p_reopen(const vsr_fs9p *fs, int fd, int flags)
{
    char name[16];
    int out;

    (void)snprintf(name, sizeof(name), "%d", fd);
    out = openat(fs->proc_fd, name, flags | O_CLOEXEC | O_NOCTTY);
    return out < 0 ? -errno : out;
}

int fs9p_stat(const vsr_fs9p *fs, int fd, struct stat *out)
{
    if (fstatat(fd, "", out, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
        return errno;
    if (fs->access == VSR_FS9P_MAPPED)
        fs9p_map_stat(fs, fd, out);
    return 0;
}

void fs9p_put_raw_qid(fs9p_out *out, uint8_t type, uint32_t version,
                      uint64_t path)
{
    fs9p_put(out, type, 1);
    fs9p_put(out, version, 4);
    fs9p_put(out, path, 8);
}

void fs9p_put_qid(const vsr_fs9p *fs, fs9p_out *out, const struct stat *st)
{
    uint8_t type = QID_FILE;
    /* Other file systems may be mounted below the root: theirs are apart. */
    uint64_t path =
        st->st_ino ^ (uint64_t)(st->st_dev ^ fs->dev) * 0x9e3779b97f4a7c15;

    if (S_ISDIR(st->st_mode))
        type = QID_DIR;
    else if (S_ISLNK(st->st_mode))
        type = QID_SYMLINK;
    fs9p_put_raw_qid(out, type,
                     (uint32_t)(st->st_mtim.tv_sec ^ st->st_size << 8), path);
}
