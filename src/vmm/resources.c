/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * resources.c: everything of a domain that has a path, opened with the rights
 * of whoever asked, before the runtime (and its sandbox) exists.
 *
 * Threads: any.
 */
#include "vmm/vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "vmm/device_resources.h"

static bool open_image(const char *element, const char *path, int *out,
                       GError **error)
{
    vsr_autofd fd = -1;
    struct stat st;

    if (!path)
        return true;
    /* O_NONBLOCK: a fifo must not hold us up before it is refused. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return vsr_fail_errno(error, errno, "Cannot open <%s> '%s'", element,
                              path);
    if (fstat(fd, &st) != 0)
        return vsr_fail_errno(error, errno, "Cannot look at <%s> '%s'", element,
                              path);
    if (!S_ISREG(st.st_mode))
        return vsr_fail(error, VISOR_ERR_IMAGE,
                        "<%s> '%s' is not a regular file", element, path);
    *out = vsr_steal_fd(&fd);
    return true;
}

static bool open_stdio(const int stdio[2],
                       void (*output)(const void *data, size_t len,
                                      void *opaque),
                       void *opaque, vsr_chardev_source *out, GError **error)
{
    if (output) {
        out->kind = VSR_CHARDEV_CALLBACK;
        out->output = output;
        out->opaque = opaque;
        return true;
    }
    if (!stdio || stdio[1] < 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "it is of type 'stdio', and whoever starts the domain "
                        "passes no terminal");
    out->kind = VSR_CHARDEV_FD;
    if (stdio[0] >= 0) {
        out->fd = fcntl(stdio[0], F_DUPFD_CLOEXEC, 3);
        if (out->fd < 0)
            return vsr_fail_errno(error, errno, "Cannot duplicate input");
    }
    out->out_fd = fcntl(stdio[1], F_DUPFD_CLOEXEC, 3);
    if (out->out_fd < 0)
        return vsr_fail_errno(error, errno, "Cannot duplicate output");
    return true;
}

static void source_init(vsr_chardev_source *source)
{
    memset(source, 0, sizeof(*source));
    source->kind = VSR_CHARDEV_NULL;
    source->fd = source->out_fd = source->dir_fd = -1;
}

static void free_device(void *resource)
{
    vsr_device_resource_free(resource);
}

GPtrArray *vsr_device_resources_new(void)
{
    return g_ptr_array_new_with_free_func(free_device);
}

static bool open_devices(vsr_vmm_resources *res, const GPtrArray *devices,
                         GError **error)
{
    res->devices = vsr_device_resources_new();
    for (guint i = 0; i < devices->len; i++) {
        vsr_device_resource *resource =
            vsr_device_resource_open(devices->pdata[i], error);

        if (!resource)
            return false;
        g_ptr_array_add(res->devices, resource);
    }
    return true;
}

bool vsr_vmm_resources_open(vsr_vmm_resources *res, const vsr_domain_conf *conf,
                            const int stdio[2],
                            void (*output)(const void *data, size_t len,
                                           void *opaque),
                            void *opaque, GError **error)
{
    memset(res, 0, sizeof(*res));
    res->kernel_fd = res->initrd_fd = res->firmware_fd = -1;
    if (!open_image("kernel", conf->os.kernel, &res->kernel_fd, error) ||
        !open_image("initrd", conf->os.initrd, &res->initrd_fd, error) ||
        !open_image("loader", conf->os.loader, &res->firmware_fd, error))
        goto fail;

    for (guint i = 0; i < conf->serials->len; i++) {
        const vsr_char_conf *chr =
            &g_array_index(conf->serials, vsr_char_conf, i);
        vsr_chardev_source *source = &res->serial[i];
        bool ok = true;

        source_init(source);
        res->n_serials = i + 1;
        switch (chr->kind) {
        case VSR_CHAR_PTY:
            ok = vsr_chardev_open_pty(source, error);
            break;
        case VSR_CHAR_FILE:
            ok = vsr_chardev_open_file(chr->path, chr->append, source, error);
            break;
        case VSR_CHAR_UNIX:
            ok = vsr_chardev_open_unix(chr->path, chr->listen, source, error);
            break;
        case VSR_CHAR_STDIO:
            ok = open_stdio(stdio, output, opaque, source, error);
            break;
        case VSR_CHAR_NULL:
        default:
            break;
        }
        if (!ok) {
            vsr_fail_prefix(error, "<serial> of port %u", chr->port);
            goto fail;
        }
    }
    if (open_devices(res, conf->devices, error))
        return true;
fail:
    vsr_vmm_resources_clear(res);
    return false;
}

void vsr_vmm_resources_handed_over(vsr_vmm_resources *res)
{
    for (uint32_t i = 0; i < res->n_serials; i++)
        if (res->serial[i].is_listening)
            g_clear_pointer(&res->serial[i].path, g_free);
    for (guint i = 0; res->devices && i < res->devices->len; i++) {
        vsr_device_resource *resource = res->devices->pdata[i];

        if (resource->chardev.is_listening)
            g_clear_pointer(&resource->chardev.path, g_free);
    }
}

void vsr_vmm_resources_clear(vsr_vmm_resources *res)
{
    vsr_close(res->kernel_fd);
    vsr_close(res->initrd_fd);
    vsr_close(res->firmware_fd);
    for (uint32_t i = 0; i < res->n_serials; i++)
        vsr_chardev_source_clear(&res->serial[i]);
    g_clear_pointer(&res->devices, g_ptr_array_unref);
    memset(res, 0, sizeof(*res));
    res->kernel_fd = res->initrd_fd = res->firmware_fd = -1;
}
