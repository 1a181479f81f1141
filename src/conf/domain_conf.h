/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_conf.h: what a domain *is*, apart from XML and from any host.
 *
 * Parsed by xml/domain*.c, completed by vsr_domain_conf_complete() (defaults,
 * then checks), used by src/driver and src/vmm. Plain data: strings are owned,
 * NULL means "not given".
 */
#ifndef VSR_CONF_DOMAIN_CONF_H
#define VSR_CONF_DOMAIN_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* Limits, named in error messages. */
enum {
    VSR_NAME_MAX = 255, /* bytes of a domain's name */
    VSR_VCPUS_MAX = 255,
    VSR_XML_MAX = 4 << 20, /* bytes of a document */
    VSR_METADATA_MAX = 1 << 20,
    VSR_SERIALS_MAX = 4,
    VSR_CONF_CMDLINE_MAX = 4095,
    VSR_TEXT_MAX = 64 << 10, /* title, description, paths */
    VSR_ALLOCATION_THREADS_MAX = 256,
    VSR_MEMORY_SLOTS_MAX = 256, /* of <maxMemory>, as elsewhere */
    VSR_HALT_POLL_MAX_NS = 1000000000,
};
#define VSR_MEMORY_MIN_KIB (UINT64_C(1) << 10)  /* 1 MiB */
#define VSR_MEMORY_MAX_KIB (UINT64_C(16) << 30) /* 16 TiB */

typedef enum { VSR_TYPE_EMU, VSR_TYPE_KVM, VSR_TYPE_XEN } vsr_domain_type;
typedef enum { VSR_MACHINE_PCI, VSR_MACHINE_MICRO } vsr_machine_kind;
typedef enum {
    VSR_ACTION_DESTROY,
    VSR_ACTION_RESTART,
    VSR_ACTION_PRESERVE
} vsr_action;
typedef enum {
    VSR_CLOCK_UTC,
    VSR_CLOCK_LOCALTIME,
    VSR_CLOCK_VARIABLE,
    VSR_CLOCK_ABSOLUTE
} vsr_clock_kind;
typedef enum {
    VSR_CPU_DEFAULT,
    VSR_CPU_HOST_MODEL,
    VSR_CPU_HOST_PASSTHROUGH,
    VSR_CPU_MAXIMUM,
    VSR_CPU_CUSTOM
} vsr_cpu_mode;
typedef enum {
    VSR_POLICY_FORCE,
    VSR_POLICY_REQUIRE,
    VSR_POLICY_OPTIONAL,
    VSR_POLICY_DISABLE,
    VSR_POLICY_FORBID
} vsr_policy;

/* Back ends of <serial> and <console>, libvirt's `type`. */
typedef enum {
    VSR_CHAR_PTY,
    VSR_CHAR_FILE,
    VSR_CHAR_UNIX,
    VSR_CHAR_NULL,
    VSR_CHAR_STDIO, /* the terminal of the process that runs the domain:
                       only where the caller passes fds (vctl run, embed) */
} vsr_char_kind;

typedef struct {
    vsr_char_kind kind;
    char *path;    /* file, unix; pty: the slave while running (live XML) */
    bool append;   /* file */
    bool listen;   /* unix: mode='bind' */
    uint32_t port; /* COM port number, 0-based; set by complete() */
    bool port_given;
} vsr_char_conf;

typedef struct {
    char *name;
    vsr_policy policy;
} vsr_feature_conf;

/* <cpu check=…> and <model fallback=…>: kept as written; a CPU that cannot be
 * had is refused whatever they say. */
typedef enum {
    VSR_CPU_CHECK_DEFAULT,
    VSR_CPU_CHECK_NONE,
    VSR_CPU_CHECK_PARTIAL,
    VSR_CPU_CHECK_FULL
} vsr_cpu_check;
typedef enum {
    VSR_FALLBACK_DEFAULT,
    VSR_FALLBACK_ALLOW,
    VSR_FALLBACK_FORBID
} vsr_fallback;

/* <clock><timer>: those we can promise, a bit set. */
enum {
    VSR_TIMER_TSC = 1 << 0,         /* name='tsc' present='yes' */
    VSR_TIMER_KVMCLOCK = 1 << 1,    /* name='kvmclock' present='yes' */
    VSR_TIMER_NO_HPET = 1 << 2,     /* name='hpet' present='no' */
    VSR_TIMER_NO_KVMCLOCK = 1 << 3, /* name='kvmclock' present='no' */
};

/* state='on', state='off', or the element is not there. */
typedef enum { VSR_SWITCH_DEFAULT, VSR_SWITCH_ON, VSR_SWITCH_OFF } vsr_switch;

typedef enum {
    VSR_SOURCE_DEFAULT,
    VSR_SOURCE_ANONYMOUS,
    VSR_SOURCE_MEMFD
} vsr_memory_source;
typedef enum {
    VSR_ACCESS_DEFAULT,
    VSR_ACCESS_SHARED,
    VSR_ACCESS_PRIVATE
} vsr_memory_access;
typedef enum {
    VSR_ALLOCATION_DEFAULT,
    VSR_ALLOCATION_IMMEDIATE,
    VSR_ALLOCATION_ONDEMAND
} vsr_memory_allocation;

