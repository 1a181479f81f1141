/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_mem_pages.c: where guest memory's pages come from: huge, locked, there
 * from the start, and what is said when the host has them not. */
#include "machine/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/util.h"
#include "tests/support/cm.h"
#include "tests/support/fake_engine.h"

static int machine_new(void **state)
{
    *state = fake_machine_new(1);
    return *state == NULL;
}

static int machine_free(void **state)
{
    vsr_machine_free(*state);
    return 0;
}

static vsr_mem *mem_of(void **state)
{
    return ((vsr_machine *)*state)->mem;
}

static uint8_t *add(vsr_mem *mem, uint64_t gpa, uint64_t len,
                    const vsr_mem_options *options)
{
    g_autoptr(GError) error = NULL;

    if (!vsr_mem_add_ram(mem, "ram", gpa, len, false, options, &error))
        fail_msg("%s", error->message);
    return vsr_mem_map(mem, gpa, len);
}

static void assert_refused(vsr_mem *mem, uint64_t gpa, uint64_t len,
                           const vsr_mem_options *options, int code,
                           const char *part)
{
    g_autoptr(GError) error = NULL;

    assert_false(vsr_mem_add_ram(mem, "ram", gpa, len, false, options, &error));
    if (error->code != code || !strstr(error->message, part))
        fail_msg("%d: %s", error->code, error->message);
    /* Nothing of it is left. */
    assert_int_equal(vsr_mem_ram_bytes(mem), 0);
    assert_int_equal(vsr_mem_read(mem, gpa, &(char){ 0 }, 1), -EFAULT);
}

static uint64_t pages_there(void *host, uint64_t len)
{
    g_autofree unsigned char *there = g_malloc(len / 4096);
    uint64_t n = 0;

    assert_int_equal(mincore(host, len, there), 0);
    for (uint64_t i = 0; i < len / 4096; i++)
        n += there[i] & 1;
    return n;
}

/* What the host notes about the mapping at `host`: two-letter words. */
static char *flags_of(const void *host)
{
    g_autofree char *text = NULL;
    char *at, *flags;

    assert_true(g_file_get_contents("/proc/self/smaps", &text, NULL, NULL));
    g_autofree char *start = g_strdup_printf("%" PRIxPTR "-", (uintptr_t)host);
    at = strstr(text, start);
    assert_non_null(at);
    flags = strstr(at, "VmFlags:");
    assert_non_null(flags);
    flags[strcspn(flags, "\n")] = '\0';
    return g_strconcat(flags, " ", NULL);
}

static void the_host_is_told_what_the_memory_is(void **state)
{
    const vsr_mem_options options = { .no_merge = true };
    g_autofree char *flags =
        flags_of(add(mem_of(state), 0, 4 * VSR_MIB, &options));

    assert_non_null(strstr(flags, " dd ")); /* not in core dumps */
    assert_non_null(strstr(flags, " dc ")); /* not in children */
    assert_null(strstr(flags, " mg "));
    if (access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) == 0)
        assert_non_null(strstr(flags, " hg "));
}

/* Else the host cannot map a huge page of its own as one of the guest's. */
static void addresses_agree_within_a_huge_page(void **state)
{
    static const uint64_t gpas[] = { 0,          0x10000000, 0x100000000,
                                     0xfffc0000, 0xf0000,    0x12345000 };

    for (size_t i = 0; i < VSR_ARRAY_SIZE(gpas); i++) {
        g_autofree char *name = g_strdup_printf("%zu", i);

        assert_true(vsr_mem_add_ram(mem_of(state), name, gpas[i], 0x40000,
                                    false, NULL, NULL));
        assert_int_equal((uintptr_t)vsr_mem_map(mem_of(state), gpas[i], 1) %
                             (2 * VSR_MIB),
                         gpas[i] % (2 * VSR_MIB));
    }
}

static void memory_can_be_there_from_the_start(void **state)
{
    /* Several pieces for several threads. */
    const vsr_mem_options options = { .prealloc = true, .threads = 3 };
    uint64_t len = 150 * VSR_MIB;
    uint8_t *host = add(mem_of(state), 0, len, &options);

    assert_int_equal(pages_there(host, len), len / 4096);
}

static void shared_memory_can_be_there_from_the_start(void **state)
{
    const vsr_mem_options options = { .prealloc = true, .shared = true };
    uint8_t *host = add(mem_of(state), 0, 3 * VSR_MIB, &options);

    assert_int_equal(pages_there(host, 3 * VSR_MIB), 3 * VSR_MIB / 4096);
}

static void more_than_the_host_has_left_is_not_touched(void **state)
{
    /* The whole counts, though this piece alone would do. */
    const vsr_mem_options options = { .prealloc = true,
                                      .total = UINT64_C(1) << 50 };

    assert_refused(mem_of(state), 0, 4 * VSR_MIB, &options, VISOR_ERR_RESOURCE,
                   "1073741824 MiB are to be there from the start, the host "
                   "has ");
}

static uint64_t locked_kib(void)
{
    g_autofree char *text = NULL;
    const char *at;

    assert_true(g_file_get_contents("/proc/self/status", &text, NULL, NULL));
    at = strstr(text, "VmLck:");
    return at ? g_ascii_strtoull(at + 6, NULL, 10) : 0;
}

static void locked_memory_is_there_and_stays(void **state)
{
    const vsr_mem_options options = { .locked = true };
    uint64_t before = locked_kib();
    uint8_t *host = add(mem_of(state), 0, VSR_MIB, &options);

    assert_int_equal(locked_kib() - before, 1024);
    assert_int_equal(pages_there(host, VSR_MIB), 256);
    host[5] = 1;
    assert_int_equal(vsr_mem_clear(mem_of(state)), 0);
    assert_int_equal(vsr_mem_clear(mem_of(state)), 0);
    assert_int_equal(host[5], 0);
    assert_int_equal(pages_there(host, VSR_MIB), 256);
}

