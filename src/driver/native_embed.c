/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * native_embed.c: embed mode: the table of domains that live in this process,
 * in memory only.
 *
 * Threads: any.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include <visor/visor.h>

#include "base/error.h"
#include "base/fd.h"
#include "driver/embed.h"
#include "xml/domain.h"

embed *embed_of(vsr_conn *conn)
{
    return conn->priv;
}

/* --- domains ----------------------------------------------------------------- */

embed_domain *embed_domain_ref(embed_domain *domain)
{
    g_atomic_int_inc(&domain->refs);
    return domain;
}

void embed_domain_unref(embed_domain *domain)
{
    if (domain == NULL || !g_atomic_int_dec_and_test(&domain->refs))
        return;
    vsr_job_fini(&domain->job);
    vsr_domain_conf_free(domain->conf);
    g_slist_free(domain->waiters);
    g_free(domain->name);
    g_free(domain);
}

static void unref_domain(gpointer data)
{
    embed_domain_unref(data);
}

static embed_domain *domain_new(const vsr_domain_conf *conf)
{
    embed_domain *domain = g_new0(embed_domain, 1);

    domain->refs = 1;
    domain->name = g_strdup(conf->name);
    g_strlcpy(domain->uuid, conf->uuid, sizeof(domain->uuid));
    vsr_job_init(&domain->job);
    domain->id = -1;
    domain->state = VISOR_STATE_SHUTOFF;
    domain->reason = VISOR_REASON_NONE;
    domain->exit_status = -1;
    return domain;
}

/* With the lock held; the tables take the reference. */
static void remember(embed *e, embed_domain *domain)
{
    g_hash_table_insert(e->by_uuid, domain->uuid, domain);
    g_hash_table_insert(e->by_name, domain->name, domain);
}

void embed_forget(embed *e, embed_domain *domain)
{
    if (domain->is_gone)
        return;
    domain->is_gone = true;
    g_hash_table_remove(e->by_name, domain->name);
    g_hash_table_remove(e->by_uuid, domain->uuid);
}

void embed_wake(embed_domain *domain)
{
    uint64_t one = 1;

    for (GSList *l = domain->waiters; l != NULL; l = l->next)
        (void)vsr_write_all(GPOINTER_TO_INT(l->data), &one, sizeof(one));
}

/* With the lock held: a reference, or NULL with NOT_FOUND. */
static embed_domain *find(embed *e, const char *uuid, GError **error)
{
    embed_domain *domain = g_hash_table_lookup(e->by_uuid, uuid);

    if (domain == NULL) {
        (void)vsr_fail(error, VISOR_ERR_NOT_FOUND, "No domain with uuid '%s'",
                       uuid);
        return NULL;
    }
    return embed_domain_ref(domain);
}

embed_domain *embed_find_for(embed *e, const char *uuid, const char *name,
                             GError **error)
{
    embed_domain *domain = find(e, uuid, error);

    if (domain == NULL)
        return NULL;
    if (!vsr_job_begin(&domain->job, &e->lock, name,
                       g_atomic_int_get(&e->conn->timeout_ms), error)) {
        embed_domain_unref(domain);
        return NULL;
    }
    if (domain->is_gone) {
        vsr_job_end(&domain->job);
        embed_domain_unref(domain);
        (void)vsr_fail(error, VISOR_ERR_NOT_FOUND, "No domain with uuid '%s'",
                       uuid);
        return NULL;
    }
    return domain;
}

/* Of the jobs that take time. */
static void emit_job(embed *e, const embed_domain *domain, const char *job,
                     int detail, bool ok)
{
    vsr_native_emit(e->conn, VISOR_EVENT_JOB, detail,
                    ok ? VISOR_REASON_NONE : VISOR_REASON_FAILED, domain->name,
                    domain->uuid, job, 0);
}

/* embed_run() as a job that is told. */
static bool run(embed *e, embed_domain *domain, const vsr_domain_conf *conf,
                uint32_t flags, GError **error)
{
    bool ok;

    emit_job(e, domain, "start", VISOR_JOB_BEGAN, true);
    ok = embed_run(e, domain, conf, flags, error);
    emit_job(e, domain, "start", VISOR_JOB_ENDED, ok);
    return ok;
}

void embed_end_job(embed *e, embed_domain *domain)
{
    g_mutex_lock(&e->lock);
    vsr_job_end(&domain->job);
    g_mutex_unlock(&e->lock);
    embed_domain_unref(domain);
}

