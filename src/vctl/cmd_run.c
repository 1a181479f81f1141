/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_run.c: boot a kernel right here, its console on this terminal.
 *
 * The machine lives in this process (ENGINE:///embed) and ends with it. Output
 * is written by the library's thread, so that nothing is lost when the reader
 * is slow; input and Ctrl-] are this thread's.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vctl.h"

enum { ESCAPE_KEY = 0x1d };

static struct {
    char *kernel, *initrd, *firmware, *append, *memory, *engine, *machine,
        *name, *cpu, *page_size;
    gint vcpus, timeout;
    gboolean shell, test_devices, print_xml, stats, prealloc, hugepages;
} opt;

static const GOptionEntry run_options[] = {
    { "kernel", 'k', 0, G_OPTION_ARG_FILENAME, &opt.kernel,
      "bzImage, ELF vmlinux or multiboot image", "FILE" },
    { "initrd", 'i', 0, G_OPTION_ARG_FILENAME, &opt.initrd,
      "initramfs, or the multiboot module", "FILE" },
    { "firmware", 0, 0, G_OPTION_ARG_FILENAME, &opt.firmware,
      "boot this firmware instead of a kernel", "FILE" },
    { "append", 'a', 0, G_OPTION_ARG_STRING, &opt.append,
      "the kernel's command line (default: console=ttyS0; on micro also "
      "pci=off)",
      "TEXT" },
    { "memory", 'm', 0, G_OPTION_ARG_STRING, &opt.memory,
      "guest RAM, e.g. 256M (the default) or 2G", "SIZE" },
    { "vcpus", 'n', 0, G_OPTION_ARG_INT, &opt.vcpus, "virtual CPUs (1)", "N" },
    { "engine", 'e', 0, G_OPTION_ARG_STRING, &opt.engine,
      "emu, kvm or auto (the default)", "ENGINE" },
    { "machine", 'M', 0, G_OPTION_ARG_STRING, &opt.machine,
      "pci (the default) or micro", "BOARD" },
    { "cpu", 0, 0, G_OPTION_ARG_STRING, &opt.cpu,
      "CPU model, e.g. x86-64-v2, or host-model, host-passthrough, maximum "
      "(the default); with features that must be (+) or must not be (-)",
      "MODEL[,+F][,-F]" },
    { "hugepages", 0, 0, G_OPTION_ARG_NONE, &opt.hugepages,
      "RAM from the host's pool of huge pages", NULL },
    { "page-size", 0, 0, G_OPTION_ARG_STRING, &opt.page_size,
      "huge pages of that size, e.g. 1G (default: 2M)", "SIZE" },
    { "prealloc", 0, 0, G_OPTION_ARG_NONE, &opt.prealloc,
      "have all of the guest's RAM in memory from the start", NULL },
    { "name", 0, 0, G_OPTION_ARG_STRING, &opt.name, "the domain's name",
      "NAME" },
    { "shell", 0, 0, G_OPTION_ARG_NONE, &opt.shell,
      "start a shell as the guest's first program", NULL },
    { "test-devices", 0, 0, G_OPTION_ARG_NONE, &opt.test_devices,
      "debug-exit port and fw_cfg, for test kernels", NULL },
    { "timeout", 't', 0, G_OPTION_ARG_INT, &opt.timeout,
      "destroy it after that many seconds (exit code 124)", "SECONDS" },
    { "stats", 0, 0, G_OPTION_ARG_NONE, &opt.stats,
      "print its counters to stderr when it is ended from here", NULL },
    { "print-xml", 0, 0, G_OPTION_ARG_NONE, &opt.print_xml,
      "print the domain's XML and end", NULL },
    { .long_name = NULL },
};

static void element(GString *xml, const char *indent, const char *name,
                    const char *value)
{
    g_autofree char *text = NULL;

    if (!value)
        return;
    text = vctl_xml_escape(value);
    g_string_append_printf(xml, "%s<%s>%s</%s>\n", indent, name, text, name);
}

