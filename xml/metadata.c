/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * metadata.c: getting and setting one element of <metadata>, which is kept as
 * text: bytes are cut and pasted, the tree is only asked where.
 *
 * Threads: any.
 */
#include "xml/domain.h"

#include <string.h>

#include <libxml/tree.h>

#include "base/error.h"
#include "xml/document.h"

/* --- finding --- */

typedef struct {
    unsigned wanted;
    const char *start;
    size_t len;
    unsigned count;
} range;

static bool count_child(const char *start, size_t len, unsigned index,
                        void *opaque)
{
    range *r = opaque;

    if (index == r->wanted) {
        r->start = start;
        r->len = len;
    }
    r->count++;
    return true;
}

static bool has_uri(const xmlNode *node, const char *uri)
{
    return node->ns && strcmp((const char *)node->ns->href, uri) == 0;
}

/* The root's child of namespace `uri`, and its number among the elements. */
static xmlNode *find_child(xmlNode *root, const char *uri, unsigned *index)
{
    *index = 0;
    for (xmlNode *n = root->children; n; n = n->next) {
        if (n->type != XML_ELEMENT_NODE)
            continue;
        if (has_uri(n, uri))
            return n;
        ++*index;
    }
    return NULL;
}

/* --- get --- */

static void strip_namespace(xmlNode *node, const char *uri)
{
    if (has_uri(node, uri))
        xmlSetNs(node, NULL);
    for (xmlNode *n = node->children; n; n = n->next)
        if (n->type == XML_ELEMENT_NODE)
            strip_namespace(n, uri);
}

static bool uses(const xmlNode *node, const xmlNs *ns)
{
    if (node->ns == ns)
        return true;
    for (const xmlAttr *a = node->properties; a; a = a->next)
        if (a->ns == ns)
            return true;
    for (const xmlNode *n = node->children; n; n = n->next)
        if (n->type == XML_ELEMENT_NODE && uses(n, ns))
            return true;
    return false;
}

static void drop_unused(xmlNode *node, const char *uri)
{
    xmlNs **link = &node->nsDef;

    while (*link) {
        xmlNs *ns = *link;

        if (strcmp((const char *)ns->href, uri) != 0 || uses(node, ns)) {
            link = &ns->next;
            continue;
        }
        *link = ns->next;
        xmlFreeNs(ns);
    }
}

/* The element as a document of its own, on one root. */
static char *dump(xmlDoc *doc, xmlNode *node)
{
    xmlBuffer *buffer = xmlBufferCreate();
    char *text = NULL;

    if (buffer && xmlNodeDump(buffer, doc, node, 0, 0) >= 0)
        text = g_strdup((const char *)xmlBufferContent(buffer));
    if (buffer)
        xmlBufferFree(buffer);
    return text;
}

char *vsr_metadata_get(const char *metadata, const char *uri, GError **error)
{
    xmlDoc *doc = NULL;
    xmlNode *node = NULL;
    char *text = NULL;
    unsigned index;

    if (metadata) {
        doc = vsr_xml_document_parse(metadata, strlen(metadata), error);
        if (!doc)
            return NULL;
        node = find_child(xmlDocGetRootElement(doc), uri, &index);
    }
    if (node) {
        strip_namespace(node, uri);
        drop_unused(node, uri);
        xmlUnlinkNode(node);
        /* The old root goes; prefixes it declared move to the element. */
        xmlReconciliateNs(doc, node);
        text = dump(doc, node);
        xmlFreeNode(node);
        if (!text)
            vsr_fail(error, VISOR_ERR_RESOURCE, "Not enough memory for XML");
    } else {
        vsr_fail(error, VISOR_ERR_NOT_FOUND,
                 "<metadata> has no element of namespace '%s'", uri);
    }
    if (doc)
        xmlFreeDoc(doc);
    return text;
}

/* --- set --- */

static void add_namespace(xmlNode *node, xmlNs *ns)
{
    if (!node->ns)
        xmlSetNs(node, ns);
    for (xmlNode *n = node->children; n; n = n->next)
        if (n->type == XML_ELEMENT_NODE)
            add_namespace(n, ns);
}

