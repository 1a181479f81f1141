/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device.c: see device.h; the families are in device_*.c.
 *
 * Threads: any.
 */
#include "xml/device.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "xml/device_parts.h"
#include "xml/document.h"

/* --- what all have ------------------------------------------------------------- */

void vsr_device_take_attr(const xmlNode *node, const char *name, char **out)
{
    const char *text = vsr_xml_attr(node, name);

    if (text == NULL)
        return;
    g_free(*out);
    *out = *text != '\0' ? g_strdup(text) : NULL;
}

bool vsr_device_read_switch(const xmlNode *node, const char *name, bool *out,
                            bool *given, GError **error)
{
    static const char *const texts[] = { "off", "on", "no", "yes", NULL };
    int index = -1;

    if (!vsr_xml_attr_choice(node, name, texts, &index, error))
        return false;
    if (index >= 0)
        *out = index & 1;
    if (index >= 0 && given != NULL)
        *given = true;
    return true;
}

/* 0x hexadecimal or decimal, as libvirt takes both. */
static bool read_number(const xmlNode *node, const char *name, uint64_t max,
                        uint64_t *out, GError **error)
{
    const char *text = vsr_xml_attr(node, name);
    char *end = NULL;
    int base;

    if (text == NULL)
        return true;
    base = g_str_has_prefix(text, "0x") ? 16 : 10;
    *out = g_ascii_strtoull(text, &end, base);
    if (!g_ascii_isxdigit(*text) || end == text || *end != '\0' || *out > max)
        return vsr_xml_fail(
            node, VISOR_ERR_XML, error,
            "'address': %s='%.32s' is no number of 0 to %" G_GUINT64_FORMAT,
            name, text, max);
    return true;
}

bool vsr_device_read_address(const xmlNode *node, void *to, GError **error)
{
    static const char *const types[] = { "pci", NULL };
    vsr_device_conf *device = to;
    uint64_t domain = 0, bus = 0, slot = 0, function = 0;
    int type = -1;

    if (!vsr_xml_attr_choice(node, "type", types, &type, error) ||
        !read_number(node, "domain", 0xffff, &domain, error) ||
        !read_number(node, "bus", 0xff, &bus, error) ||
        !read_number(node, "slot", 0x1f, &slot, error) ||
        !read_number(node, "function", 7, &function, error))
        return false;
    if (type < 0)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'address' has no attribute 'type'");
    if (domain != 0 || bus != 0 || function != 0 || slot == 0 ||
        slot > VSR_SLOTS_MAX)
        return vsr_xml_fail(node, VISOR_ERR_NO_SUPPORT, error,
                            "'address': devices sit at slots 0x01 to 0x%02x of "
                            "bus 0, function 0",
                            (unsigned)VSR_SLOTS_MAX);
    device->slot = (uint8_t)slot;
    return true;
}

bool vsr_device_read_alias(const xmlNode *node, void *to, GError **error)
{
    vsr_device_conf *device = to;
    const char *name = vsr_xml_attr(node, "name");

    /* Others are ours, shown while the domain runs, and say nothing. */
    if (name != NULL && g_str_has_prefix(name, "ua-"))
        vsr_device_take_attr(node, "name", &device->alias);
    return true;
}

static void write_common(vsr_xml_writer *w, const vsr_device_conf *device,
                         bool is_live)
{
    char text[8];

    if (device->alias != NULL &&
        (is_live || g_str_has_prefix(device->alias, "ua-"))) {
        vsr_xml_open(w, "alias");
        vsr_xml_put_attr(w, "name", device->alias);
        vsr_xml_end_empty(w);
    }
    if (device->slot == 0)
        return;
    (void)g_snprintf(text, sizeof(text), "0x%02x", device->slot);
    vsr_xml_open(w, "address");
    vsr_xml_put_attr(w, "type", "pci");
    vsr_xml_put_attr(w, "domain", "0x0000");
    vsr_xml_put_attr(w, "bus", "0x00");
    vsr_xml_put_attr(w, "slot", text);
    vsr_xml_put_attr(w, "function", "0x0");
    vsr_xml_end_empty(w);
}

