/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/machine.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/vcpu.h"
#include "tests/support/cm.h"
#include "tests/support/fake_engine.h"

typedef struct {
    gint n;
    vsr_request request;
    int status;
    char detail[80];
} request_record;

static void on_request(void *opaque, vsr_request request, int status,
                       const char *detail)
{
    request_record *record = opaque;

    record->request = request;
    record->status = status;
    g_strlcpy(record->detail, detail != NULL ? detail : "",
              sizeof record->detail);
    g_atomic_int_inc(&record->n);
}

static const vsr_machine_events events = { .request = on_request };

static bool was_requested(void *opaque)
{
    return g_atomic_int_get(&((request_record *)opaque)->n) > 0;
}

/* --- configuration --- */

static void bad_configurations_are_refused(void **state)
{
    vsr_cpuid cpuid = { 0 };
    vsr_engine_ops incomplete = fake_engine;
    vsr_machine_config config = {
        .engine = &fake_engine, .vcpus = 0, .max_vcpus = 1, .cpuid = &cpuid
    };
    g_autoptr(GError) error = NULL;

    assert_null(vsr_machine_new(&config, NULL, NULL, &error));
    assert_int_equal(error->code, VISOR_ERR_CONFIG);
    g_clear_error(&error);
    config.vcpus = 2;
    assert_null(vsr_machine_new(&config, NULL, NULL, NULL));
    config.max_vcpus = FAKE_VCPUS_MAX + 1;
    assert_null(vsr_machine_new(&config, NULL, NULL, &error));
    assert_int_equal(error->code, VISOR_ERR_NO_SUPPORT);
    g_clear_error(&error);
    incomplete.mem_add = NULL;
    config.engine = &incomplete;
    assert_null(vsr_machine_new(&config, NULL, NULL, &error));
    assert_int_equal(error->code, VISOR_ERR_INTERNAL);
}

static vsr_engine_vcpu *refuse_second(vsr_engine_vm *vm,
                                      const vsr_vcpu_config *config,
                                      GError **error)
{
    if (config->index == 1) {
        vsr_fail(error, VISOR_ERR_RESOURCE, "enough");
        return NULL;
    }
    return fake_engine.vcpu_new(vm, config, error);
}

static void a_vcpu_that_cannot_be_made_undoes_the_rest(void **state)
{
    vsr_cpuid cpuid = { 0 };
    vsr_engine_ops ops = fake_engine;
    const vsr_machine_config config = {
        .engine = &ops, .vcpus = 3, .max_vcpus = 3, .cpuid = &cpuid
    };
    g_autoptr(GError) error = NULL;

    ops.vcpu_new = refuse_second;
    assert_null(vsr_machine_new(&config, NULL, NULL, &error));
    assert_string_equal(error->message, "vCPU 1: enough");
}

/* --- run, pause --- */

static int count_runs(fake_vcpu *vcpu, void *opaque)
{
    g_atomic_int_inc(&((gint *)opaque)[vcpu->index]);
    return fake_wait_for_kick(vcpu, opaque);
}

static bool both_ran(void *opaque)
{
    gint *runs = opaque;

    return g_atomic_int_get(&runs[0]) > 0 && g_atomic_int_get(&runs[1]) > 0;
}

static void vcpus_run_and_stand_still(void **state)
{
    vsr_machine *machine = fake_machine_new(2);
    gint runs[2] = { 0 }, before;

    assert_non_null(machine);
    machine->vm->program = count_runs;
    machine->vm->program_opaque = runs;
    g_usleep(2000);
    assert_int_equal(g_atomic_int_get(&runs[0]), 0);
    assert_false(vsr_machine_running(machine));
    assert_true(machine->vm->paused);
    vsr_machine_run(machine);
    vsr_machine_run(machine);
    assert_true(vsr_machine_running(machine));
    assert_true(fake_wait_until(both_ran, runs));
    assert_false(machine->vm->paused);
    vsr_machine_pause(machine);
    vsr_machine_pause(machine);
    assert_true(machine->vm->paused);
    before = runs[0] + runs[1];
    g_usleep(3000);
    assert_int_equal(runs[0] + runs[1], before);
    runs[0] = 0;
    vsr_machine_run(machine);
    assert_true(fake_wait_until(both_ran, runs));
    vsr_machine_free(machine);
}

