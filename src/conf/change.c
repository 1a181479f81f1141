/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* change.c: see change.h. */
#include "conf/change.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"

static const char *const names[VSR_CHANGE_KINDS] = {
    [VSR_CHANGE_ATTACH] = "attach",
    [VSR_CHANGE_DETACH] = "detach",
    [VSR_CHANGE_UPDATE] = "update",
    [VSR_CHANGE_VCPUS] = "vcpus",
    [VSR_CHANGE_VCPUS_MAX] = "vcpus_max",
    [VSR_CHANGE_MEMORY] = "memory",
    [VSR_CHANGE_MEMORY_MAX] = "memory_max",
    [VSR_CHANGE_DISK_SIZE] = "disk_size",
};

void vsr_change_clear(vsr_change *change)
{
    g_clear_pointer(&change->device, vsr_device_conf_free);
    g_clear_pointer(&change->target, g_free);
}

const char *vsr_change_kind_text(vsr_change_kind kind)
{
    return names[kind];
}

bool vsr_change_kind_parse(const char *text, vsr_change_kind *out)
{
    for (unsigned kind = 0; kind < VSR_CHANGE_KINDS; kind++) {
        if (strcmp(text, names[kind]) != 0)
            continue;
        *out = (vsr_change_kind)kind;
        return true;
    }
    return false;
}

bool vsr_change_no_device(const vsr_device_conf *like, const char *domain,
                          GError **error)
{
    char room[64];

    return vsr_fail(error, VISOR_ERR_NOT_FOUND, "Domain '%s' has no <%s> '%s'",
                    domain, vsr_device_kind_text(like->kind),
                    vsr_device_label(like, room));
}

bool vsr_change_not_done(const vsr_change *change, GError **error)
{
    char room[64];

    /* The highest go first, so this is the last. */
    if (change->device == NULL)
        return vsr_fail(error, VISOR_ERR_TIMEOUT,
                        "The guest has not let go of vCPU %" PRIu64,
                        change->value);
    return vsr_fail(error, VISOR_ERR_TIMEOUT,
                    "The guest has not let go of <%s> '%s'",
                    vsr_device_kind_text(change->device->kind),
                    vsr_device_label(change->device, room));
}

/* --- definitions ------------------------------------------------------------------- */

static bool add_device(vsr_domain_conf *conf, const vsr_device_conf *device,
                       GError **error)
{
    char room[64];

    if (!vsr_device_is_nameless(device->kind) &&
        vsr_device_find_like(conf->devices, device) != NULL)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Domain '%s' has a <%s> '%s' already", conf->name,
                        vsr_device_kind_text(device->kind),
                        vsr_device_label(device, room));
    g_ptr_array_add(conf->devices, vsr_device_conf_copy(device));
    return true;
}

static bool remove_device(vsr_domain_conf *conf, const vsr_device_conf *like,
                          GError **error)
{
    vsr_device_conf *found = vsr_device_find_like(conf->devices, like);

    if (found == NULL)
        return vsr_change_no_device(like, conf->name, error);
    (void)g_ptr_array_remove(conf->devices, found);
    return true;
}

/* The new one has the old one's place. */
static bool update_device(vsr_domain_conf *conf, const vsr_device_conf *device,
                          GError **error)
{
    vsr_device_conf *found = vsr_device_find_like(conf->devices, device);
    vsr_device_conf *copy;
    guint at;

    if (found == NULL)
        return vsr_change_no_device(device, conf->name, error);
    copy = vsr_device_conf_copy(device);
    if (copy->alias == NULL)
        copy->alias = g_strdup(found->alias);
    if (copy->slot == 0)
        copy->slot = found->slot;
    (void)g_ptr_array_find(conf->devices, found, &at);
    vsr_device_conf_free(found);
    conf->devices->pdata[at] = copy;
    return true;
}

static bool set_vcpus(vsr_domain_conf *conf, uint64_t n, GError **error)
{
    if (n == 0 || n > conf->vcpus_max)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Domain '%s' can have 1 to %u vCPUs, not %" PRIu64,
                        conf->name, conf->vcpus_max, n);
    conf->vcpus = (uint32_t)n;
    return true;
}

static bool set_vcpus_max(vsr_domain_conf *conf, uint64_t n, GError **error)
{
    if (n == 0 || n > VSR_VCPUS_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "A domain can have 1 to %d vCPUs, not %" PRIu64,
                        VSR_VCPUS_MAX, n);
    /* All of them stay all of them. */
    if (conf->vcpus == conf->vcpus_max || conf->vcpus > n)
        conf->vcpus = (uint32_t)n;
    conf->vcpus_max = (uint32_t)n;
    return true;
}

static bool set_memory(vsr_domain_conf *conf, uint64_t kib, GError **error)
{
    if (kib == 0 || kib > conf->memory_kib)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Domain '%s' can have 1 to %" PRIu64
                        " KiB of memory, not %" PRIu64,
                        conf->name, conf->memory_kib, kib);
    conf->current_memory_kib = kib;
    return true;
}

static void set_memory_max(vsr_domain_conf *conf, uint64_t kib)
{
    if (conf->current_memory_kib == conf->memory_kib ||
        conf->current_memory_kib > kib)
        conf->current_memory_kib = kib;
    conf->memory_kib = kib;
}

bool vsr_change_definition(const vsr_change *change, vsr_domain_conf *conf,
                           GError **error)
{
    bool ok = true;

    switch (change->kind) {
    case VSR_CHANGE_ATTACH:
        ok = add_device(conf, change->device, error);
        break;
    case VSR_CHANGE_DETACH:
        return remove_device(conf, change->device, error);
    case VSR_CHANGE_UPDATE:
        ok = update_device(conf, change->device, error);
        break;
    case VSR_CHANGE_VCPUS:
        ok = set_vcpus(conf, change->value, error);
        break;
    case VSR_CHANGE_VCPUS_MAX:
        ok = set_vcpus_max(conf, change->value, error);
        break;
    case VSR_CHANGE_MEMORY:
        ok = set_memory(conf, change->value, error);
        break;
    case VSR_CHANGE_MEMORY_MAX:
        set_memory_max(conf, change->value);
        break;
    case VSR_CHANGE_DISK_SIZE:
    case VSR_CHANGE_KINDS:
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "A definition has no size of a disk");
    }
    return ok && vsr_domain_conf_complete(conf, error);
}
