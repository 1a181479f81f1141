/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device_interface.c: <interface>.
 *
 * Threads: any.
 */
#include "xml/device_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"

/* In the order of vsr_net_kind. */
static const char *const type_texts[] = { "user",   "bridge", "ethernet",
                                          "direct", "null",   NULL };
static const char *const mode_texts[] = { "bridge", "vepa", "private",
                                          "passthrough", NULL };

static vsr_net_location *location_of(void *to)
{
    return &((vsr_device_conf *)to)->interface.location;
}

/* --- reading ---------------------------------------------------------------------- */

static bool read_mac(const xmlNode *node, void *to, GError **error)
{
    const char *text = vsr_xml_attr(node, "address");
    vsr_interface_conf *interface = &((vsr_device_conf *)to)->interface;
    unsigned byte[6];
    int end = 0;

    if (text == NULL ||
        sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2],
               &byte[3], &byte[4], &byte[5], &end) != 6 ||
        end != 17 || text[end] != '\0')
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'mac': address '%.32s' is not of the form "
                            "52:54:00:12:34:56",
                            text != NULL ? text : "");
    for (int i = 0; i < 6; i++)
        interface->location.mac[i] = (uint8_t)byte[i];
    interface->mac_given = true;
    return true;
}

static bool read_source(const xmlNode *node, void *to, GError **error)
{
    vsr_net_location *l = location_of(to);
    const char *attr = l->kind == VSR_NET_BRIDGE ? "bridge" : "dev";
    int mode = VSR_NET_MACVTAP_VEPA; /* libvirt's default */

    if (l->kind != VSR_NET_BRIDGE && l->kind != VSR_NET_MACVTAP)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'interface' of type '%s' has no source",
                            type_texts[l->kind]);
    if (!vsr_xml_attr_choice(node, "mode", mode_texts, &mode, error))
        return false;
    if (vsr_xml_attr(node, attr) == NULL ||
        (l->kind == VSR_NET_BRIDGE && (vsr_xml_attr(node, "mode") != NULL ||
                                       vsr_xml_attr(node, "dev") != NULL)) ||
        (l->kind == VSR_NET_MACVTAP && vsr_xml_attr(node, "bridge") != NULL))
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'source' of an interface of type '%s' has '%s'%s",
                            type_texts[l->kind], attr,
                            l->kind == VSR_NET_MACVTAP ? " and 'mode'" : "");
    vsr_device_take_attr(node, attr, &l->device);
    l->mode = (vsr_net_macvtap)mode;
    return true;
}

static bool read_target(const xmlNode *node, void *to, GError **error)
{
    vsr_net_location *l = location_of(to);
    bool managed = true, given = false;

    if (!vsr_device_read_switch(node, "managed", &managed, &given, error))
        return false;
    if (given && l->kind != VSR_NET_TAP)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'target': managed goes with type='ethernet'");
    l->managed = !managed; /* libvirt's 'no': it is there, and stays */
    vsr_device_take_attr(node, "dev", &l->target);
    if (l->managed && l->target == NULL)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'target': managed='no' needs a 'dev'");
    return true;
}

static bool read_model(const xmlNode *node, void *to, GError **error)
{
    static const char *const types[] = { "virtio", NULL };
    int type = 0;

    return vsr_xml_attr_choice(node, "type", types, &type, error);
}

static bool read_driver(const xmlNode *node, void *to, GError **error)
{
    /* Another hypervisor's names for what is the only one here. */
    static const char *const names[] = { "qemu", NULL };
    int name = 0;

    return vsr_xml_attr_choice(node, "name", names, &name, error) &&
           vsr_xml_attr_u32(node, "queues", &location_of(to)->queues, error);
}

static bool read_mtu(const xmlNode *node, void *to, GError **error)
{
    return vsr_xml_attr_u32(node, "size", &location_of(to)->mtu, error);
}

static bool read_rate(const xmlNode *node, vsr_net_rate *rate, GError **error)
{
    static const char *const names[] = { "average", "peak", "burst" };
    uint64_t *const out[] = { &rate->average, &rate->peak, &rate->burst };

    for (size_t i = 0; i < VSR_ARRAY_SIZE(names); i++) {
        const char *text = vsr_xml_attr(node, names[i]);

        if (text != NULL && !vsr_xml_parse_u64(text, out[i]))
            return vsr_xml_fail(node, VISOR_ERR_XML, error,
                                "'%s': %s='%.32s' is not a number",
                                (const char *)node->name, names[i], text);
    }
    if (rate->average == 0)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'%s' needs an average above 0",
                            (const char *)node->name);
    return true;
}