/* Guest code that comes back now and then, as an emulator's does. */
static int spin_until_kick(fake_vcpu *vcpu, void *opaque)
{
    bool kicked = false;

    while (!kicked) {
        g_mutex_lock(&vcpu->lock);
        kicked = vcpu->kicked;
        vcpu->kicked = false;
        g_mutex_unlock(&vcpu->lock);
    }
    return VSR_RUN_KICKED;
}

static void many_pauses_lose_no_kick(void **state)
{
    vsr_machine *machine = fake_machine_new(2);

    assert_non_null(machine);
    machine->vm->program = spin_until_kick;
    for (int i = 0; i < 300; i++) {
        vsr_machine_run(machine);
        if (i % 3 == 0)
            g_usleep(50);
        vsr_machine_pause(machine);
    }
    vsr_machine_free(machine);
}

/* An engine that swallows each vCPU's first kicks. */
static int swallow_kicks(fake_vcpu *vcpu, void *opaque)
{
    for (int i = 0; i < 3; i++)
        (void)fake_wait_for_kick(vcpu, NULL);
    return VSR_RUN_KICKED;
}

static void free_stops_even_an_engine_that_swallows_kicks(void **state)
{
    vsr_machine *machine = fake_machine_new(2);
    int64_t start;

    assert_non_null(machine);
    machine->vm->program = swallow_kicks;
    vsr_machine_run(machine);
    g_usleep(2000);
    start = vsr_now_ns();
    vsr_machine_free(machine);
    assert_true(vsr_now_ns() - start < INT64_C(60000000000));
}

static void state_calls_run_on_the_parked_vcpu(void **state)
{
    vsr_machine *machine = fake_machine_new(2);
    vsr_x86_state *x86 = g_new0(vsr_x86_state, 1);

    assert_non_null(machine);
    x86->rip = 0x1234;
    assert_int_equal(vsr_machine_vcpu_set(machine, 1, x86), 0);
    x86->rip = 0;
    assert_int_equal(vsr_machine_vcpu_get(machine, 1, x86), 0);
    assert_int_equal(x86->rip, 0x1234);
    assert_int_equal(vsr_machine_vcpu_get(machine, 2, x86), -EINVAL);
    vsr_machine_run(machine);
    assert_int_equal(vsr_machine_vcpu_get(machine, 1, x86), -EBUSY);
    vsr_machine_free(machine);
    g_free(x86);
}

/* --- requests --- */

static void the_first_request_wins_until_reset(void **state)
{
    request_record record = { 0 };
    vsr_machine *machine =
        fake_machine_new_full(&fake_engine, 2, &events, &record);

    assert_non_null(machine);
    vsr_machine_run(machine);
    vsr_machine_request(machine, VSR_REQUEST_EXIT, 7, "debug-exit");
    vsr_machine_request(machine, VSR_REQUEST_CRASH, 0, "later");
    assert_true(fake_wait_until(was_requested, &record));
    g_usleep(2000);
    assert_int_equal(record.n, 1);
    assert_int_equal(record.request, VSR_REQUEST_EXIT);
    assert_int_equal(record.status, 7);
    assert_string_equal(record.detail, "debug-exit");
    assert_false(vsr_machine_running(machine));
    vsr_machine_pause(machine);
    vsr_machine_run(machine); /* starts nobody */
    assert_false(vsr_machine_running(machine));
    assert_true(vsr_machine_reset(machine, NULL));
    vsr_machine_run(machine);
    assert_true(vsr_machine_running(machine));
    vsr_machine_request(machine, VSR_REQUEST_POWEROFF, 0, NULL);
    vsr_machine_free(machine);
    assert_int_equal(record.n, 2);
    assert_int_equal(record.request, VSR_REQUEST_POWEROFF);
}

typedef struct {
    vsr_machine *machine;
    gint after;
} asker;

static int ask_from_inside(fake_vcpu *vcpu, void *opaque)
{
    asker *a = opaque;

    if (vcpu->index == 1)
        return fake_wait_for_kick(vcpu, NULL);
    vsr_machine_request(a->machine, VSR_REQUEST_POWEROFF, 0, NULL);
    return fake_wait_for_kick(vcpu, NULL); /* it kicked us */
}

static void a_vcpu_may_ask_from_inside_an_access(void **state)
{
    request_record record = { 0 };
    asker a = { 0 };

    a.machine = fake_machine_new_full(&fake_engine, 2, &events, &record);
    assert_non_null(a.machine);
    a.machine->vm->program = ask_from_inside;
    a.machine->vm->program_opaque = &a;
    vsr_machine_run(a.machine);
    assert_true(fake_wait_until(was_requested, &record));
    vsr_machine_pause(a.machine);
    assert_int_equal(record.request, VSR_REQUEST_POWEROFF);
    vsr_machine_free(a.machine);
}

