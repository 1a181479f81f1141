/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * capabilities.c: <capabilities>: the host, then a <guest> for each engine, in
 * libvirt's shape as far as it goes.
 *
 * Threads: any.
 */
#include "xml/domain.h"

#include "xml/writer.h"

static void write_host(vsr_xml_writer *w, uint64_t memory_kib, uint32_t cpus,
                       uint32_t sockets, uint32_t cores, uint32_t threads,
                       const char *host_model)
{
    char text[24];

    vsr_xml_open(w, "host");
    vsr_xml_end_open(w);
    vsr_xml_open(w, "cpu");
    vsr_xml_end_open(w);
    vsr_xml_put(w, "arch", "x86_64");
    vsr_xml_put(w, "model", host_model);
    vsr_xml_open(w, "topology");
    vsr_xml_put_attr_u64(w, "sockets", sockets);
    vsr_xml_put_attr_u64(w, "dies", 1);
    vsr_xml_put_attr_u64(w, "cores", cores);
    vsr_xml_put_attr_u64(w, "threads", threads);
    vsr_xml_end_empty(w);
    vsr_xml_close(w, "cpu");

    vsr_xml_open(w, "topology");
    vsr_xml_end_open(w);
    vsr_xml_open(w, "cells");
    vsr_xml_put_attr_u64(w, "num", 1);
    vsr_xml_end_open(w);
    vsr_xml_open(w, "cell");
    vsr_xml_put_attr_u64(w, "id", 0);
    vsr_xml_end_open(w);
    g_snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT, memory_kib);
    vsr_xml_open(w, "memory");
    vsr_xml_put_attr(w, "unit", "KiB");
    vsr_xml_end_text(w, "memory", text);
    vsr_xml_open(w, "cpus");
    vsr_xml_put_attr_u64(w, "num", cpus);
    vsr_xml_end_empty(w);
    vsr_xml_close(w, "cell");
    vsr_xml_close(w, "cells");
    vsr_xml_close(w, "topology");
    vsr_xml_close(w, "host");
}

static void write_names(vsr_xml_writer *w, const char *outer, const char *name,
                        const char *const *names)
{
    if (!names || !names[0])
        return;
    vsr_xml_open(w, outer);
    vsr_xml_end_open(w);
    for (; *names; names++) {
        vsr_xml_open(w, name);
        vsr_xml_put_attr(w, "name", *names);
        vsr_xml_end_empty(w);
    }
    vsr_xml_close(w, outer);
}

static void write_engine(vsr_xml_writer *w, const vsr_engine_summary *engine)
{
    vsr_xml_open(w, "guest");
    vsr_xml_end_open(w);
    vsr_xml_put(w, "os_type", "hvm");
    vsr_xml_open(w, "arch");
    vsr_xml_put_attr(w, "name", "x86_64");
    vsr_xml_end_open(w);
    vsr_xml_put(w, "wordsize", "64");
    for (int i = 0; i < 2; i++) {
        const char *machine = i == 0 ? "pci" : "micro";

        vsr_xml_open(w, "machine");
        vsr_xml_put_attr_u64(w, "maxCpus", engine->max_vcpus);
        vsr_xml_end_text(w, "machine", machine);
    }
    vsr_xml_open(w, "domain");
    vsr_xml_put_attr(w, "type", engine->engine);
    vsr_xml_put_attr(w, "usable", engine->usable ? "yes" : "no");
    if (!engine->usable && engine->why_not) {
        vsr_xml_end_open(w);
        vsr_xml_put(w, "reason", engine->why_not);
        vsr_xml_close(w, "domain");
    } else {
        vsr_xml_end_empty(w);
    }
    vsr_xml_close(w, "arch");
    write_names(w, "models", "model", engine->models);
    write_names(w, "cpufeatures", "feature", engine->features);
    vsr_xml_open(w, "features");
    vsr_xml_end_open(w);
    vsr_xml_open(w, "acpi");
    vsr_xml_put_attr(w, "default", "on");
    vsr_xml_put_attr(w, "toggle", "no");
    vsr_xml_end_empty(w);
    vsr_xml_open(w, "apic");
    vsr_xml_put_attr(w, "default", "on");
    vsr_xml_put_attr(w, "toggle", "no");
    vsr_xml_end_empty(w);
    vsr_xml_close(w, "features");
    vsr_xml_close(w, "guest");
}

char *vsr_capabilities_xml_format(uint64_t memory_kib, uint32_t cpus,
                                  uint32_t sockets, uint32_t cores,
                                  uint32_t threads, const char *host_model,
                                  const vsr_engine_summary *engines,
                                  uint32_t n_engines)
{
    vsr_xml_writer w;

    vsr_xml_writer_init(&w);
    vsr_xml_open(&w, "capabilities");
    vsr_xml_end_open(&w);
    write_host(&w, memory_kib, cpus, sockets, cores, threads, host_model);
    for (uint32_t i = 0; i < n_engines; i++)
        write_engine(&w, &engines[i]);
    vsr_xml_close(&w, "capabilities");
    return vsr_xml_writer_finish(&w);
}
