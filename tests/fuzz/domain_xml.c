/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_xml.c: any bytes as domain XML. What is accepted must come out as text
 * that is accepted again and comes out the same; what is refused must say why
 * in one line.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "xml/domain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The fuzzer's way to hear of a broken promise. */
static void require(int holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(vsr_domain_conf) conf =
        vsr_domain_xml_parse((const char *)data, size, &error);
    g_autoptr(vsr_domain_conf) again = NULL;
    g_autofree char *text = NULL;
    g_autofree char *text2 = NULL;

    require((conf == NULL) == (error != NULL));
    if (!conf) {
        require(error->message[0] != '\0' && !strchr(error->message, '\n'));
        return 0;
    }
    text = vsr_domain_xml_format(conf, 1, 0);
    again = vsr_domain_xml_parse(text, strlen(text), NULL);
    require(again != NULL);
    text2 = vsr_domain_xml_format(again, 1, 0);
    require(strcmp(text, text2) == 0);
    g_free(text2);
    text2 = vsr_domain_xml_format(conf, 1, VSR_XML_LIVE);
    vsr_domain_conf_free(again);
    again = vsr_domain_xml_parse(text2, strlen(text2), NULL);
    require(again != NULL);
    return 0;
}
