/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client.h: a client of the 9P server, field by field, and a folder for it:
 *
 *     client_begin(c, TLOPEN);
 *     client_put(c, 4, fid);
 *     client_put(c, 4, O_RDONLY);
 *     assert_int_equal(client_call(c), 0);    // or an errno
 *     qid_type = client_get(c, 1);
 */
#ifndef VSR_TESTS_FS9P_CLIENT_H
#define VSR_TESTS_FS9P_CLIENT_H

#include <sys/stat.h>

#include "fs9p/fs9p.h"
#include "fs9p/messages.h"
#include "tests/support/cm.h"

enum {
    ROOT = 0, /* the fid of the root */
    MSIZE = VSR_FS9P_MSIZE_MAX,
};

typedef struct {
    vsr_fs9p *fs;
    char *outside; /* a folder: the shared one, and a file "secret" */
    char *dir;     /* the shared one */
    uint16_t tag;
    uint8_t type;
    uint32_t len, at, reply_len;
    uint32_t max; /* of an answer */
    uint8_t request[MSIZE + 64];
    uint8_t reply[MSIZE];
} client;

/* A new folder, served so; version and attach are done (as user 1000). */
client *client_new(vsr_fs9p_access access, bool readonly, uint32_t max_fids);
void client_free(client *c); /* and the folder */
void client_session(client *c, uint32_t msize);

void client_begin(client *c, uint8_t type);
void client_put(client *c, uint32_t bytes, uint64_t value);
void client_put_string(client *c, const char *text);
void client_put_bytes(client *c, const void *from, uint32_t len);
/* 0, or what the Rlerror says. Any other wrong answer ends the test. */
int client_call(client *c);
uint64_t client_get(client *c, uint32_t bytes);
const uint8_t *client_get_bytes(client *c, uint32_t len);
/* g_free() */
char *client_get_string(client *c);

/* --- whole messages; 0 or errno ------------------------------------------------- */

/* `path`'s components one by one, from `fid`. */
int client_walk(client *c, uint32_t fid, uint32_t new_fid, const char *path);
int client_clunk(client *c, uint32_t fid);
int client_open(client *c, uint32_t fid, uint32_t flags);
int client_create(client *c, uint32_t fid, const char *name, uint32_t flags,
                  uint32_t mode, uint32_t gid);
int client_write(client *c, uint32_t fid, uint64_t offset, const void *data,
                 uint32_t len);
/* Bytes, or -errno. */
int client_read(client *c, uint32_t fid, uint64_t offset, void *to,
                uint32_t len);
int client_mkdir(client *c, uint32_t fid, const char *name, uint32_t mode);
int client_symlink(client *c, uint32_t fid, const char *name,
                   const char *target);
int client_unlink(client *c, uint32_t fid, const char *name, uint32_t flags);

typedef struct {
    uint8_t qid_type;
    uint32_t mode, uid, gid;
    uint64_t nlink, rdev, size, mtime;
} client_attr;
int client_getattr(client *c, uint32_t fid, client_attr *out);

/* Of number 1:3. */
int client_mknod(client *c, const char *name, uint32_t mode);
/* atime is 77 s and 1 ns, mtime so many seconds and 2 ns. */
int client_setattr(client *c, uint32_t fid, uint32_t valid, uint32_t mode,
                   uint32_t uid, uint32_t gid, uint64_t size, uint64_t mtime);
struct stat client_host_stat(const client *c, const char *name);
/* A path of the host, below the shared folder; g_free(). */
char *client_host(const client *c, const char *name);
void client_host_write(const client *c, const char *name, const char *text);

#endif
