/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * json.c: see json.h. The only user of yajl in the library.
 *
 * Spec:    RFC 8259.
 * Threads: any.
 */
#include "rpc/json.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include <yajl/yajl_gen.h>
#include <yajl/yajl_parse.h>

#include "base/error.h"

struct vsr_json {
    vsr_json_type type;
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural;
        double real;
        char *string;
        struct {
            GPtrArray *items; /* of vsr_json, owned */
            GPtrArray *keys;  /* of char *, owned; NULL in an array */
        } list;
    } u;
};

/* --- building ------------------------------------------------------------ */

static vsr_json *json_new(vsr_json_type type)
{
    vsr_json *json = g_new0(vsr_json, 1);

    json->type = type;
    return json;
}

static void free_item(gpointer item)
{
    vsr_json_free(item);
}

void vsr_json_free(vsr_json *json)
{
    if (json == NULL)
        return;
    if (json->type == VSR_JSON_STRING)
        g_free(json->u.string);
    if (json->type == VSR_JSON_ARRAY || json->type == VSR_JSON_OBJECT) {
        g_ptr_array_unref(json->u.list.items);
        g_clear_pointer(&json->u.list.keys, g_ptr_array_unref);
    }
    g_free(json);
}

vsr_json *vsr_json_new_array(void)
{
    vsr_json *json = json_new(VSR_JSON_ARRAY);

    json->u.list.items = g_ptr_array_new_with_free_func(free_item);
    return json;
}

vsr_json *vsr_json_new_object(void)
{
    vsr_json *json = json_new(VSR_JSON_OBJECT);

    json->u.list.items = g_ptr_array_new_with_free_func(free_item);
    json->u.list.keys = g_ptr_array_new_with_free_func(g_free);
    return json;
}

vsr_json *vsr_json_new_string(const char *text)
{
    vsr_json *json = json_new(VSR_JSON_STRING);

    json->u.string = g_utf8_make_valid(text, -1);
    return json;
}

vsr_json *vsr_json_new_int(int64_t value)
{
    vsr_json *json = json_new(VSR_JSON_INT);

    json->u.integer = value;
    return json;
}

vsr_json *vsr_json_new_uint(uint64_t value)
{
    vsr_json *json;

    if (value <= INT64_MAX)
        return vsr_json_new_int((int64_t)value);
    json = json_new(VSR_JSON_UINT);
    json->u.natural = value;
    return json;
}

vsr_json *vsr_json_new_bool(bool value)
{
    vsr_json *json = json_new(VSR_JSON_BOOL);

    json->u.boolean = value;
    return json;
}

void vsr_json_set(vsr_json *object, const char *key, vsr_json *value)
{
    g_return_if_fail(object->type == VSR_JSON_OBJECT);
    g_ptr_array_add(object->u.list.keys, g_strdup(key));
    g_ptr_array_add(object->u.list.items, value);
}

void vsr_json_set_string(vsr_json *object, const char *key, const char *text)
{
    if (text != NULL)
        vsr_json_set(object, key, vsr_json_new_string(text));
}

void vsr_json_set_int(vsr_json *object, const char *key, int64_t value)
{
    vsr_json_set(object, key, vsr_json_new_int(value));
}

void vsr_json_set_uint(vsr_json *object, const char *key, uint64_t value)
{
    vsr_json_set(object, key, vsr_json_new_uint(value));
}

void vsr_json_set_bool(vsr_json *object, const char *key, bool value)
{
    vsr_json_set(object, key, vsr_json_new_bool(value));
}

void vsr_json_append(vsr_json *array, vsr_json *value)
{
    g_return_if_fail(array->type == VSR_JSON_ARRAY);
    g_ptr_array_add(array->u.list.items, value);
}

vsr_json *vsr_json_steal(vsr_json *object, const char *key)
{
    if (vsr_json_type_of(object) != VSR_JSON_OBJECT)
        return NULL;
    for (guint i = 0; i < object->u.list.items->len; i++)
        if (strcmp(g_ptr_array_index(object->u.list.keys, i), key) == 0) {
            g_ptr_array_remove_index(object->u.list.keys, i);
            return g_ptr_array_steal_index(object->u.list.items, i);
        }
    return NULL;
}

/* --- reading ------------------------------------------------------------- */

vsr_json_type vsr_json_type_of(const vsr_json *json)
{
    return json == NULL ? VSR_JSON_NULL : json->type;
}

static bool is_list(const vsr_json *json)
{
    return json != NULL &&
           (json->type == VSR_JSON_ARRAY || json->type == VSR_JSON_OBJECT);
}

uint32_t vsr_json_len(const vsr_json *json)
{
    return is_list(json) ? json->u.list.items->len : 0;
}

