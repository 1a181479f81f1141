/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_host.c: commands about the host and about vctl itself. */
#include <stdio.h>

#include "vctl.h"

static int cmd_capabilities(vctl *v, int n_args, char **args)
{
    visor_error *err = NULL;
    char *xml = NULL;

    if (!vctl_connect(v, 0))
        return VCTL_NO_CONNECTION;
    if (visor_connection_get_capabilities(v->conn, 0, &xml, &err) < 0)
        return vctl_fail(err);
    if (v->json) {
        vctl_out *out = vctl_out_new();

        vctl_out_begin(out);
        vctl_out_string(out, "xml", xml);
        vctl_out_end(out);
        vctl_out_print(out, false);
    } else {
        fputs(xml, stdout);
    }
    visor_free(xml);
    return VCTL_OK;
}

static int cmd_nodeinfo(vctl *v, int n_args, char **args)
{
    visor_host_info info = { .size = sizeof info };
    visor_error *err = NULL;

    if (!vctl_connect(v, 0))
        return VCTL_NO_CONNECTION;
    if (visor_host_get_info(v->conn, &info, &err) < 0)
        return vctl_fail(err);
    if (v->json) {
        vctl_out *out = vctl_out_new();

        vctl_out_begin(out);
        vctl_out_string(out, "model", info.model);
        vctl_out_number(out, "memory_kib", (int64_t)info.memory_kib);
        vctl_out_number(out, "cpus", info.cpus);
        vctl_out_number(out, "mhz", info.mhz);
        vctl_out_number(out, "nodes", info.nodes);
        vctl_out_number(out, "sockets", info.sockets);
        vctl_out_number(out, "cores", info.cores);
        vctl_out_number(out, "threads", info.threads);
        vctl_out_end(out);
        vctl_out_print(out, false);
        return VCTL_OK;
    }
    printf("CPU model:       %s\n", info.model);
    printf("CPUs:            %u\n", info.cpus);
    if (info.mhz)
        printf("CPU frequency:   %u MHz\n", info.mhz);
    printf("NUMA nodes:      %u\n", info.nodes);
    printf("Sockets:         %u\n", info.sockets);
    printf("Cores a socket:  %u\n", info.cores);
    printf("Threads a core:  %u\n", info.threads);
    printf("Memory:          %" G_GUINT64_FORMAT " KiB\n",
           (guint64)info.memory_kib);
    return VCTL_OK;
}

static int cmd_doctor(vctl *v, int n_args, char **args)
{
    static const char *const words[] = { "ok", "warning", "FAIL" };
    visor_host_finding *findings = NULL;
    visor_error *err = NULL;
    vctl_out *out = NULL;
    bool bad = false;
    int n = visor_host_check(&findings, &err);

    if (n < 0)
        return vctl_fail(err);
    if (v->json) {
        out = vctl_out_new();
        vctl_out_begin_list(out, NULL);
    }
    for (int i = 0; i < n; i++) {
        const visor_host_finding *f = &findings[i];
        int result = CLAMP(f->result, 0, 2);

        bad = bad || f->result == VISOR_CHECK_FAIL;
        if (out) {
            vctl_out_begin(out);
            vctl_out_string(out, "engine", f->engine);
            vctl_out_string(out, "what", f->what);
            vctl_out_string(out, "result", words[result]);
            vctl_out_string(out, "detail", f->detail);
            vctl_out_string(out, "remedy", f->remedy);
            vctl_out_end(out);
            continue;
        }
        printf("%-7s  %-4s  %s: %s\n", words[result], f->engine, f->what,
               f->detail);
        if (*f->remedy)
            printf("               → %s\n", f->remedy);
    }
    if (out) {
        vctl_out_end_list(out);
        vctl_out_print(out, false);
    }
    visor_free(findings);
    return bad ? VCTL_FAILED : VCTL_OK;
}

static int cmd_version(vctl *v, int n_args, char **args)
{
    if (v->json) {
        vctl_out *out = vctl_out_new();

        vctl_out_begin(out);
        vctl_out_string(out, "vctl", VSR_VERSION);
        vctl_out_string(out, "libvisor", visor_version());
        vctl_out_end(out);
        vctl_out_print(out, false);
    } else {
        printf("vctl %s\nlibvisor %s\n", VSR_VERSION, visor_version());
    }
    return VCTL_OK;
}

static int cmd_uri(vctl *v, int n_args, char **args)
{
    if (!vctl_connect(v, 0))
        return VCTL_NO_CONNECTION;
    if (v->json) {
        vctl_out *out = vctl_out_new();

        vctl_out_begin(out);
        vctl_out_string(out, "uri", visor_connection_get_uri(v->conn));
        vctl_out_end(out);
        vctl_out_print(out, false);
    } else {
        puts(visor_connection_get_uri(v->conn));
    }
    return VCTL_OK;
}

#define GROUP "Host"

const vctl_command vctl_host_commands[] = {
    { "capabilities", GROUP, "", "what host and engines offer, as XML", "",
      NULL, 0, 0, cmd_capabilities },
    { "nodeinfo", GROUP, "", "the host's CPUs and memory", "", NULL, 0, 0,
      cmd_nodeinfo },
    { "doctor", GROUP, "",
      "what this host can run, and what to do about the "
      "rest",
      "The exit code is 1 when something named cannot work.", NULL, 0, 0,
      cmd_doctor },
    { "uri", GROUP, "", "the connection's URI in full", "", NULL, 0, 0,
      cmd_uri },
    { "version", GROUP, "", "versions of vctl and libvisor", "", NULL, 0, 0,
      cmd_version },
    { .name = NULL },
};
