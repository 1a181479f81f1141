/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* output.c: JSON documents (yajl) and plain tables. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <yajl/yajl_gen.h>

#include "vctl.h"

struct vctl_out {
    yajl_gen gen;
};

static void put_key(vctl_out *out, const char *key)
{
    if (key)
        yajl_gen_string(out->gen, (const unsigned char *)key, strlen(key));
}

vctl_out *vctl_out_new(void)
{
    vctl_out *out = g_new0(vctl_out, 1);

    out->gen = yajl_gen_alloc(NULL);
    yajl_gen_config(out->gen, yajl_gen_validate_utf8, 0);
    return out;
}

void vctl_out_begin(vctl_out *out)
{
    yajl_gen_map_open(out->gen);
}

void vctl_out_end(vctl_out *out)
{
    yajl_gen_map_close(out->gen);
}

void vctl_out_begin_list(vctl_out *out, const char *key)
{
    put_key(out, key);
    yajl_gen_array_open(out->gen);
}

void vctl_out_end_list(vctl_out *out)
{
    yajl_gen_array_close(out->gen);
}

void vctl_out_key_begin(vctl_out *out, const char *key)
{
    put_key(out, key);
    yajl_gen_map_open(out->gen);
}

void vctl_out_string(vctl_out *out, const char *key, const char *value)
{
    put_key(out, key);
    if (value)
        yajl_gen_string(out->gen, (const unsigned char *)value, strlen(value));
    else
        yajl_gen_null(out->gen);
}

void vctl_out_number(vctl_out *out, const char *key, int64_t value)
{
    put_key(out, key);
    yajl_gen_integer(out->gen, value);
}

void vctl_out_bool(vctl_out *out, const char *key, bool value)
{
    put_key(out, key);
    yajl_gen_bool(out->gen, value);
}

void vctl_out_null(vctl_out *out, const char *key)
{
    put_key(out, key);
    yajl_gen_null(out->gen);
}

void vctl_out_print(vctl_out *out, bool one_line)
{
    const unsigned char *text;
    size_t len;

    if (yajl_gen_get_buf(out->gen, &text, &len) == yajl_gen_status_ok) {
        fwrite(text, 1, len, stdout);
        putchar('\n');
    }
    if (one_line)
        fflush(stdout);
    yajl_gen_free(out->gen);
    g_free(out);
}

/* --- tables --- */

struct vctl_table {
    GPtrArray *rows; /* of GStrv */
    guint columns;
};

vctl_table *vctl_table_new(const char *const *headings)
{
    vctl_table *table = g_new0(vctl_table, 1);

    table->rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    table->columns = g_strv_length((char **)(void *)(uintptr_t)headings);
    g_ptr_array_add(table->rows,
                    g_strdupv((char **)(void *)(uintptr_t)headings));
    return table;
}

void vctl_table_row(vctl_table *table, ...)
{
    char **row = g_new0(char *, table->columns + 1);
    va_list ap;

    va_start(ap, table);
    for (guint i = 0; i < table->columns; i++) {
        const char *cell = va_arg(ap, const char *);

        if (!cell)
            cell = "";
        row[i] = g_strdup(cell);
    }
    va_end(ap);
    g_ptr_array_add(table->rows, row);
}

void vctl_table_print(vctl_table *table)
{
    g_autofree glong *width = g_new0(glong, table->columns);

    for (guint r = 0; r < table->rows->len; r++) {
        char **row = g_ptr_array_index(table->rows, r);

        for (guint c = 0; c < table->columns; c++)
            width[c] = MAX(width[c], g_utf8_strlen(row[c], -1));
    }
    for (guint r = 0; r < table->rows->len; r++) {
        char **row = g_ptr_array_index(table->rows, r);

        for (guint c = 0; c < table->columns; c++) {
            glong pad = c + 1 < table->columns
                            ? width[c] - g_utf8_strlen(row[c], -1) + 2
                            : 0;

            printf("%s%*s", row[c], (int)pad, "");
        }
        putchar('\n');
    }
    g_ptr_array_unref(table->rows);
    g_free(table);
}