/* --- the kinds ------------------------------------------------------------------- */

static const struct {
    vsr_device_reader *read;
    vsr_device_writer *write;
} families[VSR_DEVICE_KINDS] = {
    [VSR_DEVICE_DISK] = { vsr_device_read_disk, vsr_device_write_disk },
    [VSR_DEVICE_INTERFACE] = { vsr_device_read_interface,
                               vsr_device_write_interface },
    [VSR_DEVICE_RNG] = { vsr_device_read_rng, vsr_device_write_rng },
    [VSR_DEVICE_BALLOON] = { vsr_device_read_balloon,
                             vsr_device_write_balloon },
    [VSR_DEVICE_VSOCK] = { vsr_device_read_vsock, vsr_device_write_vsock },
    [VSR_DEVICE_CHANNEL] = { vsr_device_read_channel,
                             vsr_device_write_channel },
    [VSR_DEVICE_FILESYSTEM] = { vsr_device_read_filesystem,
                                vsr_device_write_filesystem },
    [VSR_DEVICE_MEMORY] = { vsr_device_read_memory, vsr_device_write_memory },
};

bool vsr_device_read(const xmlNode *node, void *to, GError **error)
{
    GPtrArray *devices = to;
    vsr_device_conf *device;
    int kind = 0;

    while (strcmp(vsr_device_kind_text((vsr_device_kind)kind),
                  (const char *)node->name) != 0)
        kind++; /* the table has led here: it is one of them */
    device = vsr_device_conf_new((vsr_device_kind)kind);
    g_ptr_array_add(devices, device);
    return families[kind].read(node, device, error);
}

const vsr_xml_element vsr_device_elements[VSR_DEVICE_KINDS] = {
    { "disk", "type device ", vsr_device_read, VSR_XML_MANY },
    { "interface", "type ", vsr_device_read, VSR_XML_MANY },
    { "rng", "model ", vsr_device_read, VSR_XML_MANY },
    { "memballoon", "model autodeflate freePageReporting ", vsr_device_read,
      0 },
    { "vsock", "model ", vsr_device_read, 0 },
    { "channel", "type ", vsr_device_read, VSR_XML_MANY },
    { "filesystem", "type accessmode ", vsr_device_read, VSR_XML_MANY },
    { "memory", "model ", vsr_device_read, VSR_XML_MANY },
};

void vsr_device_write(vsr_xml_writer *w, const vsr_device_conf *device,
                      bool is_live)
{
    const char *name = vsr_device_kind_text(device->kind);

    vsr_xml_open(w, name);
    families[device->kind].write(w, device, is_live);
    write_common(w, device, is_live);
    vsr_xml_close(w, name);
}

/* --- one by itself ----------------------------------------------------------------- */

vsr_device_conf *vsr_device_xml_parse(const char *text, size_t len,
                                      GError **error)
{
    g_autoptr(GPtrArray) devices = g_ptr_array_new_with_free_func(
        (GDestroyNotify)(void (*)(void))vsr_device_conf_free);
    xmlDoc *doc = vsr_xml_document_parse(text, len, error);
    const xmlNode *root;
    xmlNode *above;
    bool ok;

    if (doc == NULL)
        return NULL;
    /* The tables say what may be in an element: give ours one. */
    root = xmlDocGetRootElement(doc);
    above = xmlNewDocNode(doc, NULL, (const xmlChar *)"devices", NULL);
    xmlUnlinkNode((xmlNode *)(uintptr_t)root);
    xmlAddChild(above, (xmlNode *)(uintptr_t)root);
    xmlDocSetRootElement(doc, above);
    ok = vsr_xml_read_children(above, vsr_device_elements, VSR_DEVICE_KINDS,
                               devices, error) &&
         vsr_device_complete(devices->pdata[0], error);
    xmlFreeDoc(doc);
    return ok ? g_ptr_array_steal_index(devices, 0) : NULL;
}

char *vsr_device_xml_format(const vsr_device_conf *device, bool is_live)
{
    vsr_xml_writer w;

    vsr_xml_writer_init(&w);
    vsr_device_write(&w, device, is_live);
    return vsr_xml_writer_finish(&w);
}
