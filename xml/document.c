/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * document.c: hostile text to a libxml2 tree.
 *
 * Spec:    Extensible Markup Language (XML) 1.0, fifth edition.
 * Threads: any.
 */
#include "xml/document.h"

#include <string.h>

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/xmlerror.h>

#include "base/error.h"
#include "conf/domain_conf.h"

/* Hangs on the parser's context (_private) while it parses. */
typedef struct {
    GError *error; /* the first one */
} parse_state;

static void first_error(parse_state *state, visor_error_code code, long line,
                        const char *text)
{
    if (!state->error)
        vsr_fail(&state->error, code, "line %ld: %s", line, text);
}

static void on_error(void *opaque, xmlErrorPtr err)
{
    xmlParserCtxt *ctxt = opaque;
    g_autofree char *text = NULL;

    if (!err || err->level == XML_ERR_WARNING)
        return;
    /* A relative namespace URI or the like is odd, not wrong. */
    if (err->domain == XML_FROM_NAMESPACE && err->level != XML_ERR_FATAL &&
        err->code == XML_WAR_NS_URI_RELATIVE)
        return;
    text = g_utf8_make_valid(err->message ? err->message : "bad XML", -1);
    g_strdelimit(g_strchomp(text), "\r\n", ' ');
    first_error(ctxt->_private, VISOR_ERR_XML, err->line, text);
}

static void on_doctype(void *opaque, const xmlChar *name,
                       const xmlChar *external_id, const xmlChar *system_id)
{
    xmlParserCtxt *ctxt = opaque;

    first_error(ctxt->_private, VISOR_ERR_XML, xmlSAX2GetLineNumber(ctxt),
                "a document type declaration is not allowed");
    xmlStopParser(ctxt);
}

static void on_element(void *opaque, const xmlChar *localname,
                       const xmlChar *prefix, const xmlChar *uri,
                       int n_namespaces, const xmlChar **namespaces,
                       int n_attributes, int n_defaulted,
                       const xmlChar **attributes)
{
    xmlParserCtxt *ctxt = opaque;

    if (ctxt->nodeNr >= VSR_XML_DEPTH_MAX) {
        first_error(ctxt->_private, VISOR_ERR_XML, xmlSAX2GetLineNumber(ctxt),
                    "elements are nested too deep, 64 levels at the most");
        xmlStopParser(ctxt);
        return;
    }
    xmlSAX2StartElementNs(opaque, localname, prefix, uri, n_namespaces,
                          namespaces, n_attributes, n_defaulted, attributes);
}

static void *init_libxml(void *unused)
{
    xmlInitParser();
    return NULL;
}

/* The text is UTF-8, so it must not claim anything else. The declaration is
 * looked at here and ignored by libxml2, which would print about it. */
static bool is_utf8(const char *text, size_t len)
{
    static const char bom[] = "\xef\xbb\xbf";
    const char *end, *p;

    if (len >= 3 && memcmp(text, bom, 3) == 0) {
        text += 3;
        len -= 3;
    }
    if (len < 6 || memcmp(text, "<?xml", 5) != 0)
        return true;
    end = memmem(text, len, "?>", 2);
    p = end ? memmem(text, (size_t)(end - text), "encoding", 8) : NULL;
    if (!p)
        return true;
    for (p += 8; p < end && strchr(" \t\r\n=\"'", *p);)
        p++;
    return g_ascii_strncasecmp(p, "UTF-8", 5) == 0 ||
           g_ascii_strncasecmp(p, "US-ASCII", 8) == 0;
}

