/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_vmm.c: the life of a domain, with the tiny guest on the emulator. */
#include "vmm/vmm.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "tests/support/cm.h"
#include "vmm/vmm_state.h"

#define MS INT64_C(1000000)

typedef struct {
    vsr_state state;
    vsr_reason reason;
    int status;
    char *detail;
    size_t output; /* bytes there were when it came */
} change;

typedef struct {
    vsr_domain_conf *conf;
    vsr_vmm *vmm;
    GMutex lock; /* guards the rest */
    GCond changed;
    GString *output;
    GArray *changes; /* of change */
    unsigned reboots;
} fixture;

static void change_clear(void *item)
{
    g_free(((change *)item)->detail);
}

static int setup(void **state)
{
    fixture *f = g_new0(fixture, 1);
    vsr_char_conf chr = { .kind = VSR_CHAR_STDIO };

    f->conf = vsr_domain_conf_new();
    f->conf->name = g_strdup("tiny");
    f->conf->memory_kib = 8192;
    f->conf->os.kernel = g_strdup(TINY_GUEST);
    g_array_append_val(f->conf->serials, chr);
    f->output = g_string_new(NULL);
    f->changes = g_array_new(FALSE, TRUE, sizeof(change));
    g_array_set_clear_func(f->changes, change_clear);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    vsr_vmm_free(f->vmm);
    vsr_domain_conf_free(f->conf);
    g_string_free(f->output, TRUE);
    g_array_unref(f->changes);
    g_free(f);
    return 0;
}

static void on_output(const void *data, size_t len, void *opaque)
{
    fixture *f = opaque;

    g_mutex_lock(&f->lock);
    g_string_append_len(f->output, data, (gssize)len);
    g_cond_broadcast(&f->changed);
    g_mutex_unlock(&f->lock);
}

static void on_state(void *opaque, vsr_state state, vsr_reason reason,
                     int status, const char *detail)
{
    fixture *f = opaque;
    change c = { state, reason, status, g_strdup(detail), 0 };

    g_mutex_lock(&f->lock);
    c.output = f->output->len;
    g_array_append_val(f->changes, c);
    g_cond_broadcast(&f->changed);
    g_mutex_unlock(&f->lock);
}

static void on_rebooted(void *opaque)
{
    fixture *f = opaque;

    g_mutex_lock(&f->lock);
    f->reboots++;
    g_cond_broadcast(&f->changed);
    g_mutex_unlock(&f->lock);
}

static const vsr_vmm_events events = {
    .state = on_state,
    .rebooted = on_rebooted,
};

static bool build(fixture *f, const char *cmdline, GError **error)
{
    vsr_vmm_resources res;

    g_free(f->conf->os.cmdline);
    f->conf->os.cmdline = g_strdup(cmdline);
    if (!vsr_domain_conf_complete(f->conf, error) ||
        !vsr_vmm_resources_open(&res, f->conf, NULL, on_output, f, error))
        return false;
    f->vmm = vsr_vmm_new(&vsr_emu_engine, f->conf, &res, &events, f, error);
    return f->vmm != NULL;
}

static void set(char **text, const char *value)
{
    g_free(*text);
    *text = g_strdup(value);
}

static void start(fixture *f, const char *cmdline)
{
    g_autoptr(GError) error = NULL;

    if (!build(f, cmdline, &error))
        fail_msg("not built: %s", error->message);
    assert_int_equal(vsr_vmm_state(f->vmm, NULL), VSR_STATE_PAUSED);
    if (!vsr_vmm_resume(f->vmm, &error))
        fail_msg("not started: %s", error->message);
}

static void wait_for(fixture *f, bool (*done)(fixture *f, const void *arg),
                     const void *arg, const char *what)
{
    int64_t end = g_get_monotonic_time() + G_TIME_SPAN_MINUTE;
    bool ok;

    g_mutex_lock(&f->lock);
    while (!(ok = done(f, arg)))
        if (!g_cond_wait_until(&f->changed, &f->lock, end))
            break;
    g_mutex_unlock(&f->lock);
    if (!ok)
        fail_msg("%s: did not come; output '%s', %u changes", what,
                 f->output->str, f->changes->len);
}