static int end_with(fake_vcpu *vcpu, void *opaque)
{
    return vcpu->index == 0 ? *(int *)opaque : fake_wait_for_kick(vcpu, NULL);
}

static void ends_of_a_run_become_requests(void **state)
{
    static const struct {
        int result;
        bool resets;
        vsr_request request;
        const char *detail;
    } rows[] = {
        { VSR_RUN_SHUTDOWN, false, VSR_REQUEST_CRASH, "vCPU 0: triple fault" },
        { VSR_RUN_SHUTDOWN, true, VSR_REQUEST_RESET, "vCPU 0: triple fault" },
        { VSR_RUN_FAILED, true, VSR_REQUEST_CRASH, "vCPU 0: fake failure" },
        { -EFAULT, true, VSR_REQUEST_CRASH, "vCPU 0: Bad address" },
    };

    for (size_t i = 0; i < VSR_ARRAY_SIZE(rows); i++) {
        request_record record = { 0 };
        vsr_machine *machine =
            fake_machine_new_full(&fake_engine, 2, &events, &record);
        int result = rows[i].result;

        assert_non_null(machine);
        machine->config.triple_fault_resets = rows[i].resets;
        machine->vm->program = end_with;
        machine->vm->program_opaque = &result;
        vsr_machine_run(machine);
        assert_true(fake_wait_until(was_requested, &record));
        assert_int_equal(record.request, rows[i].request);
        assert_string_equal(record.detail, rows[i].detail);
        vsr_machine_free(machine);
    }
}

static void fail_is_a_crash_with_its_text(void **state)
{
    request_record record = { 0 };
    vsr_machine *machine =
        fake_machine_new_full(&fake_engine, 1, &events, &record);

    assert_non_null(machine);
    vsr_machine_fail(machine, "queue %d is gone", 3);
    assert_true(fake_wait_until(was_requested, &record));
    assert_int_equal(record.request, VSR_REQUEST_CRASH);
    assert_string_equal(record.detail, "queue 3 is gone");
    vsr_machine_free(machine);
}

/* --- reset and devices --- */

typedef struct {
    vsr_device device;
    char *log; /* the test's */
} log_device;

static void log_add(vsr_device *device, const char *what)
{
    char *log = ((log_device *)(void *)device)->log;

    g_strlcat(log, device->id, 200);
    g_strlcat(log, what, 200);
}

static uint64_t log_read(void *opaque, uint64_t offset, uint32_t size)
{
    return 0x42;
}

static bool log_init(vsr_device *device, const void *params, GError **error)
{
    static const vsr_region_ops ops = { .read = log_read };

    ((log_device *)(void *)device)->log = (char *)(uintptr_t)params;
    log_add(device, "+");
    return vsr_device_add_region(device, VSR_SPACE_PIO, device->id[0], 1, &ops,
                                 false, error) &&
           vsr_device_add_region(device, VSR_SPACE_MMIO, 0x1000, 4, &ops, false,
                                 error);
}

static void log_fini(vsr_device *device)
{
    log_add(device, "-");
}

static void log_reset(vsr_device *device)
{
    log_add(device, "r");
}

static void log_quiesce(vsr_device *device)
{
    log_add(device, "q");
}

static void log_unquiesce(vsr_device *device)
{
    log_add(device, "u");
}

static const vsr_device_class log_class = {
    .name = "log",
    .instance_size = sizeof(log_device),
    .init = log_init,
    .fini = log_fini,
    .reset = log_reset,
    .quiesce = log_quiesce,
    .unquiesce = log_unquiesce,
};

static bool small_init(vsr_device *device, const void *params, GError **error)
{
    ((log_device *)(void *)device)->log = (char *)(uintptr_t)params;
    return true;
}

static const vsr_device_class small_class = {
    .name = "small",
    .instance_size = sizeof(log_device),
    .init = small_init,
    .fini = log_fini,
    .reset = log_reset,
    .quiesce = log_quiesce,
    .unquiesce = log_unquiesce,
};

static void devices_live_in_order(void **state)
{
    vsr_machine *machine = fake_machine_new(1);
    char log[200] = "";

    assert_non_null(machine);
    assert_non_null(vsr_device_new(machine, &log_class, "a", log, NULL));
    assert_non_null(vsr_device_new(machine, &small_class, "b", log, NULL));
    assert_string_equal(log, "a+arbr");
    log[0] = 0;
    vsr_machine_run(machine);
    vsr_machine_pause(machine);
    assert_string_equal(log, "aububqaq");
    log[0] = 0;
    assert_true(vsr_machine_reset(machine, NULL));
    assert_string_equal(log, "arbr");
    log[0] = 0;
    vsr_machine_free(machine);
    assert_string_equal(log, "b-a-");
}

