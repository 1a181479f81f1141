/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugged.c: see plugged.h.
 *
 * Threads: the control thread.
 */
#include "vmm/plugged.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/util.h"
#include "devices/pci/host.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/mem.h"
#include "devices/virtio/net.h"
#include "devices/virtio/p9.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/vsock.h"

enum {
    QUEUES_DEFAULT_MAX = 4,
    PORTS = 16, /* of the console; each takes two queues and interrupts */
};

/* --- where ------------------------------------------------------------------------ */

/* All channels are ports of one device: that of the first. */
static vmm_plugged *find_console(const vsr_vmm *vmm)
{
    for (guint i = 0; i < vmm->plugged->len; i++) {
        vmm_plugged *p = vmm->plugged->pdata[i];

        if (p->conf->kind == VSR_DEVICE_CHANNEL && p->device != NULL)
            return p;
    }
    return NULL;
}

static bool is_model(const vsr_device_conf *conf, bool *has_console)
{
    if (conf->kind == VSR_DEVICE_BALLOON && conf->balloon.none)
        return false;
    if (conf->kind != VSR_DEVICE_CHANNEL)
        return true;
    if (*has_console)
        return false;
    *has_console = true;
    return true;
}

bool vmm_reserve_plugged(vsr_vmm *vmm, GError **error)
{
    const GPtrArray *devices = vmm->conf->devices;
    bool has_console = false;

    if (vmm->board.kind != VSR_BOARD_MICRO)
        return true;
    for (guint i = 0; i < devices->len; i++)
        if (is_model(devices->pdata[i], &has_console) &&
            vsr_board_add_mmio(&vmm->board) == NULL)
            return vsr_fail(error, VISOR_ERR_CONFIG,
                            "The micro machine has room for %d devices",
                            (int)VSR_BOARD_MMIO_MAX);
    return true;
}

static vsr_virtio_params place(vsr_vmm *vmm, const vsr_device_conf *conf)
{
    vsr_virtio_params params = {
        .devfn = (uint8_t)(conf->slot << 3),
        .loop = vmm->io,
    };

    if (vmm->board.kind == VSR_BOARD_MICRO)
        params.mmio = &vmm->board.mmio[vmm->n_windows++];
    else
        params.host = vmm->host;
    return params;
}

/* --- the kinds -------------------------------------------------------------------- */

vsr_virtio_blk_policy vmm_blk_policy(vsr_error_policy policy)
{
    switch (policy) {
    case VSR_ERROR_POLICY_STOP:
        return VSR_VIRTIO_BLK_STOP;
    case VSR_ERROR_POLICY_IGNORE:
        return VSR_VIRTIO_BLK_IGNORE;
    case VSR_ERROR_POLICY_ENOSPACE:
        return VSR_VIRTIO_BLK_ENOSPC;
    case VSR_ERROR_POLICY_DEFAULT:
    case VSR_ERROR_POLICY_REPORT:
        break;
    }
    return VSR_VIRTIO_BLK_REPORT;
}

static bool add_disk(vsr_vmm *vmm, vmm_plugged *p, vsr_device_resource *r,
                     const char *id, GError **error)
{
    const vsr_disk_conf *disk = &p->conf->disk;
    vsr_virtio_blk_params params = {
        .serial = disk->serial,
        .n_queues = (uint16_t)(disk->queues != 0 ? disk->queues
                                                 : MIN(vmm->conf->vcpus_max,
                                                       QUEUES_DEFAULT_MAX)),
        .logical_block = disk->logical_block,
        .physical_block = disk->physical_block,
        .writethrough = disk->options.cache == VSR_BLOCK_CACHE_WRITETHROUGH ||
                        disk->options.cache == VSR_BLOCK_CACHE_DIRECTSYNC,
        .read_error = vmm_blk_policy(disk->rerror_policy),
        .write_error = vmm_blk_policy(disk->error_policy),
        .failed = vmm_disk_failed,
        .opaque = vmm,
    };

    p->block = vsr_block_new(&r->block, &disk->options, vmm->io, error);
    if (p->block == NULL)
        return false;
    params.block = p->block;
    params.virtio = place(vmm, p->conf);
    p->device =
        vsr_device_new(vmm->machine, &vsr_virtio_blk_class, id, &params, error);
    return p->device != NULL;
}