const vsr_json *vsr_json_at(const vsr_json *json, uint32_t index)
{
    if (index >= vsr_json_len(json))
        return NULL;
    return g_ptr_array_index(json->u.list.items, index);
}

const char *vsr_json_key_at(const vsr_json *object, uint32_t index)
{
    if (vsr_json_type_of(object) != VSR_JSON_OBJECT ||
        index >= vsr_json_len(object))
        return NULL;
    return g_ptr_array_index(object->u.list.keys, index);
}

const vsr_json *vsr_json_get(const vsr_json *object, const char *key)
{
    if (vsr_json_type_of(object) != VSR_JSON_OBJECT)
        return NULL;
    for (uint32_t i = 0; i < vsr_json_len(object); i++)
        if (strcmp(vsr_json_key_at(object, i), key) == 0)
            return vsr_json_at(object, i);
    return NULL;
}

const char *vsr_json_string(const vsr_json *json)
{
    return vsr_json_type_of(json) == VSR_JSON_STRING ? json->u.string : NULL;
}

bool vsr_json_uint(const vsr_json *json, uint64_t *out)
{
    if (vsr_json_type_of(json) == VSR_JSON_UINT)
        *out = json->u.natural;
    else if (vsr_json_type_of(json) == VSR_JSON_INT && json->u.integer >= 0)
        *out = (uint64_t)json->u.integer;
    else
        return false;
    return true;
}

bool vsr_json_get_string(const vsr_json *object, const char *key,
                         const char **out)
{
    const char *text = vsr_json_string(vsr_json_get(object, key));

    if (text == NULL)
        return false;
    *out = text;
    return true;
}

bool vsr_json_get_int(const vsr_json *object, const char *key, int64_t min,
                      int64_t max, int64_t *out)
{
    const vsr_json *json = vsr_json_get(object, key);

    if (vsr_json_type_of(json) != VSR_JSON_INT || json->u.integer < min ||
        json->u.integer > max)
        return false;
    *out = json->u.integer;
    return true;
}

bool vsr_json_get_uint(const vsr_json *object, const char *key, uint64_t *out)
{
    return vsr_json_uint(vsr_json_get(object, key), out);
}

bool vsr_json_get_bool(const vsr_json *object, const char *key, bool *out)
{
    const vsr_json *json = vsr_json_get(object, key);

    if (vsr_json_type_of(json) != VSR_JSON_BOOL)
        return false;
    *out = json->u.boolean;
    return true;
}

/* --- parsing ------------------------------------------------------------- */

typedef struct {
    vsr_json *root; /* owned */
    vsr_json
        *open[VSR_JSON_DEPTH]; /* the lists being filled, outermost first */
    char *key[VSR_JSON_DEPTH]; /* owned; of the next member of open[i] */
    uint32_t depth;
    uint32_t nodes;
    const char *why; /* what was refused, or NULL */
} parser;

static int refuse(parser *p, const char *why)
{
    p->why = why;
    return 0;
}

/* Takes `json`. */
static int add(parser *p, vsr_json *json)
{
    vsr_json *parent;

    if (++p->nodes > VSR_JSON_NODES) {
        vsr_json_free(json);
        return refuse(p, "too many values");
    }
    if (p->depth == 0) {
        p->root = json;
        return 1;
    }
    parent = p->open[p->depth - 1];
    if (parent->type == VSR_JSON_OBJECT)
        g_ptr_array_add(parent->u.list.keys,
                        g_steal_pointer(&p->key[p->depth - 1]));
    g_ptr_array_add(parent->u.list.items, json);
    return 1;
}

static int on_null(void *ctx)
{
    return add(ctx, json_new(VSR_JSON_NULL));
}

static int on_boolean(void *ctx, int value)
{
    return add(ctx, vsr_json_new_bool(value != 0));
}

static int on_number(void *ctx, const char *text, size_t len)
{
    char copy[64], *end = NULL;
    vsr_json *json;

    if (len >= sizeof(copy))
        return refuse(ctx, "a number is too long");
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (strpbrk(copy, ".eE") == NULL) {
        errno = 0;
        if (copy[0] == '-') {
            int64_t value = g_ascii_strtoll(copy, &end, 10);

            if (errno == 0 && *end == '\0')
                return add(ctx, vsr_json_new_int(value));
        } else {
            uint64_t value = g_ascii_strtoull(copy, &end, 10);

            if (errno == 0 && *end == '\0')
                return add(ctx, vsr_json_new_uint(value));
        }
        return refuse(ctx, "a number is out of range");
    }
    json = json_new(VSR_JSON_REAL);
    json->u.real = g_ascii_strtod(copy, &end) + 0.0; /* there is no -0 */
    if (*end != '\0' || !isfinite(json->u.real)) {
        vsr_json_free(json);
        return refuse(ctx, "a number is out of range");
    }
    return add(ctx, json);
}

