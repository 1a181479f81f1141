/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain.h: domain XML, libvirt's vocabulary, to and from vsr_domain_conf.
 *
 * Parse: well-formed (no DTD, no entities, no network, size and depth
 * limited), then each element and attribute is read or refused by name and
 * line; nothing is dropped silently. Format: everything shown, defaults too;
 * parse(format(conf)) == conf.
 *
 * Threads: any.
 */
#ifndef VSR_XML_DOMAIN_H
#define VSR_XML_DOMAIN_H

#include "conf/domain_conf.h"

typedef enum {
    VSR_XML_LIVE = 1 << 0, /* format: id and run-time values (pty paths) */
} vsr_xml_flags;

/* XML or CONFIG error. The result is complete (vsr_domain_conf_complete). */
vsr_domain_conf *vsr_domain_xml_parse(const char *text, size_t len,
                                      GError **error);
/* id: the running domain's, or -1. Owned by the caller (g_free). */
char *vsr_domain_xml_format(const vsr_domain_conf *conf, int id,
                            unsigned flags);
/* Against xml/schema/domain.rng (installed with the library): for tests and
 * `vctl define --validate`. */
bool vsr_domain_xml_validate(const char *text, size_t len, const char *schema,
                             GError **error);

/* One element of <metadata> (NULL: there is none), by its namespace. get: the
 * element without that namespace, NOT_FOUND if there is none. set: the new
 * <metadata>; NULL without error when nothing is left; `value` NULL removes,
 * else it is an element, which gets prefix `key` for `uri` if it has no
 * namespace. What is not changed stays byte for byte. Owned by the caller. */
char *vsr_metadata_get(const char *metadata, const char *uri, GError **error);
char *vsr_metadata_set(const char *metadata, const char *uri, const char *key,
                       const char *value, GError **error);

/* Host and engine capabilities as <capabilities>. */
typedef struct {
    const char *engine; /* "emu" */
    bool usable;
    const char *why_not; /* when not usable */
    uint32_t max_vcpus;
    const char *const *models; /* NULL-terminated */
    const char *const *features;
} vsr_engine_summary;
char *vsr_capabilities_xml_format(uint64_t memory_kib, uint32_t cpus,
                                  uint32_t sockets, uint32_t cores,
                                  uint32_t threads, const char *host_model,
                                  const vsr_engine_summary *engines,
                                  uint32_t n_engines);

#endif