static bool has_output(fixture *f, const void *text)
{
    return strstr(f->output->str, text) != NULL;
}

static void wait_output(fixture *f, const char *text)
{
    wait_for(f, has_output, text, text);
}

static bool has_state(fixture *f, const void *state)
{
    return f->changes->len > 0 &&
           g_array_index(f->changes, change, f->changes->len - 1).state ==
               *(const vsr_state *)state;
}

/* The last change of state, which is to `state`. */
static change *wait_state(fixture *f, vsr_state state)
{
    wait_for(f, has_state, &state, "the state");
    return &g_array_index(f->changes, change, f->changes->len - 1);
}

static bool has_reboots(fixture *f, const void *n)
{
    return f->reboots >= *(const unsigned *)n;
}

static void wait_reboots(fixture *f, unsigned n)
{
    wait_for(f, has_reboots, &n, "the reboot");
}

static void a_guest_prints_and_powers_off(void **state)
{
    fixture *f = *state;
    change *end;

    start(f, "p");
    end = wait_state(f, VSR_STATE_SHUTOFF);
    assert_int_equal(end->reason, VSR_REASON_GUEST_POWEROFF);
    assert_string_equal(f->output->str,
                        "tiny: hello tiny.elf p\ntiny: goodbye\n");
    /* Nothing was printed after the end was announced. */
    assert_int_equal(end->output, f->output->len);
    assert_int_equal(f->changes->len, 2);
    assert_int_equal(g_array_index(f->changes, change, 0).state,
                     VSR_STATE_RUNNING);
    assert_int_equal(g_array_index(f->changes, change, 0).reason,
                     VSR_REASON_BOOTED);
}

static void calls_on_a_domain_that_is_off_say_so(void **state)
{
    fixture *f = *state;
    g_autoptr(GError) error = NULL;

    start(f, "p");
    wait_state(f, VSR_STATE_SHUTOFF);
    assert_false(vsr_vmm_resume(f->vmm, &error));
    assert_int_equal(error->code, VISOR_ERR_STATE);
    assert_non_null(strstr(error->message, "'tiny' is shut off"));
    assert_false(vsr_vmm_suspend(f->vmm, NULL));
    assert_false(vsr_vmm_reset(f->vmm, NULL));
    assert_false(vsr_vmm_shutdown(f->vmm, NULL));
    assert_int_equal(vsr_vmm_console(f->vmm, 0, true, true, NULL), -1);
    assert_true(vsr_vmm_destroy(f->vmm, NULL));
    assert_int_equal(f->changes->len, 2);
}

static void power_off_may_restart_or_preserve(void **state)
{
    fixture *f = *state;
    vsr_reason reason;
    g_autoptr(GError) error = NULL;

    f->conf->on_poweroff = VSR_ACTION_PRESERVE;
    start(f, "p");
    wait_state(f, VSR_STATE_PAUSED);
    assert_int_equal(vsr_vmm_state(f->vmm, &reason), VSR_STATE_PAUSED);
    assert_int_equal(reason, VSR_REASON_PRESERVED);
    assert_false(vsr_vmm_resume(f->vmm, &error));
    assert_int_equal(error->code, VISOR_ERR_STATE);
    /* A reset makes it whole again, still paused. */
    assert_true(vsr_vmm_reset(f->vmm, NULL));
    assert_int_equal(vsr_vmm_state(f->vmm, NULL), VSR_STATE_PAUSED);
    wait_state(f, VSR_STATE_PAUSED);
    g_array_set_size(f->changes, 0);
    assert_true(vsr_vmm_resume(f->vmm, NULL));
    wait_state(f, VSR_STATE_PAUSED);
    assert_int_equal(f->changes->len, 2);
}