/* Paths in XML are absolute: it may be defined elsewhere later. */
static char *absolute(const char *path)
{
    return path ? g_canonicalize_filename(path, NULL) : NULL;
}

/* The micro board has no PCI, and Linux looks for it all the same: 230 exits
 * on kvm. */
static const char *default_cmdline(void)
{
    return g_strcmp0(opt.machine, "micro") == 0 ? "console=ttyS0 pci=off"
                                                : "console=ttyS0";
}

/* MODEL,+feature,-feature; an empty MODEL is the default. */
static void cpu_element(GString *xml)
{
    static const char *const modes[] = { "maximum", "host-model",
                                         "host-passthrough", NULL };
    g_auto(GStrv) words = NULL;
    const char *model;

    if (!opt.cpu)
        return;
    words = g_strsplit(opt.cpu, ",", -1);
    model = words[0] && *words[0] && !strchr("+-", *words[0]) ? words[0] : NULL;
    g_string_append(xml, "  <cpu mode='");
    if (!model)
        g_string_append(xml, "maximum'>");
    else if (g_strv_contains(modes, model))
        g_string_append_printf(xml, "%s'>", model);
    else
        g_string_append(xml, "custom'>");
    if (model && !g_strv_contains(modes, model)) {
        g_autofree char *text = vctl_xml_escape(model);

        g_string_append_printf(xml, "<model>%s</model>", text);
    }
    for (char **word = words + (model ? 1 : 0); words[0] && *word; word++) {
        g_autofree char *name =
            vctl_xml_escape(**word == '+' || **word == '-' ? *word + 1 : *word);

        if (**word)
            g_string_append_printf(xml, "<feature policy='%s' name='%s'/>",
                                   **word == '-' ? "disable" : "require", name);
    }
    g_string_append(xml, "</cpu>\n");
}

static void backing_element(GString *xml, uint64_t page_kib)
{
    if (!opt.hugepages && !opt.prealloc && !page_kib)
        return;
    g_string_append(xml, "  <memoryBacking>");
    if (page_kib)
        g_string_append_printf(xml,
                               "<hugepages><page size='%" G_GUINT64_FORMAT
                               "' unit='KiB'/></hugepages>",
                               page_kib);
    else if (opt.hugepages)
        g_string_append(xml, "<hugepages/>");
    if (opt.prealloc)
        g_string_append(xml, "<allocation mode='immediate'/>");
    g_string_append(xml, "</memoryBacking>\n");
}

static char *make_xml(const char *engine, uint64_t memory_kib,
                      uint64_t page_kib)
{
    GString *xml = g_string_new(NULL);
    g_autofree char *kernel = absolute(opt.kernel);
    g_autofree char *initrd = absolute(opt.initrd);
    g_autofree char *firmware = absolute(opt.firmware);
    const char *base = opt.append     ? opt.append
                       : opt.firmware ? NULL
                                      : default_cmdline();
    g_autofree char *cmdline =
        opt.shell ? g_strdup_printf("%s rdinit=/bin/sh init=/bin/sh",
                                    base ? base : "")
                  : g_strdup(base);

    g_string_append_printf(
        xml, "<domain type='%s'%s>\n", engine,
        opt.test_devices ? " xmlns:visor='https://libvisor.org/domain/1'" : "");
    element(xml, "  ", "name", opt.name ? opt.name : "run");
    g_string_append_printf(xml,
                           "  <memory unit='KiB'>%" G_GUINT64_FORMAT
                           "</memory>\n  <vcpu>%d</vcpu>\n",
                           memory_kib, opt.vcpus ? opt.vcpus : 1);
    backing_element(xml, page_kib);
    cpu_element(xml);
    {
        g_autofree char *machine =
            vctl_xml_escape(opt.machine ? opt.machine : "pci");

        g_string_append_printf(
            xml, "  <os>\n    <type arch='x86_64' machine='%s'>hvm</type>\n",
            machine);
    }
    element(xml, "    ", "loader", firmware);
    element(xml, "    ", "kernel", kernel);
    element(xml, "    ", "initrd", initrd);
    element(xml, "    ", "cmdline", cmdline && *cmdline ? cmdline : NULL);
    g_string_append(xml,
                    "  </os>\n"
                    "  <features><acpi/><apic/></features>\n"
                    "  <on_poweroff>destroy</on_poweroff>\n"
                    "  <on_reboot>restart</on_reboot>\n"
                    "  <on_crash>destroy</on_crash>\n"
                    "  <devices>\n"
                    "    <serial type='stdio'><target port='0'/></serial>\n"
                    "  </devices>\n");
    if (opt.test_devices)
        g_string_append(xml, "  <visor:test-devices/>\n");
    g_string_append(xml, "</domain>\n");
    return g_string_free(xml, FALSE);
}

