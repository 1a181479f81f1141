/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * state.h: what the files of the 9P server share.
 *
 * Operations return 0 or an errno, positive as on the wire.
 *
 * Threads: one at a time.
 */
#ifndef VSR_FS9P_STATE_H
#define VSR_FS9P_STATE_H

#include <sys/stat.h>
#include <sys/types.h>

#include "fs9p/fs9p.h"
#include "fs9p/wire.h"

enum {
    FS9P_NAME_MAX = 255,
    FS9P_WALK_MAX = 16,
    FS9P_XATTR_MAX = 64 << 10, /* Linux: XATTR_SIZE_MAX, XATTR_LIST_MAX */
    FS9P_XATTRS_MAX = 4 << 20, /* bytes of all that are in use */
    FS9P_IO_OVERHEAD = 11,     /* of a Tread's answer */
    FS9P_NOBODY = 0xffffffffu, /* no user, no group */
};

typedef enum {
    FID_PLAIN,
    FID_FILE,        /* io_fd is open */
    FID_DIRECTORY,   /* likewise */
    FID_XATTR_READ,  /* data has its value, or the list */
    FID_XATTR_WRITE, /* data is what it will be */
} fs9p_fid_kind;

typedef struct {
    fs9p_fid_kind kind;
    int fd;    /* O_PATH, O_NOFOLLOW; owned */
    int io_fd; /* -1: not open; owned */
    bool is_root;
    bool is_writable; /* io_fd */
    uint32_t uid;     /* of who attached */
    /* Extended attributes. */
    char *name; /* owned */
    uint8_t *data;
    uint32_t size, filled;
    uint32_t flags;
} fs9p_fid;

struct vsr_fs9p {
    int root_fd, proc_fd; /* proc_fd: /proc/self/fd */
    bool readonly;
    vsr_fs9p_access access;
    uint32_t max_fids;
    uint32_t msize;   /* 0: no Tversion yet */
    dev_t dev;        /* of the root */
    GHashTable *fids; /* of fs9p_fid by number, owned */
    uint32_t xattr_bytes;
};

/* --- fid.c --- */

fs9p_fid *fs9p_fid_find(vsr_fs9p *fs, uint32_t number);
/* Takes fd in any case. EBADF: the number is taken. */
int fs9p_fid_add(vsr_fs9p *fs, uint32_t number, int fd, uint32_t uid,
                 fs9p_fid **out);
void fs9p_fid_remove(vsr_fs9p *fs, uint32_t number);
void fs9p_fid_free(void *fid);
/* The number, and its fid; NULL and in->bad or EBADF. */
int fs9p_get_fid(vsr_fs9p *fs, fs9p_in *in, fs9p_fid **out);

/* One component that names an entry: not empty, no slash, neither dot nor
 * dot-dot. ENAMETOOLONG, EINVAL. */
int fs9p_get_name(fs9p_in *in, char name[FS9P_NAME_MAX + 1]);
/* An entry of a directory, as it is, links not followed. The fd or -errno. */
int fs9p_open_entry(int dir_fd, const char *name);
/* What an O_PATH descriptor is of, for use. The fd or -errno. */
int fs9p_reopen(const vsr_fs9p *fs, int fd, int flags);
/* As the guest sees it. */
int fs9p_stat(const vsr_fs9p *fs, int fd, struct stat *out);
void fs9p_put_qid(const vsr_fs9p *fs, fs9p_out *out, const struct stat *st);
void fs9p_put_raw_qid(fs9p_out *out, uint8_t type, uint32_t version,
                      uint64_t path);

/* --- owner.c: modes, owners, and where they are kept --- */

typedef struct {
    uint32_t uid, gid;
    uint32_t mode; /* with the type */
    uint64_t rdev;
} fs9p_owner;

/* The mode that something new gets on the host. */
mode_t fs9p_host_mode(const vsr_fs9p *fs, uint32_t mode);
/* Something new is to be the guest's. */
int fs9p_own(const vsr_fs9p *fs, int fd, const fs9p_owner *owner);
int fs9p_chmod(const vsr_fs9p *fs, int fd, uint32_t mode);
int fs9p_chown(const vsr_fs9p *fs, int fd, uint32_t uid, uint32_t gid);
/* MAPPED: from the attributes, over what is in *st. */
void fs9p_map_stat(const vsr_fs9p *fs, int fd, struct stat *st);
/* For the f…xattr() calls, which do not take O_PATH: only files and folders have
 * any. The fd or -errno. */
int fs9p_open_attributes(const vsr_fs9p *fs, int fd);
bool fs9p_is_hidden(const vsr_fs9p *fs, const char *xattr);

/* --- operations; fs9p.c calls them --- */

typedef int fs9p_op(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out);

fs9p_op fs9p_lopen, fs9p_lcreate, fs9p_read, fs9p_write, fs9p_readdir,
    fs9p_fsync, fs9p_lock, fs9p_getlock; /* file.c */
fs9p_op fs9p_mkdir, fs9p_symlink, fs9p_mknod, fs9p_link, fs9p_renameat,
    fs9p_unlinkat, fs9p_readlink;                /* tree.c */
fs9p_op fs9p_getattr, fs9p_setattr, fs9p_statfs; /* attr.c */
fs9p_op fs9p_xattrwalk, fs9p_xattrcreate;        /* xattr.c */
int fs9p_xattr_read(fs9p_fid *fid, uint64_t offset, uint32_t count,
                    fs9p_out *out);
int fs9p_xattr_write(fs9p_fid *fid, uint64_t offset, fs9p_in *in,
                     uint32_t count);
/* A fid that ends: what was written becomes the attribute. */
int fs9p_xattr_commit(vsr_fs9p *fs, fs9p_fid *fid);

#endif
