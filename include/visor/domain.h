/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file visor/domain.h
 * A domain is one virtual machine known to a connection.
 *
 * Lifetime: reference counted; a domain keeps its connection alive. The handle
 *           outlives the domain itself: calls then fail with NOT_FOUND.
 * Threads:  every call here may be made from any thread.
 *
 * Every call that takes flags refuses unknown bits with VISOR_ERR_ARG. Besides
 * those listed, any call may return VISOR_ERR_ARG (NULL or out of range),
 * VISOR_ERR_NOT_FOUND (the domain is gone), VISOR_ERR_READ_ONLY (it would change
 * something), VISOR_ERR_TIMEOUT (see visor_connection_set_timeout()),
 * VISOR_ERR_CRASHED (its process died meanwhile) and VISOR_ERR_SYSTEM.
 */
#ifndef VISOR_DOMAIN_H
#define VISOR_DOMAIN_H

#include <visor/error.h>
#include <visor/types.h>

VISOR_BEGIN_DECLS

/** What a domain is doing. Stable numbers. */
typedef enum {
    VISOR_STATE_SHUTOFF = 0,
    VISOR_STATE_RUNNING = 1,
    VISOR_STATE_PAUSED = 2,
    VISOR_STATE_SHUTTING_DOWN = 3, /**< asked to power off, still running */
    VISOR_STATE_CRASHED = 4        /**< stopped by a crash, kept to look at */
} visor_state;

/** Why it is in that state. Stable numbers. */
typedef enum {
    VISOR_REASON_NONE = 0,
    VISOR_REASON_BOOTED = 1,         /**< running: started */
    VISOR_REASON_RESUMED = 2,        /**< running: was paused */
    VISOR_REASON_RESET = 3,          /**< running: was reset or rebooted */
    VISOR_REASON_USER = 4,           /**< paused by request */
    VISOR_REASON_STARTING = 5,       /**< paused: built, never run */
    VISOR_REASON_GUEST_POWEROFF = 6, /**< shutoff by the guest */
    VISOR_REASON_DESTROYED = 7,      /**< shutoff by request */
    VISOR_REASON_CRASHED = 8,        /**< the guest crashed */
    VISOR_REASON_FAILED = 9,         /**< its process died, or never came up */
    VISOR_REASON_EXIT = 10,          /**< shutoff by the debug-exit port */
    VISOR_REASON_PRESERVED = 11,     /**< paused: on_poweroff etc. "preserve" */
    VISOR_REASON_IO_ERROR = 12       /**< paused: a disk failed, error_policy */
} visor_reason;

/** Flags. */
enum {
    VISOR_DEFINE_VALIDATE = 1u << 0, /**< check against the RELAX NG schema */

    VISOR_START_PAUSED = 1u << 0, /**< build the machine, run no vCPU yet */

    VISOR_LIST_ACTIVE = 1u << 0,
    VISOR_LIST_INACTIVE = 1u << 1,
    VISOR_LIST_PERSISTENT = 1u << 2,
    VISOR_LIST_TRANSIENT = 1u << 3,
    VISOR_LIST_RUNNING = 1u << 4,
    VISOR_LIST_PAUSED = 1u << 5,
    VISOR_LIST_AUTOSTART = 1u << 6,

    VISOR_XML_INACTIVE = 1u << 0, /**< the definition, though it is active */

    VISOR_CONSOLE_REPLAY = 1u << 0, /**< first the last 64 KiB of output */
    VISOR_CONSOLE_FORCE = 1u << 1,  /**< detach others */

    /** What a change is for: the running domain, the definition, or both;
     * neither: the running domain if it runs, else the definition. */
    VISOR_AFFECT_LIVE = 1u << 0,
    VISOR_AFFECT_CONFIG = 1u << 1,
    /** The maximum of vCPUs or memory: of a definition only. */
    VISOR_AFFECT_MAXIMUM = 1u << 2,

    VISOR_METADATA_DESCRIPTION = 0, /**< kinds of visor_domain_set_metadata() */
    VISOR_METADATA_TITLE = 1,
    VISOR_METADATA_ELEMENT = 2
};

/** One line about a domain. Set `size` first. */
typedef struct {
    size_t size;             /**< sizeof(visor_domain_info) of the caller */
    int state;               /**< visor_state */
    int reason;              /**< visor_reason */
    uint64_t max_memory_kib; /**< RAM and memory devices */
    uint64_t memory_kib;     /**< of that, what the guest has: without what is
                                  in its balloon */
    uint32_t vcpus;
    uint32_t max_vcpus;
    uint64_t cpu_time_ns; /**< host CPU time of its vCPUs since start */
    bool persistent;
    bool autostart;
    int exit_status; /**< with VISOR_REASON_EXIT: the guest's status; else -1 */
} visor_domain_info;