static bool add_interface(vsr_vmm *vmm, vmm_plugged *p, vsr_device_resource *r,
                          const char *id, GError **error)
{
    const vsr_interface_conf *conf = &p->conf->interface;
    vsr_virtio_net_params params = {
        .virtio = place(vmm, p->conf),
        .source = &r->net,
        .link_down = conf->link_down,
    };

    memcpy(params.mac, conf->location.mac, sizeof(params.mac));
    /* The name that the host gave is for this run's XML. */
    if (conf->location.target == NULL)
        p->conf->interface.location.target = g_strdup(r->net.name);
    p->device =
        vsr_device_new(vmm->machine, &vsr_virtio_net_class, id, &params, error);
    return p->device != NULL;
}

static bool add_rng(vsr_vmm *vmm, vmm_plugged *p, const char *id,
                    GError **error)
{
    const vsr_virtio_rng_params params = {
        .virtio = place(vmm, p->conf),
        .rate_bytes = p->conf->rng.rate_bytes,
        .rate_period_ms = p->conf->rng.rate_period_ms,
    };

    p->device =
        vsr_device_new(vmm->machine, &vsr_virtio_rng_class, id, &params, error);
    return p->device != NULL;
}

static bool add_balloon(vsr_vmm *vmm, vmm_plugged *p, const char *id,
                        GError **error)
{
    const vsr_balloon_conf *conf = &p->conf->balloon;
    const vsr_virtio_balloon_params params = {
        .virtio = place(vmm, p->conf),
        .deflate_on_oom = conf->autodeflate,
        .free_page_reporting = conf->free_page_reporting,
    };

    p->device = vsr_device_new(vmm->machine, &vsr_virtio_balloon_class, id,
                               &params, error);
    if (p->device == NULL)
        return false;
    vsr_virtio_balloon_set_period(p->device, conf->stats_period_s);
    return vmm_start_balloon(vmm, p->device, error);
}

static bool add_memory(vsr_vmm *vmm, vmm_plugged *p, const char *id,
                       GError **error)
{
    const vsr_memory_conf *conf = &p->conf->memory;
    const vsr_mem_options options = vmm_memory_options(vmm);
    vsr_virtio_mem_params params = {
        .virtio = place(vmm, p->conf),
        .size = conf->size_kib * VSR_KIB,
        .block = conf->block_kib * VSR_KIB,
        .requested = conf->requested_kib * VSR_KIB,
        .memory = &options,
    };

    /* The sandbox's control thread makes none. */
    if (options.shared && vmm->built_ns != 0)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "memory of source 'memfd' cannot come while the domain "
                        "runs");
    if (!vmm_place_memory(vmm, params.size, params.block, &params.addr, error))
        return false;
    p->device =
        vsr_device_new(vmm->machine, &vsr_virtio_mem_class, id, &params, error);
    return p->device != NULL;
}

/* It has a listening socket of its own: ours takes the socket's file away. The
 * folder's descriptor is the same, since the sandbox knows its number. */
static bool add_vsock(vsr_vmm *vmm, vmm_plugged *p, vsr_device_resource *r,
                      const char *id, GError **error)
{
    vsr_autofd listen_fd = fcntl(r->chardev.fd, F_DUPFD_CLOEXEC, 3);
    g_autofree char *name = g_path_get_basename(p->conf->vsock.socket);
    const vsr_virtio_vsock_params params = {
        .virtio = place(vmm, p->conf),
        .cid = p->conf->vsock.cid,
        .listen_fd = listen_fd,
        .folder_fd = r->chardev.dir_fd,
        .name = name,
    };

    if (listen_fd < 0)
        return vsr_fail_errno(error, errno, "Cannot duplicate a descriptor");
    p->device = vsr_device_new(vmm->machine, &vsr_virtio_vsock_class, id,
                               &params, error);
    if (p->device == NULL)
        return false;
    (void)vsr_steal_fd(&listen_fd);
    p->socket = r->chardev;
    memset(&r->chardev, 0, sizeof(r->chardev));
    r->chardev.fd = r->chardev.out_fd = r->chardev.dir_fd = -1;
    return true;
}

G_STATIC_ASSERT((int)VSR_FS_ACCESS_PASSTHROUGH == (int)VSR_FS9P_PASSTHROUGH);
G_STATIC_ASSERT((int)VSR_FS_ACCESS_MAPPED == (int)VSR_FS9P_MAPPED);
G_STATIC_ASSERT((int)VSR_FS_ACCESS_SQUASH == (int)VSR_FS9P_SQUASH);

static bool add_filesystem(vsr_vmm *vmm, vmm_plugged *p, vsr_device_resource *r,
                           const char *id, GError **error)
{
    const vsr_filesystem_conf *conf = &p->conf->filesystem;
    const vsr_virtio_9p_params params = {
        .virtio = place(vmm, p->conf),
        .tag = conf->tag,
        .fs = {
            .root_fd = r->fd,
            .readonly = conf->readonly,
            /* Without rights of its own, a process can promise no more. */
            .access = conf->access_given ? (vsr_fs9p_access)conf->access
                                         : VSR_FS9P_SQUASH,
        },
    };

    p->device =
        vsr_device_new(vmm->machine, &vsr_virtio_9p_class, id, &params, error);
    if (p->device != NULL)
        r->fd = -1;
    return p->device != NULL;
}

