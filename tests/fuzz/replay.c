/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * replay.c: main() of a fuzz target built without libFuzzer: runs it on the
 * files named, on the files in the folders named, on `-m COUNT` changed copies
 * of each of those, and on `-r COUNT` pseudo-random inputs. Nonzero when nothing
 * was run. The same every time.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHANGED_MAX = 64 << 10 };

typedef struct {
    uint64_t seed;
    unsigned long changes; /* of each file */
} replay;

/* xorshift64, by Marsaglia */
static uint64_t next_random(replay *r)
{
    r->seed ^= r->seed << 13;
    r->seed ^= r->seed >> 7;
    r->seed ^= r->seed << 17;
    return r->seed >> 11;
}

/* One small change; the length stays at least 1. */
static void change(replay *r, GByteArray *bytes)
{
    static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff, '<', '"', '{' };
    guint at = (guint)(next_random(r) % bytes->len);
    guint len = 1 + (guint)(next_random(r) % 8);
    uint8_t copy[8];

    switch (next_random(r) % 5) {
    case 0:
        bytes->data[at] ^= (uint8_t)(1u << next_random(r) % 8);
        break;
    case 1:
        bytes->data[at] = odd[next_random(r) % sizeof odd];
        break;
    case 2:
        bytes->data[at] = (uint8_t)next_random(r);
        break;
    case 3: /* without some bytes, or without the rest */
        if (next_random(r) % 8 == 0)
            len = bytes->len - at;
        if (at + len <= bytes->len && len < bytes->len)
            g_byte_array_remove_range(bytes, at, len);
        break;
    default: /* some bytes once more */
        len = MIN(len, bytes->len - at);
        memcpy(copy, bytes->data + at, len);
        g_byte_array_append(bytes, copy, len);
        memmove(bytes->data + at + len, bytes->data + at,
                bytes->len - at - len);
        memcpy(bytes->data + at, copy, len);
        break;
    }
}

/* A copy of its own, so that a sanitizer sees a read behind it. */
static void run_bytes(const uint8_t *data, size_t len)
{
    uint8_t *exact = g_memdup2(data, len);

    LLVMFuzzerTestOneInput(exact, len);
    g_free(exact);
}

static unsigned long run_file(replay *r, const char *path)
{
    gsize len;
    gchar *data;

    if (!g_file_get_contents(path, &data, &len, NULL)) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(1);
    }
    run_bytes((const uint8_t *)data, len);
    for (unsigned long n = 0; len > 0 && n < r->changes; n++) {
        GByteArray *bytes = g_byte_array_new();
        uint64_t count = 1 + next_random(r) % 4;

        g_byte_array_append(bytes, (const guint8 *)data,
                            (guint)MIN(len, CHANGED_MAX));
        while (count-- > 0)
            change(r, bytes);
        run_bytes(bytes->data, bytes->len);
        g_byte_array_unref(bytes);
    }
    g_free(data);
    return 1 + r->changes;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static unsigned long run_path(replay *r, const char *path)
{
    unsigned long n = 0;
    const char *name;
    GPtrArray *files;
    GDir *dir;

    if (!g_file_test(path, G_FILE_TEST_IS_DIR))
        return run_file(r, path);
    files = g_ptr_array_new_with_free_func(g_free);
    dir = g_dir_open(path, 0, NULL);
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL)
        g_ptr_array_add(files, g_build_filename(path, name, NULL));
    if (dir != NULL)
        g_dir_close(dir);
    g_ptr_array_sort(files, compare_names);
    for (guint i = 0; i < files->len; i++)
        n += run_path(r, g_ptr_array_index(files, i));
    g_ptr_array_unref(files);
    return n;
}

static unsigned long run_random(replay *r, unsigned long count)
{
    for (unsigned long n = 0; n < count; n++) {
        uint8_t data[64];

        for (size_t i = 0; i < sizeof data; i++)
            data[i] = (uint8_t)next_random(r);
        run_bytes(data, 1 + next_random(r) % sizeof data);
    }
    return count;
}

int main(int argc, char **argv)
{
    replay r = { .seed = 88172645463325252u };
    unsigned long n = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-r") == 0 && i + 1 < argc)
            n += run_random(&r, strtoul(argv[++i], NULL, 10));
        else if (strcmp(argv[i], "-m") == 0 && i + 1 < argc)
            r.changes = strtoul(argv[++i], NULL, 10);
        else
            n += run_path(&r, argv[i]);
    }
    printf("%lu inputs\n", n);
    return n == 0;
}
