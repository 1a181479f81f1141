/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host.c: see host.h.
 *
 * Spec:    proc(5), sysfs: Documentation/ABI/testing/sysfs-devices-system-cpu.
 * Threads: any.
 */
#include "driver/host.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <visor/host.h>

#include "base/error.h"
#include "base/fd.h"

enum { PROC_FILE_MAX = 16 << 20, CPUS_MAX = 8192, FILES_WANTED = 4096 };

#ifdef VSR_SECCOMP
enum { HAS_FILTERS = 1 };
#else
enum { HAS_FILTERS = 0 };
#endif

#define SYSFS_CPU  "/sys/devices/system/cpu"
#define SYSFS_NODE "/sys/devices/system/node"

/* The number after "name:" in a text like /proc/meminfo; 0: not there. */
static uint64_t number_after(const char *text, const char *name)
{
    const char *found = strstr(text, name);

    if (found == NULL)
        return 0;
    found += strlen(name);
    found += strspn(found, " \t:");
    return g_ascii_strtoull(found, NULL, 10);
}

static bool read_memory(vsr_host_facts *out, GError **error)
{
    g_autofree char *text = NULL;

    if (!vsr_file_load("/proc/meminfo", PROC_FILE_MAX, &text, NULL, error))
        return false;
    out->memory_kib = number_after(text, "MemTotal");
    return true;
}

static void read_cpuinfo(vsr_host_facts *out)
{
    g_autofree char *text = NULL;
    const char *found;

    if (!vsr_file_load("/proc/cpuinfo", PROC_FILE_MAX, &text, NULL, NULL))
        return;
    out->mhz = (uint32_t)number_after(text, "cpu MHz");
    found = strstr(text, "model name");
    if (found == NULL)
        return;
    found += strlen("model name");
    found += strspn(found, " \t:");
    g_strlcpy(out->cpu_model, found,
              MIN(sizeof(out->cpu_model), strcspn(found, "\n") + 1));
}

/* A small number in a file of sysfs, or -1. */
static int64_t sysfs_number(const char *path)
{
    g_autofree char *text = NULL;

    if (!vsr_file_load(path, 4096, &text, NULL, NULL) ||
        !g_ascii_isdigit(text[0]))
        return -1;
    return g_ascii_strtoll(text, NULL, 10);
}

/* How many folders "<prefix><number>" does `path` have? */
static uint32_t count_numbered(const char *path, const char *prefix)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    uint32_t n = 0;

    if (dir == NULL)
        return 0;
    while ((entry = readdir(dir)) != NULL)
        if (g_str_has_prefix(entry->d_name, prefix) &&
            g_ascii_isdigit(entry->d_name[strlen(prefix)]))
            n++;
    closedir(dir);
    return n;
}

/* Sockets are counted as different packages, cores as different (package,
 * core) pairs; all sockets are taken to be alike. */
static void read_topology(vsr_host_facts *out)
{
    g_autoptr(GHashTable) packages = g_hash_table_new(NULL, NULL);
    g_autoptr(GHashTable) cores = g_hash_table_new(NULL, NULL);
    uint32_t seen = 0;

    for (uint32_t cpu = 0; cpu < CPUS_MAX && seen < out->cpus; cpu++) {
        g_autofree char *package_file = g_strdup_printf(
            SYSFS_CPU "/cpu%u/topology/physical_package_id", cpu);
        g_autofree char *core_file =
            g_strdup_printf(SYSFS_CPU "/cpu%u/topology/core_id", cpu);
        int64_t package = sysfs_number(package_file);
        int64_t core = sysfs_number(core_file);

        if (package < 0 || core < 0)
            continue; /* offline, or no such CPU */
        seen++;
        g_hash_table_add(packages, GINT_TO_POINTER((gint)package + 1));
        g_hash_table_add(cores,
                         GINT_TO_POINTER((gint)(package << 16 | core) + 1));
    }
    out->sockets = MAX(1, g_hash_table_size(packages));
    out->cores = MAX(1, g_hash_table_size(cores) / out->sockets);
    out->threads = MAX(1, out->cpus / (out->cores * out->sockets));
}

bool vsr_host_facts_get(vsr_host_facts *out, GError **error)
{
    struct utsname name;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    memset(out, 0, sizeof(*out));
    if (uname(&name) < 0)
        return vsr_fail_errno(error, errno, "Cannot ask for the host's name");
    g_strlcpy(out->model, name.machine, sizeof(out->model));
    out->cpus = cpus > 0 ? (uint32_t)cpus : 1;
    if (!read_memory(out, error))
        return false;
    read_cpuinfo(out);
    out->nodes = MAX(1, count_numbered(SYSFS_NODE, "node"));
    read_topology(out);
    return true;
}

/* --- findings ------------------------------------------------------------ */

