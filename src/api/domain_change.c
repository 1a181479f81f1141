/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_change.c: the part of <visor/domain.h> that changes what a domain is
 * made of.
 *
 * Threads: any.
 */
#include "api/api.h"

enum { AFFECT = VISOR_AFFECT_LIVE | VISOR_AFFECT_CONFIG };

static int change(visor_domain *dom, vsr_change_kind kind, const char *text,
                  uint64_t value, uint32_t flags, visor_error **err)
{
    const vsr_domain_ops *ops = dom->conn->conn.ops;
    GError *error = NULL;

    API_REQUIRE_WRITE(dom->conn, err);
    API_REQUIRE_SLOT(ops->change, "change domains", err);
    if (!ops->change(&dom->conn->conn, dom->uuid, kind, text, value, flags,
                     &error))
        return api_error(err, error);
    return 0;
}

static int change_device(visor_domain *dom, vsr_change_kind kind,
                         const char *xml, uint32_t flags, visor_error **err)
{
    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    API_REQUIRE(xml != NULL, err, "The XML is NULL");
    API_REQUIRE_FLAGS(flags, AFFECT, err);
    return change(dom, kind, xml, 0, flags, err);
}

int visor_domain_attach_device(visor_domain *dom, const char *xml,
                               uint32_t flags, visor_error **err)
{
    return change_device(dom, VSR_CHANGE_ATTACH, xml, flags, err);
}

int visor_domain_detach_device(visor_domain *dom, const char *xml,
                               uint32_t flags, visor_error **err)
{
    return change_device(dom, VSR_CHANGE_DETACH, xml, flags, err);
}

int visor_domain_update_device(visor_domain *dom, const char *xml,
                               uint32_t flags, visor_error **err)
{
    return change_device(dom, VSR_CHANGE_UPDATE, xml, flags, err);
}

/* A maximum is that of a definition, without a word. */
static int change_number(visor_domain *dom, vsr_change_kind kind,
                         vsr_change_kind maximum, uint64_t value,
                         uint32_t flags, visor_error **err)
{
    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    API_REQUIRE_FLAGS(flags, AFFECT | VISOR_AFFECT_MAXIMUM, err);
    if ((flags & VISOR_AFFECT_MAXIMUM) == 0)
        return change(dom, kind, NULL, value, flags, err);
    flags &= ~(uint32_t)VISOR_AFFECT_MAXIMUM;
    return change(dom, maximum, NULL, value,
                  flags != 0 ? flags : VISOR_AFFECT_CONFIG, err);
}

int visor_domain_set_vcpus(visor_domain *dom, uint32_t vcpus, uint32_t flags,
                           visor_error **err)
{
    return change_number(dom, VSR_CHANGE_VCPUS, VSR_CHANGE_VCPUS_MAX, vcpus,
                         flags, err);
}

int visor_domain_set_memory(visor_domain *dom, uint64_t kib, uint32_t flags,
                            visor_error **err)
{
    return change_number(dom, VSR_CHANGE_MEMORY, VSR_CHANGE_MEMORY_MAX, kib,
                         flags, err);
}

int visor_domain_resize_disk(visor_domain *dom, const char *target,
                             uint64_t bytes, uint32_t flags, visor_error **err)
{
    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    API_REQUIRE(target != NULL, err, "The target is NULL");
    API_REQUIRE_FLAGS(flags, 0u, err);
    return change(dom, VSR_CHANGE_DISK_SIZE, target, bytes, VISOR_AFFECT_LIVE,
                  err);
}