/** One number of visor_domain_get_stats(). */
typedef struct {
    const char *name; /**< e.g. "cpu.time"; lives as long as the array */
    uint64_t value;
} visor_stat;

/** Another reference; returns @dom. Since: 0.1 */
VISOR_API visor_domain *visor_domain_ref(visor_domain *dom);
/** NULL is a no-op. Since: 0.1 */
VISOR_API void visor_domain_unref(visor_domain *dom);
/** Borrowed. Since: 0.1 */
VISOR_API const char *visor_domain_get_name(const visor_domain *dom);
/** 36 characters, lower case; borrowed. Since: 0.1 */
VISOR_API const char *visor_domain_get_uuid(const visor_domain *dom);
/** The domain's connection; borrowed. Since: 0.1 */
VISOR_API visor_connection *visor_domain_get_connection(
    const visor_domain *dom);
/** The number of a running domain, or -1. Since: 0.1 */
VISOR_API int visor_domain_get_id(visor_domain *dom);

/**
 * Make a persistent domain from XML, or change the definition of one with the
 * same name and uuid (a running one changes at its next start).
 * Returns: 0, VISOR_ERR_XML, VISOR_ERR_CONFIG, VISOR_ERR_NO_SUPPORT (names the
 * element and line), VISOR_ERR_EXISTS (name with another uuid, or the reverse).
 * Since: 0.1
 */
VISOR_API VISOR_CHECK int visor_domain_define_xml(visor_connection *conn,
                                                  const char *xml,
                                                  uint32_t flags,
                                                  visor_domain **out,
                                                  visor_error **err);
/**
 * Make and start a transient domain (flags: VISOR_START_*). It is forgotten
 * when it stops. Errors as define_xml and start together; on failure nothing
 * remains. Since: 0.1
 */
VISOR_API VISOR_CHECK int visor_domain_create_xml(visor_connection *conn,
                                                  const char *xml,
                                                  uint32_t flags,
                                                  visor_domain **out,
                                                  visor_error **err);
/** Forget the definition; a running domain goes on as transient. Since: 0.1 */
VISOR_API VISOR_CHECK int visor_domain_undefine(visor_domain *dom,
                                                uint32_t flags,
                                                visor_error **err);

/** Look-ups; *out is a new reference. VISOR_ERR_NOT_FOUND. Since: 0.1 */
VISOR_API VISOR_CHECK int visor_domain_lookup_by_name(visor_connection *conn,
                                                      const char *name,
                                                      visor_domain **out,
                                                      visor_error **err);
VISOR_API VISOR_CHECK int visor_domain_lookup_by_uuid(visor_connection *conn,
                                                      const char *uuid,
                                                      visor_domain **out,
                                                      visor_error **err);
VISOR_API VISOR_CHECK int visor_domain_lookup_by_id(visor_connection *conn,
                                                    int id, visor_domain **out,
                                                    visor_error **err);
/**
 * All domains that match: flags of one group (active/inactive, persistent/
 * transient, running/paused) widen, groups narrow; 0: all. *out is an array of
 * new references with a NULL at the end, freed by visor_domain_list_free().
 * Returns: how many, or a negative error code. Since: 0.1
 */
VISOR_API VISOR_CHECK int visor_domain_list(visor_connection *conn,
                                            uint32_t flags, visor_domain ***out,
                                            visor_error **err);
VISOR_API void visor_domain_list_free(visor_domain **list);

/**
 * Start a defined, inactive domain (flags: VISOR_START_*). Blocks until the
 * machine is built (PAUSED) or its vCPUs run.
 * Returns: 0, VISOR_ERR_STATE (already active), VISOR_ERR_BUSY,
 * VISOR_ERR_RESOURCE, VISOR_ERR_NOT_FOUND (a file it names), VISOR_ERR_ACCESS,
 * VISOR_ERR_IMAGE (kernel or firmware), VISOR_ERR_NO_SUPPORT. Since: 0.1
 */
VISOR_API VISOR_CHECK int visor_domain_start(visor_domain *dom, uint32_t flags,
                                             visor_error **err);
/** Press the power button (ACPI); returns at once: wait with
 * visor_domain_wait(). VISOR_ERR_STATE unless running. Since: 0.1 */
