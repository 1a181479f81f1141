/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stats.c: numbers of a running domain, by libvirt's names where it has one.
 *
 * Spec:    /proc/PID/smaps_rollup: Linux, Documentation/filesystems/proc.rst;
 *          what of RAM is resident: mincore(2).
 * Threads: any; the work is done on the control thread.
 */
#include "vmm/plugged.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/util.h"

typedef struct {
    vsr_stat_fn *fn;
    void *opaque;
} sink;

static void put(const sink *out, const char *name, uint64_t value)
{
    out->fn(name, value, out->opaque);
}

static void put_vcpus(vsr_vmm *vmm, const sink *out)
{
    char name[96];

    put(out, "vcpu.current", vmm->machine->n_vcpus);
    put(out, "vcpu.maximum", vmm->conf->vcpus_max);
    for (uint32_t i = 0; i < vmm->conf->vcpus_max; i++) {
        vsr_vcpu_stats stats;

        if (!vsr_machine_vcpu_stats(vmm->machine, i, &stats))
            continue;
        g_snprintf(name, sizeof(name), "vcpu.%u.time", i);
        put(out, name, stats.cpu_ns);
        for (uint32_t j = 0; j < stats.n; j++) {
            g_snprintf(name, sizeof(name), "vcpu.%u.%s", i, stats.name[j]);
            put(out, name, stats.value[j]);
        }
    }
    put(out, "cpu.time", vsr_machine_cpu_ns(vmm->machine));
}

static uint64_t field_kib(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* Adds the bytes of a region that are resident. */
static bool add_resident(uint64_t gpa, uint64_t len, bool readonly, int fd,
                         uint64_t fd_offset, void *host, void *opaque)
{
    enum { PAGE = 4096, STEP = 1 << 24 };
    unsigned char here[STEP / PAGE];
    uint64_t *bytes = opaque;

    for (uint64_t at = 0; at < len; at += STEP) {
        uint64_t n = MIN(len - at, STEP);

        if (mincore((uint8_t *)host + at, n, here) < 0)
            return true;
        for (uint64_t i = 0; i < n / PAGE; i++)
            *bytes += (here[i] & 1) * PAGE;
    }
    return true;
}

/* This process's memory, without this domain's RAM where the name begins with
 * "vmm.". In a process with several domains the others' RAM counts. Nothing is
 * said where /proc cannot be read. */
static void put_memory(const vsr_vmm *vmm, const sink *out)
{
    char text[2048];
    ssize_t n = pread(vmm->smaps_fd, text, sizeof(text) - 1, 0);
    uint64_t rss, private_kib, ram = 0;

    if (n <= 0)
        return;
    text[n] = '\0';
    vsr_mem_foreach(vmm->machine->mem, add_resident, &ram);
    ram /= VSR_KIB;
    rss = field_kib(text, "\nRss:");
    private_kib = field_kib(text, "\nPrivate_Clean:") +
                  field_kib(text, "\nPrivate_Dirty:");
    put(out, "balloon.rss", rss);
    put(out, "vmm.rss", rss - MIN(rss, ram));
    put(out, "vmm.private", private_kib - MIN(private_kib, ram));
}

static bool do_stats(vsr_vmm *vmm, void *args, GError **error)
{
    const sink *out = args;

    if (!vmm->machine)
        return vsr_fail(error, VISOR_ERR_STATE, "Domain '%s' is shut off",
                        vmm->conf->name);
    put(out, "state.state", vmm->state);
    put(out, "state.reason", vmm->reason);
    put_vcpus(vmm, out);
    vmm_memory_stats(vmm, out->fn, out->opaque);
    put_memory(vmm, out);
    vmm_device_stats(vmm, out->fn, out->opaque);
    put(out, "vmm.restarts", vmm->n_restarts);
    put(out, "uptime", (uint64_t)(vsr_now_ns() - vmm->built_ns));
    return true;
}

bool vsr_vmm_stats(vsr_vmm *vmm, vsr_stat_fn *fn, void *opaque, GError **error)
{
    sink out = { fn, opaque };

    return vmm_control(vmm, do_stats, &out, error);
}