/* Port 0 is kept for a console: what has channels only does not use it. */
static bool add_channel(vsr_vmm *vmm, vmm_plugged *p, vsr_device_resource *r,
                        const char *id, GError **error)
{
    vmm_plugged *console = find_console(vmm);
    vsr_virtio_console_port port = {
        .id = ++vmm->n_channels,
        .name = p->conf->channel.name,
    };

    if (port.id >= PORTS)
        return vsr_fail(error, VISOR_ERR_CONFIG, "%d channels are possible",
                        PORTS - 1);
    p->chardev = vsr_chardev_new(vmm->loop, &r->chardev, error);
    if (p->chardev == NULL)
        return false;
    port.chardev = p->chardev;
    p->port = port.id;
    if (p->conf->channel.is_pty) {
        g_free(p->conf->channel.path);
        p->conf->channel.path = g_strdup(vsr_chardev_path(p->chardev));
    }
    if (console == NULL) {
        const vsr_virtio_console_params params = {
            .virtio = place(vmm, p->conf),
            .max_ports = PORTS,
        };

        p->device = vsr_device_new(vmm->machine, &vsr_virtio_console_class, id,
                                   &params, error);
        console = p->device != NULL ? p : NULL;
    }
    return console != NULL &&
           vsr_virtio_console_add_port(console->device, &port, error);
}

static bool add_kind(vsr_vmm *vmm, vmm_plugged *p, vsr_device_resource *r,
                     const char *id, GError **error)
{
    switch (p->conf->kind) {
    case VSR_DEVICE_DISK:
        return add_disk(vmm, p, r, id, error);
    case VSR_DEVICE_INTERFACE:
        return add_interface(vmm, p, r, id, error);
    case VSR_DEVICE_RNG:
        return add_rng(vmm, p, id, error);
    case VSR_DEVICE_CHANNEL:
        return add_channel(vmm, p, r, id, error);
    case VSR_DEVICE_BALLOON:
        return p->conf->balloon.none || add_balloon(vmm, p, id, error);
    case VSR_DEVICE_VSOCK:
        return add_vsock(vmm, p, r, id, error);
    case VSR_DEVICE_FILESYSTEM:
        return add_filesystem(vmm, p, r, id, error);
    case VSR_DEVICE_MEMORY:
        return add_memory(vmm, p, id, error);
    case VSR_DEVICE_KINDS:
        break;
    }
    return false;
}

/* --- all -------------------------------------------------------------------------- */

/* libvirt's names: "virtio-disk0", "net0" … The user's own stay. */
static void name_device(vsr_device_conf *conf, uint32_t count)
{
    static const char *const names[VSR_DEVICE_KINDS] = {
        [VSR_DEVICE_DISK] = "virtio-disk", [VSR_DEVICE_INTERFACE] = "net",
        [VSR_DEVICE_RNG] = "rng",          [VSR_DEVICE_BALLOON] = "balloon",
        [VSR_DEVICE_VSOCK] = "vsock",      [VSR_DEVICE_CHANNEL] = "channel",
        [VSR_DEVICE_FILESYSTEM] = "fs",    [VSR_DEVICE_MEMORY] = "virtiomem",
    };

    if (conf->alias == NULL)
        conf->alias = g_strdup_printf("%s%u", names[conf->kind], count);
}

bool vmm_add_one(vsr_vmm *vmm, vsr_device_conf *conf,
                 vsr_device_resource *resource, GError **error)
{
    vmm_plugged *p = g_new0(vmm_plugged, 1);
    char room[64];

    /* Theirs outlives the machine, since what they hold of the host does. */
    if (vmm->io == NULL && (vmm->io = vsr_loop_new("io", error)) == NULL)
        return false;
    name_device(conf, vmm->n_of_kind[conf->kind]++);
    p->conf = conf;
    g_ptr_array_add(vmm->plugged, p);
    return add_kind(vmm, p, resource, conf->alias, error) ||
           vsr_fail_prefix(error, "<%s> '%s'", vsr_device_kind_text(conf->kind),
                           vsr_device_label(conf, room));
}

bool vmm_add_plugged(vsr_vmm *vmm, GError **error)
{
    const GPtrArray *devices = vmm->conf->devices;

    for (guint i = 0; i < devices->len; i++)
        if (!vmm_add_one(vmm, devices->pdata[i], vmm->res.devices->pdata[i],
                         error))
            return false;
    return true;
}

