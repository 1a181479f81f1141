/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugged_guest.c: a Linux guest on emu with a virtio console, a channel, a
 * socket device, a balloon and a shared folder; its serial console on stdout,
 * until it powers off.
 *
 *   plugged_guest FOLDER KERNEL INITRD CMDLINE
 *
 * FOLDER gets hvc0 (the console's output), agent (the channel's socket), v.sock;
 * FOLDER/shared is shared. Lines on stdin: "balloon BYTES", "info", "resize COLS
 * ROWS"; answers on stderr.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "devices/pci/host.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/console.h"
#include "devices/virtio/p9.h"
#include "devices/virtio/vsock.h"
#include "drivers/emu/emu_engine.h"
#include "vmm/vmm_state.h"

typedef struct {
    const char *folder;
    vsr_loop *loop; /* of the chardevs */
    vsr_chardev *hvc, *agent;
    vsr_device *console, *balloon;
    gint off; /* atomic */
    vsr_reason reason;
} plugged;

static void on_output(const void *data, size_t len, void *opaque)
{
    fwrite(data, 1, len, stdout);
    fflush(stdout);
}

static void on_state(void *opaque, vsr_state state, vsr_reason reason,
                     int status, const char *detail)
{
    plugged *p = opaque;

    if (detail != NULL)
        fprintf(stderr, "plugged_guest: %s\n", detail);
    p->reason = reason;
    g_atomic_int_set(&p->off, state == VSR_STATE_SHUTOFF);
}

static void on_log(vsr_log_level level, const char *message, void *opaque)
{
    fprintf(stderr, "plugged_guest: %s\n", message);
}

static char *path_of(const plugged *p, const char *name)
{
    return g_build_filename(p->folder, name, NULL);
}

static vsr_virtio_params place(vsr_vmm *vmm, uint8_t slot)
{
    vsr_device *bridge = vsr_device_find(vmm->machine, "pci-host");

    return (vsr_virtio_params){ .host = vsr_pci_host_get(bridge),
                                .devfn = (uint8_t)(slot << 3) };
}

static bool add_console(vsr_vmm *vmm, plugged *p, GError **error)
{
    g_autofree char *hvc = path_of(p, "hvc0");
    g_autofree char *agent = path_of(p, "agent");
    vsr_chardev_source source;
    vsr_virtio_console_port ports[] = {
        { .id = 0, .is_console = true },
        { .id = 1, .name = "org.qemu.guest_agent.0" },
    };
    const vsr_virtio_console_params params = {
        .virtio = place(vmm, 20), .max_ports = 8, .ports = ports, .n_ports = 2
    };

    if (!vsr_chardev_open_file(hvc, false, &source, error))
        return false;
    p->hvc = ports[0].chardev = vsr_chardev_new(p->loop, &source, error);
    if (p->hvc == NULL || !vsr_chardev_open_unix(agent, true, &source, error))
        return false;
    p->agent = ports[1].chardev = vsr_chardev_new(p->loop, &source, error);
    if (p->agent == NULL)
        return false;
    p->console = vsr_device_new(vmm->machine, &vsr_virtio_console_class, "con",
                                &params, error);
    return p->console != NULL;
}