static void a_device_that_fails_leaves_nothing(void **state)
{
    vsr_machine *machine = fake_machine_new(1);
    g_autoptr(GError) error = NULL;
    char log[200] = "";

    assert_non_null(machine);
    assert_non_null(vsr_device_new(machine, &log_class, "a", log, NULL));
    assert_int_equal(fake_in(machine, 'a', 1), 0x42);
    /* Its port is free, its MMIO is not. */
    assert_null(vsr_device_new(machine, &log_class, "b", log, &error));
    assert_int_equal(error->code, VISOR_ERR_EXISTS);
    assert_int_equal(fake_in(machine, 'b', 1), 0xff);
    assert_null(vsr_device_find(machine, "b"));
    g_clear_error(&error);
    assert_null(vsr_device_new(machine, &small_class, "a", log, &error));
    assert_non_null(strstr(error->message, "'a'"));
    vsr_device_free(vsr_device_find(machine, "a"));
    assert_int_equal(fake_in(machine, 'a', 1), 0xff);
    assert_int_equal(machine->devices->len, 0);
    vsr_machine_free(machine);
}

static bool load_at(vsr_machine *machine, vsr_x86_state *state, void *opaque,
                    GError **error)
{
    assert_int_equal(state->rip, 0xfff0);
    state->rip = *(const uint64_t *)opaque;
    return state->rip != 0 || vsr_fail(error, VISOR_ERR_IMAGE, "no image");
}

static void reset_clears_loads_and_sets_every_vcpu(void **state)
{
    vsr_machine *machine = fake_machine_new(3);
    uint64_t entry = 0x100000;
    char got;

    assert_non_null(machine);
    assert_true(
        vsr_mem_add_ram(machine->mem, "ram", 0, VSR_MIB, false, NULL, NULL));
    assert_int_equal(vsr_mem_write(machine->mem, 0, "x", 1), 0);
    vsr_machine_set_load(machine, load_at, &entry);
    vsr_machine_run(machine);
    assert_true(vsr_machine_reset(machine, NULL));
    assert_false(vsr_machine_running(machine));
    assert_int_equal(vsr_mem_read(machine->mem, 0, &got, 1), 0);
    assert_int_equal(got, 0);
    assert_int_equal(fake_vcpu_of(machine, 0)->state.rip, 0x100000);
    assert_int_equal(fake_vcpu_of(machine, 0)->state.mp_state, VSR_MP_RUNNABLE);
    assert_int_equal(fake_vcpu_of(machine, 0)->state.gpr[VSR_X86_RDX],
                     0x000306a9);
    for (uint32_t i = 1; i < 3; i++) {
        assert_int_equal(fake_vcpu_of(machine, i)->state.rip, 0xfff0);
        assert_int_equal(fake_vcpu_of(machine, i)->state.mp_state,
                         VSR_MP_WAIT_SIPI);
    }
    vsr_machine_free(machine);
}

static void a_load_that_fails_fails_the_reset(void **state)
{
    vsr_machine *machine = fake_machine_new(1);
    g_autoptr(GError) error = NULL;
    uint64_t entry = 0;

    assert_non_null(machine);
    vsr_machine_set_load(machine, load_at, &entry);
    assert_false(vsr_machine_reset(machine, &error));
    assert_string_equal(error->message, "no image");
    vsr_machine_free(machine);
}

/* --- vCPUs that come and go --- */

/* As long as program_opaque is set. */
static vsr_engine_vcpu *refuse_late(vsr_engine_vm *vm,
                                    const vsr_vcpu_config *config,
                                    GError **error)
{
    if (vm->program_opaque != NULL) {
        vsr_fail(error, VISOR_ERR_RESOURCE, "not now");
        return NULL;
    }
    return fake_engine.vcpu_new(vm, config, error);
}

/* One of three. */
static vsr_machine *small_machine_new(const vsr_engine_ops *ops)
{
    static vsr_cpuid cpuid;
    const vsr_machine_config config = {
        .engine = ops, .vcpus = 1, .max_vcpus = 3, .cpuid = &cpuid
    };
    vsr_machine *machine;

    assert_true(fake_engine.cpuid_supported(&cpuid, NULL));
    machine = vsr_machine_new(&config, NULL, NULL, NULL);
    assert_non_null(machine);
    return machine;
}

