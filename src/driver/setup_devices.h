/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * setup_devices.h: a vsr_device_resource as JSON and descriptors beside it, in
 * the setup of a domain and in a hot-plug.
 *
 * Threads: any.
 */
#ifndef VSR_DRIVER_SETUP_DEVICES_H
#define VSR_DRIVER_SETUP_DEVICES_H

#include "rpc/message.h"
#include "vmm/device_resources.h"

/* Descriptors of one message; a JSON value names one by its place. */
typedef struct {
    int fd[VSR_FRAME_FDS]; /* borrowed */
    uint32_t n;
    bool is_full; /* one had no room */
} vsr_fd_list;

/* Nothing for -1. */
void vsr_fd_list_put(vsr_fd_list *list, vsr_json *json, const char *key,
                     int fd);
/* The descriptor that `key` names, out of the message; -1: none. */
int vsr_message_take_fd(vsr_message *message, const vsr_json *json,
                        const char *key);

vsr_json *vsr_chardev_source_to_json(const vsr_chardev_source *source,
                                     vsr_fd_list *list);
bool vsr_chardev_source_from_json(vsr_message *message, const vsr_json *json,
                                  vsr_chardev_source *out);

vsr_json *vsr_device_resource_to_json(const vsr_device_resource *resource,
                                      vsr_fd_list *list);
/* NULL: it makes no sense. */
vsr_device_resource *vsr_device_resource_from_json(vsr_message *message,
                                                   const vsr_json *json);

#endif
