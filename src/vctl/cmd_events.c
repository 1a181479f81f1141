/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_events.c: what happens to domains, as it happens. */
#include <stdio.h>
#include <time.h>

#include "vctl.h"

static struct {
    gboolean follow;
    gint timeout;
} opt;

static const GOptionEntry event_options[] = {
    { "follow", 'f', 0, G_OPTION_ARG_NONE, &opt.follow,
      "go on until interrupted (default: one event)", NULL },
    { "timeout", 't', 0, G_OPTION_ARG_INT, &opt.timeout,
      "stop after that many seconds", "SECONDS" },
    { .long_name = NULL },
};

typedef struct {
    vctl *v;
    unsigned seen;
} watcher;

static void print_json(const visor_event *event)
{
    const char *detail = visor_event_detail_name(event->kind, event->detail);
    vctl_out *out = vctl_out_new();

    vctl_out_begin(out);
    vctl_out_string(out, "event", visor_event_kind_name(event->kind));
    vctl_out_string(out, "name", visor_domain_get_name(event->domain));
    vctl_out_string(out, "uuid", visor_domain_get_uuid(event->domain));
    if (*detail != '\0')
        vctl_out_string(out, "detail", detail);
    vctl_out_string(out, "reason", visor_reason_name(event->reason));
    if (event->text)
        vctl_out_string(out, "text", event->text);
    vctl_out_number(out, "when_ns", event->when_ns);
    vctl_out_end(out);
    vctl_out_print(out, true);
}

static void on_event(visor_connection *conn, const visor_event *event,
                     void *opaque)
{
    const char *detail = visor_event_detail_name(event->kind, event->detail);
    watcher *w = opaque;
    time_t seconds = (time_t)(event->when_ns / 1000000000);
    struct tm tm;
    char when[32];

    w->seen++;
    if (w->v->json) {
        print_json(event);
        return;
    }
    localtime_r(&seconds, &tm);
    strftime(when, sizeof when, "%F %T", &tm);
    printf("%s.%03d  %s  ", when, (int)(event->when_ns / 1000000 % 1000),
           visor_domain_get_name(event->domain));
    if (event->kind != VISOR_EVENT_LIFECYCLE)
        printf("%s%s", visor_event_kind_name(event->kind),
               *detail != '\0' ? " " : "");
    fputs(detail, stdout);
    if (event->reason)
        printf(" (%s)", visor_reason_name(event->reason));
    if (event->text)
        printf(": %s", event->text);
    putchar('\n');
    fflush(stdout);
}

static int cmd_events(vctl *v, int n_args, char **args)
{
    watcher w = { .v = v };
    visor_error *err = NULL;
    visor_domain *dom = NULL;
    int64_t end = opt.timeout > 0
                      ? g_get_monotonic_time() + opt.timeout * INT64_C(1000000)
                      : 0;
    int status = VCTL_OK;

    if (n_args == 1) {
        dom = vctl_domain(v, args[0], &status);
        if (!dom)
            return status;
    } else if (!vctl_connect(v, 0)) {
        return VCTL_NO_CONNECTION;
    }
    if (visor_event_subscribe(v->conn, dom, 0, on_event, &w, NULL, &err) < 0) {
        status = vctl_fail(err);
        goto out;
    }
    while (w.seen == 0 || opt.follow) {
        int wait_ms = -1;

        if (end) {
            int64_t left = end - g_get_monotonic_time();

            if (left <= 0) {
                status = w.seen ? VCTL_OK : VCTL_TIMEOUT;
                break;
            }
            wait_ms = (int)(left / 1000) + 1;
        }
        if (visor_connection_dispatch(v->conn, wait_ms, &err) < 0) {
            status = vctl_fail(err);
            break;
        }
    }
out:
    visor_domain_unref(dom);
    return status;
}

const vctl_command vctl_event_commands[] = {
    { "events", "Looking at domains", "[DOMAIN]", "print events as they happen",
      "One event of DOMAIN, or of all domains, then ends; --follow goes on. "
      "With --json: one object a line.",
      event_options, 0, 1, cmd_events },
    { .name = NULL },
};
