/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mem_pages.c: see mem_pages.h.
 *
 * Spec:    mmap(2), madvise(2), memfd_create(2), mlock2(2); Linux,
 *          Documentation/admin-guide/mm/hugetlbpage.rst, transhuge.rst.
 * Threads: as mem_pages.h says; pages are touched on threads of their own.
 */
#include "machine/mem_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/error.h"
#include "base/util.h"

enum { PAGE_BYTES = 4096, THP_BYTES = 2 * 1024 * 1024, WORKERS_MAX = 256 };

/* Of Linux 5.14 and 5.18; older headers do not have them. */
#define ADVISE_POPULATE_WRITE  23
#define ADVISE_DONTNEED_LOCKED 24
#define CHUNK_BYTES            (64 * VSR_MIB)

static uint64_t page_of(const mem_pages *pages)
{
    return pages->options->page_bytes ? pages->options->page_bytes : PAGE_BYTES;
}

/* What the host maps: whole pages, of which the last may be more than the guest
 * has. */
static uint64_t mapped_len(const mem_pages *pages)
{
    return vsr_round_up(pages->len, page_of(pages));
}

/* The size's logarithm where mmap() and memfd_create() want it. */
static unsigned size_flag(uint64_t page_bytes)
{
    return (unsigned)__builtin_ctzll(page_bytes) << 26;
}

/* --- huge pages: what went wrong --- */

static bool no_such_page(const char *name, uint64_t page, GError **error)
{
    return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                    "Memory '%s': this host has no huge pages of %" PRIu64
                    " KiB",
                    name, page / VSR_KIB);
}

/* Free ones that nobody has reserved, or -1. */
static int64_t pool_free(uint64_t page)
{
    static const char *const files[] = { "free_hugepages", "resv_hugepages" };
    int64_t n[2] = { 0, 0 };

    for (size_t i = 0; i < VSR_ARRAY_SIZE(files); i++) {
        g_autofree char *text = NULL;
        g_autofree char *path = g_strdup_printf(
            "/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/%s",
            page / VSR_KIB, files[i]);

        if (!g_file_get_contents(path, &text, NULL, NULL))
            return -1;
        n[i] = (int64_t)g_ascii_strtoull(text, NULL, 10);
    }
    return MAX(n[0] - n[1], 0);
}

/* The machine's first piece speaks for all of them. */
static uint64_t wanted(const mem_pages *pages)
{
    return pages->gpa == 0 ? MAX(pages->options->total, pages->len)
                           : pages->len;
}

static bool pool_is_short(const mem_pages *pages, GError **error)
{
    uint64_t page = page_of(pages);
    int64_t there = pool_free(page);
    g_autofree char *pool =
        there < 0 ? g_strdup("too few") : g_strdup_printf("%" PRId64, there);

    return vsr_fail(error, VISOR_ERR_RESOURCE,
                    "Memory '%s': %" PRIu64 " huge pages of %" PRIu64
                    " KiB are needed, the host's pool has %s free "
                    "(/sys/kernel/mm/hugepages/hugepages-%" PRIu64
                    "kB/nr_hugepages)",
                    pages->name, vsr_round_up(wanted(pages), page) / page,
                    page / VSR_KIB, pool, page / VSR_KIB);
}

/* --- making --- */

bool mem_pages_create(const char *name, const vsr_mem_options *options, int *fd,
                      GError **error)
{
    uint64_t page = options->page_bytes;
    unsigned flags = MFD_CLOEXEC;

    if (page)
        flags |= MFD_HUGETLB | size_flag(page);
    *fd = memfd_create(name, flags);
    if (*fd >= 0)
        return true;
    if (page && (errno == ENODEV || errno == EINVAL))
        return no_such_page(name, page, error);
    return vsr_fail_errno(error, errno, "Memory '%s'", name);
}

/* Memory is not accounted before it is touched: at least what the host could
 * never hold is refused now. */
static bool host_has(uint64_t len)
{
    struct sysinfo info;

    if (sysinfo(&info) < 0)
        return true;
    return len / info.mem_unit <= (uint64_t)info.totalram + info.totalswap;
}

bool mem_pages_grow(const char *name, const vsr_mem_options *options, int fd,
                    uint64_t len, GError **error)
{
    uint64_t whole =
        vsr_round_up(len, options->page_bytes ? options->page_bytes : 1);

    if (!options->page_bytes && !host_has(len))
        return vsr_fail(error, VISOR_ERR_RESOURCE,
                        "Memory '%s': the host does not have %" PRIu64 " MiB",
                        name, len / VSR_MIB);
    if (fd >= 0 && ftruncate(fd, (off_t)whole) < 0)
        return vsr_fail_errno(error, errno, "Memory '%s': %" PRIu64 " MiB",
                              name, len / VSR_MIB);
    return true;
}

