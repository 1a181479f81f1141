/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device_conf.h: the devices of a domain that are plugged: what is in
 * <devices> apart from serial ports. Plain data as in domain_conf.h.
 *
 * One struct for all kinds, so that attaching, detaching and finding a device
 * is written once.
 */
#ifndef VSR_CONF_DEVICE_CONF_H
#define VSR_CONF_DEVICE_CONF_H

#include "block/block.h"
#include "net/net.h"

enum {
    VSR_SLOTS_MAX = 30, /* 1 … 30 on PCI's bus 0; windows on micro */
    VSR_TARGET_MAX = 31,
    VSR_SERIAL_NUMBER_MAX = 20, /* VIRTIO 1.2, 5.2.6: VIRTIO_BLK_ID_BYTES */
    VSR_TAG_MAX = 255,
    VSR_DISK_QUEUES_MAX = 64,
    VSR_MEMORY_BLOCKS_MAX = 16384, /* each is a slot of the engine's */
};

typedef enum {
    VSR_DEVICE_DISK,
    VSR_DEVICE_INTERFACE,
    VSR_DEVICE_RNG,
    VSR_DEVICE_BALLOON,
    VSR_DEVICE_VSOCK,
    VSR_DEVICE_CHANNEL, /* a named port of the virtio console */
    VSR_DEVICE_FILESYSTEM,
    VSR_DEVICE_MEMORY, /* virtio-mem */
    VSR_DEVICE_KINDS
} vsr_device_kind;

typedef enum {
    VSR_ERROR_POLICY_DEFAULT, /* report */
    VSR_ERROR_POLICY_STOP,
    VSR_ERROR_POLICY_REPORT,
    VSR_ERROR_POLICY_IGNORE,
    VSR_ERROR_POLICY_ENOSPACE,
} vsr_error_policy;

typedef struct {
    bool is_block;             /* type='block': the path is a block device */
    bool format_given;         /* else it is raw */
    vsr_block_location source; /* readonly and shareable are there */
    vsr_block_options options;
    bool cache_given, aio_given, discard_given, detect_given;
    vsr_error_policy error_policy, rerror_policy;
    uint32_t queues; /* 0: as many as vCPUs, at most 4 */
    char *target;    /* "vda" */
    char *serial;
    uint32_t logical_block, physical_block; /* bytes; 0: 512 */
} vsr_disk_conf;

typedef struct {
    vsr_net_location location;
    bool mac_given;
    bool link_down;
} vsr_interface_conf;

typedef struct {
    uint64_t rate_bytes; /* 0: no limit */
    uint32_t rate_period_ms;
} vsr_rng_conf;

typedef struct {
    bool none; /* model='none' */
    bool autodeflate, free_page_reporting;
    uint32_t stats_period_s;
} vsr_balloon_conf;

typedef struct {
    uint32_t cid; /* 3 … 0xfffffffe */
    bool cid_auto;
    char *socket; /* path of the host's unix socket */
} vsr_vsock_conf;

typedef struct {
    bool listen; /* mode='bind' */
    char *path;  /* NULL: pty */
    bool is_pty;
    char *name; /* "org.qemu.guest_agent.0" */
} vsr_channel_conf;

typedef enum {
    VSR_FS_ACCESS_PASSTHROUGH,
    VSR_FS_ACCESS_MAPPED,
    VSR_FS_ACCESS_SQUASH,
} vsr_fs_access;

typedef struct {
    char *source; /* the host's folder */
    char *tag;    /* <target dir=…> */
    bool readonly;
    bool access_given;
    vsr_fs_access access;
} vsr_filesystem_conf;

typedef struct {
    uint64_t size_kib, requested_kib;
    uint64_t block_kib; /* 0: until it is completed */
    bool current_given;
    uint64_t current_kib; /* live: what the guest has of it */
} vsr_memory_conf;

typedef struct {
    vsr_device_kind kind;
    char *alias;  /* the user's ("ua-…"), or ours while it runs */
    uint8_t slot; /* on PCI; 0: none yet */
    union {
        vsr_disk_conf disk;
        vsr_interface_conf interface;
        vsr_rng_conf rng;
        vsr_balloon_conf balloon;
        vsr_vsock_conf vsock;
        vsr_channel_conf channel;
        vsr_filesystem_conf filesystem;
        vsr_memory_conf memory;
    };
} vsr_device_conf;

vsr_device_conf *vsr_device_conf_new(vsr_device_kind kind);
vsr_device_conf *vsr_device_conf_copy(const vsr_device_conf *device);
void vsr_device_conf_free(vsr_device_conf *device); /* NULL is a no-op */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(vsr_device_conf, vsr_device_conf_free)

/* <disk>, <interface> …: the element's name. */
const char *vsr_device_kind_text(vsr_device_kind kind);
/* What people call it: "vda", "52:54:00:…", "rng". Borrowed or in `room`. */
const char *vsr_device_label(const vsr_device_conf *device, char room[64]);
/* A domain may have several that nothing tells from each other. */
bool vsr_device_is_nameless(vsr_device_kind kind);
/* Do both mean the same device, as for a detach: target, MAC, tag, name. */
bool vsr_device_same(const vsr_device_conf *a, const vsr_device_conf *b);
/* The one of `devices` (of vsr_device_conf *) that `like` means, or NULL. */
vsr_device_conf *vsr_device_find_like(const GPtrArray *devices,
                                      const vsr_device_conf *like);

/* Defaults of one, then its own checks. CONFIG. */
bool vsr_device_complete(vsr_device_conf *device, GError **error);
/* All of a domain's, against each other; PCI slots are given out. CONFIG. */
bool vsr_devices_complete(GPtrArray *devices, bool is_pci, GError **error);

#endif