static void a_reset_boots_again(void **state)
{
    fixture *f = *state;

    start(f, "w");
    wait_output(f, "tiny.elf w");
    g_string_truncate(f->output, 0);
    assert_true(vsr_vmm_reset(f->vmm, NULL));
    wait_output(f, "tiny.elf w");
    assert_int_equal(f->reboots, 0); /* it was ours, not the guest's */
    assert_int_equal(vsr_vmm_state(f->vmm, NULL), VSR_STATE_RUNNING);
}

static void a_guest_that_resets_for_ever_is_stopped(void **state)
{
    fixture *f = *state;
    change *end;

    start(f, "u");
    wait_reboots(f, 3);
    end = wait_state(f, VSR_STATE_SHUTOFF);
    assert_int_equal(end->reason, VSR_REASON_CRASHED);
    assert_int_equal(f->reboots, 10);
    assert_non_null(strstr(end->detail, "11 times within 10 s"));
    assert_non_null(strstr(end->detail, "reset"));
}

static void a_reset_of_the_guest_may_end_it(void **state)
{
    fixture *f = *state;
    change *end;

    f->conf->on_reboot = VSR_ACTION_DESTROY;
    start(f, "r");
    end = wait_state(f, VSR_STATE_SHUTOFF);
    assert_int_equal(end->reason, VSR_REASON_GUEST_POWEROFF);
    assert_non_null(strstr(end->detail, "on_reboot"));
    assert_int_equal(f->reboots, 0);
}

static void a_triple_fault_is_a_crash_with_a_reason(void **state)
{
    fixture *f = *state;
    change *end;

    start(f, "t");
    end = wait_state(f, VSR_STATE_SHUTOFF);
    assert_int_equal(end->reason, VSR_REASON_CRASHED);
    assert_non_null(end->detail);
    assert_string_equal(f->output->str, "tiny: hello tiny.elf t\n");
}

static void a_crash_may_be_preserved(void **state)
{
    fixture *f = *state;
    change *end;
    vsr_autofd console = -1;

    f->conf->on_crash = VSR_ACTION_PRESERVE;
    start(f, "j");
    end = wait_state(f, VSR_STATE_CRASHED);
    assert_int_equal(end->reason, VSR_REASON_CRASHED);
    console = vsr_vmm_console(f->vmm, 0, true, false, NULL);
    assert_true(console >= 0);
    assert_false(vsr_vmm_resume(f->vmm, NULL));
    assert_true(vsr_vmm_reset(f->vmm, NULL));
    wait_state(f, VSR_STATE_CRASHED); /* again */
    assert_true(vsr_vmm_destroy(f->vmm, NULL));
    wait_state(f, VSR_STATE_SHUTOFF);
}

static void crashes_do_not_restart_for_ever(void **state)
{
    fixture *f = *state;
    change *end;

    f->conf->on_crash = VSR_ACTION_RESTART;
    start(f, "t");
    end = wait_state(f, VSR_STATE_SHUTOFF);
    assert_int_equal(end->reason, VSR_REASON_CRASHED);
    assert_int_equal(f->reboots, 0);
    assert_non_null(strstr(end->detail, "11 times"));
}

static void destroy_is_quick_whatever_the_guest_does(void **state)
{
    static const char *const guests[] = { "s", "h", "g", "u" };

    for (size_t i = 0; i < G_N_ELEMENTS(guests); i++) {
        fixture *f;
        void *inner;
        int64_t began;

        setup(&inner);
        f = inner;
        start(f, guests[i]);
        wait_output(f, "hello");
        began = vsr_now_ns();
        assert_true(vsr_vmm_destroy(f->vmm, NULL));
        assert_true(vsr_now_ns() - began < 60000 * MS);
        assert_int_equal(vsr_vmm_state(f->vmm, NULL), VSR_STATE_SHUTOFF);
        teardown(&inner);
    }
}

