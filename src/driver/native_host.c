/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * native_host.c: capabilities of the host and the native engines.
 *
 * Threads: any.
 */
#include <string.h>

#include "base/error.h"
#include "driver/host.h"
#include "driver/native.h"
#include "machine/x86/cpu_model.h"
#include "xml/domain.h"

enum { NAMES_MAX = 512 };

/* What one engine offers; the lists are the caller's arrays. */
static void summarize(const vsr_driver *driver, vsr_engine_summary *out,
                      const char **models, const char **features,
                      GError **why_not)
{
    g_autofree vsr_cpuid *supported = g_new0(vsr_cpuid, 1);
    vsr_engine_caps caps = { 0 };

    out->engine = driver->name;
    out->models = models;
    out->features = features;
    models[0] = features[0] = NULL;
    out->usable = driver->engine != NULL && driver->probe(why_not) &&
                  driver->engine->caps(&caps, why_not);
    if (!out->usable) {
        out->why_not = why_not != NULL && *why_not != NULL ? (*why_not)->message
                                                           : "no engine";
        return;
    }
    out->max_vcpus = caps.max_vcpus;
    if (driver->engine->cpuid_supported == NULL ||
        !driver->engine->cpuid_supported(supported, NULL))
        return;
    models[vsr_cpu_model_usable(supported, !caps.accelerated, models,
                                NAMES_MAX)] = NULL;
    features[vsr_cpu_model_features(supported, features, NAMES_MAX)] = NULL;
}

static char *native_capabilities(vsr_conn *conn, GError **error)
{
    const char *models[NAMES_MAX + 1], *features[NAMES_MAX + 1];
    g_autoptr(GError) why_not = NULL;
    vsr_engine_summary summary = { 0 };
    vsr_host_facts facts;

    if (!vsr_host_facts_get(&facts, error))
        return NULL;
    summarize(conn->driver, &summary, models, features, &why_not);
    return vsr_capabilities_xml_format(
        facts.memory_kib, facts.cpus, facts.sockets, facts.cores, facts.threads,
        facts.cpu_model, &summary, 1);
}

const vsr_host_ops vsr_native_host_ops = {
    .capabilities = native_capabilities,
};