static void a_vcpu_is_made_when_it_is_plugged(void **state)
{
    vsr_machine *machine = small_machine_new(&fake_engine);
    gint runs[3] = { 0 };
    vsr_vcpu_stats stats;
    fake_vcpu *made;

    assert_null(fake_vcpu_of(machine, 1));
    assert_false(vsr_machine_vcpu_in_use(machine, 1));
    assert_false(vsr_machine_vcpu_stats(machine, 1, &stats));
    assert_int_equal(vsr_machine_signal(machine, 1, VSR_SIGNAL_NMI, 0),
                     -EINVAL);
    vsr_machine_run(machine);
    g_usleep(2000);
    vsr_machine_pause(machine);

    assert_true(vsr_machine_vcpu_plug(machine, 1, NULL));
    assert_true(vsr_machine_vcpu_plug(machine, 1, NULL));
    assert_int_equal(machine->n_vcpus, 2);
    made = fake_vcpu_of(machine, 1);
    assert_non_null(made);
    assert_null(fake_vcpu_of(machine, 2));
    assert_int_equal(made->state.mp_state, VSR_MP_WAIT_SIPI);
    assert_int_equal(made->state.rip, 0xfff0);
    assert_true(made->state.tsc != 0);
    assert_true(made->state.tsc == vsr_machine_tsc(machine, 0));
    assert_int_equal(vsr_machine_signal(machine, 1, VSR_SIGNAL_NMI, 0), 0);
    machine->vm->program = count_runs;
    machine->vm->program_opaque = runs;
    vsr_machine_run(machine);
    assert_true(fake_wait_until(both_ran, runs));
    vsr_machine_free(machine);
}

static void an_unplugged_vcpu_stands_still_until_it_is_plugged(void **state)
{
    vsr_machine *machine = small_machine_new(&fake_engine);
    gint runs[3] = { 0 };
    vsr_vcpu_stats stats;
    fake_vcpu *made;
    uint64_t cpu_ns;

    assert_true(vsr_machine_vcpu_plug(machine, 2, NULL));
    assert_true(vsr_machine_vcpu_plug(machine, 1, NULL));
    made = fake_vcpu_of(machine, 1);
    machine->vm->program = count_runs;
    machine->vm->program_opaque = runs;
    vsr_machine_run(machine);
    assert_true(fake_wait_until(both_ran, runs));
    vsr_machine_pause(machine);
    cpu_ns = vsr_machine_cpu_ns(machine);
    made->state.rip = 0x1234;
    vsr_machine_vcpu_unplug(machine, 1);
    vsr_machine_vcpu_unplug(machine, 1);
    vsr_machine_vcpu_unplug(machine, 0); /* stays */
    assert_int_equal(machine->n_vcpus, 2);
    assert_int_equal(made->state.rip, 0xfff0);
    assert_false(vsr_machine_vcpu_stats(machine, 1, &stats));
    assert_true(vsr_machine_cpu_ns(machine) >= cpu_ns);
    assert_int_equal(vsr_machine_signal(machine, 1, VSR_SIGNAL_NMI, 0),
                     -EINVAL);

    memset(runs, 0, sizeof runs);
    for (int i = 0; i < 10; i++) {
        vsr_machine_run(machine);
        g_usleep(1000);
        vsr_machine_pause(machine);
    }
    assert_int_equal(g_atomic_int_get(&runs[1]), 0);
    assert_true(vsr_machine_reset(machine, NULL));
    assert_int_equal(machine->n_vcpus, 2);
    assert_true(vsr_machine_vcpu_plug(machine, 1, NULL));
    assert_ptr_equal(fake_vcpu_of(machine, 1), made);
    vsr_machine_run(machine);
    assert_true(fake_wait_until(both_ran, runs));
    vsr_machine_free(machine);
}

static bool enter_if(void *opaque, GError **error)
{
    gint *may_enter = opaque;

    return g_atomic_int_get(may_enter) == 1 ||
           vsr_fail(error, VISOR_ERR_RESOURCE, "no entry");
}