static void a_wedged_reader_does_not_delay_destroy(void **state)
{
    fixture *f = *state;
    vsr_vmm_resources res;
    int out[2];
    int stdio[2] = { -1, -1 };
    char block[4096] = "";
    int64_t began;

    /* A pipe that is full, and whose reader never reads. */
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    stdio[1] = out[1];
    assert_int_equal(fcntl(out[1], F_SETFL, O_NONBLOCK), 0);
    while (write(out[1], block, sizeof(block)) > 0)
        continue;
    assert_int_equal(fcntl(out[1], F_SETFL, 0), 0);

    set(&f->conf->os.cmdline, "p");
    assert_true(vsr_domain_conf_complete(f->conf, NULL));
    assert_true(vsr_vmm_resources_open(&res, f->conf, stdio, NULL, NULL, NULL));
    f->vmm = vsr_vmm_new(&vsr_emu_engine, f->conf, &res, &events, f, NULL);
    assert_non_null(f->vmm);
    assert_true(vsr_vmm_resume(f->vmm, NULL));
    g_usleep(100000); /* by now it has powered off, and we try to flush */
    began = vsr_now_ns();
    assert_true(vsr_vmm_destroy(f->vmm, NULL));
    assert_true(vsr_now_ns() - began < 60000 * MS);
    assert_int_equal(wait_state(f, VSR_STATE_SHUTOFF)->reason,
                     VSR_REASON_GUEST_POWEROFF);
    vsr_close(out[0]);
    vsr_close(out[1]);
}

static void suspend_stops_the_guest(void **state)
{
    fixture *f = *state;
    vsr_reason reason;
    size_t len;

    start(f, "e");
    wait_output(f, "tiny.elf e");
    assert_true(vsr_vmm_suspend(f->vmm, NULL));
    assert_int_equal(vsr_vmm_state(f->vmm, &reason), VSR_STATE_PAUSED);
    assert_int_equal(reason, VSR_REASON_USER);
    assert_false(vsr_vmm_suspend(f->vmm, NULL));
    assert_false(vsr_vmm_shutdown(f->vmm, NULL));
    len = f->output->len;
    vsr_vmm_console_input(f->vmm, 0, "held", 4);
    g_usleep(50000);
    g_mutex_lock(&f->lock);
    assert_int_equal(f->output->len, len);
    g_mutex_unlock(&f->lock);
    assert_true(vsr_vmm_resume(f->vmm, NULL));
    assert_int_equal(vsr_vmm_state(f->vmm, &reason), VSR_STATE_RUNNING);
    assert_int_equal(reason, VSR_REASON_RESUMED);
    wait_output(f, "held");
}

static void the_power_button_reaches_the_guest(void **state)
{
    fixture *f = *state;

    start(f, "w");
    wait_output(f, "tiny.elf w");
    assert_true(vsr_vmm_reboot(f->vmm, NULL));
    wait_reboots(f, 1);
    wait_output(f, "goodbye\ntiny: hello tiny.elf w");
    assert_true(vsr_vmm_shutdown(f->vmm, NULL));
    assert_int_equal(wait_state(f, VSR_STATE_SHUTOFF)->reason,
                     VSR_REASON_GUEST_POWEROFF);
}

static void assert_rtc(fixture *f, bool there)
{
    if (!build(f, "p", NULL))
        fail_msg("not built");
    assert_int_equal(vsr_device_find(f->vmm->machine, "rtc") != NULL, there);
    g_clear_pointer(&f->vmm, vsr_vmm_free);
}

/* UTC comes with the paravirtual clock; another time of day does not. */
static void the_micro_board_has_an_rtc_only_where_it_is_needed(void **state)
{
    fixture *f = *state;
    vsr_feature_conf bare = { g_strdup("hypervisor"), VSR_POLICY_DISABLE };

    assert_rtc(f, true); /* the other board */
    f->conf->os.machine = VSR_MACHINE_MICRO;
    assert_rtc(f, false);
    f->conf->clock.kind = VSR_CLOCK_LOCALTIME;
    assert_rtc(f, true);
    f->conf->clock.kind = VSR_CLOCK_VARIABLE;
    assert_rtc(f, true);
    f->conf->clock.kind = VSR_CLOCK_UTC;
    f->conf->features.test_devices = true;
    assert_rtc(f, true);
    f->conf->features.test_devices = false;
    assert_rtc(f, false);
    g_array_append_val(f->conf->cpu.features, bare);
    assert_rtc(f, true);
}

