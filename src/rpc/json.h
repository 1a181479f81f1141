/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * json.h: a small JSON tree for the control protocol and status files.
 *
 * What is parsed came from a peer or a file, so it is limited: VSR_JSON_DEPTH
 * levels, VSR_JSON_NODES values, no NUL inside of strings, no NaN. Where a key
 * comes twice the first one counts.
 *
 * Spec:    RFC 8259.
 * Threads: any; one tree belongs to one thread at a time.
 */
#ifndef VSR_RPC_JSON_H
#define VSR_RPC_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

enum { VSR_JSON_DEPTH = 32, VSR_JSON_NODES = 65536 };

typedef enum {
    VSR_JSON_NULL,
    VSR_JSON_BOOL,
    VSR_JSON_INT,  /* fits int64_t */
    VSR_JSON_UINT, /* above INT64_MAX */
    VSR_JSON_REAL,
    VSR_JSON_STRING,
    VSR_JSON_ARRAY,
    VSR_JSON_OBJECT,
} vsr_json_type;

typedef struct vsr_json vsr_json;

/* PROTOCOL, one line. The caller owns the tree. */
vsr_json *vsr_json_parse(const char *text, size_t len, GError **error);
/* Compact, one line, NUL-terminated; g_free(). `len` may be NULL. */
char *vsr_json_format(const vsr_json *json, size_t *len);
void vsr_json_free(vsr_json *json); /* NULL is a no-op */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(vsr_json, vsr_json_free)

vsr_json *vsr_json_new_object(void);
/* The value of `key` leaves the object: the caller's; NULL: there is none. */
vsr_json *vsr_json_steal(vsr_json *object, const char *key);
vsr_json *vsr_json_new_array(void);
vsr_json *vsr_json_new_string(const char *text); /* invalid UTF-8 replaced */
vsr_json *vsr_json_new_int(int64_t value);
vsr_json *vsr_json_new_uint(uint64_t value);
vsr_json *vsr_json_new_bool(bool value);

/* `value` is taken. Keys are not looked for first: do not set one twice. */
void vsr_json_set(vsr_json *object, const char *key, vsr_json *value);
void vsr_json_set_string(vsr_json *object, const char *key, const char *text);
void vsr_json_set_int(vsr_json *object, const char *key, int64_t value);
void vsr_json_set_uint(vsr_json *object, const char *key, uint64_t value);
void vsr_json_set_bool(vsr_json *object, const char *key, bool value);
void vsr_json_append(vsr_json *array, vsr_json *value);

/* All of these take NULL and other types, and then find nothing. */
vsr_json_type vsr_json_type_of(const vsr_json *json);
const vsr_json *vsr_json_get(const vsr_json *object, const char *key);
uint32_t vsr_json_len(const vsr_json *json); /* of an array or object */
const vsr_json *vsr_json_at(const vsr_json *json, uint32_t index);
const char *vsr_json_key_at(const vsr_json *object, uint32_t index);
const char *vsr_json_string(const vsr_json *json); /* NULL: not a string */
bool vsr_json_uint(const vsr_json *json, uint64_t *out);

/* False if missing, of another type, or out of range; *out is then unchanged. */
bool vsr_json_get_string(const vsr_json *object, const char *key,
                         const char **out);
bool vsr_json_get_int(const vsr_json *object, const char *key, int64_t min,
                      int64_t max, int64_t *out);
bool vsr_json_get_uint(const vsr_json *object, const char *key, uint64_t *out);
bool vsr_json_get_bool(const vsr_json *object, const char *key, bool *out);

#endif
