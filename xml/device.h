/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device.h: one device as XML, as `vctl attach-device` takes it.
 *
 * Threads: any.
 */
#ifndef VSR_XML_DEVICE_H
#define VSR_XML_DEVICE_H

#include <libxml/tree.h>

#include "conf/device_conf.h"
#include "xml/node.h"
#include "xml/writer.h"

/* Checked and completed as far as it goes without its domain. XML, CONFIG,
 * NO_SUPPORT, with the line. The caller frees. */
vsr_device_conf *vsr_device_xml_parse(const char *text, size_t len,
                                      GError **error);
char *vsr_device_xml_format(const vsr_device_conf *device, bool is_live);

/* For domain XML: the elements, whose readers' `to` is the GPtrArray of
 * devices, as that of vsr_device_read() is. */
extern const vsr_xml_element vsr_device_elements[VSR_DEVICE_KINDS];
vsr_xml_reader vsr_device_read;
void vsr_device_write(vsr_xml_writer *w, const vsr_device_conf *device,
                      bool is_live);

#endif