static bool map_failed(const mem_pages *pages, int err, GError **error)
{
    if (pages->options->page_bytes && err == ENOMEM)
        return pool_is_short(pages, error);
    if (pages->options->page_bytes && pages->fd < 0 && err == EINVAL)
        return no_such_page(pages->name, pages->options->page_bytes, error);
    return vsr_fail_errno(
        error, err, "Memory '%s': cannot map %" PRIu64 " MiB at 0x%" PRIx64,
        pages->name, pages->len / VSR_MIB, pages->gpa);
}

/* Advice only; what the host does not know it refuses, and that is fine. */
static void advise(const mem_pages *pages, uint64_t len)
{
    const vsr_mem_options *options = pages->options;

    if (!options->no_thp && !options->page_bytes)
        (void)madvise(pages->host, len, MADV_HUGEPAGE);
    /* A process may have asked for merging of all it has. */
    if (options->no_merge)
        (void)madvise(pages->host, len, MADV_UNMERGEABLE);
    (void)madvise(pages->host, len, MADV_DONTDUMP);
    (void)madvise(pages->host, len, MADV_DONTFORK);
}

bool mem_pages_map(mem_pages *pages, GError **error)
{
    uint64_t page = pages->options->page_bytes;
    uint64_t align = MAX(page, THP_BYTES);
    uint64_t len = mapped_len(pages), room = len + 2 * align;
    int flags = MAP_FIXED;
    uint8_t *area, *host;
    void *got;

    if (page && (pages->gpa % page || pages->offset % page))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory '%s': 0x%" PRIx64
                        " is not where a page of %" PRIu64 " KiB can begin",
                        pages->name, pages->gpa, page / VSR_KIB);
    if (pages->fd >= 0)
        flags |= MAP_SHARED;
    else
        flags |= MAP_PRIVATE | MAP_ANONYMOUS;
    /* Huge pages are reserved, so that no touch finds the pool empty. */
    if (page && pages->fd < 0)
        flags |= MAP_HUGETLB | (int)size_flag(page);
    else if (pages->fd < 0)
        flags |= MAP_NORESERVE;
    area = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        return map_failed(pages, errno, error);
    host = (uint8_t *)vsr_round_up((uintptr_t)area, align) + pages->gpa % align;
    got = mmap(host, len, PROT_READ | PROT_WRITE, flags, pages->fd,
               (off_t)pages->offset);
    if (got == MAP_FAILED) {
        int err = errno;

        (void)munmap(area, room);
        return map_failed(pages, err, error);
    }
    if (host > area)
        (void)munmap(area, (size_t)(host - area));
    (void)munmap(host + len, (size_t)(area + room - (host + len)));
    pages->host = host;
    advise(pages, len);
    return true;
}

void mem_pages_unmap(mem_pages *pages)
{
    if (pages->host != NULL)
        (void)munmap(pages->host, mapped_len(pages));
    pages->host = NULL;
}

/* --- having them there --- */

typedef struct {
    const mem_pages *pages;
    uint64_t len;
    gint next;  /* atomic: the chunk that nobody has taken yet */
    gint error; /* atomic: the first errno; others stop */
} toucher;

/* For kernels that do not touch on request. Adding 0 changes nothing that
 * somebody else, who maps the memory too, writes meanwhile. */
static void touch(uint8_t *at, uint64_t len, uint64_t page)
{
    for (uint64_t i = 0; i < len; i += page)
        (void)__atomic_fetch_add(&at[i], 0, __ATOMIC_RELAXED);
}

/* 0 or errno: a failure of the host comes as a result and not as a signal. */
static int touch_chunk(const mem_pages *pages, uint64_t offset, uint64_t len)
{
    int rc;

    do
        rc = madvise(pages->host + offset, len, ADVISE_POPULATE_WRITE);
    while (rc < 0 && (errno == EINTR || errno == EAGAIN));
    if (rc == 0)
        return 0;
    if (errno != EINVAL)
        return errno;
    if (pages->fd >= 0 &&
        fallocate(pages->fd, 0, (off_t)(pages->offset + offset), (off_t)len) <
            0)
        return errno;
    touch(pages->host + offset, len, page_of(pages));
    return 0;
}

static void *touch_thread(void *opaque)
{
    toucher *t = opaque;
    const mem_pages *pages = t->pages;
    uint64_t chunk = MAX(page_of(pages), CHUNK_BYTES);

    while (g_atomic_int_get(&t->error) == 0) {
        uint64_t at = (uint64_t)g_atomic_int_add(&t->next, 1) * chunk;
        int err;

        if (at >= t->len)
            break;
        err = touch_chunk(pages, at, MIN(chunk, t->len - at));
        if (err != 0)
            (void)g_atomic_int_compare_and_exchange(&t->error, 0, err);
    }
    return NULL;
}