static void on_output(visor_domain *dom, uint32_t port, const void *data,
                      size_t len, void *opaque)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, at, len);

        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

            poll(&p, 1, 100);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nobody reads any more: the guest goes on */
        at += n;
        len -= (size_t)n;
    }
}

typedef struct {
    bool stopped;
    int reason;
    char *text;
} ending;

static void on_event(visor_connection *conn, const visor_event *event,
                     void *opaque)
{
    ending *e = opaque;

    if (event->kind != VISOR_EVENT_LIFECYCLE)
        return;
    if (event->detail != VISOR_LIFECYCLE_STOPPED &&
        event->detail != VISOR_LIFECYCLE_CRASHED)
        return;
    e->stopped = true;
    e->reason = event->reason;
    if (event->text && !e->text)
        e->text = g_strdup(event->text);
}

/* False: leave (Ctrl-]). */
static bool take_input(visor_domain *dom, struct pollfd *in, bool raw)
{
    char buffer[1024];
    ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);
    visor_error *err = NULL;

    if (n <= 0) {
        in->fd = -1; /* end of input: the guest goes on */
        return true;
    }
    if (raw && memchr(buffer, ESCAPE_KEY, (size_t)n))
        return false;
    if (visor_domain_send_input(dom, 0, buffer, (size_t)n, &err) < 0)
        visor_error_free(err);
    return true;
}

/* Until the guest is off, the time is over (→ false) or Ctrl-] was typed. */
static bool wait_for_end(vctl *v, visor_domain *dom, ending *e)
{
    struct pollfd fds[2] = {
        { .fd = visor_connection_get_fd(v->conn), .events = POLLIN },
        { .fd = STDIN_FILENO, .events = POLLIN },
    };
    int64_t end = opt.timeout > 0
                      ? g_get_monotonic_time() + opt.timeout * INT64_C(1000000)
                      : INT64_MAX;
    bool raw = vctl_terminal_raw(STDIN_FILENO);

    while (!e->stopped) {
        int64_t left = (end - g_get_monotonic_time()) / 1000;

        if (left <= 0)
            return false;
        if (poll(fds, 2, (int)MIN(left + 1, 3600 * 1000)) < 0 && errno != EINTR)
            break;
        if (fds[1].revents && !take_input(dom, &fds[1], raw))
            break;
        visor_connection_dispatch(v->conn, 0, NULL);
    }
    return true;
}

static int how_it_ended(visor_domain *dom, const ending *e)
{
    visor_domain_info info = { .size = sizeof info };

    if (!e->stopped)
        return VCTL_OK;
    switch (e->reason) {
    case VISOR_REASON_EXIT:
        if (visor_domain_get_info(dom, &info, NULL) == 0)
            return info.exit_status & 0xff;
        return VCTL_RUN_FAILED;
    case VISOR_REASON_CRASHED:
        fprintf(stderr, "vctl: the guest crashed%s%s\n", e->text ? ": " : "",
                e->text ? e->text : "");
        return VCTL_RUN_CRASHED;
    case VISOR_REASON_FAILED:
        fprintf(stderr, "vctl: the domain failed%s%s\n", e->text ? ": " : "",
                e->text ? e->text : "");
        return VCTL_RUN_FAILED;
    default:
        return VCTL_OK;
    }
}