static void assert_x2apic(fixture *f, bool there)
{
    const vsr_cpuid *rows;
    uint32_t ecx = 0;

    if (!build(f, "p", NULL))
        fail_msg("not built");
    rows = f->vmm->machine->config.cpuid;
    for (uint32_t i = 0; i < rows->n; i++)
        if (rows->row[i].leaf == 1)
            ecx = rows->row[i].ecx;
    g_clear_pointer(&f->vmm, vsr_vmm_free);
    assert_int_equal(ecx >> 21 & 1, there);
}

/* (Its MTRRs too, which the emulator never has.) */
static void the_micro_board_spares_x2apic_where_it_is_of_no_use(void **state)
{
    fixture *f = *state;
    vsr_feature_conf x2apic = { g_strdup("x2apic"), VSR_POLICY_REQUIRE };

    assert_x2apic(f, true); /* the other board */
    f->conf->os.machine = VSR_MACHINE_MICRO;
    assert_x2apic(f, false);
    f->conf->vcpus_max = 2; /* IPIs */
    f->conf->vcpus = 1;
    assert_x2apic(f, true);
    f->conf->vcpus_max = 1;
    g_array_append_val(f->conf->cpu.features, x2apic);
    assert_x2apic(f, true);
    g_array_set_size(f->conf->cpu.features, 0);
    assert_x2apic(f, false);
    f->conf->cpu.mode = VSR_CPU_CUSTOM;
    f->conf->cpu.model = g_strdup("x86-64-v1");
    assert_x2apic(f, true);
}

static void assert_reads(int fd, const char *want)
{
    char got[256] = "";
    size_t n = 0;

    while (!strstr(got, want)) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t r =
            poll(&p, 1, 60000) > 0 ? read(fd, got + n, sizeof(got) - 1 - n) : 0;

        if (r <= 0)
            fail_msg("'%s' ended before '%s'", got, want);
        n += (size_t)r;
    }
}

static void a_test_kernel_ends_with_a_status(void **state)
{
    fixture *f = *state;
    change *end;

    f->conf->features.test_devices = true;
    start(f, "x");
    end = wait_state(f, VSR_STATE_SHUTOFF);
    assert_int_equal(end->reason, VSR_REASON_EXIT);
    assert_int_equal(end->status, 7);
}

static void without_test_devices_the_port_is_not_there(void **state)
{
    fixture *f = *state;

    start(f, "x");
    wait_output(f, "tiny.elf x");
    g_usleep(50000);
    assert_int_equal(vsr_vmm_state(f->vmm, NULL), VSR_STATE_RUNNING);
}

static void a_console_talks_to_the_guest(void **state)
{
    fixture *f = *state;
    vsr_autofd one = -1;
    vsr_autofd two = -1;
    char c;
    g_autoptr(GError) error = NULL;

    start(f, "e");
    one = vsr_vmm_console(f->vmm, 0, true, false, NULL);
    assert_true(one >= 0);
    assert_reads(one, "tiny.elf e");
    assert_int_equal(vsr_vmm_console(f->vmm, 0, true, false, &error), -1);
    assert_int_equal(error->code, VISOR_ERR_BUSY);
    g_clear_error(&error);
    assert_int_equal(vsr_vmm_console(f->vmm, 1, true, false, &error), -1);
    assert_int_equal(error->code, VISOR_ERR_NOT_FOUND);
    two = vsr_vmm_console(f->vmm, 0, true, true, NULL);
    assert_int_equal(read(one, &c, 1), 0);
    assert_int_equal(write(two, "abc", 3), 3);
    assert_reads(two, "abc");
    assert_int_equal(write(two, "q", 1), 1);
    assert_reads(two, "goodbye\n");
    wait_state(f, VSR_STATE_SHUTOFF);
    assert_int_equal(read(two, &c, 1), 0); /* the end is the end */
}

