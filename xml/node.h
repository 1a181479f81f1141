/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * node.h: reading elements against tables, so that nothing is dropped: each
 * element of a table names its attributes and its reader, and what is in no
 * table is refused by name and line.
 *
 * Threads: any.
 */
#ifndef VSR_XML_NODE_H
#define VSR_XML_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>
#include <libxml/tree.h>

#include <visor/error.h>

/* Our own elements are in this namespace, whatever its prefix. */
#define VSR_XML_NAMESPACE "https://libvisor.org/domain/1"

typedef bool vsr_xml_reader(const xmlNode *node, void *to, GError **error);

enum {
    VSR_XML_MANY = 1 << 0,  /* may stand more than once */
    VSR_XML_EMPTY = 1 << 1, /* has no content */
    VSR_XML_RAW = 1 << 2,   /* attributes and content are not looked at */
};

typedef struct {
    const char *name;  /* "visor:x" for x of our namespace */
    const char *attrs; /* the allowed ones, each followed by a space */
    vsr_xml_reader *read;
    unsigned flags;
} vsr_xml_element;

/* Sets "line N: …" and returns false. */
bool vsr_xml_fail(const xmlNode *node, visor_error_code code, GError **error,
                  const char *format, ...) G_GNUC_PRINTF(4, 5);

/* Each child of `node` by its table row (at most 64); text is refused. */
bool vsr_xml_read_children(const xmlNode *node, const vsr_xml_element *table,
                           size_t n, void *to, GError **error);
/* Attributes of `node` are among `attrs`; namespaces it declares are ours. */
bool vsr_xml_check_attrs(const xmlNode *node, const char *attrs,
                         GError **error);

/* Borrowed, NULL if it is not there. */
const char *vsr_xml_attr(const xmlNode *node, const char *name);
/* The element's text; "" becomes NULL. Child elements are refused. *out was
 * NULL; owned by the caller. */
bool vsr_xml_text(const xmlNode *node, char **out, GError **error);

/* Index into `texts` (NULL-terminated) of the attribute's or the element's
 * value; *out stays as it is if there is none. `known` is what a message calls
 * values that exist elsewhere but not here, "" or NULL: plain error. */
bool vsr_xml_attr_choice(const xmlNode *node, const char *name,
                         const char *const *texts, int *out, GError **error);
bool vsr_xml_text_choice(const xmlNode *node, const char *const *texts,
                         int *out, GError **error);
/* Decimal, spaces around it allowed. *out stays as it is without attribute. */
bool vsr_xml_attr_u32(const xmlNode *node, const char *name, uint32_t *out,
                      GError **error);
bool vsr_xml_attr_i64(const xmlNode *node, const char *name, int64_t *out,
                      GError **error);
bool vsr_xml_text_u64(const xmlNode *node, uint64_t *out, GError **error);
bool vsr_xml_parse_u64(const char *text, uint64_t *out);

#endif