static bool read_inbound(const xmlNode *node, void *to, GError **error)
{
    return read_rate(node, &location_of(to)->in, error);
}

static bool read_outbound(const xmlNode *node, void *to, GError **error)
{
    return read_rate(node, &location_of(to)->out, error);
}

static bool read_bandwidth(const xmlNode *node, void *to, GError **error)
{
    static const vsr_xml_element elements[] = {
        { "inbound", "average peak burst ", read_inbound, VSR_XML_EMPTY },
        { "outbound", "average peak burst ", read_outbound, VSR_XML_EMPTY },
    };

    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                                 error);
}

static bool read_tag(const xmlNode *node, void *to, GError **error)
{
    uint32_t id = 0;

    if (!vsr_xml_attr_u32(node, "id", &id, error))
        return false;
    if (id == 0 || id > 4094)
        return vsr_xml_fail(node, VISOR_ERR_CONFIG, error,
                            "'tag': id %u is none of 1 to 4094", id);
    location_of(to)->vlan = (uint16_t)id;
    return true;
}

static bool read_vlan(const xmlNode *node, void *to, GError **error)
{
    static const vsr_xml_element elements[] = {
        { "tag", "id ", read_tag, VSR_XML_EMPTY },
    };

    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                                 error);
}

static bool read_link(const xmlNode *node, void *to, GError **error)
{
    static const char *const states[] = { "up", "down", NULL };
    int state = 0;

    if (!vsr_xml_attr_choice(node, "state", states, &state, error))
        return false;
    ((vsr_device_conf *)to)->interface.link_down = state == 1;
    return true;
}

/* <portForward proto='tcp' address='127.0.0.1'><range start='2222' to='22'/> */
static bool read_range(const xmlNode *node, void *to, GError **error)
{
    GArray *forwards = location_of(to)->forwards;
    vsr_net_forward *above =
        &g_array_index(forwards, vsr_net_forward, forwards->len - 1);
    vsr_net_forward forward = *above;
    uint32_t start = 0, target = 0;

    if (!vsr_xml_attr_u32(node, "start", &start, error) ||
        !vsr_xml_attr_u32(node, "to", &target, error))
        return false;
    if (target == 0)
        target = start;
    if (start == 0 || start > UINT16_MAX || target > UINT16_MAX)
        return vsr_xml_fail(node, VISOR_ERR_CONFIG, error,
                            "'range': ports are 1 to 65535");
    if (above->host_port == 0) {
        above->host_port = (uint16_t)start;
        above->guest_port = (uint16_t)target;
        return true;
    }
    forward.host_addr = g_strdup(forward.host_addr);
    forward.host_port = (uint16_t)start;
    forward.guest_port = (uint16_t)target;
    g_array_append_val(forwards, forward);
    return true;
}

static bool read_forward(const xmlNode *node, void *to, GError **error)
{
    static const char *const protocols[] = { "tcp", "udp", NULL };
    static const vsr_xml_element elements[] = {
        { "range", "start to ", read_range, VSR_XML_MANY | VSR_XML_EMPTY },
    };
    vsr_net_location *l = location_of(to);
    vsr_net_forward forward = { 0 };
    int protocol = -1;

    if (!vsr_xml_attr_choice(node, "proto", protocols, &protocol, error))
        return false;
    if (l->kind != VSR_NET_USER || protocol < 0)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'portForward' needs proto='tcp' or 'udp', and an "
                            "interface of type 'user'");
    forward.is_udp = protocol == 1;
    vsr_device_take_attr(node, "address", &forward.host_addr);
    g_array_append_val(l->forwards, forward);
    if (!vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                               error))
        return false;
    if (g_array_index(l->forwards, vsr_net_forward, l->forwards->len - 1)
            .host_port == 0)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'portForward' has no 'range'");
    return true;
}

bool vsr_device_read_interface(const xmlNode *node, vsr_device_conf *device,
                               GError **error)
{
    static const vsr_xml_element elements[] = {
        { "mac", "address ", read_mac, VSR_XML_EMPTY },
        { "source", "bridge dev mode ", read_source, VSR_XML_EMPTY },
        { "target", "dev managed ", read_target, VSR_XML_EMPTY },
        { "model", "type ", read_model, VSR_XML_EMPTY },
        { "driver", "name queues ", read_driver, VSR_XML_EMPTY },
        { "mtu", "size ", read_mtu, VSR_XML_EMPTY },
        { "bandwidth", "", read_bandwidth, 0 },
        { "vlan", "", read_vlan, 0 },
        { "link", "state ", read_link, VSR_XML_EMPTY },
        { "portForward", "proto address ", read_forward, VSR_XML_MANY },
        VSR_DEVICE_COMMON,
    };
    int type = -1;

    if (!vsr_xml_attr_choice(node, "type", type_texts, &type, error))
        return false;
    if (type < 0)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'interface' has no attribute 'type'");
    device->interface.location.kind = (vsr_net_kind)type;
    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements),
                                 device, error);
}

