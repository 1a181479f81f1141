/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_vcpu.c: what KVM_RUN comes back with, and the kick. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"
#include "tests/drivers/kvm/fake_kvm.h"
#include "tests/support/cm.h"

enum { IO_MAX = 16 };

typedef struct {
    vsr_engine_vm *vm;
    vsr_engine_vcpu *vcpu;
    vsr_io io[IO_MAX];
    bool is_pio[IO_MAX];
    unsigned n;
} fixture;

static void up(fixture *f, vsr_io *io, bool is_pio)
{
    assert_true(f->n < IO_MAX);
    if (!io->is_write)
        io->data = UINT64_C(0x8877665544332211) + f->n;
    f->io[f->n] = *io;
    f->is_pio[f->n++] = is_pio;
}

static void up_mmio(void *opaque, vsr_io *io)
{
    up(opaque, io, false);
}

static void up_pio(void *opaque, vsr_io *io)
{
    up(opaque, io, true);
}

static const vsr_engine_events events = { .mmio = up_mmio, .pio = up_pio };

/* One after the other, then a kick. */
typedef struct {
    int (*run[4])(struct kvm_run *run);
    unsigned step;
    vsr_engine_vcpu *kicked;
} script;

static script *the_script(void)
{
    static script s;

    return &s;
}

static int run_script(struct kvm_run *run)
{
    script *s = the_script();

    if (s->step < G_N_ELEMENTS(s->run) && s->run[s->step] != NULL)
        return s->run[s->step++](run);
    vsr_kvm_engine.vcpu_kick(s->kicked);
    return -EINTR;
}

static int setup(void **state)
{
    const vsr_vm_config config = { .vcpus = 1 };
    const vsr_cpuid rows = { .n = 0 };
    const vsr_vcpu_config vcpu_config = { .cpuid = &rows };
    fixture *f = g_new0(fixture, 1);

    fake_reset();
    f->vm = vsr_kvm_engine.vm_new(&config, &events, f, NULL);
    f->vcpu = vsr_kvm_engine.vcpu_new(f->vm, &vcpu_config, NULL);
    *the_script() = (script){ .kicked = f->vcpu };
    fake()->run = run_script;
    *state = f;
    return f->vcpu == NULL;
}

static int teardown(void **state)
{
    fixture *f = *state;

    vsr_kvm_engine.vcpu_free(f->vcpu);
    vsr_kvm_engine.vm_free(f->vm);
    g_free(f);
    return fake()->n_open + fake()->n_mapped + fake()->n_blocked;
}

static int run(fixture *f)
{
    return vsr_kvm_engine.vcpu_run(f->vcpu);
}

/* --- accesses --- */

static uint8_t *data_of(struct kvm_run *r)
{
    return (uint8_t *)r + r->io.data_offset;
}

static int exit_outs(struct kvm_run *r)
{
    r->exit_reason = KVM_EXIT_IO;
    r->io.direction = KVM_EXIT_IO_OUT;
    r->io.size = 2;
    r->io.count = 3;
    r->io.port = 0x3f8;
    r->io.data_offset = 4096;
    memcpy(data_of(r), "abcdef", 6);
    return 0;
}

static int exit_ins(struct kvm_run *r)
{
    (void)exit_outs(r);
    r->io.direction = KVM_EXIT_IO_IN;
    return 0;
}

static int sees_ins(struct kvm_run *r)
{
    assert_memory_equal(data_of(r), "\x11\x22\x12\x22\x13\x22", 6);
    return -EINTR;
}

static void strings_are_single_accesses_in_order(void **state)
{
    fixture *f = *state;

    the_script()->run[0] = exit_outs;
    assert_int_equal(run(f), VSR_RUN_KICKED);
    assert_int_equal(f->n, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(f->is_pio[i] && f->io[i].is_write);
        assert_int_equal(f->io[i].addr, 0x3f8);
        assert_int_equal(f->io[i].size, 2);
    }
    assert_int_equal(f->io[0].data, 'a' | 'b' << 8);
    assert_int_equal(f->io[2].data, 'e' | 'f' << 8);
}

