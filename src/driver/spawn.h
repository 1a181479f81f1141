/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spawn.h: a process that is nobody's child.
 *
 * Threads: any.
 */
#ifndef VSR_DRIVER_SPAWN_H
#define VSR_DRIVER_SPAWN_H

#include <stdbool.h>

#include <glib.h>

/* Start `path` with the one argument that is its name, in its own session, with
 * `socket_fd` as descriptor 3, /dev/null as 0 to 2, nothing else open, and an
 * environment without the caller's secrets. The caller gets no SIGCHLD and has
 * nothing to wait for. NOT_FOUND, ACCESS, RESOURCE. */
bool vsr_spawn(const char *path, int socket_fd, GError **error);

/* The visor-vmm that belongs to this library: `wanted` if not NULL, else the
 * one of the build tree or installation that this code was loaded from. The
 * caller frees. NOT_FOUND. */
char *vsr_spawn_find_vmm(const char *wanted, GError **error);

#endif
