/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * validate.c: a document against the RELAX NG schema, for tests and for
 * people who ask for it. The readers of domain_*.c decide, not the schema.
 *
 * Spec:    RELAX NG, OASIS committee specification of 3 December 2001.
 * Threads: any.
 */
#include "xml/domain.h"

#include <libxml/relaxng.h>

#include "base/error.h"
#include "xml/document.h"

static void on_error(void *opaque, xmlErrorPtr err)
{
    GError **first = opaque;
    g_autofree char *text = NULL;

    if (*first || !err || err->level == XML_ERR_WARNING)
        return;
    text = g_utf8_make_valid(err->message ? err->message : "not valid", -1);
    g_strdelimit(g_strchomp(text), "\r\n", ' ');
    vsr_fail(first, VISOR_ERR_XML, "line %d: %s", err->line, text);
}

static xmlRelaxNG *load_schema(const char *path, GError **error)
{
    xmlRelaxNGParserCtxt *ctxt = xmlRelaxNGNewParserCtxt(path);
    GError *first = NULL;
    xmlRelaxNG *schema = NULL;

    if (ctxt) {
        xmlRelaxNGSetParserStructuredErrors(ctxt, on_error, &first);
        schema = xmlRelaxNGParse(ctxt);
        xmlRelaxNGFreeParserCtxt(ctxt);
    }
    if (!schema)
        vsr_fail(error, VISOR_ERR_NOT_FOUND, "Schema '%s' cannot be read: %s",
                 path, first ? first->message : "no reason given");
    g_clear_error(&first);
    return schema;
}

bool vsr_domain_xml_validate(const char *text, size_t len, const char *schema,
                             GError **error)
{
    xmlDoc *doc = vsr_xml_document_parse(text, len, error);
    xmlRelaxNGValidCtxt *ctxt = NULL;
    xmlRelaxNG *rng = NULL;
    GError *first = NULL;
    bool ok = false;

    if (!doc)
        return false;
    rng = load_schema(schema, error);
    if (!rng)
        goto out;
    ctxt = xmlRelaxNGNewValidCtxt(rng);
    if (!ctxt) {
        vsr_fail(error, VISOR_ERR_RESOURCE, "Not enough memory to validate");
        goto out;
    }
    xmlRelaxNGSetValidStructuredErrors(ctxt, on_error, &first);
    ok = xmlRelaxNGValidateDoc(ctxt, doc) == 0;
    if (!ok && first)
        g_propagate_error(error, g_steal_pointer(&first));
    else if (!ok)
        vsr_fail(error, VISOR_ERR_XML, "The document is against the schema");
out:
    g_clear_error(&first);
    if (ctxt)
        xmlRelaxNGFreeValidCtxt(ctxt);
    if (rng)
        xmlRelaxNGFree(rng);
    xmlFreeDoc(doc);
    return ok;
}