/* A reference to the run of an active domain, or NULL. */
static embed_live *live_of(embed *e, const char *uuid, GError **error)
{
    embed_domain *domain;
    embed_live *live = NULL;

    g_mutex_lock(&e->lock);
    domain = find(e, uuid, error);
    if (domain != NULL)
        live = embed_live_of(domain, error);
    g_mutex_unlock(&e->lock);
    embed_domain_unref(domain);
    return live;
}

/* --- define, create, undefine ---------------------------------------------------- */

/* With the lock held: may a domain of this name and uuid be made? *same: it is
 * there already. */
static bool check_free(embed *e, const vsr_domain_conf *conf,
                       embed_domain **same, GError **error)
{
    embed_domain *by_name = g_hash_table_lookup(e->by_name, conf->name);
    embed_domain *by_uuid = g_hash_table_lookup(e->by_uuid, conf->uuid);

    *same = NULL;
    if (by_name == by_uuid) {
        *same = by_name;
        return true;
    }
    if (by_name != NULL)
        return vsr_fail(error, VISOR_ERR_EXISTS,
                        "Domain '%s' exists, with uuid %s", conf->name,
                        by_name->uuid);
    return vsr_fail(error, VISOR_ERR_EXISTS,
                    "A domain with uuid %s exists: '%s'", conf->uuid,
                    by_uuid->name);
}

static bool embed_define(vsr_conn *conn, const char *xml, uint32_t flags,
                         vsr_domain_ident *out, GError **error)
{
    embed *e = embed_of(conn);
    g_autoptr(vsr_domain_conf) conf = vsr_native_parse(conn, xml, flags, error);
    embed_domain *domain = NULL;
    bool ok;

    if (conf == NULL)
        return false;
    g_mutex_lock(&e->lock);
    ok = check_free(e, conf, &domain, error);
    if (ok) {
        if (domain == NULL) {
            domain = domain_new(conf);
            remember(e, domain);
        }
        vsr_native_ident(out, conf->name, conf->uuid, domain->id);
        vsr_domain_conf_free(domain->conf);
        domain->conf = g_steal_pointer(&conf);
    }
    g_mutex_unlock(&e->lock);
    if (ok)
        vsr_native_emit(conn, VISOR_EVENT_LIFECYCLE, VISOR_LIFECYCLE_DEFINED, 0,
                        out->name, out->uuid, NULL, 0);
    return ok;
}

static bool embed_create(vsr_conn *conn, const char *xml, uint32_t flags,
                         vsr_domain_ident *out, GError **error)
{
    embed *e = embed_of(conn);
    g_autoptr(vsr_domain_conf) conf = vsr_native_parse(conn, xml, 0, error);
    embed_domain *domain = NULL;
    bool ok;

    if (conf == NULL)
        return false;
    g_mutex_lock(&e->lock);
    ok = check_free(e, conf, &domain, error);
    if (ok && domain != NULL)
        ok =
            vsr_fail(error, VISOR_ERR_EXISTS, "Domain '%s' exists", conf->name);
    if (ok) {
        domain = domain_new(conf);
        remember(e, domain);
        embed_domain_ref(domain);
        (void)vsr_job_begin(&domain->job, &e->lock, "create", 0, NULL);
    }
    g_mutex_unlock(&e->lock);
    if (!ok)
        return false;
    ok = run(e, domain, conf, flags, error);
    g_mutex_lock(&e->lock);
    if (!ok)
        embed_forget(e, domain);
    vsr_native_ident(out, domain->name, domain->uuid, domain->id);
    g_mutex_unlock(&e->lock);
    embed_end_job(e, domain);
    return ok;
}

static bool embed_undefine(vsr_conn *conn, const char *uuid, uint32_t flags,
                           GError **error)
{
    embed *e = embed_of(conn);
    embed_domain *domain;
    bool ok = false;

    g_mutex_lock(&e->lock);
    domain = embed_find_for(e, uuid, "undefine", error);
    if (domain != NULL && domain->conf == NULL) {
        (void)vsr_fail(error, VISOR_ERR_STATE,
                       "The domain is transient: it has no definition");
    } else if (domain != NULL) {
        g_clear_pointer(&domain->conf, vsr_domain_conf_free);
        domain->autostart = false;
        if (!embed_is_active(domain)) {
            embed_forget(e, domain);
            embed_wake(domain);
        }
        ok = true;
    }
    g_mutex_unlock(&e->lock);
    if (ok)
        vsr_native_emit(conn, VISOR_EVENT_LIFECYCLE, VISOR_LIFECYCLE_UNDEFINED,
                        0, domain->name, uuid, NULL, 0);
    if (domain != NULL)
        embed_end_job(e, domain);
    return ok;
}

