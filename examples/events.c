/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * events.c: what happens to domains, in a program with a poll() loop of its
 * own.
 *
 *   ./events emu:///session [SECONDS]
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <visor/visor.h>

static void on_event(visor_connection *conn, const visor_event *event,
                     void *opaque)
{
    printf("%s: %s %s (%s)\n", visor_domain_get_name(event->domain),
           visor_event_kind_name(event->kind),
           event->kind == VISOR_EVENT_LIFECYCLE
               ? visor_event_detail_name(event->kind, event->detail)
               : "",
           visor_reason_name(event->reason));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    visor_connection *conn = NULL;
    visor_error *err = NULL;
    struct pollfd fd = { .events = POLLIN };
    time_t end = time(NULL) + (argc > 2 ? atoi(argv[2]) : 3600);
    int rc = 1;

    if (argc < 2) {
        fprintf(stderr, "usage: %s URI [SECONDS]\n", argv[0]);
        return 2;
    }
    if (visor_connection_open(argv[1], VISOR_OPEN_READ_ONLY, &conn, &err) < 0 ||
        visor_event_subscribe(conn, NULL, 0, on_event, NULL, NULL, &err) < 0)
        goto out;
    fd.fd = visor_connection_get_fd(conn);
    while (time(NULL) < end) {
        if (poll(&fd, 1, 200) > 0 &&
            visor_connection_dispatch(conn, 0, &err) < 0)
            goto out;
    }
    rc = 0;
out:
    if (err)
        fprintf(stderr, "%s\n", visor_error_get_message(err));
    visor_error_free(err);
    visor_connection_unref(conn);
    return rc;
}