/* --- what happens to them ------------------------------------------------------------ */

typedef struct {
    vsr_vmm *vmm;
    vsr_device *device; /* may be gone: compared only */
    uint8_t slot;
    int error;
} happening;

static vmm_plugged *find(const vsr_vmm *vmm, const happening *h)
{
    for (guint i = 0; i < vmm->plugged->len; i++) {
        vmm_plugged *p = vmm->plugged->pdata[i];

        if (p->device != NULL && (h->device != NULL ? p->device == h->device
                                                    : p->conf->slot == h->slot))
            return p;
    }
    return NULL;
}

static void post(vsr_vmm *vmm, vsr_loop_fn *fn, const happening *what)
{
    vsr_loop_call(vmm->loop, fn, g_memdup2(what, sizeof(*what)));
}

static void stop_for_disk(void *opaque)
{
    g_autofree happening *h = opaque;
    vsr_vmm *vmm = h->vmm;
    const vmm_plugged *p = find(vmm, h);
    g_autofree char *text = NULL;

    if (p == NULL || vmm->state != VSR_STATE_RUNNING)
        return;
    text = g_strdup_printf("Disk '%s': %s", p->conf->disk.target,
                           g_strerror(h->error));
    vsr_log(VSR_LOG_ERROR, "Domain '%s' is paused: %s", vmm->conf->name, text);
    vsr_machine_pause(vmm->machine);
    vmm_set_state(vmm, VSR_STATE_PAUSED, VSR_REASON_IO_ERROR, 0, text);
}

void vmm_disk_failed(void *opaque, vsr_device *device,
                     vsr_virtio_blk_policy action, int error)
{
    const happening h = { .vmm = opaque, .device = device, .error = error };

    if (action == VSR_VIRTIO_BLK_STOP)
        post(h.vmm, stop_for_disk, &h);
}

static vmm_plugged *find_conf(const vsr_vmm *vmm, const vsr_device_conf *conf)
{
    for (guint i = 0; i < vmm->plugged->len; i++)
        if (((vmm_plugged *)vmm->plugged->pdata[i])->conf == conf)
            return vmm->plugged->pdata[i];
    return NULL;
}

void vmm_take_back(vsr_vmm *vmm, const vsr_device_conf *conf)
{
    vmm_plugged *p = find_conf(vmm, conf);

    if (p == NULL)
        return;
    if (conf->kind == VSR_DEVICE_MEMORY && p->device != NULL)
        vmm_free_memory(vmm, p->device);
    else
        vsr_device_free(p->device);
    (void)g_ptr_array_remove(vmm->plugged, p);
}

/* Both the device and its configuration are gone after it. */
static void forget(vsr_vmm *vmm, vsr_device_conf *conf)
{
    g_autofree char *alias = g_strdup(conf->alias);

    vmm_take_back(vmm, conf);
    (void)g_ptr_array_remove(vmm->conf->devices, conf);
    vmm_tell_device(vmm, alias, false);
}

bool vmm_remove_channel(vsr_vmm *vmm, vsr_device_conf *conf, GError **error)
{
    const vmm_plugged *p = find_conf(vmm, conf);
    const vmm_plugged *console = find_console(vmm);

    if (p == NULL || console == NULL)
        return vsr_fail(error, VISOR_ERR_INTERNAL, "The channel has no port");
    /* The controller stays with its first port's name in the XML. */
    if (p == console)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "The first channel cannot go while the domain runs");
    if (!vsr_virtio_console_remove_port(console->device, p->port, error))
        return false;
    forget(vmm, conf);
    return true;
}

static void remove_plugged(void *opaque)
{
    g_autofree happening *h = opaque;
    vsr_vmm *vmm = h->vmm;
    const vmm_plugged *p = vmm->machine != NULL ? find(vmm, h) : NULL;
    bool was_running;

    if (p == NULL)
        return;
    was_running = vsr_machine_running(vmm->machine);
    vsr_machine_pause(vmm->machine);
    forget(vmm, p->conf);
    if (was_running)
        vsr_machine_run(vmm->machine);
}

void vmm_slot_ejected(void *opaque, uint8_t slot)
{
    const happening h = { .vmm = opaque, .slot = slot };

    post(h.vmm, remove_plugged, &h);
}

void vmm_plugged_free(vmm_plugged *p)
{
    vsr_block_free(p->block);
    vsr_chardev_free(p->chardev);
    if (p->socket.kind != VSR_CHARDEV_NULL)
        vsr_chardev_source_clear(&p->socket);
    g_free(p);
}