static void what_is_read_goes_back(void **state)
{
    fixture *f = *state;

    the_script()->run[0] = exit_ins;
    the_script()->run[1] = sees_ins;
    assert_int_equal(run(f), VSR_RUN_KICKED);
    assert_int_equal(f->n, 3);
    assert_int_equal(the_script()->step, 2);
}

static int exit_beyond(struct kvm_run *r)
{
    (void)exit_outs(r);
    r->io.data_offset = FAKE_RUN_LEN - 2;
    return 0;
}

static int exit_far_beyond(struct kvm_run *r)
{
    (void)exit_outs(r);
    r->io.data_offset = UINT64_MAX;
    return 0;
}

static int exit_wide(struct kvm_run *r)
{
    (void)exit_outs(r);
    r->io.size = 8;
    return 0;
}

static void nothing_beyond_the_page_is_touched(void **state)
{
    fixture *f = *state;

    the_script()->run[0] = exit_beyond;
    the_script()->run[1] = exit_far_beyond;
    the_script()->run[2] = exit_wide;
    assert_int_equal(run(f), VSR_RUN_KICKED);
    assert_int_equal(f->n, 0);
}

static int exit_mmio_write(struct kvm_run *r)
{
    r->exit_reason = KVM_EXIT_MMIO;
    r->mmio.phys_addr = 0xfeb00000;
    r->mmio.len = 4;
    r->mmio.is_write = 1;
    memcpy(r->mmio.data, "\x01\x02\x03\x04\xff\xff\xff\xff", 8);
    return 0;
}

static int exit_mmio_read(struct kvm_run *r)
{
    (void)exit_mmio_write(r);
    r->mmio.is_write = 0;
    r->mmio.len = 200; /* nonsense */
    return 0;
}

static int sees_mmio(struct kvm_run *r)
{
    assert_memory_equal(r->mmio.data, "\x12\x22\x33\x44\x55\x66\x77\x88", 8);
    return -EINTR;
}

static void mmio_goes_up_with_its_size(void **state)
{
    fixture *f = *state;

    the_script()->run[0] = exit_mmio_write;
    the_script()->run[1] = exit_mmio_read;
    the_script()->run[2] = sees_mmio;
    assert_int_equal(run(f), VSR_RUN_KICKED);
    assert_int_equal(f->n, 2);
    assert_false(f->is_pio[0]);
    assert_int_equal(f->io[0].data, 0x04030201);
    assert_int_equal(f->io[1].size, 8);
    assert_int_equal(the_script()->step, 3);
}

/* --- ends --- */

static void fails_with(fixture *f, const char *words)
{
    const char *text;

    fake()->regs.rip = 0x1234;
    assert_int_equal(run(f), VSR_RUN_FAILED);
    text = vsr_kvm_engine.vcpu_failure(f->vcpu);
    assert_non_null(text);
    if (strstr(text, words) == NULL || strstr(text, "RIP 0x1234") == NULL)
        fail_msg("no '%s' in '%s'", words, text);
}

static int exit_internal(struct kvm_run *r)
{
    static const uint8_t insn[] = { 0x0f, 0x0b, 0x90 };

    r->exit_reason = KVM_EXIT_INTERNAL_ERROR;
    r->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
    r->emulation_failure.ndata = 4;
    r->emulation_failure.flags =
        KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
    r->emulation_failure.insn_size = 255; /* nonsense: 15 at the most */
    memcpy(r->emulation_failure.insn_bytes, insn, sizeof insn);
    return 0;
}

static int exit_delivery(struct kvm_run *r)
{
    r->exit_reason = KVM_EXIT_INTERNAL_ERROR;
    r->internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
    return 0;
}

static int exit_entry(struct kvm_run *r)
{
    r->exit_reason = KVM_EXIT_FAIL_ENTRY;
    r->fail_entry.hardware_entry_failure_reason = 0x80000021;
    return 0;
}

static int exit_unknown(struct kvm_run *r)
{
    r->exit_reason = KVM_EXIT_UNKNOWN;
    r->hw.hardware_exit_reason = 0x77;
    return 0;
}

static int exit_other(struct kvm_run *r)
{
    r->exit_reason = 4711;
    return 0;
}

static int run_efault(struct kvm_run *r)
{
    return -EFAULT;
}