static void a_plug_that_fails_leaves_nothing(void **state)
{
    vsr_engine_ops ops = fake_engine;
    vsr_machine *machine;
    g_autoptr(GError) error = NULL;
    gint may_enter = 0;

    ops.vcpu_new = refuse_late;
    machine = small_machine_new(&ops);
    machine->vm->program_opaque = machine;
    assert_false(vsr_machine_vcpu_plug(machine, 3, &error));
    assert_int_equal(error->code, VISOR_ERR_NO_SUPPORT);
    g_clear_error(&error);
    assert_false(vsr_machine_vcpu_plug(machine, 2, &error));
    assert_string_equal(error->message, "vCPU 2: not now");
    g_clear_error(&error);
    machine->vm->program_opaque = NULL;
    vsr_machine_set_vcpu_entry(machine, enter_if, &may_enter);
    assert_false(vsr_machine_vcpu_plug(machine, 2, &error));
    assert_string_equal(error->message, "vCPU 2: no entry");
    assert_int_equal(machine->n_vcpus, 1);
    assert_false(vsr_machine_vcpu_in_use(machine, 2));
    may_enter = 1;
    assert_true(vsr_machine_vcpu_plug(machine, 2, NULL));
    vsr_machine_run(machine);
    vsr_machine_free(machine);
}

/* --- the rest --- */

static void signals_reach_their_vcpu(void **state)
{
    vsr_machine *machine = fake_machine_new(2);

    assert_non_null(machine);
    assert_int_equal(vsr_machine_signal(machine, 1, VSR_SIGNAL_SIPI, 0x9a), 0);
    assert_int_equal(fake_vcpu_of(machine, 1)->sipi_vector, 0x9a);
    assert_int_equal(fake_vcpu_of(machine, 0)->n_sipi, 0);
    assert_int_equal(vsr_machine_signal(machine, 2, VSR_SIGNAL_NMI, 0),
                     -EINVAL);
    vsr_machine_free(machine);
}

typedef struct {
    vsr_machine *machine;
    uint64_t before;
} stats_wait;

static bool has_worked(void *opaque)
{
    const stats_wait *w = opaque;
    vsr_vcpu_stats stats;

    return vsr_machine_vcpu_stats(w->machine, 0, &stats) &&
           stats.cpu_ns > w->before + 1000000;
}

static void stats_have_cpu_time_and_counters(void **state)
{
    vsr_machine *machine = fake_machine_new(1);
    vsr_vcpu_stats stats;
    stats_wait w = { .machine = machine };

    assert_non_null(machine);
    machine->vm->program = spin_until_kick;
    assert_true(vsr_machine_vcpu_stats(machine, 0, &stats));
    w.before = stats.cpu_ns;
    vsr_machine_run(machine);
    assert_true(fake_wait_until(has_worked, &w));
    vsr_machine_pause(machine);
    assert_true(vsr_machine_vcpu_stats(machine, 0, &stats));
    assert_true(stats.cpu_ns > w.before + 1000000);
    assert_int_equal(stats.n, 1);
    assert_string_equal(stats.name[0], "runs");
    assert_true(stats.value[0] >= 1);
    assert_false(vsr_machine_vcpu_stats(machine, 1, &stats));
    vsr_machine_free(machine);
}

static void free_takes_null(void **state)
{
    vsr_machine_free(NULL);
    vsr_device_free(NULL);
    vsr_vcpus_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_configurations_are_refused),
        cmocka_unit_test(a_vcpu_that_cannot_be_made_undoes_the_rest),
        cmocka_unit_test(vcpus_run_and_stand_still),
        cmocka_unit_test(many_pauses_lose_no_kick),
        cmocka_unit_test(free_stops_even_an_engine_that_swallows_kicks),
        cmocka_unit_test(state_calls_run_on_the_parked_vcpu),
        cmocka_unit_test(the_first_request_wins_until_reset),
        cmocka_unit_test(a_vcpu_may_ask_from_inside_an_access),
        cmocka_unit_test(ends_of_a_run_become_requests),
        cmocka_unit_test(fail_is_a_crash_with_its_text),
        cmocka_unit_test(a_vcpu_is_made_when_it_is_plugged),
        cmocka_unit_test(an_unplugged_vcpu_stands_still_until_it_is_plugged),
        cmocka_unit_test(a_plug_that_fails_leaves_nothing),
        cmocka_unit_test(devices_live_in_order),
        cmocka_unit_test(a_device_that_fails_leaves_nothing),
        cmocka_unit_test(reset_clears_loads_and_sets_every_vcpu),
        cmocka_unit_test(a_load_that_fails_fails_the_reset),
        cmocka_unit_test(signals_reach_their_vcpu),
        cmocka_unit_test(stats_have_cpu_time_and_counters),
        cmocka_unit_test(free_takes_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
