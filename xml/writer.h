/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * writer.h: indented XML text, values in single quotes, as libvirt writes it.
 * Names and formats are ours; every value is escaped.
 */
#ifndef VSR_XML_WRITER_H
#define VSR_XML_WRITER_H

#include <stdint.h>

#include <glib.h>

typedef struct {
    GString *text;
    unsigned depth;
} vsr_xml_writer;

void vsr_xml_writer_init(vsr_xml_writer *w);
/* Owned by the caller (g_free). */
char *vsr_xml_writer_finish(vsr_xml_writer *w);

/* <name, then attributes, then one of the three ends. */
void vsr_xml_open(vsr_xml_writer *w, const char *name);
void vsr_xml_put_attr(vsr_xml_writer *w, const char *name, const char *value);
void vsr_xml_put_attr_u64(vsr_xml_writer *w, const char *name, uint64_t value);
void vsr_xml_put_attr_i64(vsr_xml_writer *w, const char *name, int64_t value);
void vsr_xml_end_empty(vsr_xml_writer *w); /* /> */
void vsr_xml_end_text(vsr_xml_writer *w, const char *name,
                      const char *text);                 /* >text</name> */
void vsr_xml_end_open(vsr_xml_writer *w);                /* > deeper */
void vsr_xml_close(vsr_xml_writer *w, const char *name); /* </name> */

/* <name>text</name>; nothing for NULL. */
void vsr_xml_put(vsr_xml_writer *w, const char *name, const char *text);
/* <name/> */
void vsr_xml_put_empty(vsr_xml_writer *w, const char *name);
/* As it is, on lines of its own. */
void vsr_xml_put_raw(vsr_xml_writer *w, const char *text);

#endif