/* --- writing ---------------------------------------------------------------------- */

static void write_rate(vsr_xml_writer *w, const char *name,
                       const vsr_net_rate *rate)
{
    if (rate->average == 0)
        return;
    vsr_xml_open(w, name);
    vsr_xml_put_attr_u64(w, "average", rate->average);
    if (rate->peak != 0)
        vsr_xml_put_attr_u64(w, "peak", rate->peak);
    if (rate->burst != 0)
        vsr_xml_put_attr_u64(w, "burst", rate->burst);
    vsr_xml_end_empty(w);
}

static void write_link(vsr_xml_writer *w, const vsr_net_location *l)
{
    if (l->device != NULL) {
        vsr_xml_open(w, "source");
        vsr_xml_put_attr(w, l->kind == VSR_NET_BRIDGE ? "bridge" : "dev",
                         l->device);
        if (l->kind == VSR_NET_MACVTAP)
            vsr_xml_put_attr(w, "mode", mode_texts[l->mode]);
        vsr_xml_end_empty(w);
    }
    if (l->target != NULL) {
        vsr_xml_open(w, "target");
        vsr_xml_put_attr(w, "dev", l->target);
        if (l->managed)
            vsr_xml_put_attr(w, "managed", "no");
        vsr_xml_end_empty(w);
    }
}

static void write_forwards(vsr_xml_writer *w, const GArray *forwards)
{
    for (guint i = 0; i < forwards->len; i++) {
        const vsr_net_forward *f = &g_array_index(forwards, vsr_net_forward, i);

        vsr_xml_open(w, "portForward");
        vsr_xml_put_attr(w, "proto", f->is_udp ? "udp" : "tcp");
        if (f->host_addr != NULL)
            vsr_xml_put_attr(w, "address", f->host_addr);
        vsr_xml_end_open(w);
        vsr_xml_open(w, "range");
        vsr_xml_put_attr_u64(w, "start", f->host_port);
        vsr_xml_put_attr_u64(w, "to", f->guest_port);
        vsr_xml_end_empty(w);
        vsr_xml_close(w, "portForward");
    }
}

/* <NAME ATTR='VALUE'/> */
static void write_one(vsr_xml_writer *w, const char *name, const char *attr,
                      const char *value)
{
    vsr_xml_open(w, name);
    vsr_xml_put_attr(w, attr, value);
    vsr_xml_end_empty(w);
}

void vsr_device_write_interface(vsr_xml_writer *w,
                                const vsr_device_conf *device, bool is_live)
{
    const vsr_interface_conf *interface = &device->interface;
    const vsr_net_location *l = &interface->location;
    char text[64];

    vsr_xml_put_attr(w, "type", type_texts[l->kind]);
    vsr_xml_end_open(w);
    write_one(w, "mac", "address", vsr_device_label(device, text));
    write_link(w, l);
    write_one(w, "model", "type", "virtio");
    if (l->queues > 1) {
        vsr_xml_open(w, "driver");
        vsr_xml_put_attr_u64(w, "queues", l->queues);
        vsr_xml_end_empty(w);
    }
    if (l->mtu != 0) {
        vsr_xml_open(w, "mtu");
        vsr_xml_put_attr_u64(w, "size", l->mtu);
        vsr_xml_end_empty(w);
    }
    if (l->in.average != 0 || l->out.average != 0) {
        vsr_xml_open(w, "bandwidth");
        vsr_xml_end_open(w);
        write_rate(w, "inbound", &l->in);
        write_rate(w, "outbound", &l->out);
        vsr_xml_close(w, "bandwidth");
    }
    if (l->vlan != 0) {
        vsr_xml_open(w, "vlan");
        vsr_xml_end_open(w);
        (void)snprintf(text, sizeof(text), "%u", l->vlan);
        write_one(w, "tag", "id", text);
        vsr_xml_close(w, "vlan");
    }
    if (interface->link_down)
        write_one(w, "link", "state", "down");
    write_forwards(w, l->forwards);
}
