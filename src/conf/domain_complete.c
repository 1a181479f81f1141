/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_complete.c: the defaults of a domain's configuration, then the checks
 * that need no host and no engine.
 *
 * Threads: any.
 */
#include "conf/domain_conf.h"

#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "conf/check.h"
#include "conf/device_conf.h"

static bool check_backing(const vsr_domain_conf *conf, GError **error)
{
    uint64_t page = conf->backing.page_kib;

    if (page && (page <= 4 || (page & (page - 1)) != 0))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<hugepages>: %" G_GUINT64_FORMAT
                        " KiB is the size of no huge page",
                        page);
    if (conf->backing.source == VSR_SOURCE_ANONYMOUS &&
        conf->backing.access == VSR_ACCESS_SHARED)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<memoryBacking>: memory of source 'anonymous' has "
                        "nobody to be shared with, 'memfd' has");
    if (conf->backing.source == VSR_SOURCE_MEMFD &&
        conf->backing.access == VSR_ACCESS_PRIVATE)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<memoryBacking>: private memory of source 'memfd' "
                        "would be held twice, take 'anonymous'");
    if (conf->backing.threads &&
        conf->backing.allocation != VSR_ALLOCATION_IMMEDIATE)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<allocation>: threads='%u' goes with "
                        "mode='immediate' only",
                        conf->backing.threads);
    if (conf->backing.threads > VSR_ALLOCATION_THREADS_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<allocation>: threads='%u', %d at the most",
                        conf->backing.threads, (int)VSR_ALLOCATION_THREADS_MAX);
    return true;
}

uint64_t vsr_domain_device_memory_kib(const vsr_domain_conf *conf)
{
    uint64_t kib = 0;

    for (guint i = 0; i < conf->devices->len; i++) {
        const vsr_device_conf *device = conf->devices->pdata[i];

        /* Sizes that were not checked yet: no sum of 30 overflows then. */
        if (device->kind == VSR_DEVICE_MEMORY)
            kib += MIN(device->memory.size_kib, VSR_MEMORY_MAX_KIB);
    }
    return kib;
}

bool vsr_domain_check_memory_devices(const vsr_domain_conf *conf,
                                     GError **error)
{
    uint64_t kib = vsr_domain_device_memory_kib(conf) + conf->memory_kib;
    uint32_t n = 0;

    for (guint i = 0; i < conf->devices->len; i++)
        n += ((const vsr_device_conf *)conf->devices->pdata[i])->kind ==
             VSR_DEVICE_MEMORY;
    if ((conf->max_memory_kib != 0) != (conf->memory_slots != 0))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<maxMemory> needs a size and slots='…'");
    if (conf->memory_slots > VSR_MEMORY_SLOTS_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<maxMemory slots='%u'>, %d at the most",
                        conf->memory_slots, (int)VSR_MEMORY_SLOTS_MAX);
    if (conf->max_memory_kib > VSR_MEMORY_MAX_KIB)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<maxMemory> is %" G_GUINT64_FORMAT
                        " KiB, at most %" G_GUINT64_FORMAT " KiB are possible",
                        conf->max_memory_kib, VSR_MEMORY_MAX_KIB);
    if (conf->max_memory_kib == 0 && n > 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "A <memory> device needs a <maxMemory slots='…'>");
    if (n > conf->memory_slots)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<devices> has %u <memory>, <maxMemory slots='%u'>", n,
                        conf->memory_slots);
    if (conf->max_memory_kib != 0 && kib > conf->max_memory_kib)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<memory> is %" G_GUINT64_FORMAT
                        " KiB with its devices, more than <maxMemory> with "
                        "%" G_GUINT64_FORMAT " KiB",
                        kib, conf->max_memory_kib);
    return true;
}