static void print_stats(visor_domain *dom)
{
    visor_stat *stats = NULL;
    int n = visor_domain_get_stats(dom, &stats, NULL);

    for (int i = 0; i < n; i++)
        fprintf(stderr, "%s=%" G_GUINT64_FORMAT "\n", stats[i].name,
                (guint64)stats[i].value);
    visor_free(stats);
}

static int run_domain(vctl *v, const char *xml)
{
    visor_error *err = NULL;
    visor_domain *dom = NULL;
    ending e = { .stopped = false };
    int status = VCTL_RUN_FAILED;

    if (visor_connection_set_output(v->conn, on_output, NULL, &err) < 0 ||
        visor_event_subscribe(v->conn, NULL, 0, on_event, &e, NULL, &err) < 0 ||
        visor_domain_define_xml(v->conn, xml, 0, &dom, &err) < 0) {
        vctl_fail(err);
        goto out;
    }
    /* Before the guest says anything. */
    if (isatty(STDIN_FILENO) && !v->quiet)
        fprintf(stderr, "Running on %s; Ctrl-] ends it\n",
                visor_connection_get_engine(v->conn));
    if (visor_domain_start(dom, 0, &err) < 0) {
        vctl_fail(err);
        goto out;
    }
    if (!wait_for_end(v, dom, &e)) {
        fprintf(stderr, "vctl: still running after %d s\n", opt.timeout);
        status = VCTL_RUN_TIMEOUT;
    }
    if (opt.stats)
        print_stats(dom);
    if (!e.stopped && visor_domain_destroy(dom, 0, &err) < 0)
        visor_error_free(err);
    vctl_terminal_restore();
    if (status != VCTL_RUN_TIMEOUT)
        status = how_it_ended(dom, &e);
out:
    visor_domain_unref(dom);
    g_free(e.text);
    return status;
}

static int cmd_run(vctl *v, int n_args, char **args)
{
    g_autofree char *uri = NULL, *xml = NULL;
    uint64_t memory_kib = 256 << 10, page_kib = 0;

    if (n_args == 1 && !opt.kernel)
        opt.kernel = args[0];
    else if (n_args == 1)
        return vctl_usage("run: '%s' is one argument too many", args[0]);
    if (!opt.kernel && !opt.firmware)
        return vctl_usage("run: --kernel or --firmware is needed");
    if (opt.memory && !vctl_size_parse(opt.memory, &memory_kib))
        return vctl_usage("run: '%s' is not a memory size", opt.memory);
    if (opt.page_size && !vctl_size_parse(opt.page_size, &page_kib))
        return vctl_usage("run: '%s' is not the size of a page", opt.page_size);
    if (opt.vcpus < 0)
        return vctl_usage("run: %d vCPUs", opt.vcpus);

    if (opt.engine || !v->uri)
        uri = g_strdup_printf("%s:///embed", opt.engine ? opt.engine : "auto");
    if (uri)
        v->uri = uri;
    if (!vctl_connect(v, 0))
        return VCTL_RUN_FAILED;
    xml = make_xml(visor_connection_get_engine(v->conn), memory_kib, page_kib);
    if (opt.print_xml) {
        fputs(xml, stdout);
        return VCTL_OK;
    }
    return run_domain(v, xml);
}

const vctl_command vctl_run_commands[] = {
    { "run", "Domains", "[KERNEL]",
      "boot a kernel here, its console on this terminal",
      "The machine lives in this process and ends with it: when the guest "
      "powers off, on Ctrl-], or when vctl is stopped. Without --append the "
      "command line is 'console=ttyS0', on the micro board 'console=ttyS0 "
      "pci=off'. The exit code is 0 after a power-off, "
      "the guest's own status with --test-devices, 124 after --timeout, 125 "
      "when the guest could not be started, 126 when it crashed.",
      run_options, 0, 1, cmd_run },
    { .name = NULL },
};