VISOR_API VISOR_CHECK int visor_domain_shutdown(visor_domain *dom,
                                                uint32_t flags,
                                                visor_error **err);
/** As shutdown, and it starts again when the guest is off. Since: 0.1 */
VISOR_API VISOR_CHECK int visor_domain_reboot(visor_domain *dom, uint32_t flags,
                                              visor_error **err);
/** As the reset button: no warning to the guest. Since: 0.1 */
VISOR_API VISOR_CHECK int visor_domain_reset(visor_domain *dom, uint32_t flags,
                                             visor_error **err);
/** Stop at once. Bounded time, whatever the guest or its process does.
 * VISOR_ERR_STATE if inactive. Since: 0.1 */
VISOR_API VISOR_CHECK int visor_domain_destroy(visor_domain *dom,
                                               uint32_t flags,
                                               visor_error **err);
VISOR_API VISOR_CHECK int visor_domain_suspend(visor_domain *dom,
                                               visor_error **err);
VISOR_API VISOR_CHECK int visor_domain_resume(visor_domain *dom,
                                              visor_error **err);

/** State and reason; either may be NULL. Since: 0.1 */
VISOR_API VISOR_CHECK int visor_domain_get_state(visor_domain *dom, int *state,
                                                 int *reason,
                                                 visor_error **err);
/** Wait until the domain's state is one of `states` (1u << VISOR_STATE_*), or
 * it is gone. timeout_ms -1: without end (cancel from another thread with
 * visor_domain_cancel_wait()). VISOR_ERR_TIMEOUT, VISOR_ERR_CANCELLED.
 * Since: 0.1 */
VISOR_API VISOR_CHECK int visor_domain_wait(visor_domain *dom, uint32_t states,
                                            int timeout_ms, visor_error **err);
VISOR_API void visor_domain_cancel_wait(visor_domain *dom);
VISOR_API VISOR_CHECK int visor_domain_get_info(visor_domain *dom,
                                                visor_domain_info *info,
                                                visor_error **err);
/** *out is freed with visor_free(); flags: VISOR_XML_*. Since: 0.1 */
VISOR_API VISOR_CHECK int visor_domain_get_xml(visor_domain *dom,
                                               uint32_t flags, char **out,
                                               visor_error **err);
VISOR_API VISOR_CHECK int visor_domain_set_autostart(visor_domain *dom, bool on,
                                                     visor_error **err);
VISOR_API VISOR_CHECK int visor_domain_get_autostart(visor_domain *dom,
                                                     bool *on,
                                                     visor_error **err);
/** Start every inactive domain marked autostart; returns how many were
 * started. Since: 0.1 */
VISOR_API VISOR_CHECK int visor_connection_autostart(visor_connection *conn,
                                                     visor_error **err);
/**
 * Title, description, or one element of <metadata> by its namespace `uri`
 * (value: the element's XML; `key`: its prefix). value NULL removes it. Changes
 * the definition and the running domain. Since: 0.1
 */
VISOR_API VISOR_CHECK int visor_domain_set_metadata(visor_domain *dom, int kind,
                                                    const char *value,
                                                    const char *key,
                                                    const char *uri,
                                                    visor_error **err);
/** *out is freed with visor_free(). VISOR_ERR_NOT_FOUND if there is none.
 * Since: 0.1 */
VISOR_API VISOR_CHECK int visor_domain_get_metadata(visor_domain *dom, int kind,
                                                    const char *uri, char **out,
                                                    visor_error **err);

/**
 * Numbers about a running domain, by libvirt's names where it has one: "cpu.time",
 * "vcpu.N.…", "balloon.…"; of each disk "block.TARGET.": rd.reqs, rd.bytes,
 * rd.times, the same of wr, fl.reqs, fl.times, errors, capacity, allocation; of
 * each interface "net.MAC.": rx.bytes, rx.pkts, rx.drop, the same of tx (from the
 * guest). Times are ns; memory is KiB, the rest bytes. *out is one allocation,
 * freed with visor_free(). Returns how many, or a negative error code.
 * Since: 0.1
 */
VISOR_API VISOR_CHECK int visor_domain_get_stats(visor_domain *dom,
                                                 visor_stat **out,
                                                 visor_error **err);

/** A stream to serial port `port` (0: the console). VISOR_ERR_BUSY if another
 * holds it and not FORCE. Since: 0.1 */
VISOR_API VISOR_CHECK int visor_domain_open_console(visor_domain *dom,
                                                    uint32_t port,
                                                    uint32_t flags,
                                                    visor_stream **out,
                                                    visor_error **err);

