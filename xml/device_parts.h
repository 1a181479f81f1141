/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device_parts.h: the elements of <devices> that are plugged, one file a
 * family: read into a vsr_device_conf, written from one.
 */
#ifndef VSR_XML_DEVICE_PARTS_H
#define VSR_XML_DEVICE_PARTS_H

#include "conf/device_conf.h"
#include "xml/node.h"
#include "xml/writer.h"

typedef bool vsr_device_reader(const xmlNode *node, vsr_device_conf *device,
                               GError **error);
/* The inside of the element, which is open up to its attributes. */
typedef void vsr_device_writer(vsr_xml_writer *w, const vsr_device_conf *device,
                               bool is_live);

/* For domain XML: the elements, whose readers' `to` is the GPtrArray of
 * devices, as that of vsr_device_read() is. */
extern const vsr_xml_element vsr_device_elements[VSR_DEVICE_KINDS];
vsr_xml_reader vsr_device_read;
void vsr_device_write(vsr_xml_writer *w, const vsr_device_conf *device,
                      bool is_live);

/* device_disk.c */
vsr_device_reader vsr_device_read_disk;
vsr_device_writer vsr_device_write_disk;
/* device_interface.c */
vsr_device_reader vsr_device_read_interface;
vsr_device_writer vsr_device_write_interface;
/* device_other.c */
vsr_device_reader vsr_device_read_rng;
vsr_device_reader vsr_device_read_balloon;
vsr_device_reader vsr_device_read_vsock;
vsr_device_reader vsr_device_read_channel;
vsr_device_reader vsr_device_read_filesystem;
vsr_device_writer vsr_device_write_rng;
vsr_device_writer vsr_device_write_balloon;
vsr_device_writer vsr_device_write_vsock;
vsr_device_writer vsr_device_write_channel;
vsr_device_writer vsr_device_write_filesystem;

/* device_memory.c */
vsr_device_reader vsr_device_read_memory;
vsr_device_writer vsr_device_write_memory;

/* domain_memory.c: an element's size and its unit, in KiB, rounded up. */
bool vsr_xml_size_kib(const xmlNode *node, uint64_t *kib, GError **error);
void vsr_xml_put_size(vsr_xml_writer *w, const char *name, uint64_t kib);

/* device.c: what all have. `to` is the vsr_device_conf. */
vsr_xml_reader vsr_device_read_address;
vsr_xml_reader vsr_device_read_alias;
#define VSR_DEVICE_COMMON                                                   \
    { "address", "type domain bus slot function ", vsr_device_read_address, \
      VSR_XML_EMPTY },                                                      \
    {                                                                       \
        "alias", "name ", vsr_device_read_alias, VSR_XML_EMPTY              \
    }

/* An owned copy of an attribute into *out; "" counts as none. */
void vsr_device_take_attr(const xmlNode *node, const char *name, char **out);
/* on|off, yes|no: into *out; *given (may be NULL) if it is there. */
bool vsr_device_read_switch(const xmlNode *node, const char *name, bool *out,
                            bool *given, GError **error);

#endif