/* --- look-ups ---------------------------------------------------------------------- */

static bool embed_lookup_name(vsr_conn *conn, const char *name,
                              vsr_domain_ident *out, GError **error)
{
    embed *e = embed_of(conn);
    embed_domain *domain;

    g_mutex_lock(&e->lock);
    domain = g_hash_table_lookup(e->by_name, name);
    if (domain != NULL)
        vsr_native_ident(out, domain->name, domain->uuid, domain->id);
    g_mutex_unlock(&e->lock);
    if (domain == NULL)
        return vsr_fail(error, VISOR_ERR_NOT_FOUND, "No domain is named '%s'",
                        name);
    return true;
}

static bool embed_lookup_uuid(vsr_conn *conn, const char *uuid,
                              vsr_domain_ident *out, GError **error)
{
    embed *e = embed_of(conn);
    embed_domain *domain;

    g_mutex_lock(&e->lock);
    domain = find(e, uuid, error);
    if (domain != NULL)
        vsr_native_ident(out, domain->name, domain->uuid, domain->id);
    g_mutex_unlock(&e->lock);
    embed_domain_unref(domain);
    return domain != NULL;
}

static bool embed_lookup_id(vsr_conn *conn, int id, vsr_domain_ident *out,
                            GError **error)
{
    embed *e = embed_of(conn);
    GHashTableIter iter;
    gpointer value;
    bool found = false;

    g_mutex_lock(&e->lock);
    g_hash_table_iter_init(&iter, e->by_uuid);
    while (!found && g_hash_table_iter_next(&iter, NULL, &value)) {
        embed_domain *domain = value;

        found = domain->id == id;
        if (found)
            vsr_native_ident(out, domain->name, domain->uuid, domain->id);
    }
    g_mutex_unlock(&e->lock);
    if (!found)
        return vsr_fail(error, VISOR_ERR_NOT_FOUND,
                        "No running domain has id %d", id);
    return true;
}

static GArray *embed_list(vsr_conn *conn, uint32_t flags, GError **error)
{
    embed *e = embed_of(conn);
    GArray *out = g_array_new(FALSE, FALSE, sizeof(vsr_domain_ident));
    GHashTableIter iter;
    gpointer value;

    g_mutex_lock(&e->lock);
    g_hash_table_iter_init(&iter, e->by_uuid);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        embed_domain *domain = value;
        vsr_domain_ident ident;

        if (!vsr_native_list_match(flags, domain->state, domain->conf != NULL,
                                   domain->autostart))
            continue;
        vsr_native_ident(&ident, domain->name, domain->uuid, domain->id);
        g_array_append_val(out, ident);
    }
    g_mutex_unlock(&e->lock);
    g_array_sort(out, vsr_native_compare_ident);
    return out;
}

/* --- running ------------------------------------------------------------------------- */

static bool embed_start(vsr_conn *conn, const char *uuid, uint32_t flags,
                        GError **error)
{
    embed *e = embed_of(conn);
    g_autoptr(vsr_domain_conf) conf = NULL;
    embed_domain *domain;
    bool ok = false;

    g_mutex_lock(&e->lock);
    domain = embed_find_for(e, uuid, "start", error);
    if (domain != NULL && (embed_is_active(domain) || domain->conf == NULL))
        (void)vsr_fail(error, VISOR_ERR_STATE, "Domain '%s' is already active",
                       domain->name);
    else if (domain != NULL)
        conf = vsr_domain_conf_copy(domain->conf);
    g_mutex_unlock(&e->lock);
    if (conf != NULL)
        ok = run(e, domain, conf, flags, error);
    if (domain != NULL)
        embed_end_job(e, domain);
    return ok;
}

static bool embed_destroy(vsr_conn *conn, const char *uuid, GError **error)
{
    embed *e = embed_of(conn);
    embed_domain *domain;
    bool ok = false;

    g_mutex_lock(&e->lock);
    domain = embed_find_for(e, uuid, "destroy", error);
    g_mutex_unlock(&e->lock);
    if (domain != NULL) {
        emit_job(e, domain, "destroy", VISOR_JOB_BEGAN, true);
        ok = embed_stop(e, domain, error);
        emit_job(e, domain, "destroy", VISOR_JOB_ENDED, ok);
        embed_end_job(e, domain);
    }
    return ok;
}