static bool add_vsock(vsr_vmm *vmm, plugged *p, GError **error)
{
    g_autofree char *path = path_of(p, "v.sock");
    vsr_chardev_source source;
    vsr_virtio_vsock_params params = { .virtio = place(vmm, 21),
                                       .cid = 33,
                                       .name = "v.sock" };

    if (!vsr_chardev_open_unix(path, true, &source, error))
        return false;
    params.listen_fd = source.fd;
    params.folder_fd = open(p->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return vsr_device_new(vmm->machine, &vsr_virtio_vsock_class, "vsock",
                          &params, error) != NULL;
}

static bool add_all(vsr_vmm *vmm, void *args, GError **error)
{
    plugged *p = args;
    g_autofree char *shared = path_of(p, "shared");
    const vsr_virtio_balloon_params balloon = { .virtio = place(vmm, 22),
                                                .free_page_reporting = true };
    vsr_virtio_9p_params folder = { .virtio = place(vmm, 23), .tag = "shared" };

    folder.fs.root_fd = open(shared, O_PATH | O_DIRECTORY | O_CLOEXEC);
    folder.fs.access = geteuid() == 0 ? VSR_FS9P_PASSTHROUGH : VSR_FS9P_SQUASH;
    if (!add_console(vmm, p, error) || !add_vsock(vmm, p, error) ||
        vsr_device_new(vmm->machine, &vsr_virtio_9p_class, "9p", &folder,
                       error) == NULL)
        return false;
    p->balloon = vsr_device_new(vmm->machine, &vsr_virtio_balloon_class,
                                "balloon", &balloon, error);
    if (p->balloon != NULL)
        vsr_virtio_balloon_set_period(p->balloon, 1);
    return p->balloon != NULL;
}

typedef struct {
    plugged *p;
    const char *line;
} order;

static bool obey(vsr_vmm *vmm, void *args, GError **error)
{
    const order *o = args;
    vsr_virtio_balloon_info i;
    unsigned long long bytes;
    unsigned cols, rows;

    if (vmm->machine == NULL)
        return true;
    if (sscanf(o->line, "balloon %llu", &bytes) == 1)
        return vsr_virtio_balloon_set_target(o->p->balloon, bytes, error);
    if (sscanf(o->line, "resize %u %u", &cols, &rows) == 2)
        return vsr_virtio_console_resize(o->p->console, 0, (uint16_t)cols,
                                         (uint16_t)rows, error);
    vsr_virtio_balloon_get(o->p->balloon, &i);
    fprintf(stderr,
            "info: actual %" G_GUINT64_FORMAT " reported %" G_GUINT64_FORMAT
            " free %" G_GUINT64_FORMAT " total %" G_GUINT64_FORMAT "\n",
            i.actual, i.reported, i.stat[VSR_BALLOON_STAT_FREE],
            i.stat[VSR_BALLOON_STAT_TOTAL]);
    return true;
}

static vsr_vmm *build(char **argv, plugged *p, GError **error)
{
    static const vsr_vmm_events events = { .state = on_state };
    vsr_char_conf chr = { .kind = VSR_CHAR_STDIO };
    vsr_domain_conf *conf = vsr_domain_conf_new();
    vsr_vmm_resources res;
    vsr_vmm *vmm = NULL;

    conf->name = g_strdup("plugged-guest");
    conf->memory_kib = 512 * 1024;
    conf->os.kernel = g_strdup(argv[2]);
    conf->os.initrd = g_strdup(argv[3]);
    conf->os.cmdline = g_strdup(argv[4]);
    g_array_append_val(conf->serials, chr);
    if (vsr_domain_conf_complete(conf, error) &&
        vsr_vmm_resources_open(&res, conf, NULL, on_output, NULL, error))
        vmm = vsr_vmm_new(&vsr_emu_engine, conf, &res, &events, p, error);
    vsr_domain_conf_free(conf);
    return vmm;
}

static int run(char **argv, GError **error)
{
    plugged p = { .folder = argv[1] };
    char line[100];
    vsr_vmm *vmm;

    p.loop = vsr_loop_new("chardevs", error);
    if (p.loop == NULL)
        return 1;
    vmm = build(argv, &p, error);
    if (vmm == NULL || !vmm_control(vmm, add_all, &p, error) ||
        !vsr_vmm_resume(vmm, error))
        return 1;
    while (fgets(line, sizeof(line), stdin) != NULL) {
        order o = { &p, line };

        if (!vmm_control(vmm, obey, &o, error))
            return 1;
    }
    while (!g_atomic_int_get(&p.off))
        g_usleep(10000);
    vsr_vmm_free(vmm);
    vsr_chardev_free(p.hvc);
    vsr_chardev_free(p.agent);
    vsr_loop_free(p.loop);
    return p.reason == VSR_REASON_GUEST_POWEROFF ? 0 : 1;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    int rc;

    if (argc != 5) {
        fprintf(stderr, "usage: plugged_guest FOLDER KERNEL INITRD CMDLINE\n");
        return 2;
    }
    vsr_log_set_sink(on_log, NULL);
    rc = run(argv, &error);
    if (error != NULL)
        fprintf(stderr, "plugged_guest: %s\n", error->message);
    return rc;
}
