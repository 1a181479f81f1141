/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * native.h: what the files of the native driver (kvm, emu) share.
 *
 * native_conn.c     opening, by mode
 * native_embed*.c   domains inside of this process
 * native_session.c  the state folder: definitions, look-ups, what is off
 * native_run.c      starting and asking the processes of running domains
 * native_watch.c    events from the state folder and those processes
 *
 * Threads: any.
 */
#ifndef VSR_DRIVER_NATIVE_H
#define VSR_DRIVER_NATIVE_H

#include "conf/device_conf.h"
#include "conf/domain_conf.h"
#include "driver/driver.h"
#include "driver/folder.h"

/* --- all modes ------------------------------------------------------------ */

/* Parse, and check that it is for this engine. `flags`: VISOR_DEFINE_*. */
vsr_domain_conf *vsr_native_parse(vsr_conn *conn, const char *xml,
                                  uint32_t flags, GError **error);
/* Is it wanted by VISOR_LIST_* flags? `state` is a VISOR_STATE_*. */
bool vsr_native_list_match(uint32_t flags, int state, bool persistent,
                           bool autostart);
void vsr_native_ident(vsr_domain_ident *out, const char *name, const char *uuid,
                      int id);
int vsr_native_compare_ident(gconstpointer a, gconstpointer b);
void vsr_native_emit(vsr_conn *conn, int kind, int detail, int reason,
                     const char *name, const char *uuid, const char *text,
                     int64_t when_ns);
/* info of a domain that is off. */
void vsr_native_info_of(const vsr_domain_conf *conf, vsr_domain_info *out);

/* Title, description or an element of <metadata>; `kind` is a
 * VISOR_METADATA_*. value NULL removes. */
bool vsr_native_set_metadata(vsr_domain_conf *conf, int kind, const char *value,
                             const char *key, const char *uri, GError **error);
char *vsr_native_get_metadata(const vsr_domain_conf *conf, int kind,
                              const char *uri, GError **error);

/* --- session and system ---------------------------------------------------- */

typedef struct vsr_watch vsr_watch;

typedef struct {
    vsr_root root;
    GMutex lock;      /* guards watch */
    vsr_watch *watch; /* owned; NULL: nobody listens */
} vsr_session;

static inline vsr_session *vsr_session_of(vsr_conn *conn)
{
    return conn->priv;
}

enum { VSR_DOMAIN_XML_MAX = VSR_XML_MAX * 2 };

/* The domain's folder, repaired if need be. NOT_FOUND. The caller closes. */
int vsr_session_open_domain(vsr_conn *conn, const char *uuid, vsr_view *view,
                            GError **error);
int64_t vsr_session_deadline(vsr_conn *conn);
/* Remove what died under that name or uuid and was transient. */
void vsr_session_clear_way(vsr_conn *conn, const char *name, const char *uuid);
/* The definition as it is on disk. NOT_FOUND: the domain is transient. */
vsr_domain_conf *vsr_session_load_conf(int folder_fd, GError **error);

/* One call to a running domain's process. `params` is taken. */
vsr_json *vsr_session_ask(vsr_conn *conn, int folder_fd, const char *method,
                          vsr_json *params, int *fd_out, GError **error);

/* native_run.c: slots of the table. */
bool vsr_session_start(vsr_conn *conn, const char *uuid, uint32_t flags,
                       GError **error);
bool vsr_session_create(vsr_conn *conn, const char *xml, uint32_t flags,
                        vsr_domain_ident *out, GError **error);
bool vsr_session_shutdown(vsr_conn *conn, const char *uuid, GError **error);
bool vsr_session_reboot(vsr_conn *conn, const char *uuid, GError **error);
bool vsr_session_reset(vsr_conn *conn, const char *uuid, GError **error);
bool vsr_session_suspend(vsr_conn *conn, const char *uuid, GError **error);
bool vsr_session_resume(vsr_conn *conn, const char *uuid, GError **error);
bool vsr_session_destroy(vsr_conn *conn, const char *uuid, GError **error);
bool vsr_session_stats(vsr_conn *conn, const char *uuid,
                       void (*fn)(const char *name, uint64_t value,
                                  void *opaque),
                       void *opaque, GError **error);
int vsr_session_console(vsr_conn *conn, const char *uuid, uint32_t port,
                        uint32_t flags, GError **error);
bool vsr_session_wait(vsr_conn *conn, const char *uuid, uint32_t states,
                      int timeout_ms, const vsr_cancel *cancel, GError **error);

/* As ask(), with descriptors. */
vsr_json *vsr_session_ask_fds(vsr_conn *conn, int folder_fd, const char *method,
                              vsr_json *params, const int *fds, uint32_t n_fds,
                              GError **error);

/* native_change.c: a slot of the table. */
bool vsr_session_change(vsr_conn *conn, const char *uuid, vsr_change_kind kind,
                        const char *text, uint64_t value, uint32_t flags,
                        GError **error);
/* A change from what the slot is called with; cleared by the caller. XML. */
bool vsr_native_read_change(vsr_change_kind kind, const char *text,
                            uint64_t value, vsr_change *out, GError **error);
/* VISOR_AFFECT_*: what it is for when that was left open, else whether that can
 * be. STATE, NO_SUPPORT. */
bool vsr_native_choose_affect(const vsr_change *change, bool is_active,
                              bool is_persistent, uint32_t *flags,
                              GError **error);

/* native_watch.c: events until freed. */
vsr_watch *vsr_watch_new(vsr_conn *conn, GError **error);
void vsr_watch_free(vsr_watch *watch);
/* A domain of ours is about to run: be subscribed to it before it does. Not on
 * the watch's own thread. */
void vsr_watch_settle(vsr_watch *watch, const char *uuid);

/* --- tables ----------------------------------------------------------------- */

extern const vsr_domain_ops vsr_session_domain_ops;
extern const vsr_domain_ops vsr_embed_domain_ops;
bool vsr_embed_open(vsr_conn *conn, GError **error);
void vsr_embed_close(vsr_conn *conn);

#endif
