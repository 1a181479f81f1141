/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net_guest.c: a Linux guest on emu with one network card, its console on
 * stdout, until it powers off.
 *
 *   net_guest KIND DEVICE QUEUES LAST_BYTE FORWARDS KERNEL INITRD CMDLINE
 *
 * KIND: user, bridge, macvtap; DEVICE: the bridge (made if it is not there),
 * the lower link, or -. LAST_BYTE: of its address. FORWARDS: tcp:HOST:GUEST, or
 * -. With NET_GUEST_RATE (KiB/s) both directions are limited.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "devices/pci/host.h"
#include "devices/virtio/net.h"
#include "drivers/emu/emu_engine.h"
#include "vmm/vmm_state.h"

typedef struct {
    GMutex lock;
    GCond changed;
    bool off;
    vsr_reason reason;
} ending;

static void on_output(const void *data, size_t len, void *opaque)
{
    fwrite(data, 1, len, stdout);
    fflush(stdout);
}

static void on_state(void *opaque, vsr_state state, vsr_reason reason,
                     int status, const char *detail)
{
    ending *e = opaque;

    if (detail != NULL)
        fprintf(stderr, "net_guest: %s\n", detail);
    g_mutex_lock(&e->lock);
    e->off = state == VSR_STATE_SHUTOFF;
    e->reason = reason;
    g_cond_broadcast(&e->changed);
    g_mutex_unlock(&e->lock);
}

static void on_log(vsr_log_level level, const char *message, void *opaque)
{
    fprintf(stderr, "net_guest: %s\n", message);
}

static vsr_net_location location_of(char **argv)
{
    const char *rate = getenv("NET_GUEST_RATE");
    vsr_net_location l = {
        .kind = strcmp(argv[1], "user") == 0     ? VSR_NET_USER
                : strcmp(argv[1], "bridge") == 0 ? VSR_NET_BRIDGE
                                                 : VSR_NET_MACVTAP,
        .device = strcmp(argv[2], "-") == 0 ? NULL : argv[2],
        .make_bridge = true,
        .queues = (uint32_t)atoi(argv[3]),
        .mac = { 0x52, 0x54, 0, 0, 1, (uint8_t)atoi(argv[4]) },
    };
    vsr_net_forward f = { 0 };
    unsigned host, guest;

    if (sscanf(argv[5], "tcp:%u:%u", &host, &guest) == 2) {
        f.host_port = (uint16_t)host;
        f.guest_port = (uint16_t)guest;
        l.forwards = g_array_new(FALSE, TRUE, sizeof(f));
        g_array_append_val(l.forwards, f);
    }
    if (rate != NULL)
        l.in.average = l.out.average = strtoull(rate, NULL, 10);
    return l;
}

typedef struct {
    vsr_net_source source;
    uint8_t mac[6];
    vsr_device *device;
} card;

static bool add_card(vsr_vmm *vmm, void *args, GError **error)
{
    card *c = args;
    vsr_device *bridge = vsr_device_find(vmm->machine, "pci-host");
    vsr_virtio_net_params params = {
        .virtio = { .host = vsr_pci_host_get(bridge), .devfn = 5 << 3 },
        .source = &c->source,
    };

    memcpy(params.mac, c->mac, 6);
    c->device = vsr_device_new(vmm->machine, &vsr_virtio_net_class, "net0",
                               &params, error);
    return c->device != NULL;
}

static bool print_stats(vsr_vmm *vmm, void *args, GError **error)
{
    const card *c = args;
    vsr_net_stats s;

    if (vmm->machine == NULL)
        return true;
    vsr_virtio_net_get_stats(c->device, &s);
    fprintf(stderr,
            "net_guest: rx %" G_GUINT64_FORMAT " frames %" G_GUINT64_FORMAT
            " bytes %" G_GUINT64_FORMAT " dropped, tx %" G_GUINT64_FORMAT
            " frames %" G_GUINT64_FORMAT " bytes %" G_GUINT64_FORMAT
            " dropped\n",
            s.rx_packets, s.rx_bytes, s.rx_drops, s.tx_packets, s.tx_bytes,
            s.tx_drops);
    return true;
}

static vsr_vmm *build(char **argv, ending *e, GError **error)
{
    static const vsr_vmm_events events = { .state = on_state };
    vsr_char_conf chr = { .kind = VSR_CHAR_STDIO };
    vsr_domain_conf *conf = vsr_domain_conf_new();
    vsr_vmm_resources res;
    vsr_vmm *vmm = NULL;

    conf->name = g_strdup("net-guest");
    conf->memory_kib = 256 * 1024;
    /* Linux uses as many queues as it has processors. */
    conf->vcpus = conf->vcpus_max = (uint32_t)atoi(argv[3]);
    conf->os.kernel = g_strdup(argv[6]);
    conf->os.initrd = g_strdup(argv[7]);
    conf->os.cmdline = g_strdup(argv[8]);
    g_array_append_val(conf->serials, chr);
    if (vsr_domain_conf_complete(conf, error) &&
        vsr_vmm_resources_open(&res, conf, NULL, on_output, NULL, error))
        vmm = vsr_vmm_new(&vsr_emu_engine, conf, &res, &events, e, error);
    vsr_domain_conf_free(conf);
    return vmm;
}

static int run(char **argv, GError **error)
{
    const vsr_net_location l = location_of(argv);
    ending e = { 0 };
    card c = { 0 };
    vsr_vmm *vmm;

    memcpy(c.mac, l.mac, 6);
    if (!vsr_net_source_open(&c.source, &l, error))
        return 1;
    if (c.source.name != NULL)
        fprintf(stderr, "net_guest: link %s\n", c.source.name);
    vmm = build(argv, &e, error);
    if (vmm == NULL || !vmm_control(vmm, add_card, &c, error) ||
        !vsr_vmm_resume(vmm, error))
        return 1;
    g_mutex_lock(&e.lock);
    while (!e.off) {
        g_cond_wait_until(&e.changed, &e.lock,
                          g_get_monotonic_time() + G_TIME_SPAN_SECOND);
        g_mutex_unlock(&e.lock);
        if (getenv("NET_GUEST_STATS") != NULL)
            vmm_control(vmm, print_stats, &c, NULL);
        g_mutex_lock(&e.lock);
    }
    g_mutex_unlock(&e.lock);
    vsr_vmm_free(vmm);
    vsr_net_source_clear(&c.source);
    if (l.forwards != NULL)
        g_array_unref(l.forwards);
    return e.reason == VSR_REASON_GUEST_POWEROFF ? 0 : 1;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    int rc;

    if (argc != 9) {
        fprintf(stderr, "usage: net_guest KIND DEVICE QUEUES LAST_BYTE "
                        "FORWARDS KERNEL INITRD CMDLINE\n");
        return 2;
    }
    vsr_log_set_sink(on_log, NULL);
    rc = run(argv, &error);
    if (error != NULL)
        fprintf(stderr, "net_guest: %s\n", error->message);
    return rc;
}