static bool complete_memory(vsr_domain_conf *conf, GError **error)
{
    if (conf->memory_kib == 0)
        conf->memory_kib = conf->current_memory_kib;
    if (conf->current_memory_kib == 0)
        conf->current_memory_kib = conf->memory_kib;

    if (conf->memory_kib == 0)
        return vsr_fail(error, VISOR_ERR_CONFIG, "<memory> is missing");
    if (conf->memory_kib < VSR_MEMORY_MIN_KIB)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<memory> is %" G_GUINT64_FORMAT
                        " KiB, at least %" G_GUINT64_FORMAT " KiB are needed",
                        conf->memory_kib, VSR_MEMORY_MIN_KIB);
    if (conf->memory_kib > VSR_MEMORY_MAX_KIB)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<memory> is %" G_GUINT64_FORMAT
                        " KiB, at most %" G_GUINT64_FORMAT " KiB are possible",
                        conf->memory_kib, VSR_MEMORY_MAX_KIB);
    if (conf->current_memory_kib > conf->memory_kib)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<currentMemory> is %" G_GUINT64_FORMAT
                        " KiB, more than <memory> with %" G_GUINT64_FORMAT
                        " KiB",
                        conf->current_memory_kib, conf->memory_kib);
    if (conf->current_memory_kib < VSR_MEMORY_MIN_KIB)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<currentMemory> is %" G_GUINT64_FORMAT
                        " KiB, at least %" G_GUINT64_FORMAT " KiB are needed",
                        conf->current_memory_kib, VSR_MEMORY_MIN_KIB);
    return check_backing(conf, error);
}

static bool check_features(const vsr_domain_conf *conf, GError **error)
{
    for (guint i = 0; i < conf->cpu.features->len; i++) {
        const vsr_feature_conf *f =
            &g_array_index(conf->cpu.features, vsr_feature_conf, i);

        if (!f->name || !*f->name)
            return vsr_fail(error, VISOR_ERR_CONFIG,
                            "<feature> has an empty name");
        if (!vsr_conf_check_line("feature", f->name, VSR_NAME_MAX, error))
            return false;
        for (guint j = 0; j < i; j++)
            if (strcmp(f->name,
                       g_array_index(conf->cpu.features, vsr_feature_conf, j)
                           .name) == 0)
                return vsr_fail(error, VISOR_ERR_CONFIG,
                                "<feature name='%s'> is given twice", f->name);
    }
    return true;
}

static bool complete_cpu(vsr_domain_conf *conf, GError **error)
{
    if (conf->vcpus_max == 0 || conf->vcpus_max > VSR_VCPUS_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<vcpu> is %u, 1 to %d are possible", conf->vcpus_max,
                        (int)VSR_VCPUS_MAX);
    if (conf->vcpus == 0)
        conf->vcpus = conf->vcpus_max;
    if (conf->vcpus > conf->vcpus_max)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<vcpu current='%u'> is more than the maximum, %u",
                        conf->vcpus, conf->vcpus_max);

    if (conf->cpu.mode == VSR_CPU_DEFAULT)
        conf->cpu.mode = conf->cpu.model ? VSR_CPU_CUSTOM : VSR_CPU_MAXIMUM;
    if (conf->cpu.mode == VSR_CPU_CUSTOM && !conf->cpu.model)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<cpu mode='custom'> needs a <model>");
    if (conf->cpu.mode != VSR_CPU_CUSTOM && conf->cpu.model)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<cpu>: a <model> ('%s') goes with mode='custom' only",
                        conf->cpu.model);
    if (conf->cpu.mode != VSR_CPU_CUSTOM && conf->cpu.minimum)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<cpu>: match='minimum' goes with mode='custom' only");
    if (conf->cpu.migratable && conf->cpu.mode != VSR_CPU_HOST_PASSTHROUGH &&
        conf->cpu.mode != VSR_CPU_MAXIMUM)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<cpu>: migratable goes with mode='host-passthrough' "
                        "and 'maximum' only");
    if (!vsr_conf_check_line("model", conf->cpu.model, VSR_NAME_MAX, error) ||
        !vsr_conf_check_line("vendor", conf->cpu.vendor, VSR_NAME_MAX, error))
        return false;

    if (conf->cpu.topology) {
        uint64_t n = (uint64_t)conf->cpu.sockets * conf->cpu.dies;

        /* Each factor is checked before it can overflow the product. */
        if (n > VSR_VCPUS_MAX || conf->cpu.cores > VSR_VCPUS_MAX ||
            conf->cpu.threads > VSR_VCPUS_MAX ||
            n * conf->cpu.cores * conf->cpu.threads != conf->vcpus_max)
            return vsr_fail(error, VISOR_ERR_CONFIG,
                            "<topology>: %u sockets, %u dies, %u cores, %u "
                            "threads do not make the %u of <vcpu>",
                            conf->cpu.sockets, conf->cpu.dies, conf->cpu.cores,
                            conf->cpu.threads, conf->vcpus_max);
    }

    return check_features(conf, error);
}