static bool tell(vsr_conn *conn, const char *uuid,
                 bool (*fn)(vsr_vmm *vmm, GError **error), GError **error)
{
    embed_live *live = live_of(embed_of(conn), uuid, error);
    bool ok;

    if (live == NULL)
        return false;
    ok = fn(live->vmm, error);
    embed_live_unref(live);
    return ok;
}

static bool embed_shutdown(vsr_conn *conn, const char *uuid, GError **error)
{
    return tell(conn, uuid, vsr_vmm_shutdown, error);
}

static bool embed_reboot(vsr_conn *conn, const char *uuid, GError **error)
{
    return tell(conn, uuid, vsr_vmm_reboot, error);
}

static bool embed_reset(vsr_conn *conn, const char *uuid, GError **error)
{
    return tell(conn, uuid, vsr_vmm_reset, error);
}

static bool embed_suspend(vsr_conn *conn, const char *uuid, GError **error)
{
    return tell(conn, uuid, vsr_vmm_suspend, error);
}

static bool embed_resume(vsr_conn *conn, const char *uuid, GError **error)
{
    return tell(conn, uuid, vsr_vmm_resume, error);
}

static int embed_console(vsr_conn *conn, const char *uuid, uint32_t port,
                         uint32_t flags, GError **error)
{
    embed_live *live = live_of(embed_of(conn), uuid, error);
    int fd;

    if (live == NULL)
        return -1;
    fd = vsr_vmm_console(live->vmm, port, (flags & VISOR_CONSOLE_REPLAY) != 0,
                         (flags & VISOR_CONSOLE_FORCE) != 0, error);
    embed_live_unref(live);
    return fd;
}

static bool embed_send_input(vsr_conn *conn, const char *uuid, uint32_t port,
                             const void *data, size_t len, GError **error)
{
    embed_live *live = live_of(embed_of(conn), uuid, error);

    if (live == NULL)
        return false;
    vsr_vmm_console_input(live->vmm, port, data, len);
    embed_live_unref(live);
    return true;
}

static bool embed_stats(vsr_conn *conn, const char *uuid,
                        void (*fn)(const char *name, uint64_t value,
                                   void *opaque),
                        void *opaque, GError **error)
{
    embed_live *live = live_of(embed_of(conn), uuid, error);
    bool ok;

    if (live == NULL)
        return false;
    ok = vsr_vmm_stats(live->vmm, fn, opaque, error);
    embed_live_unref(live);
    return ok;
}

/* --- about one domain -------------------------------------------------------------- */

static bool embed_state(vsr_conn *conn, const char *uuid, int *state,
                        int *reason, GError **error)
{
    embed *e = embed_of(conn);
    embed_domain *domain;

    g_mutex_lock(&e->lock);
    domain = find(e, uuid, error);
    if (domain != NULL) {
        *state = domain->state;
        *reason = domain->reason;
    }
    g_mutex_unlock(&e->lock);
    embed_domain_unref(domain);
    return domain != NULL;
}

static void pick_cpu_time(const char *name, uint64_t value, void *opaque)
{
    if (strcmp(name, "cpu.time") == 0)
        *(uint64_t *)opaque = value;
}

static bool embed_info(vsr_conn *conn, const char *uuid, vsr_domain_info *out,
                       GError **error)
{
    embed *e = embed_of(conn);
    embed_domain *domain;
    embed_live *live = NULL;

    memset(out, 0, sizeof(*out));
    g_mutex_lock(&e->lock);
    domain = find(e, uuid, error);
    if (domain != NULL) {
        live = embed_live_of(domain, NULL);
        if (domain->conf != NULL)
            vsr_native_info_of(domain->conf, out);
        out->state = domain->state;
        out->reason = domain->reason;
        out->exit_status = domain->exit_status;
        out->persistent = domain->conf != NULL;
        out->autostart = domain->autostart;
    }
    g_mutex_unlock(&e->lock);
    if (live != NULL) {
        g_autoptr(vsr_domain_conf) conf = vsr_vmm_conf(live->vmm);

        vsr_native_info_of(conf, out);
        (void)vsr_vmm_stats(live->vmm, pick_cpu_time, &out->cpu_time_ns, NULL);
    }
    embed_live_unref(live);
    embed_domain_unref(domain);
    return domain != NULL;
}

/* The runtime's configuration (with pty paths), and the metadata as changed
 * since the start. Takes the run's reference. */
