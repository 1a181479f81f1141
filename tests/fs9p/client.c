/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* client.c: see client.h. */
#include "tests/fs9p/client.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void client_session(client *c, uint32_t msize)
{
    g_autofree char *got = NULL;

    client_begin(c, TVERSION);
    c->tag = 0xffff;
    client_put(c, 4, msize);
    client_put_string(c, "9P2000.L");
    assert_int_equal(client_call(c), 0);
    assert_int_equal(client_get(c, 4), MIN(msize, MSIZE));
    got = client_get_string(c);
    assert_string_equal(got, "9P2000.L");

    client_begin(c, TATTACH);
    client_put(c, 4, ROOT);
    client_put(c, 4, UINT32_MAX);
    client_put_string(c, "");
    client_put_string(c, "");
    client_put(c, 4, 1000);
    assert_int_equal(client_call(c), 0);
    assert_int_equal(client_get(c, 1), 0x80);
}

client *client_new(vsr_fs9p_access access, bool readonly, uint32_t max_fids)
{
    client *c = g_new0(client, 1);
    vsr_fs9p_params p = { .readonly = readonly,
                          .access = access,
                          .max_fids = max_fids };
    GError *error = NULL;

    c->max = MSIZE;
    c->outside = g_dir_make_tmp("fs9p-XXXXXX", NULL);
    c->dir = g_build_filename(c->outside, "shared", NULL);
    assert_int_equal(mkdir(c->dir, 0755), 0);
    client_host_write(c, "../secret", "secret");
    p.root_fd = open(c->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    c->fs = vsr_fs9p_new(&p, &error);
    if (c->fs == NULL)
        fail_msg("%s", error->message);
    client_session(c, MSIZE);
    return c;
}

static int remove_one(const char *path, const struct stat *st, int kind,
                      struct FTW *where)
{
    return remove(path);
}

void client_free(client *c)
{
    vsr_fs9p_free(c->fs);
    assert_int_equal(nftw(c->outside, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    g_free(c->dir);
    g_free(c->outside);
    g_free(c);
}

void client_begin(client *c, uint8_t type)
{
    c->len = VSR_FS9P_HEADER;
    c->type = type;
    c->tag = (uint16_t)((c->tag + 1) & 0x7fff);
}

void client_put_bytes(client *c, const void *from, uint32_t len)
{
    assert_true(len <= sizeof(c->request) - c->len);
    memcpy(c->request + c->len, from, len);
    c->len += len;
}

void client_put(client *c, uint32_t bytes, uint64_t value)
{
    client_put_bytes(c, &value, bytes);
}

void client_put_string(client *c, const char *text)
{
    client_put(c, 2, strlen(text));
    client_put_bytes(c, text, (uint32_t)strlen(text));
}

int client_call(client *c)
{
    uint8_t type;

    memcpy(c->request, &c->len, 4);
    c->request[4] = c->type;
    memcpy(c->request + 5, &c->tag, 2);
    c->reply_len = vsr_fs9p_serve(c->fs, c->request, c->len, c->reply, c->max);
    c->at = 0;
    assert_in_range(c->reply_len, VSR_FS9P_HEADER, c->max);
    assert_int_equal(client_get(c, 4), c->reply_len);
    type = (uint8_t)client_get(c, 1);
    assert_int_equal(client_get(c, 2), c->tag);
    if (type == RLERROR) {
        int err = (int)client_get(c, 4);

        assert_int_equal(c->at, c->reply_len);
        assert_int_not_equal(err, 0);
        return err;
    }
    assert_int_equal(type, c->type + 1);
    return 0;
}

const uint8_t *client_get_bytes(client *c, uint32_t len)
{
    const uint8_t *from = c->reply + c->at;

    assert_true(len <= c->reply_len - c->at);
    c->at += len;
    return from;
}

uint64_t client_get(client *c, uint32_t bytes)
{
    uint64_t value = 0;

    memcpy(&value, client_get_bytes(c, bytes), bytes);
    return value;
}

char *client_get_string(client *c)
{
    uint32_t len = (uint32_t)client_get(c, 2);

    return g_strndup((const char *)client_get_bytes(c, len), len);
}

int client_walk(client *c, uint32_t fid, uint32_t new_fid, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    uint32_t n = path[0] == '\0' ? 0 : g_strv_length(names);
    int err;

    client_begin(c, TWALK);
    client_put(c, 4, fid);
    client_put(c, 4, new_fid);
    client_put(c, 2, n);
    for (uint32_t i = 0; i < n; i++)
        client_put_string(c, names[i]);
    err = client_call(c);
    if (err == 0)
        assert_int_equal(client_get(c, 2), n);
    return err;
}

int client_clunk(client *c, uint32_t fid)
{
    client_begin(c, TCLUNK);
    client_put(c, 4, fid);
    return client_call(c);
}

int client_open(client *c, uint32_t fid, uint32_t flags)
{
    client_begin(c, TLOPEN);
    client_put(c, 4, fid);
    client_put(c, 4, flags);
    return client_call(c);
}

int client_create(client *c, uint32_t fid, const char *name, uint32_t flags,
                  uint32_t mode, uint32_t gid)
{
    client_begin(c, TLCREATE);
    client_put(c, 4, fid);
    client_put_string(c, name);
    client_put(c, 4, flags);
    client_put(c, 4, mode);
    client_put(c, 4, gid);
    return client_call(c);
}

int client_write(client *c, uint32_t fid, uint64_t offset, const void *data,
                 uint32_t len)
{
    int err;

    client_begin(c, TWRITE);
    client_put(c, 4, fid);
    client_put(c, 8, offset);
    client_put(c, 4, len);
    client_put_bytes(c, data, len);
    err = client_call(c);
    if (err == 0)
        assert_int_equal(client_get(c, 4), len);
    return err;
}

int client_read(client *c, uint32_t fid, uint64_t offset, void *to,
                uint32_t len)
{
    uint32_t n;
    int err;

    client_begin(c, TREAD);
    client_put(c, 4, fid);
    client_put(c, 8, offset);
    client_put(c, 4, len);
    err = client_call(c);
    if (err != 0)
        return -err;
    n = (uint32_t)client_get(c, 4);
    assert_true(n <= len);
    memcpy(to, client_get_bytes(c, n), n);
    assert_int_equal(c->at, c->reply_len);
    return (int)n;
}

int client_mkdir(client *c, uint32_t fid, const char *name, uint32_t mode)
{
    client_begin(c, TMKDIR);
    client_put(c, 4, fid);
    client_put_string(c, name);
    client_put(c, 4, mode);
    client_put(c, 4, 1000);
    return client_call(c);
}

int client_symlink(client *c, uint32_t fid, const char *name,
                   const char *target)
{
    client_begin(c, TSYMLINK);
    client_put(c, 4, fid);
    client_put_string(c, name);
    client_put_string(c, target);
    client_put(c, 4, 1000);
    return client_call(c);
}

int client_unlink(client *c, uint32_t fid, const char *name, uint32_t flags)
{
    client_begin(c, TUNLINKAT);
    client_put(c, 4, fid);
    client_put_string(c, name);
    client_put(c, 4, flags);
    return client_call(c);
}

int client_getattr(client *c, uint32_t fid, client_attr *out)
{
    int err;

    client_begin(c, TGETATTR);
    client_put(c, 4, fid);
    client_put(c, 8, 0x7ff);
    err = client_call(c);
    if (err != 0)
        return err;
    assert_int_equal(client_get(c, 8) & 0x7ff, 0x7ff);
    out->qid_type = (uint8_t)client_get(c, 1);
    (void)client_get_bytes(c, 12);
    out->mode = (uint32_t)client_get(c, 4);
    out->uid = (uint32_t)client_get(c, 4);
    out->gid = (uint32_t)client_get(c, 4);
    out->nlink = client_get(c, 8);
    out->rdev = client_get(c, 8);
    out->size = client_get(c, 8);
    (void)client_get_bytes(c, 8 + 8 + 8 + 8);
    out->mtime = client_get(c, 8);
    (void)client_get_bytes(c, 8 + 16 + 16 + 8 + 8);
    assert_int_equal(c->at, c->reply_len);
    return 0;
}

char *client_host(const client *c, const char *name)
{
    return g_build_filename(c->dir, name, NULL);
}

void client_host_write(const client *c, const char *name, const char *text)
{
    g_autofree char *path = client_host(c, name);

    assert_true(g_file_set_contents(path, text, -1, NULL));
}

int client_mknod(client *c, const char *name, uint32_t mode)
{
    client_begin(c, TMKNOD);
    client_put(c, 4, ROOT);
    client_put_string(c, name);
    client_put(c, 4, mode);
    client_put(c, 4, 1);
    client_put(c, 4, 3);
    client_put(c, 4, 1000);
    return client_call(c);
}

int client_setattr(client *c, uint32_t fid, uint32_t valid, uint32_t mode,
                   uint32_t uid, uint32_t gid, uint64_t size, uint64_t mtime)
{
    client_begin(c, TSETATTR);
    client_put(c, 4, fid);
    client_put(c, 4, valid);
    client_put(c, 4, mode);
    client_put(c, 4, uid);
    client_put(c, 4, gid);
    client_put(c, 8, size);
    client_put(c, 8, 77);
    client_put(c, 8, 1);
    client_put(c, 8, mtime);
    client_put(c, 8, 2);
    return client_call(c);
}

struct stat client_host_stat(const client *c, const char *name)
{
    g_autofree char *path = client_host(c, name);
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st;
}
