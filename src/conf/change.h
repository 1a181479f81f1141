/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * change.h: what may be changed of a domain that is there, as one value, so
 * that the way to a definition, to a running domain or to both is written once.
 *
 * Threads: any; a change is not shared.
 */
#ifndef VSR_CONF_CHANGE_H
#define VSR_CONF_CHANGE_H

#include "conf/device_conf.h"
#include "conf/domain_conf.h"

typedef enum {
    VSR_CHANGE_ATTACH, /* a device comes */
    VSR_CHANGE_DETACH, /* the device that is meant goes */
    VSR_CHANGE_UPDATE, /* the device that is meant becomes this one */
    VSR_CHANGE_VCPUS,
    VSR_CHANGE_VCPUS_MAX,
    VSR_CHANGE_MEMORY, /* KiB */
    VSR_CHANGE_MEMORY_MAX,
    VSR_CHANGE_DISK_SIZE, /* bytes */
    VSR_CHANGE_KINDS
} vsr_change_kind;

typedef struct {
    vsr_change_kind kind;
    vsr_device_conf *device; /* owned; ATTACH, DETACH, UPDATE */
    char *target;            /* owned; DISK_SIZE: whose */
    uint64_t value;          /* the others */
} vsr_change;

static inline bool vsr_change_is_of_device(vsr_change_kind kind)
{
    return kind <= VSR_CHANGE_UPDATE;
}
/* Of definitions alone: what runs keeps its maxima. */
static inline bool vsr_change_is_of_maximum(vsr_change_kind kind)
{
    return kind == VSR_CHANGE_VCPUS_MAX || kind == VSR_CHANGE_MEMORY_MAX;
}
void vsr_change_clear(vsr_change *change);

/* "attach", "vcpus" …: for messages between processes. */
const char *vsr_change_kind_text(vsr_change_kind kind);
bool vsr_change_kind_parse(const char *text, vsr_change_kind *out);

/* Makes it in a definition, which is complete again; on failure conf is of no
 * use any more. CONFIG, NOT_FOUND, NO_SUPPORT. */
bool vsr_change_definition(const vsr_change *change, vsr_domain_conf *conf,
                           GError **error);
/* NOT_FOUND, in the words of all who look for it. */
bool vsr_change_no_device(const vsr_device_conf *like, const char *domain,
                          GError **error);
/* TIMEOUT: it was asked of the guest, which has not done it. */
bool vsr_change_not_done(const vsr_change *change, GError **error);

#endif