/* The caller's thread is one of them. 0 or errno. */
static int touch_all(const mem_pages *pages)
{
    toucher t = { .pages = pages, .len = mapped_len(pages) };
    uint32_t want = CLAMP(pages->options->threads, 1, WORKERS_MAX);
    uint64_t chunks = t.len / CHUNK_BYTES + 1;
    g_autoptr(GPtrArray) threads = g_ptr_array_new();

    for (uint32_t i = 1; i < want && i < chunks; i++) {
        GThread *thread = g_thread_try_new("touch", touch_thread, &t, NULL);

        if (thread == NULL)
            break;
        g_ptr_array_add(threads, thread);
    }
    touch_thread(&t);
    for (guint i = 0; i < threads->len; i++)
        g_thread_join(threads->pdata[i]);
    return g_atomic_int_get(&t.error);
}

/* Bytes that the host can still give without swapping, or UINT64_MAX. */
static uint64_t host_available(void)
{
    g_autofree char *text = NULL;
    const char *line;

    if (!g_file_get_contents("/proc/meminfo", &text, NULL, NULL))
        return UINT64_MAX;
    line = strstr(text, "\nMemAvailable:");
    return line ? g_ascii_strtoull(line + strlen("\nMemAvailable:"), NULL, 10) *
                      VSR_KIB
                : UINT64_MAX;
}

static bool touch_failed(const mem_pages *pages, int err, GError **error)
{
    if (pages->options->page_bytes && (err == EFAULT || err == ENOMEM))
        return pool_is_short(pages, error);
    return vsr_fail_errno(error, err == EFAULT ? ENOMEM : err,
                          "Memory '%s': cannot have %" PRIu64
                          " MiB from the start",
                          pages->name, pages->len / VSR_MIB);
}

static bool lock_failed(const mem_pages *pages, int err, GError **error)
{
    struct rlimit limit = { .rlim_cur = RLIM_INFINITY };

    (void)getrlimit(RLIMIT_MEMLOCK, &limit);
    if (limit.rlim_cur < wanted(pages))
        return vsr_fail(error, VISOR_ERR_RESOURCE,
                        "Memory '%s': %" PRIu64
                        " KiB are to be locked, the limit RLIMIT_MEMLOCK of "
                        "this process is %" PRIu64 " KiB",
                        pages->name, wanted(pages) / VSR_KIB,
                        (uint64_t)limit.rlim_cur / VSR_KIB);
    return vsr_fail_errno(error, err,
                          "Memory '%s': cannot lock %" PRIu64 " MiB",
                          pages->name, pages->len / VSR_MIB);
}

/* Those of hugetlbfs are never swapped. */
static bool is_mlocked(const vsr_mem_options *options)
{
    return options->locked && !options->page_bytes;
}

static bool is_touched(const vsr_mem_options *options)
{
    return options->prealloc || (options->locked && !options->lock_on_touch);
}

bool mem_pages_populate(const mem_pages *pages, GError **error)
{
    const vsr_mem_options *options = pages->options;
    int err;

    if (is_mlocked(options) &&
        mlock2(pages->host, pages->len, MLOCK_ONFAULT) < 0)
        return lock_failed(pages, errno, error);
    if (!is_touched(options))
        return true;
    if (!options->page_bytes && wanted(pages) > host_available())
        return vsr_fail(error, VISOR_ERR_RESOURCE,
                        "Memory '%s': %" PRIu64
                        " MiB are to be there from the start, the host has "
                        "%" PRIu64 " MiB available",
                        pages->name, wanted(pages) / VSR_MIB,
                        host_available() / VSR_MIB);
    err = touch_all(pages);
    return err == 0 || touch_failed(pages, err, error);
}

int mem_pages_clear(const mem_pages *pages)
{
    uint64_t len = mapped_len(pages);

    if (is_touched(pages->options)) {
        memset(pages->host, 0, pages->len);
        return 0;
    }
    if (pages->fd >= 0)
        return fallocate(pages->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         (off_t)pages->offset, (off_t)len) < 0
                   ? -errno
                   : 0;
    if (madvise(pages->host, len,
                is_mlocked(pages->options) ? ADVISE_DONTNEED_LOCKED
                                           : MADV_DONTNEED) == 0)
        return 0;
    if (errno != EINVAL)
        return -errno;
    memset(pages->host, 0,
           pages->len); /* older kernels cannot for such pages */
    return 0;
}

int mem_pages_discard(const mem_pages *pages, uint64_t offset, uint64_t len)
{
    int rc;

    if (pages->options->page_bytes || pages->options->locked)
        return -EOPNOTSUPP;
    if (len == 0)
        return 0;
    /* A memfd's pages stay with the file, whoever has let go of them. */
    if (pages->fd >= 0)
        rc = fallocate(pages->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       (off_t)(pages->offset + offset), (off_t)len);
    else
        rc = madvise(pages->host + offset, len, MADV_DONTNEED);
    return rc < 0 ? -errno : 0;
}