static bool complete_os(vsr_domain_conf *conf, GError **error)
{
    if (!vsr_conf_check_path("loader", conf->os.loader, error) ||
        !vsr_conf_check_path("kernel", conf->os.kernel, error) ||
        !vsr_conf_check_path("initrd", conf->os.initrd, error) ||
        !vsr_conf_check_text("cmdline", conf->os.cmdline, VSR_CONF_CMDLINE_MAX,
                             error))
        return false;
    if (!conf->os.kernel && !conf->os.loader)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<os> has neither <kernel> nor <loader>: there is "
                        "nothing to boot");
    if (conf->os.kernel && conf->os.loader)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "<os> has <kernel> and <loader>: starting a kernel "
                        "through firmware is not supported, give one");
    if (!conf->os.kernel && (conf->os.initrd || conf->os.cmdline))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<os>: <%s> goes with <kernel> only",
                        conf->os.initrd ? "initrd" : "cmdline");
    if (!conf->features.acpi)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "<features>: a machine without <acpi/> is not "
                        "supported, it could not be told to power off");
    if (!conf->features.apic)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "<features>: a machine without <apic/> is not "
                        "supported");
    return true;
}

static bool check_serial(const vsr_char_conf *chr, GError **error)
{
    bool needs_path = chr->kind == VSR_CHAR_FILE || chr->kind == VSR_CHAR_UNIX;

    if (needs_path && !chr->path)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<serial> of port %u needs a <source path='…'/>",
                        chr->port);
    if (!needs_path && chr->kind != VSR_CHAR_PTY && chr->path)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<serial> of port %u takes no <source path='%s'/>",
                        chr->port, chr->path);
    return vsr_conf_check_path("source path", chr->path, error);
}

static bool complete_serials(vsr_domain_conf *conf, GError **error)
{
    bool taken[VSR_SERIALS_MAX] = { false };

    if (conf->serials->len > VSR_SERIALS_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<devices> has %u <serial>, %d at the most",
                        conf->serials->len, (int)VSR_SERIALS_MAX);
    for (guint i = 0; i < conf->serials->len; i++) {
        vsr_char_conf *c = &g_array_index(conf->serials, vsr_char_conf, i);

        if (!c->port_given)
            continue;
        if (c->port >= VSR_SERIALS_MAX)
            return vsr_fail(error, VISOR_ERR_CONFIG,
                            "<serial>: port %u is none of 0 to %d", c->port,
                            VSR_SERIALS_MAX - 1);
        if (taken[c->port])
            return vsr_fail(error, VISOR_ERR_CONFIG,
                            "<serial>: port %u is given twice", c->port);
        taken[c->port] = true;
    }
    for (guint i = 0; i < conf->serials->len; i++) {
        vsr_char_conf *c = &g_array_index(conf->serials, vsr_char_conf, i);

        if (!c->port_given) {
            for (c->port = 0; taken[c->port];)
                c->port++;
            taken[c->port] = true;
            c->port_given = true;
        }
        if (!check_serial(c, error))
            return false;
    }
    conf->console = conf->serials->len > 0;
    return true;
}

bool vsr_domain_conf_complete(vsr_domain_conf *conf, GError **error)
{
    if (!conf->name)
        return vsr_fail(error, VISOR_ERR_CONFIG, "<name> is missing");
    if (!vsr_name_check(conf->name, error) ||
        !vsr_conf_check_text("name", conf->name, VSR_NAME_MAX, error))
        return false;
    if (!conf->uuid[0])
        vsr_uuid_new(conf->uuid);
    if (!vsr_conf_check_line("title", conf->title, VSR_TEXT_MAX, error) ||
        !vsr_conf_check_text("description", conf->description, VSR_TEXT_MAX,
                             error) ||
        !vsr_conf_check_text("metadata", conf->metadata, VSR_METADATA_MAX,
                             error))
        return false;
    return complete_memory(conf, error) && complete_cpu(conf, error) &&
           complete_os(conf, error) && complete_serials(conf, error) &&
           vsr_devices_complete(conf->devices,
                                conf->os.machine == VSR_MACHINE_PCI, error) &&
           vsr_domain_check_memory_devices(conf, error);
}
