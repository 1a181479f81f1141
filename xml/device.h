/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device.h: one device as XML, as `vctl attach-device` takes it.
 *
 * Threads: any.
 */
#ifndef VSR_XML_DEVICE_H
#define VSR_XML_DEVICE_H

#include "conf/device_conf.h"

/* Checked and completed as far as it goes without its domain. XML, CONFIG,
 * NO_SUPPORT, with the line. The caller frees. */
vsr_device_conf *vsr_device_xml_parse(const char *text, size_t len,
                                      GError **error);
char *vsr_device_xml_format(const vsr_device_conf *device, bool is_live);

#endif
