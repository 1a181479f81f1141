/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fs9p.c: see fs9p.h: which message is whose, and the session: version, attach,
 * walk, clunk.
 *
 * Requests are served one after the other, so that a Tflush finds what it is to
 * stop answered already.
 *
 * Threads: as fs9p.h says.
 */
#include "fs9p/fs9p.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "fs9p/messages.h"
#include "fs9p/state.h"

enum { FIDS_MAX = 65536, FIDS_MIN = 64 };

/* --- session ---------------------------------------------------------------------- */

static int version(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    uint32_t msize = fs9p_get32(in);
    char text[32];

    fs9p_get_string(in, text, sizeof(text));
    if (in->bad || msize < VSR_FS9P_MSIZE_MIN)
        return EINVAL;
    vsr_fs9p_reset(fs);
    msize = MIN(msize, VSR_FS9P_MSIZE_MAX);
    if (strcmp(text, "9P2000.L") == 0)
        fs->msize = msize;
    fs9p_put(out, msize, 4);
    fs9p_put_string(out, fs->msize != 0 ? text : "unknown");
    return 0;
}

static int attach(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    uint32_t number = fs9p_get32(in), uid;
    char user[256], tree[4096];
    fs9p_fid *fid;
    struct stat st;
    int err, fd;

    (void)fs9p_get32(in); /* afid: there is no authentication */
    fs9p_get_string(in, user, sizeof(user));
    fs9p_get_string(in, tree, sizeof(tree)); /* there is one only */
    uid = fs9p_get32(in);
    if (in->bad)
        return EINVAL;
    fd = fcntl(fs->root_fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return errno;
    err = fs9p_fid_add(fs, number, fd, uid, &fid);
    if (err != 0)
        return err;
    fid->is_root = true;
    err = fs9p_stat(fs, fid->fd, &st);
    if (err == 0)
        fs9p_put_qid(fs, out, &st);
    else
        fs9p_fid_remove(fs, number);
    return err;
}

typedef struct {
    int fd; /* owned */
    bool is_root;
} place;

/* From *at to its entry `name`. */
static int step(vsr_fs9p *fs, place *at, const char *name, fs9p_out *out)
{
    struct stat st;
    int fd, err;

    /* Linux never asks for the folder above; we know it of the root only,
     * whose it is itself. */
    if (strcmp(name, "..") == 0)
        fd = at->is_root ? fcntl(at->fd, F_DUPFD_CLOEXEC, 3) : -ENOENT;
    else
        fd = fs9p_open_entry(at->fd, name);
    if (fd < 0)
        return fd == -1 ? errno : -fd;
    err = fs9p_stat(fs, fd, &st);
    if (err != 0) {
        vsr_close(fd);
        return err;
    }
    vsr_close(at->fd);
    at->fd = fd;
    at->is_root = at->is_root && strcmp(name, "..") == 0;
    fs9p_put_qid(fs, out, &st);
    return 0;
}

/* How many steps went well, and the error of the next. */
static int walk_names(vsr_fs9p *fs, fs9p_in *in, uint32_t count, place *at,
                      fs9p_out *out, uint32_t *done)
{
    for (*done = 0; *done < count; (*done)++) {
        char name[FS9P_NAME_MAX + 1];
        uint32_t left = in->left;
        const uint8_t *from = in->at;
        int err = fs9p_get_name(in, name);

        if (err == EINVAL && !in->bad && strcmp(name, "..") == 0)
            err = 0;
        if (err == 0)
            err = step(fs, at, name, out);
        if (err != 0) {
            in->at = from;
            in->left = left;
            return err;
        }
    }
    return 0;
}

static int walk(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    fs9p_fid *fid, *made;
    uint32_t new_number, count, done, at_count = out->len;
    uint32_t number =
        in->left >= 4 ? fs9p_get32(&(fs9p_in){ in->at, 4, false }) : 0;
    uint16_t walked;
    place at;
    int err = fs9p_get_fid(fs, in, &fid);

    if (err != 0)
        return err;
    new_number = fs9p_get32(in);
    count = (uint32_t)fs9p_get(in, 2);
    if (in->bad || count > FS9P_WALK_MAX)
        return EINVAL;
    if (fid->kind != FID_PLAIN && count > 0)
        return EINVAL;
    if (new_number != number && fs9p_fid_find(fs, new_number) != NULL)
        return EBADF;
    at = (place){ fcntl(fid->fd, F_DUPFD_CLOEXEC, 3), fid->is_root };
    if (at.fd < 0)
        return errno;
    fs9p_put(out, 0, 2);
    err = walk_names(fs, in, count, &at, out, &done);
    /* Part of the way is an answer, and no fid. */
    if (err != 0 && done == 0)
        goto out;
    err = 0;
    walked = (uint16_t)done;
    memcpy(out->base + at_count, &walked, sizeof(walked));
    if (done < count)
        goto out;
    if (new_number == number) {
        if (fid->kind != FID_PLAIN) {
            err = EINVAL;
            goto out;
        }
        vsr_close(fid->fd);
        fid->fd = vsr_steal_fd(&at.fd);
        fid->is_root = at.is_root;
    } else {
        err =
            fs9p_fid_add(fs, new_number, vsr_steal_fd(&at.fd), fid->uid, &made);
        if (err == 0)
            made->is_root = at.is_root;
    }
out:
    vsr_close(at.fd);
    return err;
}

static int clunk(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    uint32_t number = fs9p_get32(in);
    fs9p_fid *fid = in->bad ? NULL : fs9p_fid_find(fs, number);
    int err;

    if (fid == NULL)
        return EBADF;
    err = fs9p_xattr_commit(fs, fid);
    fs9p_fid_remove(fs, number);
    return err;
}

/* By its fid alone nothing is found to be removed; Linux then asks by its
 * folder and name. The fid goes in any case. */
static int remove_fid(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    uint32_t number = fs9p_get32(in);

    if (in->bad || fs9p_fid_find(fs, number) == NULL)
        return EBADF;
    fs9p_fid_remove(fs, number);
    return EOPNOTSUPP;
}

static int flush(vsr_fs9p *fs, fs9p_in *in, fs9p_out *out)
{
    return 0;
}

/* --- messages ---------------------------------------------------------------------- */

typedef struct {
    uint8_t type;
    bool changes; /* refused where the folder is read-only */
    fs9p_op *op;
} message;

static const message messages[] = {
    { TVERSION, false, version },
    { TATTACH, false, attach },
    { TFLUSH, false, flush },
    { TWALK, false, walk },
    { TCLUNK, false, clunk },
    { TREMOVE, false, remove_fid },
    { TLOPEN, false, fs9p_lopen },
    { TREAD, false, fs9p_read },
    { TREADDIR, false, fs9p_readdir },
    { TWRITE, false, fs9p_write },
    { TFSYNC, false, fs9p_fsync },
    { TLOCK, false, fs9p_lock },
    { TGETLOCK, false, fs9p_getlock },
    { TGETATTR, false, fs9p_getattr },
    { TSTATFS, false, fs9p_statfs },
    { TREADLINK, false, fs9p_readlink },
    { TXATTRWALK, false, fs9p_xattrwalk },
    { TLCREATE, true, fs9p_lcreate },
    { TSYMLINK, true, fs9p_symlink },
    { TMKNOD, true, fs9p_mknod },
    { TMKDIR, true, fs9p_mkdir },
    { TLINK, true, fs9p_link },
    { TRENAMEAT, true, fs9p_renameat },
    { TUNLINKAT, true, fs9p_unlinkat },
    { TSETATTR, true, fs9p_setattr },
    { TXATTRCREATE, true, fs9p_xattrcreate },
};

static int dispatch(vsr_fs9p *fs, uint8_t type, fs9p_in *in, fs9p_out *out)
{
    for (size_t i = 0; i < G_N_ELEMENTS(messages); i++) {
        const message *m = &messages[i];

        if (m->type != type)
            continue;
        if (fs->msize == 0 && type != TVERSION)
            return EPROTO;
        if (fs->readonly && m->changes)
            return EROFS;
        return m->op(fs, in, out);
    }
    return EOPNOTSUPP;
}

static void finish(fs9p_out *out, uint8_t type, uint16_t tag)
{
    memcpy(out->base, &out->len, 4);
    out->base[4] = type;
    memcpy(out->base + 5, &tag, 2);
}

uint32_t vsr_fs9p_serve(vsr_fs9p *fs, const uint8_t *request, uint32_t len,
                        uint8_t *reply, uint32_t max)
{
    fs9p_in in = { request, len, false };
    fs9p_out out = { reply, VSR_FS9P_HEADER,
                     MIN(max, fs->msize ? fs->msize : VSR_FS9P_MSIZE_MAX),
                     false };
    uint32_t size = fs9p_get32(&in);
    uint8_t type = (uint8_t)fs9p_get(&in, 1);
    uint16_t tag = (uint16_t)fs9p_get(&in, 2);
    int err;

    if (in.bad || max < VSR_FS9P_HEADER + 4)
        return 0;
    if (size < VSR_FS9P_HEADER || size > len ||
        (fs->msize != 0 && size > fs->msize)) {
        err = EPROTO;
    } else {
        in.left = size - VSR_FS9P_HEADER;
        err = dispatch(fs, type, &in, &out);
    }
    if (err == 0 && out.full)
        err = EMSGSIZE;
    if (err != 0) {
        out.len = VSR_FS9P_HEADER;
        out.full = false;
        fs9p_put(&out, (uint32_t)err, 4);
        finish(&out, RLERROR, tag);
    } else {
        finish(&out, (uint8_t)(type + 1), tag);
    }
    return out.len;
}

/* --- life ---------------------------------------------------------------------------- */

void vsr_fs9p_reset(vsr_fs9p *fs)
{
    g_hash_table_remove_all(fs->fids);
    fs->xattr_bytes = 0;
    fs->msize = 0;
}

void vsr_fs9p_free(vsr_fs9p *fs)
{
    if (fs == NULL)
        return;
    g_hash_table_unref(fs->fids);
    vsr_close(fs->root_fd);
    vsr_close(fs->proc_fd);
    g_free(fs);
}

static uint32_t default_fids(void)
{
    struct rlimit limit = { .rlim_cur = 1024 };

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    /* One that is open has two. */
    return (uint32_t)CLAMP(limit.rlim_cur / 2, FIDS_MIN, FIDS_MAX);
}

static bool check(const vsr_fs9p_params *params, struct stat *st,
                  GError **error)
{
    vsr_autofd probe = -1;

    if (fstatat(params->root_fd, "", st, AT_EMPTY_PATH) < 0)
        return vsr_fail_errno(error, errno, "Cannot look at a shared folder");
    if (!S_ISDIR(st->st_mode))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "What is to be shared is not a folder");
    if (params->access == VSR_FS9P_PASSTHROUGH && geteuid() != 0)
        return vsr_fail(error, VISOR_ERR_ACCESS,
                        "Access mode 'passthrough' of a shared folder needs "
                        "root, this is user %u",
                        (unsigned)geteuid());
    probe = fs9p_open_entry(params->root_fd, ".");
    if (probe == -ENOSYS)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "Sharing a folder needs openat2(), Linux 5.6");
    return probe >= 0 ||
           vsr_fail_errno(error, probe, "Cannot open a shared folder");
}

vsr_fs9p *vsr_fs9p_new(const vsr_fs9p_params *params, GError **error)
{
    struct stat st;
    vsr_fs9p *fs;
    int proc_fd;

    if (!check(params, &st, error))
        return NULL;
    proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc_fd < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot open '/proc/self/fd'");
        return NULL;
    }
    fs = g_new0(vsr_fs9p, 1);
    fs->root_fd = params->root_fd;
    fs->proc_fd = proc_fd;
    fs->readonly = params->readonly;
    fs->access = params->access;
    fs->max_fids = params->max_fids ? params->max_fids : default_fids();
    fs->dev = st.st_dev;
    fs->fids = g_hash_table_new_full(NULL, NULL, NULL, fs9p_fid_free);
    return fs;
}
