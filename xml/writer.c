/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * writer.c: indented XML text.
 *
 * Spec: XML 1.0, 2.4 "Character Data and Markup", 2.11 "End-of-Line Handling",
 *       3.3.3 "Attribute-Value Normalization": which characters a parser would
 *       change if they were written as they are.
 */
#include "xml/writer.h"

#include <inttypes.h>

#include <stdbool.h>

void vsr_xml_writer_init(vsr_xml_writer *w)
{
    w->text = g_string_sized_new(2048);
    w->depth = 0;
}

char *vsr_xml_writer_finish(vsr_xml_writer *w)
{
    char *text = g_string_free(w->text, FALSE);

    w->text = NULL;
    return text;
}

static void put_escaped(GString *to, const char *text, bool is_attr)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            g_string_append(to, "&amp;");
            break;
        case '<':
            g_string_append(to, "&lt;");
            break;
        case '>':
            g_string_append(to, "&gt;");
            break;
        case '\'':
            g_string_append(to, is_attr ? "&apos;" : "'");
            break;
        case '\r':
            g_string_append(to, "&#13;");
            break;
        case '\n':
            g_string_append(to, is_attr ? "&#10;" : "\n");
            break;
        case '\t':
            g_string_append(to, is_attr ? "&#9;" : "\t");
            break;
        default:
            g_string_append_c(to, *text);
        }
    }
}

static void indent(vsr_xml_writer *w)
{
    for (unsigned i = 0; i < w->depth; i++)
        g_string_append_len(w->text, "  ", 2);
}

void vsr_xml_open(vsr_xml_writer *w, const char *name)
{
    indent(w);
    g_string_append_c(w->text, '<');
    g_string_append(w->text, name);
}

void vsr_xml_put_attr(vsr_xml_writer *w, const char *name, const char *value)
{
    g_string_append_c(w->text, ' ');
    g_string_append(w->text, name);
    g_string_append_len(w->text, "='", 2);
    put_escaped(w->text, value, true);
    g_string_append_c(w->text, '\'');
}

void vsr_xml_put_attr_u64(vsr_xml_writer *w, const char *name, uint64_t value)
{
    g_string_append_printf(w->text, " %s='%" PRIu64 "'", name, value);
}

void vsr_xml_put_attr_i64(vsr_xml_writer *w, const char *name, int64_t value)
{
    g_string_append_printf(w->text, " %s='%" PRId64 "'", name, value);
}

void vsr_xml_end_empty(vsr_xml_writer *w)
{
    g_string_append_len(w->text, "/>\n", 3);
}

void vsr_xml_end_text(vsr_xml_writer *w, const char *name, const char *text)
{
    g_string_append_c(w->text, '>');
    put_escaped(w->text, text, false);
    g_string_append_len(w->text, "</", 2);
    g_string_append(w->text, name);
    g_string_append_len(w->text, ">\n", 2);
}

void vsr_xml_end_open(vsr_xml_writer *w)
{
    g_string_append_len(w->text, ">\n", 2);
    w->depth++;
}

void vsr_xml_close(vsr_xml_writer *w, const char *name)
{
    w->depth--;
    indent(w);
    g_string_append_len(w->text, "</", 2);
    g_string_append(w->text, name);
    g_string_append_len(w->text, ">\n", 2);
}

void vsr_xml_put(vsr_xml_writer *w, const char *name, const char *text)
{
    if (!text)
        return;
    vsr_xml_open(w, name);
    vsr_xml_end_text(w, name, text);
}

void vsr_xml_put_empty(vsr_xml_writer *w, const char *name)
{
    vsr_xml_open(w, name);
    vsr_xml_end_empty(w);
}

void vsr_xml_put_raw(vsr_xml_writer *w, const char *text)
{
    indent(w);
    g_string_append(w->text, text);
    g_string_append_c(w->text, '\n');
}