static void more_serial_ports_may_have_gaps(void **state)
{
    fixture *f = *state;
    vsr_char_conf chr = { .kind = VSR_CHAR_PTY, .port = 2, .port_given = true };
    g_autoptr(vsr_domain_conf) live = NULL;
    const vsr_char_conf *second;

    g_array_append_val(f->conf->serials, chr);
    start(f, "w");
    live = vsr_vmm_conf(f->vmm);
    second = &g_array_index(live->serials, vsr_char_conf, 1);
    assert_true(g_str_has_prefix(second->path, "/dev/pts/"));
    assert_null(g_array_index(f->conf->serials, vsr_char_conf, 1).path);
    wait_output(f, "tiny.elf w");
}

static void a_guest_sees_the_memory_it_was_given(void **state)
{
    fixture *f = *state;

    f->conf->memory_kib = 65536;
    f->conf->current_memory_kib = 16384;
    start(f, "m");
    wait_state(f, VSR_STATE_SHUTOFF);
    /* 16 MiB less the first, in KiB, in hex. */
    assert_non_null(strstr(f->output->str, "00003c00"));
}

static void garbage_to_every_port_harms_nobody(void **state)
{
    fixture *f = *state;
    vsr_state last;

    f->conf->os.machine = VSR_MACHINE_MICRO;
    start(f, "g");
    wait_state(f, VSR_STATE_SHUTOFF);
    last = vsr_vmm_state(f->vmm, NULL);
    assert_int_equal(last, VSR_STATE_SHUTOFF);
}

static void note(const char *name, uint64_t value, void *opaque)
{
    g_hash_table_insert(opaque, g_strdup(name),
                        g_memdup2(&value, sizeof(value)));
}