static void memory_can_be_locked_as_it_is_touched(void **state)
{
    const vsr_mem_options options = { .locked = true,
                                      .lock_on_touch = true,
                                      .no_thp = true };
    uint64_t before = locked_kib();
    uint8_t *host = add(mem_of(state), 0, VSR_MIB, &options);

    assert_int_equal(locked_kib() - before, 1024);
    assert_int_equal(pages_there(host, VSR_MIB), 0);
    host[4097] = 1;
    assert_int_equal(pages_there(host, VSR_MIB), 1);
    (void)vsr_mem_clear(mem_of(state));
    assert_int_equal(vsr_mem_clear(mem_of(state)), 0);
    assert_int_equal(host[4097], 0);
}

/* Without the right to lock what it likes. 0: all is as it should be. */
static int try_with_limit(vsr_mem *mem)
{
    const vsr_mem_options options = { .locked = true, .total = 8 * VSR_MIB };
    const struct rlimit limit = { 64 * 1024, 64 * 1024 };
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct none[2] = { { 0 } };
    GError *error = NULL;

    if (syscall(SYS_capset, &head, none) < 0 ||
        setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        return 1;
    if (vsr_mem_add_ram(mem, "ram", 0, VSR_MIB, false, &options, &error))
        return 2;
    fprintf(stderr, "%s\n", error->message);
    if (error->code != VISOR_ERR_RESOURCE)
        return 3;
    return strstr(error->message, "8192 KiB are to be locked, the limit "
                                  "RLIMIT_MEMLOCK of this process is 64 KiB")
               ? 0
               : 4;
}

static void a_limit_on_locked_memory_is_named(void **state)
{
    pid_t child = fork();
    int status = -1;

    if (child == 0)
        _exit(try_with_limit(mem_of(state)));
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void huge_pages_that_are_not_there_are_counted(void **state)
{
    const char *pool = "/sys/kernel/mm/hugepages/hugepages-2048kB";
    vsr_mem_options options = { .page_bytes = 2 * VSR_MIB, .shared = true };

    if (access(pool, F_OK) < 0)
        skip();
    /* No pool is so large. */
    assert_refused(mem_of(state), 0, VSR_GIB << 10, &options,
                   VISOR_ERR_RESOURCE,
                   "524288 huge pages of 2048 KiB are needed, the host's pool "
                   "has ");
    options.shared = false;
    assert_refused(mem_of(state), 0, (VSR_GIB << 10) - VSR_MIB, &options,
                   VISOR_ERR_RESOURCE,
                   " free (/sys/kernel/mm/hugepages/hugepages-2048kB/"
                   "nr_hugepages)");
}

static void huge_pages_of_sizes_unknown_are_refused(void **state)
{
    vsr_mem_options options = { .page_bytes = 16 * VSR_KIB, .shared = true };

    assert_refused(mem_of(state), 0, VSR_MIB, &options, VISOR_ERR_NO_SUPPORT,
                   "this host has no huge pages of 16 KiB");
    options.shared = false;
    assert_refused(mem_of(state), 0, VSR_MIB, &options, VISOR_ERR_NO_SUPPORT,
                   "this host has no huge pages of 16 KiB");
    options.page_bytes = 12345;
    assert_refused(mem_of(state), 0, VSR_MIB, &options, VISOR_ERR_CONFIG,
                   "12345 bytes is the size of no huge page");
    options.page_bytes = UINT64_C(1) << 63;
    assert_refused(mem_of(state), 0, VSR_MIB, &options, VISOR_ERR_CONFIG,
                   "size of no huge page");
}

static void a_huge_page_begins_where_it_can(void **state)
{
    const vsr_mem_options options = { .page_bytes = 2 * VSR_MIB };

    assert_refused(mem_of(state), VSR_MIB, 2 * VSR_MIB, &options,
                   VISOR_ERR_CONFIG,
                   "0x100000 is not where a page of 2048 KiB can begin");
}

static void a_full_slot_table_names_its_limit(void **state)
{
    vsr_mem *mem = mem_of(state);
    g_autoptr(GError) error = NULL;

    for (unsigned i = 0; i < FAKE_SLOTS_MAX; i++) {
        g_autofree char *name = g_strdup_printf("%u", i);

        assert_true(vsr_mem_add_ram(mem, name, i * UINT64_C(0x2000), 0x1000,
                                    i % 2, NULL, NULL));
    }
    assert_false(
        vsr_mem_add_ram(mem, "ram", VSR_GIB, 0x1000, false, NULL, &error));
    assert_int_equal(error->code, VISOR_ERR_RESOURCE);
    assert_non_null(strstr(error->message, "no memory slot left, its limit is "
                                           "32"));
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, machine_new, machine_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_host_is_told_what_the_memory_is),
        TEST(addresses_agree_within_a_huge_page),
        TEST(memory_can_be_there_from_the_start),
        TEST(shared_memory_can_be_there_from_the_start),
        TEST(more_than_the_host_has_left_is_not_touched),
        TEST(locked_memory_is_there_and_stays),
        TEST(memory_can_be_locked_as_it_is_touched),
        TEST(a_limit_on_locked_memory_is_named),
        TEST(huge_pages_that_are_not_there_are_counted),
        TEST(huge_pages_of_sizes_unknown_are_refused),
        TEST(a_huge_page_begins_where_it_can),
        TEST(a_full_slot_table_names_its_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