/**
 * Another device, as one element of <devices> (flags: VISOR_AFFECT_*). On
 * return a running guest has been told of it; with VISOR_AFFECT_CONFIG it is
 * there at the next start. With both, nothing is changed unless both can be.
 * Returns: 0, VISOR_ERR_XML, VISOR_ERR_CONFIG (also: such a device is there),
 * VISOR_ERR_NO_SUPPORT (this machine has no slots for it), VISOR_ERR_STATE (not
 * running, or without a definition), or what opening its files gives.
 * Since: 0.1
 */
VISOR_API VISOR_CHECK int visor_domain_attach_device(visor_domain *dom,
                                                     const char *xml,
                                                     uint32_t flags,
                                                     visor_error **err);
/**
 * The device that `xml` means (a disk's target, an interface's MAC address, a
 * name or alias) goes. A running guest is asked to let go of it, which is waited
 * for as long as the connection's timeout says; VISOR_EVENT_DEVICE tells when it
 * has. Returns: 0, VISOR_ERR_NOT_FOUND, VISOR_ERR_TIMEOUT (the guest has not let
 * go, and still may), VISOR_ERR_NO_SUPPORT, VISOR_ERR_STATE, VISOR_ERR_XML.
 * Since: 0.1
 */
VISOR_API VISOR_CHECK int visor_domain_detach_device(visor_domain *dom,
                                                     const char *xml,
                                                     uint32_t flags,
                                                     visor_error **err);

/**
 * The device that `xml` means becomes as `xml` says. Of a running domain that can
 * be, among others: limits of a disk (<iotune>) and an interface (<bandwidth>),
 * the state of its link, the size of <memory>; the documentation of `vctl
 * update-device` lists them. Returns: 0, VISOR_ERR_NOT_FOUND,
 * VISOR_ERR_NO_SUPPORT (names what cannot change while it is used; then nothing
 * has changed), VISOR_ERR_CONFIG, VISOR_ERR_STATE, VISOR_ERR_XML. Since: 0.1
 */
VISOR_API VISOR_CHECK int visor_domain_update_device(visor_domain *dom,
                                                     const char *xml,
                                                     uint32_t flags,
                                                     visor_error **err);
/**
 * How many vCPUs there are (flags: VISOR_AFFECT_*), up to the maximum of the
 * definition; with VISOR_AFFECT_MAXIMUM that one. Of a running domain, further
 * ones are there on return, and it is up to the guest to use them; for fewer the
 * guest is asked to let go of the last ones, which is waited for as long as the
 * connection's timeout says. Returns: 0, VISOR_ERR_CONFIG (names the limit),
 * VISOR_ERR_TIMEOUT (the guest has not let go, and still may),
 * VISOR_ERR_NO_SUPPORT, VISOR_ERR_STATE. Since: 0.1
 */
VISOR_API VISOR_CHECK int visor_domain_set_vcpus(visor_domain *dom,
                                                 uint32_t vcpus, uint32_t flags,
                                                 visor_error **err);
/**
 * Memory in KiB, up to <memory>, or that with VISOR_AFFECT_MAXIMUM (flags:
 * VISOR_AFFECT_*). A running guest gives and takes it by its balloon, at its
 * leisure: visor_domain_get_info() says how much it has. Returns: 0,
 * VISOR_ERR_CONFIG (names the limit), VISOR_ERR_NO_SUPPORT (no balloon),
 * VISOR_ERR_STATE. Since: 0.1
 */
VISOR_API VISOR_CHECK int visor_domain_set_memory(visor_domain *dom,
                                                  uint64_t kib, uint32_t flags,
                                                  visor_error **err);
/**
 * The disk of a running domain with that target ("vda") has `bytes` bytes, and
 * the guest hears of it. Smaller loses what was at the end. A multiple of 512, of
 * a block device what that has at the most. flags: none. On failure nothing has
 * changed. Returns: 0, VISOR_ERR_NOT_FOUND, VISOR_ERR_CONFIG (no such size can
 * be), VISOR_ERR_STATE, VISOR_ERR_RESOURCE (no room on the host),
 * VISOR_ERR_NO_SUPPORT (read-only, shared, NBD, a smaller qcow2, an overlay
 * smaller than what it is based on). Since: 0.1
 */
VISOR_API VISOR_CHECK int visor_domain_resize_disk(visor_domain *dom,
                                                   const char *target,
                                                   uint64_t bytes,
                                                   uint32_t flags,
                                                   visor_error **err);

VISOR_END_DECLS

#endif