/* <visor:disable-exits>, a bit set. */
enum {
    VSR_DISABLE_MWAIT = 1 << 0,
    VSR_DISABLE_HLT = 1 << 1,
    VSR_DISABLE_PAUSE = 1 << 2,
    VSR_DISABLE_CSTATE = 1 << 3,
};

typedef struct {
    vsr_domain_type type;
    char *name;
    char uuid[37]; /* lower-case canonical text; "" until complete() */
    char *title;
    char *description;
    char *metadata; /* the <metadata> element byte for byte, or NULL */

    /* Without the devices of VSR_DEVICE_MEMORY, which XML counts in. */
    uint64_t memory_kib;         /* <memory>: the RAM there is */
    uint64_t current_memory_kib; /* <currentMemory>: of it, what is not in the
                                    balloon; 0: as memory. Where nothing can be
                                    in a balloon: all the RAM there is */
    uint64_t max_memory_kib;     /* <maxMemory>: with memory devices; 0: none */
    uint32_t memory_slots;       /* devices of VSR_DEVICE_MEMORY */
    struct {
        bool hugepages;
        uint64_t page_kib; /* <page size>; 0: the usual ones, 2 MiB */
        bool locked, nosharepages;
        vsr_memory_source source;
        vsr_memory_access access;
        vsr_memory_allocation allocation;
        uint32_t threads; /* of an immediate allocation; 0: one */
    } backing;            /* <memoryBacking> */

    uint32_t vcpus_max;
    uint32_t vcpus; /* current; 0: all */

    struct {
        vsr_cpu_mode mode;
        char *model;  /* custom */
        char *vendor; /* the guest's must be this one; NULL: any */
        bool minimum; /* match='minimum', else 'exact' */
        vsr_cpu_check check;
        vsr_fallback fallback;
        vsr_switch migratable;
        bool topology;
        uint32_t sockets, dies, cores, threads;
        GArray *features; /* of vsr_feature_conf, names owned; never NULL */
    } cpu;

    struct {
        vsr_machine_kind machine;
        char *loader; /* firmware file */
        char *kernel, *initrd, *cmdline;
        GArray *boot; /* of char *: "hd", "network", "cdrom"; never NULL */
    } os;

    struct {
        bool acpi; /* shown and on by default; off is refused (explain) */
        bool apic;
        bool pae;          /* written; it is there anyway */
        bool test_devices; /* our extension: debug-exit port and fw_cfg counts,
                              <visor:test-devices/> see xml/README.md */
        /* of <kvm>: */
        vsr_switch kvm_hidden, hint_dedicated, poll_control, pv_ipi;
        vsr_switch pvspinlock;
    } features;

    struct {
        bool has_halt_poll;
        uint32_t halt_poll_ns;
        uint32_t disable_exits; /* VSR_DISABLE_* */
    } tuning;                   /* our extensions, see xml/README.md */

    struct {
        vsr_clock_kind kind;
        int64_t adjustment_s; /* variable */
        int64_t start_s;      /* absolute: UNIX time */
        uint32_t timers;      /* VSR_TIMER_* */
    } clock;

    vsr_action on_poweroff, on_reboot, on_crash;

    GArray *serials;    /* of vsr_char_conf; never NULL */
    GPtrArray *devices; /* of vsr_device_conf, owned; never NULL */
    bool console;       /* <console> of the first serial is shown */
} vsr_domain_conf;

vsr_domain_conf *vsr_domain_conf_new(void); /* all defaults of the struct */
vsr_domain_conf *vsr_domain_conf_copy(const vsr_domain_conf *conf);
void vsr_domain_conf_free(vsr_domain_conf *conf); /* NULL is a no-op */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(vsr_domain_conf, vsr_domain_conf_free)

/* Fills every default (uuid, current memory, vcpus, console …), then checks
 * the whole. CONFIG with one line that names element and value. Idempotent. */
bool vsr_domain_conf_complete(vsr_domain_conf *conf, GError **error);

/* How much devices of VSR_DEVICE_MEMORY have at the most. */
uint64_t vsr_domain_device_memory_kib(const vsr_domain_conf *conf);
/* Do they fit in <maxMemory>? CONFIG. */
bool vsr_domain_check_memory_devices(const vsr_domain_conf *conf,
                                     GError **error);

/* Text of the enums, as in XML; from_text returns -1. */
const char *vsr_domain_type_text(vsr_domain_type type);
int vsr_domain_type_from_text(const char *text);
bool vsr_uuid_parse(const char *text, char out[37]);
void vsr_uuid_new(char out[37]);
/* 1..VSR_NAME_MAX bytes, UTF-8, no '/', no control characters, not "." or
 * "..", no leading or trailing space. */
bool vsr_name_check(const char *name, GError **error);

#endif
