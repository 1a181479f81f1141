/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_parts.h: the element families of domain XML, one file each: how it is
 * read and how it is written.
 */
#ifndef VSR_XML_DOMAIN_PARTS_H
#define VSR_XML_DOMAIN_PARTS_H

#include "conf/domain_conf.h"
#include "xml/node.h"
#include "xml/writer.h"

/* What the readers fill; the readers' `to`. */
typedef struct {
    vsr_domain_conf *conf;
    const xmlNode *root;
    const char *text; /* the document, for <metadata> */
    size_t len;
    const xmlNode *console; /* <console>, if there is one */
    vsr_char_conf console_conf;
} vsr_domain_parse;

/* domain_general.c */
vsr_xml_reader vsr_domain_read_name;
vsr_xml_reader vsr_domain_read_uuid;
vsr_xml_reader vsr_domain_read_title;
vsr_xml_reader vsr_domain_read_description;
vsr_xml_reader vsr_domain_read_metadata;
vsr_xml_reader vsr_domain_read_on_poweroff;
vsr_xml_reader vsr_domain_read_on_reboot;
vsr_xml_reader vsr_domain_read_on_crash;
void vsr_domain_write_general(vsr_xml_writer *w, const vsr_domain_conf *conf,
                              bool is_live);
void vsr_domain_write_actions(vsr_xml_writer *w, const vsr_domain_conf *conf);

/* domain_memory.c */
vsr_xml_reader vsr_domain_read_memory;
vsr_xml_reader vsr_domain_read_current_memory;
vsr_xml_reader vsr_domain_read_max_memory;
vsr_xml_reader vsr_domain_read_memory_backing;
/* Once all is read. CONFIG. */
bool vsr_domain_split_memory(vsr_domain_parse *parse, GError **error);
void vsr_domain_write_memory(vsr_xml_writer *w, const vsr_domain_conf *conf,
                             bool is_live);

/* domain_features.c */
vsr_xml_reader vsr_domain_read_features;
vsr_xml_reader vsr_domain_read_test_devices;
vsr_xml_reader vsr_domain_read_halt_poll;
vsr_xml_reader vsr_domain_read_disable_exits;
void vsr_domain_write_features(vsr_xml_writer *w, const vsr_domain_conf *conf);
/* Elements of our namespace: are there any, and they. */
bool vsr_domain_has_own(const vsr_domain_conf *conf);
void vsr_domain_write_own(vsr_xml_writer *w, const vsr_domain_conf *conf);

/* domain_os.c */
vsr_xml_reader vsr_domain_read_os;
vsr_xml_reader vsr_domain_read_clock;
void vsr_domain_write_os(vsr_xml_writer *w, const vsr_domain_conf *conf);
void vsr_domain_write_clock(vsr_xml_writer *w, const vsr_domain_conf *conf);

/* domain_cpu.c */
vsr_xml_reader vsr_domain_read_vcpu;
vsr_xml_reader vsr_domain_read_cpu;
void vsr_domain_write_vcpu(vsr_xml_writer *w, const vsr_domain_conf *conf);
void vsr_domain_write_cpu(vsr_xml_writer *w, const vsr_domain_conf *conf);

/* domain_devices.c */
vsr_xml_reader vsr_domain_read_devices;
void vsr_domain_write_devices(vsr_xml_writer *w, const vsr_domain_conf *conf,
                              bool is_live);

#endif
