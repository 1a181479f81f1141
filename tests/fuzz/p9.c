/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * p9.c: fuzz target of the 9P server: messages in a row, in a folder of its own
 * that nothing may leave.
 *
 * Input: messages: type, length of the body, body. Half of the types mean the
 * next one that there is; a body of what looks like fids and names reaches
 * further.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs9p/fs9p.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REPLY = 4096, HEADER = VSR_FS9P_HEADER };

#define CHECK(condition)  \
    do {                  \
        if (!(condition)) \
            abort();      \
    } while (0)

static void serve(vsr_fs9p *fs, uint8_t type, const uint8_t *body, uint32_t len)
{
    uint8_t *request = g_malloc(HEADER + len); /* exact, for sanitizers */
    uint8_t *reply = g_malloc(REPLY);
    uint32_t size = HEADER + len, n;

    memcpy(request, &size, 4);
    request[4] = type;
    request[5] = request[6] = 1;
    memcpy(request + HEADER, body, len);
    n = vsr_fs9p_serve(fs, request, size, reply, REPLY);
    CHECK(n >= HEADER && n <= REPLY);
    CHECK(memcmp(reply, &n, 4) == 0);
    CHECK(reply[4] == 7 || reply[4] == (uint8_t)(type + 1));
    g_free(request);
    g_free(reply);
}

static uint8_t type_of(uint8_t byte)
{
    static const uint8_t types[] = { 8,   12,  14,  16,  18,  22,  24,  26, 30,
                                     32,  40,  50,  52,  54,  70,  72,  74, 76,
                                     104, 108, 110, 110, 116, 118, 120, 122 };

    return byte & 1 ? byte : types[(byte >> 1) % sizeof(types)];
}

static void begin(vsr_fs9p *fs)
{
    static const uint8_t version[] = "\0\0\1\0\x08\0"
                                     "9P2000.L";
    static const uint8_t attach[16];

    serve(fs, 100, version, sizeof(version) - 1);
    serve(fs, 104, attach, sizeof(attach));
}

static int remove_one(const char *path, const struct stat *st, int kind,
                      struct FTW *where)
{
    return remove(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *outside = g_dir_make_tmp("fuzz-9p-XXXXXX", NULL);
    g_autofree char *dir = g_build_filename(outside, "shared", NULL);
    g_autofree char *secret = g_build_filename(outside, "s", NULL);
    vsr_fs9p_params p = { .access = size > 0 && data[0] & 128 ? VSR_FS9P_MAPPED
                                                              : VSR_FS9P_SQUASH,
                          .max_fids = 32 };
    g_autofree char *text = NULL;
    vsr_fs9p *fs;

    CHECK(mkdir(dir, 0700) == 0);
    CHECK(g_file_set_contents(secret, "secret", -1, NULL));
    p.root_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    fs = vsr_fs9p_new(&p, NULL);
    CHECK(fs != NULL);
    begin(fs);
    while (size >= 2) {
        uint8_t type = type_of(data[0]);
        uint32_t len = (uint32_t)MIN(data[1] & 127u, size - 2);

        serve(fs, type, data + 2, len);
        if (type == 100)
            begin(fs);
        data += 2 + len;
        size -= 2 + len;
    }
    vsr_fs9p_free(fs);
    CHECK(g_file_get_contents(secret, &text, NULL, NULL));
    CHECK(strcmp(text, "secret") == 0);
    CHECK(nftw(outside, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
    return 0;
}