/* `value` with its root in namespace `uri`. */
static char *make_element(const char *value, const char *uri, const char *key,
                          GError **error)
{
    xmlDoc *doc = vsr_xml_document_parse(value, strlen(value), error);
    xmlNode *root;
    xmlNs *ns;
    char *text = NULL;

    if (!doc)
        return NULL;
    root = xmlDocGetRootElement(doc);
    if (root->ns && !has_uri(root, uri)) {
        vsr_fail(error, VISOR_ERR_XML,
                 "The element is in namespace '%s', not '%s'",
                 (const char *)root->ns->href, uri);
        goto out;
    }
    if (!root->ns) {
        if (!key || xmlValidateNCName((const xmlChar *)key, 0) != 0) {
            vsr_fail(error, VISOR_ERR_ARG,
                     "'%s' cannot be the prefix of a namespace",
                     key ? key : "");
            goto out;
        }
        ns = xmlNewNs(root, (const xmlChar *)uri, (const xmlChar *)key);
        if (!ns) {
            vsr_fail(error, VISOR_ERR_XML,
                     "The element uses prefix '%s' for something else", key);
            goto out;
        }
        add_namespace(root, ns);
    }
    text = dump(doc, root);
    if (!text)
        vsr_fail(error, VISOR_ERR_RESOURCE, "Not enough memory for XML");
out:
    xmlFreeDoc(doc);
    return text;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Into `metadata`, before its end tag. */
static char *append_element(const char *metadata, const char *element)
{
    size_t len = strlen(metadata);
    const char *end = metadata + len - 2;

    if (*end == '/') /* <metadata/> */
        return g_strdup_printf("%.*s>\n    %s\n  </metadata>",
                               (int)(end - metadata), metadata, element);
    while (end[0] != '<' || end[1] != '/')
        end--;
    while (is_space(end[-1]))
        end--;
    return g_strdup_printf("%.*s\n    %s\n  </metadata>", (int)(end - metadata),
                           metadata, element);
}

/* Replaces r by `element`, or removes it with the space in front. */
static char *splice(const char *metadata, const range *r, const char *element)
{
    const char *start = r->start;

    if (!element)
        while (is_space(start[-1]))
            start--;
    return g_strdup_printf("%.*s%s%s", (int)(start - metadata), metadata,
                           element ? element : "", r->start + r->len);
}

static char *edit(const char *metadata, const char *uri, const char *element,
                  GError **error)
{
    xmlDoc *doc = vsr_xml_document_parse(metadata, strlen(metadata), error);
    range r = { 0 };
    bool found;

    if (!doc)
        return NULL;
    found = find_child(xmlDocGetRootElement(doc), uri, &r.wanted) != NULL;
    xmlFreeDoc(doc);
    vsr_xml_document_children(metadata, strlen(metadata), count_child, &r);
    if (!found && !element)
        return g_strdup(metadata);
    if (!found)
        return append_element(metadata, element);
    if (!element && r.count == 1)
        return NULL; /* it was the last one */
    return splice(metadata, &r, element);
}

char *vsr_metadata_set(const char *metadata, const char *uri, const char *key,
                       const char *value, GError **error)
{
    g_autofree char *element = NULL;
    g_autofree char *edited = NULL;
    g_autofree char *whole = NULL;
    xmlDoc *doc;

    if (!uri || !*uri || !g_utf8_validate(uri, -1, NULL)) {
        vsr_fail(error, VISOR_ERR_ARG, "A namespace URI is needed");
        return NULL;
    }
    if (value) {
        element = make_element(value, uri, key, error);
        if (!element)
            return NULL;
    } else if (!metadata) {
        return NULL;
    }
    edited = edit(metadata ? metadata : "<metadata/>", uri, element, error);
    if (!edited)
        return NULL;
    if (strlen(edited) > VSR_METADATA_MAX) {
        vsr_fail(error, VISOR_ERR_CONFIG,
                 "<metadata> would have %zu bytes, %d at the most",
                 strlen(edited), (int)VSR_METADATA_MAX);
        return NULL;
    }
    /* What is wrong now (a control character in the URI, the depth) would make
     * the whole domain unreadable later. */
    whole = g_strdup_printf("<domain>%s</domain>", edited);
    doc = vsr_xml_document_parse(whole, strlen(whole), error);
    if (!doc)
        return NULL;
    xmlFreeDoc(doc);
    return g_steal_pointer(&edited);
}
