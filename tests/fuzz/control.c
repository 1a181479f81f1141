/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control.c: what the control protocol's messages say: the setup that visor-vmm
 * gets with its descriptors, and the events that a client is told.
 *
 * Input: one byte that says how many descriptors come along, then the JSON text
 * of the message. Whatever it is: a setup is whole or refused with a reason,
 * and no descriptor is left open.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "driver/setup.h"
#include "driver/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FDS = 8, BODY_MAX = 16 << 10 };
#define SECOND INT64_C(1000000000)

/* The fuzzer's way to hear of a broken promise. */
static void require(int holds)
{
    if (!holds)
        abort();
}

static int lowest_free(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    require(fd >= 0);
    close(fd);
    return fd;
}

static void check_events(const char *text, size_t len)
{
    g_autoptr(vsr_json) json = vsr_json_parse(text, len, NULL);
    vsr_status status, again;

    if (json == NULL)
        return;
    vsr_status_init(&status);
    vsr_status_events_parse(vsr_json_get(json, "events"), &status);
    require(status.n_events <= VSR_STATUS_EVENTS);
    vsr_status_init(&again);
    {
        g_autoptr(vsr_json) list = vsr_status_events_format(&status);

        vsr_status_events_parse(list, &again);
    }
    require(again.n_events == status.n_events);
    for (uint32_t i = 0; i < status.n_events; i++)
        require(status.events[i].seq == again.events[i].seq);
}

static void send_setup(int fd, uint32_t n_fds, const char *text, size_t len)
{
    int fds[FDS];

    for (uint32_t i = 0; i < n_fds; i++) {
        fds[i] = memfd_create("fuzz", MFD_CLOEXEC);
        require(fds[i] >= 0);
    }
    require(vsr_frame_send(fd, text, len, fds, n_fds,
                           vsr_now_ns() + 60 * SECOND, NULL));
    for (uint32_t i = 0; i < n_fds; i++)
        close(fds[i]);
}

static void check_setup(uint32_t n_fds, const char *text, size_t len)
{
    g_autoptr(GError) error = NULL;
    int before = lowest_free(), pair[2];
    vsr_frame_reader reader;
    vsr_setup setup;
    int64_t id = 0;

    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    send_setup(pair[0], n_fds, text, len);
    close(pair[0]);
    vsr_frame_reader_init(&reader, VSR_FRAME_FDS);
    if (vsr_setup_recv(&reader, pair[1], vsr_now_ns() + 60 * SECOND, &setup,
                       &id, &error)) {
        require(setup.xml != NULL && setup.root_fd >= 0 &&
                setup.folder_fd >= 0 && strlen(setup.uuid) == 36);
        vsr_setup_clear(&setup);
    } else {
        require(error != NULL && error->message[0] != '\0');
    }
    vsr_frame_reader_fini(&reader);
    close(pair[1]);
    require(lowest_free() == before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > BODY_MAX)
        return 0;
    check_events((const char *)data + 1, size - 1);
    check_setup(data[0] % (FDS + 1), (const char *)data + 1, size - 1);
    return 0;
}