static vsr_domain_conf *conf_of_live(embed *e, embed_live *live)
{
    vsr_domain_conf *conf = vsr_vmm_conf(live->vmm);

    g_free(conf->title);
    g_free(conf->description);
    g_free(conf->metadata);
    g_mutex_lock(&e->lock);
    conf->title = g_strdup(live->conf->title);
    conf->description = g_strdup(live->conf->description);
    conf->metadata = g_strdup(live->conf->metadata);
    g_mutex_unlock(&e->lock);
    embed_live_unref(live);
    return conf;
}

/* A copy of what is asked for; *id_out is -1 unless it is the live one. */
static vsr_domain_conf *conf_of(embed *e, const char *uuid, bool inactive,
                                int *id_out, GError **error)
{
    vsr_domain_conf *conf = NULL;
    embed_live *live = NULL;
    embed_domain *domain;

    *id_out = -1;
    g_mutex_lock(&e->lock);
    domain = find(e, uuid, error);
    if (domain != NULL && !inactive)
        live = embed_live_of(domain, NULL);
    if (live != NULL)
        *id_out = domain->id;
    else if (domain != NULL && domain->conf != NULL)
        conf = vsr_domain_conf_copy(domain->conf);
    else if (domain != NULL && domain->live != NULL)
        conf = vsr_domain_conf_copy(domain->live->conf);
    else if (domain != NULL)
        (void)vsr_fail(error, VISOR_ERR_NOT_FOUND, "Domain '%s' is going away",
                       domain->name);
    g_mutex_unlock(&e->lock);
    embed_domain_unref(domain);
    return live != NULL ? conf_of_live(e, live) : conf;
}

static char *embed_xml(vsr_conn *conn, const char *uuid, uint32_t flags,
                       GError **error)
{
    int id = -1;
    g_autoptr(vsr_domain_conf) conf = conf_of(
        embed_of(conn), uuid, (flags & VISOR_XML_INACTIVE) != 0, &id, error);

    if (conf == NULL)
        return NULL;
    return vsr_domain_xml_format(conf, id, id >= 0 ? VSR_XML_LIVE : 0);
}

static bool embed_set_autostart(vsr_conn *conn, const char *uuid, bool on,
                                GError **error)
{
    embed *e = embed_of(conn);
    embed_domain *domain;
    bool ok = false;

    g_mutex_lock(&e->lock);
    domain = find(e, uuid, error);
    if (domain != NULL && domain->conf == NULL) {
        (void)vsr_fail(error, VISOR_ERR_STATE,
                       "A transient domain cannot be started by itself");
    } else if (domain != NULL) {
        domain->autostart = on;
        ok = true;
    }
    g_mutex_unlock(&e->lock);
    embed_domain_unref(domain);
    return ok;
}

static bool embed_get_autostart(vsr_conn *conn, const char *uuid, bool *on,
                                GError **error)
{
    embed *e = embed_of(conn);
    embed_domain *domain;

    g_mutex_lock(&e->lock);
    domain = find(e, uuid, error);
    if (domain != NULL)
        *on = domain->autostart;
    g_mutex_unlock(&e->lock);
    embed_domain_unref(domain);
    return domain != NULL;
}

static bool embed_set_metadata(vsr_conn *conn, const char *uuid, int kind,
                               const char *value, const char *key,
                               const char *uri, GError **error)
{
    embed *e = embed_of(conn);
    embed_domain *domain;
    bool ok = false;

    g_mutex_lock(&e->lock);
    domain = embed_find_for(e, uuid, "metadata", error);
    if (domain != NULL) {
        ok =
            domain->conf == NULL ||
            vsr_native_set_metadata(domain->conf, kind, value, key, uri, error);
        if (ok && embed_is_active(domain))
            ok = vsr_native_set_metadata(domain->live->conf, kind, value, key,
                                         uri, error);
    }
    g_mutex_unlock(&e->lock);
    if (domain != NULL)
        embed_end_job(e, domain);
    return ok;
}

static char *embed_get_metadata(vsr_conn *conn, const char *uuid, int kind,
                                const char *uri, GError **error)
{
    int id = -1;
    g_autoptr(vsr_domain_conf) conf =
        conf_of(embed_of(conn), uuid, false, &id, error);

    return conf == NULL ? NULL
                        : vsr_native_get_metadata(conf, kind, uri, error);
}

/* --- waiting ---------------------------------------------------------------------------- */