static char *copy_string(const unsigned char *text, size_t len)
{
    if (memchr(text, '\0', len) != NULL)
        return NULL;
    return g_strndup((const char *)text, len);
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
    char *copy = copy_string(text, len);
    vsr_json *json;

    if (copy == NULL)
        return refuse(ctx, "a NUL in a string");
    json = json_new(VSR_JSON_STRING);
    json->u.string = copy;
    return add(ctx, json);
}

static int on_key(void *ctx, const unsigned char *text, size_t len)
{
    parser *p = ctx;

    g_free(p->key[p->depth - 1]);
    p->key[p->depth - 1] = copy_string(text, len);
    if (p->key[p->depth - 1] == NULL)
        return refuse(p, "a NUL in a key");
    return 1;
}

static int open_list(parser *p, vsr_json *json)
{
    if (p->depth == VSR_JSON_DEPTH) {
        vsr_json_free(json);
        return refuse(p, "too deep");
    }
    if (!add(p, json))
        return 0;
    p->open[p->depth++] = json;
    return 1;
}

static int on_object(void *ctx)
{
    return open_list(ctx, vsr_json_new_object());
}

static int on_array(void *ctx)
{
    return open_list(ctx, vsr_json_new_array());
}

static int on_end(void *ctx)
{
    parser *p = ctx;

    p->depth--;
    return 1;
}

vsr_json *vsr_json_parse(const char *text, size_t len, GError **error)
{
    static const yajl_callbacks callbacks = {
        .yajl_null = on_null,
        .yajl_boolean = on_boolean,
        .yajl_number = on_number,
        .yajl_string = on_string,
        .yajl_start_map = on_object,
        .yajl_map_key = on_key,
        .yajl_end_map = on_end,
        .yajl_start_array = on_array,
        .yajl_end_array = on_end,
    };
    parser p = { 0 };
    yajl_handle handle = yajl_alloc(&callbacks, NULL, &p);
    yajl_status status = yajl_parse(handle, (const unsigned char *)text, len);

    if (status == yajl_status_ok)
        status = yajl_complete_parse(handle);
    yajl_free(handle);
    for (uint32_t i = 0; i < VSR_JSON_DEPTH; i++)
        g_free(p.key[i]);
    if (status == yajl_status_ok && p.root != NULL)
        return p.root;
    vsr_json_free(p.root);
    (void)vsr_fail(error, VISOR_ERR_PROTOCOL, "Bad JSON: %s",
                   p.why != NULL ? p.why : "not well-formed");
    return NULL;
}

/* --- formatting ---------------------------------------------------------- */

static void gen_value(yajl_gen gen, const vsr_json *json);

static void gen_text(yajl_gen gen, const char *text)
{
    yajl_gen_string(gen, (const unsigned char *)text, strlen(text));
}

static void gen_list(yajl_gen gen, const vsr_json *json)
{
    bool is_object = json->type == VSR_JSON_OBJECT;

    if (is_object)
        yajl_gen_map_open(gen);
    else
        yajl_gen_array_open(gen);
    for (uint32_t i = 0; i < vsr_json_len(json); i++) {
        if (is_object)
            gen_text(gen, vsr_json_key_at(json, i));
        gen_value(gen, vsr_json_at(json, i));
    }
    if (is_object)
        yajl_gen_map_close(gen);
    else
        yajl_gen_array_close(gen);
}

static void gen_value(yajl_gen gen, const vsr_json *json)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    switch (json->type) {
    case VSR_JSON_NULL:
        yajl_gen_null(gen);
        break;
    case VSR_JSON_BOOL:
        yajl_gen_bool(gen, json->u.boolean);
        break;
    case VSR_JSON_INT:
        yajl_gen_integer(gen, json->u.integer);
        break;
    case VSR_JSON_UINT:
        g_snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT, json->u.natural);
        yajl_gen_number(gen, text, strlen(text));
        break;
    case VSR_JSON_REAL:
        g_ascii_dtostr(text, sizeof(text), json->u.real);
        yajl_gen_number(gen, text, strlen(text));
        break;
    case VSR_JSON_STRING:
        gen_text(gen, json->u.string);
        break;
    case VSR_JSON_ARRAY:
    case VSR_JSON_OBJECT:
        gen_list(gen, json);
        break;
    }
}

char *vsr_json_format(const vsr_json *json, size_t *len)
{
    yajl_gen gen = yajl_gen_alloc(NULL);
    const unsigned char *text = NULL;
    size_t n = 0;
    char *out;

    gen_value(gen, json);
    yajl_gen_get_buf(gen, &text, &n);
    out = g_strndup((const char *)text, n);
    yajl_gen_free(gen);
    if (len != NULL)
        *len = n;
    return out;
}