static void check_cpu(vsr_finding_fn *fn, void *opaque)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *detail = NULL;
    vsr_host_facts facts;

    if (!vsr_host_facts_get(&facts, &error)) {
        fn("", "Host", VISOR_CHECK_FAIL, error->message, "Mount /proc", opaque);
        return;
    }
    detail = g_strdup_printf("%s, %u CPUs, %s", facts.model, facts.cpus,
                             facts.cpu_model);
    if (strcmp(facts.model, "x86_64") == 0)
        fn("", "Processor", VISOR_CHECK_PASS, detail, "", opaque);
    else
        fn("", "Processor", VISOR_CHECK_FAIL, detail,
           "Use an x86-64 host: no other is supported yet", opaque);
    g_clear_pointer(&detail, g_free);
    detail = g_strdup_printf("%" G_GUINT64_FORMAT " MiB in all",
                             facts.memory_kib / 1024);
    if (facts.memory_kib >= 512 * 1024)
        fn("", "Memory", VISOR_CHECK_PASS, detail, "", opaque);
    else
        fn("", "Memory", VISOR_CHECK_WARN, detail,
           "Give guests less memory than the host has", opaque);
}

static void check_files(vsr_finding_fn *fn, void *opaque)
{
    g_autofree char *detail = NULL;
    struct rlimit limit = { 0 };

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    detail = g_strdup_printf("%" G_GUINT64_FORMAT " open files for a process",
                             (uint64_t)limit.rlim_cur);
    if (limit.rlim_cur >= FILES_WANTED)
        fn("", "Open files", VISOR_CHECK_PASS, detail, "", opaque);
    else
        fn("", "Open files", VISOR_CHECK_WARN, detail,
           "Raise it with 'ulimit -n 4096' to embed hundreds of domains",
           opaque);
}

static void check_namespaces(vsr_finding_fn *fn, void *opaque)
{
    int64_t spaces = sysfs_number("/proc/sys/user/max_user_namespaces");
    int64_t allowed =
        sysfs_number("/proc/sys/kernel/unprivileged_userns_clone");

    if (spaces == 0 || allowed == 0)
        fn("", "User namespaces", VISOR_CHECK_WARN, "Not for ordinary users",
           "Set kernel.unprivileged_userns_clone=1 for a tighter sandbox",
           opaque);
    else
        fn("", "User namespaces", VISOR_CHECK_PASS, "Available", "", opaque);
}

/* What visor-vmm was built with, and what this kernel knows. */
static void check_filters(vsr_finding_fn *fn, void *opaque)
{
    if (!HAS_FILTERS)
        fn("", "System call filters", VISOR_CHECK_WARN,
           "Not in this build: a guest that breaks out meets less",
           "Build with libseccomp (-Dseccomp=enabled)", opaque);
    else if (access("/proc/sys/kernel/seccomp/actions_avail", F_OK) < 0)
        fn("", "System call filters", VISOR_CHECK_WARN,
           "Not in this kernel: a guest that breaks out meets less",
           "Use a kernel with CONFIG_SECCOMP_FILTER", opaque);
    else
        fn("", "System call filters", VISOR_CHECK_PASS, "Available", "",
           opaque);
}

static void check_kvm(vsr_finding_fn *fn, void *opaque)
{
    bool exists = access("/dev/kvm", F_OK) == 0;
    bool usable = access("/dev/kvm", R_OK | W_OK) == 0;

    if (vsr_driver_find("kvm") != NULL)
        return; /* the driver says it better */
    fn("kvm", "Device /dev/kvm", VISOR_CHECK_WARN,
       !exists  ? "Missing"
       : usable ? "Usable, but the kvm backend is not in this build"
                : "No permission, and the kvm backend is not in this build",
       "Use engine emu, which needs no device", opaque);
}

static void check_xen(vsr_finding_fn *fn, void *opaque)
{
    bool exists = access("/dev/xen/privcmd", F_OK) == 0 ||
                  access("/proc/xen/privcmd", F_OK) == 0;

    if (vsr_driver_find("xen") != NULL)
        return;
    fn("xen", "Xen control domain", VISOR_CHECK_WARN,
       exists ? "This is one, but the xen backend is not in this build"
              : "This host does not run under Xen",
       "Use engine emu, which needs no hypervisor", opaque);
}

void vsr_host_check(vsr_finding_fn *fn, void *opaque)
{
    check_cpu(fn, opaque);
    check_files(fn, opaque);
    check_namespaces(fn, opaque);
    check_filters(fn, opaque);
    check_kvm(fn, opaque);
    check_xen(fn, opaque);
    for (const vsr_driver *const *d = vsr_drivers(); *d != NULL; d++) {
        g_autoptr(GError) error = NULL;

        if ((*d)->probe(&error))
            fn((*d)->name, "Backend", VISOR_CHECK_PASS, "Usable", "", opaque);
        else
            fn((*d)->name, "Backend", VISOR_CHECK_FAIL, error->message,
               "Use another engine", opaque);
        if ((*d)->check != NULL)
            (*d)->check(fn, opaque);
    }
}