/* True: the wait is over, one way or the other. */
static bool is_settled(const embed_domain *domain, uint32_t states, bool *ok,
                       GError **error)
{
    *ok = true;
    if ((states & (1u << domain->state)) != 0)
        return true;
    if (!domain->is_gone)
        return false;
    *ok = (states & (1u << VISOR_STATE_SHUTOFF)) != 0 ||
          vsr_fail(error, VISOR_ERR_NOT_FOUND, "Domain '%s' is gone",
                   domain->name);
    return true;
}

static bool wait_for(embed *e, embed_domain *domain, int fd, uint32_t states,
                     int64_t deadline, const vsr_cancel *cancel, GError **error)
{
    for (;;) {
        bool over, ok;
        uint64_t drop;

        g_mutex_lock(&e->lock);
        over = is_settled(domain, states, &ok, error);
        g_mutex_unlock(&e->lock);
        if (over)
            return ok;
        if (!vsr_cancel_wait(cancel, fd, -1, deadline, error))
            return false;
        (void)vsr_read_all(fd, &drop, sizeof(drop));
    }
}

static bool embed_wait(vsr_conn *conn, const char *uuid, uint32_t states,
                       int timeout_ms, const vsr_cancel *cancel, GError **error)
{
    embed *e = embed_of(conn);
    int64_t deadline = vsr_deadline(timeout_ms);
    vsr_autofd fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    embed_domain *domain;
    bool ok;

    if (fd < 0)
        return vsr_fail_errno(error, errno, "Cannot make an event descriptor");
    g_mutex_lock(&e->lock);
    domain = g_hash_table_lookup(e->by_uuid, uuid);
    if (domain != NULL) {
        embed_domain_ref(domain);
        domain->waiters = g_slist_prepend(domain->waiters, GINT_TO_POINTER(fd));
    }
    g_mutex_unlock(&e->lock);
    if (domain == NULL)
        return (states & (1u << VISOR_STATE_SHUTOFF)) != 0 ||
               vsr_fail(error, VISOR_ERR_NOT_FOUND, "No domain with uuid '%s'",
                        uuid);
    ok = wait_for(e, domain, fd, states, deadline, cancel, error);
    g_mutex_lock(&e->lock);
    domain->waiters = g_slist_remove(domain->waiters, GINT_TO_POINTER(fd));
    g_mutex_unlock(&e->lock);
    embed_domain_unref(domain);
    return ok;
}

/* --- opening ---------------------------------------------------------------------------- */

bool vsr_embed_open(vsr_conn *conn, GError **error)
{
    embed *e = g_new0(embed, 1);

    e->conn = conn;
    g_mutex_init(&e->lock);
    e->by_uuid =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, unref_domain);
    e->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    conn->priv = e;
    conn->ops = &vsr_embed_domain_ops;
    return true;
}

/* Nobody else uses the connection any more, but runtimes still report. */
void vsr_embed_close(vsr_conn *conn)
{
    embed *e = embed_of(conn);
    GPtrArray *lives = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;

    g_mutex_lock(&e->lock);
    g_hash_table_iter_init(&iter, e->by_uuid);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        embed_domain *domain = value;

        if (domain->live != NULL)
            g_ptr_array_add(lives, g_steal_pointer(&domain->live));
    }
    g_mutex_unlock(&e->lock);
    for (guint i = 0; i < lives->len; i++)
        embed_live_unref(g_ptr_array_index(lives, i));
    g_ptr_array_unref(lives);
    if (e->reaper != NULL)
        vsr_loop_free(e->reaper); /* after what was posted */
    g_hash_table_unref(e->by_name);
    g_hash_table_unref(e->by_uuid);
    g_mutex_clear(&e->lock);
    g_free(e);
    conn->priv = NULL;
}

const vsr_domain_ops vsr_embed_domain_ops = {
    .define = embed_define,
    .create = embed_create,
    .undefine = embed_undefine,
    .lookup_name = embed_lookup_name,
    .lookup_uuid = embed_lookup_uuid,
    .lookup_id = embed_lookup_id,
    .list = embed_list,
    .start = embed_start,
    .shutdown = embed_shutdown,
    .reboot = embed_reboot,
    .reset = embed_reset,
    .destroy = embed_destroy,
    .suspend = embed_suspend,
    .resume = embed_resume,
    .info = embed_info,
    .state = embed_state,
    .wait = embed_wait,
    .xml = embed_xml,
    .set_autostart = embed_set_autostart,
    .get_autostart = embed_get_autostart,
    .set_metadata = embed_set_metadata,
    .get_metadata = embed_get_metadata,
    .stats = embed_stats,
    .change = vsr_embed_change,
    .console = embed_console,
    .send_input = embed_send_input,
};