xmlDoc *vsr_xml_document_parse(const char *text, size_t len, GError **error)
{
    static GOnce once = G_ONCE_INIT;
    parse_state state = { NULL };
    xmlParserCtxt *ctxt;
    xmlDoc *doc;

    g_once(&once, init_libxml, NULL);
    if (len > VSR_XML_MAX) {
        vsr_fail(error, VISOR_ERR_XML,
                 "line 1: the document has %zu bytes, %d at the most", len,
                 (int)VSR_XML_MAX);
        return NULL;
    }
    if (!text || len == 0) {
        vsr_fail(error, VISOR_ERR_XML, "line 1: the document is empty");
        return NULL;
    }
    /* Refuses NUL bytes too, and whatever is UTF-16 or Latin-1. */
    if (!g_utf8_validate(text, (gssize)len, NULL)) {
        vsr_fail(error, VISOR_ERR_XML, "line 1: the document is not UTF-8");
        return NULL;
    }
    if (!is_utf8(text, len)) {
        vsr_fail(error, VISOR_ERR_XML,
                 "line 1: the document says it is not UTF-8");
        return NULL;
    }

    ctxt = xmlNewParserCtxt();
    if (!ctxt) {
        vsr_fail(error, VISOR_ERR_RESOURCE, "Not enough memory to parse XML");
        return NULL;
    }
    ctxt->_private = &state;
    ctxt->sax->serror = on_error;
    ctxt->sax->internalSubset = on_doctype;
    ctxt->sax->startElementNs = on_element;
    /* NOENT: the five entities of XML itself become text; there are no others,
     * since a DTD is refused. */
    doc = xmlCtxtReadMemory(ctxt, text, (int)len, NULL, NULL,
                            XML_PARSE_NONET | XML_PARSE_NOENT |
                                XML_PARSE_NOCDATA | XML_PARSE_BIG_LINES |
                                XML_PARSE_COMPACT | XML_PARSE_IGNORE_ENC);
    if (!state.error && (!doc || !ctxt->wellFormed || !ctxt->nsWellFormed ||
                         !xmlDocGetRootElement(doc)))
        first_error(&state, VISOR_ERR_XML, 1, "not well-formed XML");
    xmlFreeParserCtxt(ctxt);

    if (state.error) {
        if (doc)
            xmlFreeDoc(doc);
        g_propagate_error(error, state.error);
        return NULL;
    }
    return doc;
}

static const char *find(const char *from, const char *end, const char *what)
{
    const char *at = memmem(from, (size_t)(end - from), what, strlen(what));

    return at ? at + strlen(what) : end;
}

/* Behind the '>' of the tag at `from`; '>' may stand in a quoted value. */
static const char *skip_tag(const char *from, const char *end)
{
    char quote = '\0';

    for (; from < end; from++) {
        if (quote) {
            if (*from == quote)
                quote = '\0';
        } else if (*from == '"' || *from == '\'') {
            quote = *from;
        } else if (*from == '>') {
            return from + 1;
        }
    }
    return end;
}

void vsr_xml_document_children(const char *text, size_t len,
                               vsr_xml_child_fn *child, void *opaque)
{
    const char *end = text + len;
    const char *start = NULL; /* of the child we are in */
    unsigned depth = 0, index = 0;

    for (const char *p = text; (p = memchr(p, '<', (size_t)(end - p)));) {
        const char *tag = p;
        bool is_end, is_empty;

        if (end - p >= 4 && memcmp(p, "<!--", 4) == 0) {
            p = find(p + 4, end, "-->");
            continue;
        }
        if (end - p >= 9 && memcmp(p, "<![CDATA[", 9) == 0) {
            p = find(p, end, "]]>");
            continue;
        }
        if (end - p >= 2 && p[1] == '?') {
            p = find(p, end, "?>");
            continue;
        }

        p = skip_tag(tag, end);
        is_end = end - tag >= 2 && tag[1] == '/';
        is_empty = p[-2] == '/';
        if (!is_end && depth++ == 1)
            start = tag;
        if ((is_end || is_empty) && --depth == 1) {
            if (!child(start, (size_t)(p - start), index++, opaque))
                return;
        }
        if (depth == 0)
            return;
    }
}

typedef struct {
    const char *name;
    char *found;
} raw_search;

static bool is_named(const char *start, size_t len, unsigned index,
                     void *opaque)
{
    raw_search *search = opaque;
    size_t n = strlen(search->name);

    if (len <= n + 1 || memcmp(start + 1, search->name, n) != 0 ||
        !strchr(" \t\r\n/>", start[n + 1]))
        return true;
    search->found = g_strndup(start, len);
    return false;
}

char *vsr_xml_document_raw(const char *text, size_t len, const char *name)
{
    raw_search search = { name, NULL };

    vsr_xml_document_children(text, len, is_named, &search);
    return search.found;
}
