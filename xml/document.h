/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * document.h: hostile text to a libxml2 tree, within limits: VSR_XML_MAX bytes,
 * UTF-8, VSR_XML_DEPTH_MAX levels, no DTD (so no entities of its own), no
 * network, nothing printed.
 *
 * Threads: any; a tree belongs to one thread.
 */
#ifndef VSR_XML_DOCUMENT_H
#define VSR_XML_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>
#include <libxml/tree.h>

enum { VSR_XML_DEPTH_MAX = 64 };

/* Owned by the caller (xmlFreeDoc). The root element is there. */
xmlDoc *vsr_xml_document_parse(const char *text, size_t len, GError **error);

/* The bytes from '<name' to '</name>' (or '/>') of the first child of the root
 * that is called `name`, which has no prefix; NULL if there is none. `text`
 * is well-formed: vsr_xml_document_parse() took it. Owned by the caller. */
char *vsr_xml_document_raw(const char *text, size_t len, const char *name);

/* Each child element of the root, in order, with its bytes; `child` returns
 * false to stop. `text` is well-formed, as above. */
typedef bool vsr_xml_child_fn(const char *start, size_t len, unsigned index,
                              void *opaque);
void vsr_xml_document_children(const char *text, size_t len,
                               vsr_xml_child_fn *child, void *opaque);

#endif