static void a_failure_names_the_exit(void **state)
{
    const struct {
        int (*run)(struct kvm_run *);
        const char *words;
    } all[] = {
        { exit_internal, "KVM_EXIT_INTERNAL_ERROR 1: an instruction" },
        { exit_internal, ": 0f 0b 90 00" },
        { exit_delivery, "while an event was delivered" },
        { exit_entry, "KVM_EXIT_FAIL_ENTRY" },
        { exit_entry, "0x80000021" },
        { exit_unknown, "0x77" },
        { exit_other, "4711" },
        { run_efault, "Bad address" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        the_script()->run[0] = all[i].run;
        the_script()->step = 0;
        fails_with(*state, all[i].words);
    }
    the_script()->run[0] = NULL;
    assert_int_equal(run(*state), VSR_RUN_KICKED);
    assert_null(vsr_kvm_engine.vcpu_failure(((fixture *)*state)->vcpu));
}

static int exit_shutdown(struct kvm_run *r)
{
    r->exit_reason = KVM_EXIT_SHUTDOWN;
    return 0;
}

static int exit_debug(struct kvm_run *r)
{
    r->exit_reason = KVM_EXIT_DEBUG;
    return 0;
}

static void shutdown_and_debug_are_told(void **state)
{
    the_script()->run[0] = exit_shutdown;
    the_script()->run[1] = exit_debug;
    assert_int_equal(run(*state), VSR_RUN_SHUTDOWN);
    assert_int_equal(run(*state), VSR_RUN_DEBUG);
}

/* --- the kick --- */

static int signal_of_others(struct kvm_run *r)
{
    return -EINTR;
}

static int woken(struct kvm_run *r)
{
    return -EAGAIN;
}

static int exit_intr(struct kvm_run *r)
{
    r->exit_reason = KVM_EXIT_INTR;
    return 0;
}

static void only_a_kick_ends_the_run(void **state)
{
    the_script()->run[0] = signal_of_others;
    the_script()->run[1] = woken;
    the_script()->run[2] = exit_intr;
    assert_int_equal(run(*state), VSR_RUN_KICKED);
    assert_int_equal(the_script()->step, 3);
}

static void a_kick_outside_sends_no_signal(void **state)
{
    fixture *f = *state;

    vsr_kvm_engine.vcpu_kick(f->vcpu);
    vsr_kvm_engine.vcpu_kick(f->vcpu);
    assert_int_equal(fake()->n_sent, 0);
    assert_int_equal(run(f), VSR_RUN_KICKED);
    assert_int_equal(run(f), VSR_RUN_KICKED); /* the script's own */
    assert_int_equal(fake()->n_sent, 1);
}

static int kick_and_exit(struct kvm_run *r)
{
    vsr_kvm_engine.vcpu_kick(the_script()->kicked);
    return exit_outs(r);
}

/* The access is completed before the kick is told. */
static void a_kick_during_an_access_waits_for_its_end(void **state)
{
    fixture *f = *state;
    int calls;

    the_script()->run[0] = kick_and_exit;
    calls = fake()->calls;
    assert_int_equal(run(f), VSR_RUN_KICKED);
    assert_int_equal(f->n, 3);
    assert_int_equal(fake()->calls - calls, 2); /* KVM_RUN, twice */
}

static void counters_count(void **state)
{
    fixture *f = *state;
    const char *names[8];
    uint64_t values[8];
    uint32_t n;

    the_script()->run[0] = exit_outs;
    the_script()->run[1] = exit_mmio_write;
    assert_int_equal(run(f), VSR_RUN_KICKED);
    n = vsr_kvm_engine.vcpu_stats(f->vcpu, names, values, 8);
    assert_int_equal(n, 4);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(values[i], i == 0 ? 3 : 1);
    assert_int_equal(vsr_kvm_engine.vcpu_stats(f->vcpu, names, values, 2), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(strings_are_single_accesses_in_order),
        TEST(what_is_read_goes_back),
        TEST(nothing_beyond_the_page_is_touched),
        TEST(mmio_goes_up_with_its_size),
        TEST(a_failure_names_the_exit),
        TEST(shutdown_and_debug_are_told),
        TEST(only_a_kick_ends_the_run),
        TEST(a_kick_outside_sends_no_signal),
        TEST(a_kick_during_an_access_waits_for_its_end),
        TEST(counters_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
