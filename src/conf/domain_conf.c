/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_conf.c: making, copying and freeing a domain's configuration, and the
 * texts of its names, UUIDs and types.
 *
 * Threads: any; a vsr_domain_conf belongs to one thread at a time.
 */
#include "conf/domain_conf.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/util.h"
#include "conf/device_conf.h"

static void feature_clear(void *item)
{
    vsr_feature_conf *feature = item;

    g_clear_pointer(&feature->name, g_free);
}

static void device_free(void *device)
{
    vsr_device_conf_free(device);
}

static void boot_clear(void *item)
{
    char **dev = item;

    g_clear_pointer(dev, g_free);
}

static void char_clear(void *item)
{
    vsr_char_conf *chr = item;

    g_clear_pointer(&chr->path, g_free);
}

static GArray *array_new(guint size, GDestroyNotify clear)
{
    GArray *array = g_array_new(FALSE, TRUE, size);

    g_array_set_clear_func(array, clear);
    return array;
}

vsr_domain_conf *vsr_domain_conf_new(void)
{
    vsr_domain_conf *conf = g_new0(vsr_domain_conf, 1);

    conf->vcpus_max = 1;
    conf->cpu.features = array_new(sizeof(vsr_feature_conf), feature_clear);
    conf->os.boot = array_new(sizeof(char *), boot_clear);
    conf->serials = array_new(sizeof(vsr_char_conf), char_clear);
    conf->devices = g_ptr_array_new_with_free_func(device_free);
    conf->features.acpi = true;
    conf->features.apic = true;
    conf->on_poweroff = VSR_ACTION_DESTROY;
    conf->on_reboot = VSR_ACTION_RESTART;
    conf->on_crash = VSR_ACTION_DESTROY;
    return conf;
}

vsr_domain_conf *vsr_domain_conf_copy(const vsr_domain_conf *conf)
{
    vsr_domain_conf *copy = vsr_domain_conf_new();
    GArray *features = copy->cpu.features;
    GArray *boot = copy->os.boot;
    GArray *serials = copy->serials;
    GPtrArray *devices = copy->devices;

    *copy = *conf; /* the numbers; every pointer is replaced below */
    copy->name = g_strdup(conf->name);
    copy->title = g_strdup(conf->title);
    copy->description = g_strdup(conf->description);
    copy->metadata = g_strdup(conf->metadata);
    copy->cpu.model = g_strdup(conf->cpu.model);
    copy->cpu.vendor = g_strdup(conf->cpu.vendor);
    copy->os.loader = g_strdup(conf->os.loader);
    copy->os.kernel = g_strdup(conf->os.kernel);
    copy->os.initrd = g_strdup(conf->os.initrd);
    copy->os.cmdline = g_strdup(conf->os.cmdline);

    copy->cpu.features = features;
    for (guint i = 0; i < conf->cpu.features->len; i++) {
        vsr_feature_conf f =
            g_array_index(conf->cpu.features, vsr_feature_conf, i);

        f.name = g_strdup(f.name);
        g_array_append_val(features, f);
    }
    copy->os.boot = boot;
    for (guint i = 0; i < conf->os.boot->len; i++) {
        char *dev = g_strdup(g_array_index(conf->os.boot, char *, i));

        g_array_append_val(boot, dev);
    }
    copy->serials = serials;
    for (guint i = 0; i < conf->serials->len; i++) {
        vsr_char_conf c = g_array_index(conf->serials, vsr_char_conf, i);

        c.path = g_strdup(c.path);
        g_array_append_val(serials, c);
    }
    copy->devices = devices;
    for (guint i = 0; i < conf->devices->len; i++)
        g_ptr_array_add(devices, vsr_device_conf_copy(conf->devices->pdata[i]));
    return copy;
}

void vsr_domain_conf_free(vsr_domain_conf *conf)
{
    if (!conf)
        return;
    g_free(conf->name);
    g_free(conf->title);
    g_free(conf->description);
    g_free(conf->metadata);
    g_free(conf->cpu.model);
    g_free(conf->cpu.vendor);
    g_array_unref(conf->cpu.features);
    g_free(conf->os.loader);
    g_free(conf->os.kernel);
    g_free(conf->os.initrd);
    g_free(conf->os.cmdline);
    g_array_unref(conf->os.boot);
    g_array_unref(conf->serials);
    g_ptr_array_unref(conf->devices);
    g_free(conf);
}

static const char *const type_texts[] = {
    [VSR_TYPE_EMU] = "emu",
    [VSR_TYPE_KVM] = "kvm",
    [VSR_TYPE_XEN] = "xen",
};

const char *vsr_domain_type_text(vsr_domain_type type)
{
    g_return_val_if_fail((size_t)type < VSR_ARRAY_SIZE(type_texts), "");
    return type_texts[type];
}

int vsr_domain_type_from_text(const char *text)
{
    for (size_t i = 0; i < VSR_ARRAY_SIZE(type_texts); i++)
        if (strcmp(text, type_texts[i]) == 0)
            return (int)i;
    return -1;
}

/* With or without hyphens (anywhere between bytes), as libvirt reads it. */
bool vsr_uuid_parse(const char *text, char out[37])
{
    char digits[32];
    size_t n = 0, at = 0;

    for (const char *p = text; *p; p++) {
        if (*p == '-' && n > 0 && n < sizeof(digits) && n % 2 == 0 &&
            p[-1] != '-')
            continue;
        if (!g_ascii_isxdigit(*p) || n == sizeof(digits))
            return false;
        digits[n++] = g_ascii_tolower(*p);
    }
    if (n != sizeof(digits))
        return false;

    for (n = 0; n < sizeof(digits); n++) {
        if (n == 8 || n == 12 || n == 16 || n == 20)
            out[at++] = '-';
        out[at++] = digits[n];
    }
    out[at] = '\0';
    return true;
}

/* From the kernel: GLib's generator gives a forked child the parent's next
 * numbers. RFC 4122, 4.4 "Algorithms for Creating a UUID from Truly Random or
 * Pseudo-Random Numbers". */
void vsr_uuid_new(char out[37])
{
    uint8_t b[16];

    if (getentropy(b, sizeof(b)) < 0)
        for (size_t i = 0; i < sizeof(b); i++)
            b[i] = (uint8_t)g_random_int();
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    g_snprintf(out, 37,
               "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
               "%02x%02x%02x%02x%02x%02x",
               b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9],
               b[10], b[11], b[12], b[13], b[14], b[15]);
}

bool vsr_name_check(const char *name, GError **error)
{
    size_t len = strlen(name);

    if (len == 0)
        return vsr_fail(error, VISOR_ERR_CONFIG, "Domain name is empty");
    if (len > VSR_NAME_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Domain name has %zu bytes, %d at the most", len,
                        (int)VSR_NAME_MAX);
    if (!g_utf8_validate(name, (gssize)len, NULL))
        return vsr_fail(error, VISOR_ERR_CONFIG, "Domain name is not UTF-8");
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return vsr_fail(error, VISOR_ERR_CONFIG,
                            "Domain name has a control character, number %d",
                            (unsigned char)*p);
    if (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Domain name '%s' has a '/' or is '.' or '..'", name);
    if (name[0] == ' ' || name[len - 1] == ' ')
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Domain name '%s' begins or ends with a space", name);
    return true;
}
