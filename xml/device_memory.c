/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device_memory.c: <memory model='virtio-mem'> of <devices>.
 *
 * Threads: any.
 */
#include "xml/device_parts.h"

#include "base/util.h"

static vsr_memory_conf *memory_of(void *to)
{
    return &((vsr_device_conf *)to)->memory;
}

static bool read_size(const xmlNode *node, void *to, GError **error)
{
    return vsr_xml_size_kib(node, &memory_of(to)->size_kib, error);
}

static bool read_block(const xmlNode *node, void *to, GError **error)
{
    if (!vsr_xml_size_kib(node, &memory_of(to)->block_kib, error))
        return false;
    return memory_of(to)->block_kib != 0 ||
           vsr_xml_fail(node, VISOR_ERR_CONFIG, error, "'block' is 0");
}

static bool read_requested(const xmlNode *node, void *to, GError **error)
{
    return vsr_xml_size_kib(node, &memory_of(to)->requested_kib, error);
}

/* What a running domain's XML shows. */
static bool read_current(const xmlNode *node, void *to, GError **error)
{
    memory_of(to)->current_given = true;
    return vsr_xml_size_kib(node, &memory_of(to)->current_kib, error);
}

static bool read_node(const xmlNode *node, void *to, GError **error)
{
    uint64_t number;

    if (!vsr_xml_text_u64(node, &number, error))
        return false;
    return number == 0 || vsr_xml_fail(node, VISOR_ERR_NO_SUPPORT, error,
                                       "'node': the machine has node 0 only");
}

static bool read_target(const xmlNode *node, void *to, GError **error)
{
    static const vsr_xml_element elements[] = {
        { "size", "unit ", read_size, 0 },
        { "node", "", read_node, 0 },
        { "block", "unit ", read_block, 0 },
        { "requested", "unit ", read_requested, 0 },
        { "current", "unit ", read_current, 0 },
    };

    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                                 error);
}

bool vsr_device_read_memory(const xmlNode *node, vsr_device_conf *device,
                            GError **error)
{
    static const char *const models[] = { "virtio-mem", NULL };
    static const vsr_xml_element elements[] = {
        { "target", "", read_target, 0 },
        VSR_DEVICE_COMMON,
    };
    int model = -1;

    if (!vsr_xml_attr_choice(node, "model", models, &model, error))
        return false;
    if (model < 0)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'memory' has no attribute 'model'");
    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements),
                                 device, error);
}

void vsr_device_write_memory(vsr_xml_writer *w, const vsr_device_conf *device,
                             bool is_live)
{
    const vsr_memory_conf *memory = &device->memory;

    vsr_xml_put_attr(w, "model", "virtio-mem");
    vsr_xml_end_open(w);
    vsr_xml_open(w, "target");
    vsr_xml_end_open(w);
    vsr_xml_put_size(w, "size", memory->size_kib);
    vsr_xml_put_size(w, "block", memory->block_kib);
    vsr_xml_put_size(w, "requested", memory->requested_kib);
    if (is_live)
        vsr_xml_put_size(w, "current", memory->current_kib);
    vsr_xml_close(w, "target");
}
