/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chardev.h: the host's end of a character device (serial, console).
 *
 * One back end (pty, file, unix socket, null, an open fd) and, beside it, any
 * number of attached streams (visor consoles): output goes to all, input is
 * taken from all. A slow or dead reader never blocks the guest: what a reader
 * cannot take is dropped for that reader, after a buffer of 64 KiB (1 MiB where
 * the back end is a file, an fd or a function); the last 64 KiB of output are
 * kept, and a new stream may ask for them. A device that can wait asks for
 * vsr_chardev_room() first, and the back end loses nothing.
 *
 * Threads: any. The input function and the output callback run on the loop,
 *          without locks of ours.
 */
#ifndef VSR_CHARDEV_CHARDEV_H
#define VSR_CHARDEV_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "base/loop.h"

typedef enum {
    VSR_CHARDEV_NULL,
    VSR_CHARDEV_PTY,
    VSR_CHARDEV_FILE,     /* output only */
    VSR_CHARDEV_UNIX,     /* listens (or connects), one client at a time */
    VSR_CHARDEV_FD,       /* in_fd and out_fd given, e.g. a terminal */
    VSR_CHARDEV_CALLBACK, /* the embedder's function */
} vsr_chardev_kind;

/* Opened by whoever has the rights; the chardev takes the fds. */
typedef struct {
    vsr_chardev_kind kind;
    int fd;     /* pty master, file, listening or connected socket, input fd */
    int out_fd; /* VSR_CHARDEV_FD: output; else -1 */
    bool is_listening;
    int dir_fd; /* of a listening socket: its folder, O_PATH */
    char *path; /* pty slave, file, socket: for status; may be NULL; taken */
    void (*output)(const void *data, size_t len, void *opaque); /* CALLBACK */
    void *opaque;
} vsr_chardev_source;

/* Control, before the sandbox. `path` NULL for pty. */
bool vsr_chardev_open_pty(vsr_chardev_source *out, GError **error);
bool vsr_chardev_open_file(const char *path, bool append,
                           vsr_chardev_source *out, GError **error);
bool vsr_chardev_open_unix(const char *path, bool listen,
                           vsr_chardev_source *out, GError **error);
void vsr_chardev_source_clear(vsr_chardev_source *source);

typedef struct vsr_chardev vsr_chardev;
/* Input for the device, on the loop; returns how many bytes it took. Whoever
 * took less than all calls vsr_chardev_resume() when there is room again. */
typedef size_t vsr_chardev_input(const uint8_t *data, size_t len, void *opaque);

vsr_chardev *vsr_chardev_new(vsr_loop *loop,
                             vsr_chardev_source *source /* taken */,
                             GError **error);
/* Streams see an end of file. NULL is a no-op. */
void vsr_chardev_free(vsr_chardev *chardev);
/* NULL: none; no call is running or will come when it returns. */
void vsr_chardev_set_input(vsr_chardev *chardev, vsr_chardev_input *fn,
                           void *opaque);
void vsr_chardev_resume(vsr_chardev *chardev);
/* Never blocks. */
/* Is anybody there? On the loop, without locks of ours. */
typedef struct {
    /* A socket has a client or a stream is attached, or no more; all other
     * back ends are open for ever. Closed until told. */
    void (*open)(bool is_open, void *opaque);
    /* vsr_chardev_room() was 0 and is not any more. */
    void (*room)(void *opaque);
} vsr_chardev_watch;
/* NULL: none; no call is running or will come when it returns. `watch` is not
 * copied. */
void vsr_chardev_set_watch(vsr_chardev *chardev, const vsr_chardev_watch *watch,
                           void *opaque);
/* Bytes that can be written now without loss to the back end; SIZE_MAX where it
 * cannot say (a pty, which may have no reader) or there is none. Streams may
 * lose some all the same. */
size_t vsr_chardev_room(vsr_chardev *chardev);
void vsr_chardev_write(vsr_chardev *chardev, const void *data, size_t len);
/* Bytes for the device as if a reader had sent them (CALLBACK's other half); at
 * most 64 KiB wait. Returns how many were taken. */
size_t vsr_chardev_inject(vsr_chardev *chardev, const void *data, size_t len);
/* A new stream: returns the caller's end (a socket), or -errno. replay: send
 * the kept output first. exclusive: refuse (-EBUSY) while another is attached;
 * force: detach the others. */
int vsr_chardev_attach(vsr_chardev *chardev, bool replay, bool exclusive,
                       bool force);
const char *vsr_chardev_path(const vsr_chardev *chardev); /* may be NULL */
/* Wait (bounded) until what was written has reached the back end and the
 * streams; a pty or socket without a reader is not waited for. False: the time
 * was not enough. */
bool vsr_chardev_flush(vsr_chardev *chardev, int64_t timeout_ns);

#endif
