/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device_stats.c: numbers of disks and interfaces, by libvirt's names: of a disk
 * by its target, of an interface by its MAC address. Times are ns, sizes bytes.
 *
 * Threads: the control thread; the counters are those of the devices' loop.
 */
#include "devices/virtio/net.h"
#include "vmm/plugged.h"

typedef struct {
    vsr_stat_fn *fn;
    void *opaque;
    const char *group, *id; /* "block", "vda" */
} sink;

static void put(const sink *out, const char *name, uint64_t value)
{
    char full[VSR_TARGET_MAX + 64];

    g_snprintf(full, sizeof(full), "%s.%s.%s", out->group, out->id, name);
    out->fn(full, value, out->opaque);
}

static void put_disk(const vmm_plugged *p, const sink *out)
{
    uint64_t allocated = vsr_block_allocated(p->block);
    vsr_block_stats s;

    vsr_block_get_stats(p->block, &s);
    put(out, "rd.reqs", s.requests[VSR_BLOCK_READ]);
    put(out, "rd.bytes", s.bytes[VSR_BLOCK_READ]);
    put(out, "rd.times", s.ns[VSR_BLOCK_READ]);
    /* Zeros are written, too. */
    put(out, "wr.reqs",
        s.requests[VSR_BLOCK_WRITE] + s.requests[VSR_BLOCK_WRITE_ZEROES]);
    put(out, "wr.bytes",
        s.bytes[VSR_BLOCK_WRITE] + s.bytes[VSR_BLOCK_WRITE_ZEROES]);
    put(out, "wr.times", s.ns[VSR_BLOCK_WRITE] + s.ns[VSR_BLOCK_WRITE_ZEROES]);
    put(out, "fl.reqs", s.requests[VSR_BLOCK_FLUSH]);
    put(out, "fl.times", s.ns[VSR_BLOCK_FLUSH]);
    put(out, "errors", s.errors);
    put(out, "capacity", vsr_block_bytes(p->block));
    if (allocated != 0)
        put(out, "allocation", allocated);
}

static void put_interface(const vmm_plugged *p, const sink *out)
{
    vsr_net_stats s;

    vsr_virtio_net_get_stats(p->device, &s);
    put(out, "rx.bytes", s.rx_bytes);
    put(out, "rx.pkts", s.rx_packets);
    put(out, "rx.drop", s.rx_drops);
    put(out, "tx.bytes", s.tx_bytes);
    put(out, "tx.pkts", s.tx_packets);
    put(out, "tx.drop", s.tx_drops);
}

void vmm_device_stats(const vsr_vmm *vmm, vsr_stat_fn *fn, void *opaque)
{
    char room[64];

    for (guint i = 0; i < vmm->plugged->len; i++) {
        const vmm_plugged *p = vmm->plugged->pdata[i];
        sink out = { fn, opaque, "block", vsr_device_label(p->conf, room) };

        if (p->conf->kind == VSR_DEVICE_DISK && p->device != NULL)
            put_disk(p, &out);
        out.group = "net";
        if (p->conf->kind == VSR_DEVICE_INTERFACE && p->device != NULL)
            put_interface(p, &out);
    }
}