static void statistics_have_libvirts_names(void **state)
{
    fixture *f = *state;
    g_autoptr(GHashTable) stats =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    static const char *const names[] = { "cpu.time",        "vcpu.0.time",
                                         "balloon.current", "balloon.maximum",
                                         "vmm.private",     "uptime" };

    f->conf->current_memory_kib = 4096;
    start(f, "s");
    g_usleep(50000);
    assert_true(vsr_vmm_stats(f->vmm, note, stats, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (!g_hash_table_contains(stats, names[i]))
            fail_msg("no '%s'", names[i]);
    assert_true(*(uint64_t *)g_hash_table_lookup(stats, "cpu.time") > 0);
    assert_int_equal(*(uint64_t *)g_hash_table_lookup(stats, "balloon.current"),
                     4096);
}

static unsigned count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void assert_not_built(fixture *f, int code, const char *message)
{
    g_autoptr(GError) error = NULL;

    if (build(f, "p", &error))
        fail_msg("built: %s", message);
    if (!strstr(error->message, message) || error->code != code)
        fail_msg("%d, not %d: '%s' has no '%s'", error->code, code,
                 error->message, message);
}

static void what_cannot_be_built_leaves_nothing_behind(void **state)
{
    fixture *f = *state;
    unsigned fds = count_fds();
    g_autofree char *dir = g_dir_make_tmp("vmm-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(dir, "f", NULL);
    g_autofree char *zeros = g_malloc0(100000);

    set(&f->conf->os.kernel, "/nowhere/kernel");
    assert_not_built(f, VISOR_ERR_NOT_FOUND, "<kernel> '/nowhere/kernel'");
    set(&f->conf->os.kernel, dir);
    assert_not_built(f, VISOR_ERR_IMAGE, "not a regular file");
    assert_int_equal(mkfifo(file, 0600), 0);
    set(&f->conf->os.kernel, file);
    assert_not_built(f, VISOR_ERR_IMAGE, "not a regular file");
    unlink(file);
    assert_true(g_file_set_contents(file, "", 0, NULL));
    assert_not_built(f, VISOR_ERR_IMAGE, "Boot: ");
    assert_true(g_file_set_contents(file, zeros, 100000, NULL));
    assert_not_built(f, VISOR_ERR_IMAGE, "Boot: ");
    set(&f->conf->os.kernel, TINY_GUEST);
    set(&f->conf->os.initrd, "/nowhere/initrd");
    assert_not_built(f, VISOR_ERR_NOT_FOUND, "<initrd> '/nowhere/initrd'");
    set(&f->conf->os.initrd, NULL);
    set(&f->conf->cpu.model, "no-such-cpu");
    f->conf->cpu.mode = VSR_CPU_CUSTOM;
    assert_not_built(f, VISOR_ERR_CONFIG, "no-such-cpu");
    set(&f->conf->cpu.model, NULL);
    f->conf->cpu.mode = VSR_CPU_MAXIMUM;
    f->conf->memory_kib = f->conf->current_memory_kib = VSR_MEMORY_MAX_KIB;
    {
        g_autoptr(GError) error = NULL;

        assert_false(build(f, "p", &error));
    }
    f->conf->memory_kib = f->conf->current_memory_kib = 8192;
    f->conf->type = VSR_TYPE_KVM;
    assert_not_built(f, VISOR_ERR_ARG, "the engine is 'emu'");
    f->conf->type = VSR_TYPE_EMU;
    unlink(file);
    rmdir(dir);
    assert_int_equal(count_fds(), fds);
    assert_int_equal(f->changes->len, 0);

    start(f, "p");
    wait_state(f, VSR_STATE_SHUTOFF);
    vsr_vmm_free(f->vmm);
    f->vmm = NULL;
    assert_int_equal(count_fds(), fds);
}

static void an_image_that_ends_early_fails_at_the_first_run(void **state)
{
    fixture *f = *state;
    g_autofree char *dir = g_dir_make_tmp("vmm-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(dir, "f", NULL);
    g_autofree char *image = NULL;
    g_autoptr(GError) error = NULL;
    gsize len;

    assert_true(g_file_get_contents(TINY_GUEST, &image, &len, NULL));
    assert_true(g_file_set_contents(file, image, (gssize)len, NULL));
    set(&f->conf->os.kernel, file);
    if (!build(f, "p", &error))
        fail_msg("not built: %s", error->message);
    assert_int_equal(truncate(file, 200), 0);
    assert_false(vsr_vmm_resume(f->vmm, &error));
    assert_int_equal(error->code, VISOR_ERR_IMAGE);
    assert_int_equal(vsr_vmm_state(f->vmm, NULL), VSR_STATE_PAUSED);
    unlink(file);
    rmdir(dir);
}

static void the_end_of_a_running_domain_is_told(void **state)
{
    fixture *f = *state;

    start(f, "s");
    vsr_vmm_free(f->vmm);
    f->vmm = NULL;
    assert_int_equal(wait_state(f, VSR_STATE_SHUTOFF)->reason,
                     VSR_REASON_DESTROYED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_guest_prints_and_powers_off),
        TEST(calls_on_a_domain_that_is_off_say_so),
        TEST(power_off_may_restart_or_preserve),
        TEST(a_reset_boots_again),
        TEST(a_guest_that_resets_for_ever_is_stopped),
        TEST(a_reset_of_the_guest_may_end_it),
        TEST(a_triple_fault_is_a_crash_with_a_reason),
        TEST(a_crash_may_be_preserved),
        TEST(crashes_do_not_restart_for_ever),
        TEST(destroy_is_quick_whatever_the_guest_does),
        TEST(a_wedged_reader_does_not_delay_destroy),
        TEST(suspend_stops_the_guest),
        TEST(the_power_button_reaches_the_guest),
        TEST(the_micro_board_has_an_rtc_only_where_it_is_needed),
        TEST(the_micro_board_spares_x2apic_where_it_is_of_no_use),
        TEST(a_test_kernel_ends_with_a_status),
        TEST(without_test_devices_the_port_is_not_there),
        TEST(a_console_talks_to_the_guest),
        TEST(more_serial_ports_may_have_gaps),
        TEST(a_guest_sees_the_memory_it_was_given),
        TEST(garbage_to_every_port_harms_nobody),
        TEST(statistics_have_libvirts_names),
        TEST(what_cannot_be_built_leaves_nothing_behind),
        TEST(an_image_that_ends_early_fails_at_the_first_run),
        TEST(the_end_of_a_running_domain_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
