/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_run.c: programs on the emulator, through its engine table alone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/emu_harness.h"

#define LOAD(h, bits, at, name)                                        \
    do {                                                               \
        extern const uint8_t guest_##name[], guest_##name##_end[];     \
                                                                       \
        emu_harness_load(h, bits, at, guest_##name,                    \
                         (size_t)(guest_##name##_end - guest_##name)); \
    } while (0)

enum { RAM_LEN = 16 << 20, AT = 0x200000, LIMIT_MS = 60000 };

/* Runs until the guest stops itself. */
static void run(emu_harness *h)
{
    int rc = emu_harness_run(h, LIMIT_MS);

    if (rc != VSR_RUN_KICKED || !h->stopped)
        print_message("ended with %d, trap %d at %#llx\n", rc, h->trap,
                      (unsigned long long)emu_harness_state(h)->rip);
    assert_int_equal(rc, VSR_RUN_KICKED);
    assert_true(h->stopped);
}

static uint64_t rol(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static uint64_t checksum(void)
{
    static uint64_t memory[0x10000 / 8];
    uint64_t a = 0;

    memset(memory, 0, sizeof memory);
    for (uint64_t c = 100000; c > 0; c--) {
        uint64_t *m, s;

        a = a * UINT64_C(0x9e3779b97f4a7c15) + c;
        m = &memory[(a & 0xfff8) / 8];
        *m ^= a;
        s = rol(*m, 13);
        if (a < s) {
            uint64_t sum = a + s;

            a = sum + (sum < a);
        }
        if (a & 1)
            a >>= 1;
    }
    return a;
}

static void a_64_bit_loop_computes_what_the_host_computes(void **state)
{
    emu_harness *h = *state;

    for (unsigned i = 0; i < 2; i++) {
        memset(h->ram + 0x300000, 0, 0x10000);
        LOAD(h, 64, AT, checksum);
        run(h);
        assert_true(emu_harness_gpr(h, VSR_X86_RAX) == checksum());
        assert_int_equal(emu_harness_gpr(h, VSR_X86_RCX), 0);
    }
}

static void code_that_changes_the_next_instruction_sees_the_change(void **state)
{
    emu_harness *h = *state;

    LOAD(h, 64, AT, patch);
    run(h);
    assert_int_equal(emu_harness_gpr(h, VSR_X86_RAX), 500500);
}

static void a_string_store_into_code_is_seen(void **state)
{
    emu_harness *h = *state;

    LOAD(h, 64, AT, rewrite);
    run(h);
    assert_int_equal(emu_harness_gpr(h, VSR_X86_RAX), 201);
}

static void an_instruction_across_pages_runs_and_can_be_changed(void **state)
{
    emu_harness *h = *state;
    uint32_t want = 0, add = 0x01020304;

    LOAD(h, 64, AT, crossing);
    run(h);
    for (unsigned i = 0; i < 10000; i++, add += 0x100)
        want += add;
    assert_int_equal((uint32_t)emu_harness_gpr(h, VSR_X86_RAX), want);
}

static void interrupts_wait_for_if_and_one_instruction_more(void **state)
{
    emu_harness *h = *state;

    LOAD(h, 64, AT, interrupt);
    h->irq = 0x40;
    h->acks = 0;
    vsr_emu_engine.vcpu_signal(h->vcpu, VSR_SIGNAL_INTR, 1);
    assert_int_equal(emu_harness_run(h, LIMIT_MS), VSR_RUN_KICKED);
    assert_int_equal(h->trap, 0x40);
    assert_int_equal(h->acks, 1);
    assert_int_equal(emu_harness_gpr(h, VSR_X86_RCX), 0);
    assert_int_equal(emu_harness_gpr(h, VSR_X86_RBX), 2);
}

static gpointer signal_later(gpointer data)
{
    emu_harness *h = data;

    g_usleep(30000);
    h->irq = 0x41;
    vsr_emu_engine.vcpu_signal(h->vcpu, VSR_SIGNAL_INTR, 1);
    return NULL;
}

static void an_interrupt_from_another_thread_ends_hlt(void **state)
{
    emu_harness *h = *state;
    GThread *thread;

    LOAD(h, 64, AT, halt);
    thread = g_thread_new("signal", signal_later, h);
    assert_int_equal(emu_harness_run(h, LIMIT_MS), VSR_RUN_KICKED);
    g_thread_join(thread);
    assert_int_equal(h->trap, 0x41);
    assert_int_not_equal(emu_harness_gpr(h, VSR_X86_RBX), 7);
}

typedef struct {
    emu_harness *h;
    gint done; /* atomic */
} sender;

static gpointer signal_nmis(gpointer data)
{
    sender *s = data;

    while (!g_atomic_int_get(&s->done)) {
        vsr_emu_engine.vcpu_signal(s->h->vcpu, VSR_SIGNAL_NMI, 0);
        g_usleep(20);
    }
    return NULL;
}

static void no_nmi_comes_right_behind_sti_or_mov_ss(void **state)
{
    emu_harness *h = *state;
    sender s = { .h = h };
    GThread *thread;

    LOAD(h, 64, AT, nmi_shadow);
    run(h);
    h->stopped = false;
    thread = g_thread_new("signal", signal_nmis, &s);
    run(h);
    g_atomic_int_set(&s.done, 1);
    g_thread_join(thread);
    assert_true(emu_harness_gpr(h, VSR_X86_RBX) >= 2000);
    assert_int_equal(emu_harness_gpr(h, VSR_X86_RDX), 0);
    assert_int_equal(emu_harness_gpr(h, VSR_X86_RCX), 0);
}

/* One in service and one that waits: more are lost. */
static void two_nmis_are_kept(void **state)
{
    emu_harness *h = *state;

    for (unsigned sent = 1; sent <= 4; sent++) {
        LOAD(h, 64, AT, nmi_count);
        run(h);
        h->stopped = false;
        for (unsigned i = 0; i < sent; i++)
            vsr_emu_engine.vcpu_signal(h->vcpu, VSR_SIGNAL_NMI, 0);
        run(h);
        assert_int_equal(emu_harness_gpr(h, VSR_X86_RBX), MIN(sent, 2));
    }
}

static void a_kick_ends_an_endless_loop(void **state)
{
    emu_harness *h = *state;

    LOAD(h, 64, AT, forever);
    assert_int_equal(emu_harness_run(h, 30), -ETIME);
    assert_int_equal(emu_harness_state(h)->rip, AT);
}

static void faults_come_before_their_instruction(void **state)
{
    emu_harness *h = *state;

    LOAD(h, 64, AT, bad_opcode);
    assert_int_equal(emu_harness_run(h, LIMIT_MS), VSR_RUN_KICKED);
    assert_int_equal(h->trap, 6);
    assert_int_equal(emu_harness_gpr(h, VSR_X86_RBX), 5);

    LOAD(h, 64, AT, divide);
    assert_int_equal(emu_harness_run(h, LIMIT_MS), VSR_RUN_KICKED);
    assert_int_equal(h->trap, 0);
    assert_int_equal(emu_harness_gpr(h, VSR_X86_RBX), 5);

    LOAD(h, 64, AT, page_fault);
    assert_int_equal(emu_harness_run(h, LIMIT_MS), VSR_RUN_KICKED);
    assert_int_equal(h->trap, 14);
    assert_int_equal(emu_harness_gpr(h, VSR_X86_RBX), 5);
    assert_true(emu_harness_state(h)->cr2 == UINT64_C(0x1000000010));
}

static void accesses_outside_of_ram_reach_the_machine(void **state)
{
    emu_harness *h = *state;

    LOAD(h, 64, AT, device);
    h->mmio_count = 0;
    run(h);
    assert_int_equal(emu_harness_gpr(h, VSR_X86_RAX), 0x123);
    assert_int_equal(emu_harness_gpr(h, VSR_X86_RBX), 0x77);
    assert_int_equal(h->mmio_last, 0x11223344);
    assert_int_equal(h->mmio_addr, HARNESS_MMIO + 8);
    assert_int_equal(h->mmio_count, 3);
}

static void single_steps_trap_after_one_instruction(void **state)
{
    emu_harness *h = *state;

    LOAD(h, 64, AT, step);
    assert_int_equal(emu_harness_run(h, LIMIT_MS), VSR_RUN_KICKED);
    assert_int_equal(h->trap, 1);
    assert_int_equal(emu_harness_gpr(h, VSR_X86_RBX), 1);
    assert_true(emu_harness_state(h)->dr[6] & 0x4000);
}

static void indirect_calls_and_jumps_find_their_targets(void **state)
{
    emu_harness *h = *state;

    LOAD(h, 64, AT, indirect);
    run(h);
    assert_int_equal(emu_harness_gpr(h, VSR_X86_RAX),
                     7500 * (1 + 10 + 100 + 100));
}

static void returns_go_where_the_stack_says(void **state)
{
    emu_harness *h = *state;

    LOAD(h, 64, AT, returns);
    run(h);
    assert_int_equal(emu_harness_gpr(h, VSR_X86_RAX), 1000 * (5050 + 7));
}

static void flat_32_bit_code_runs(void **state)
{
    emu_harness *h = *state;
    uint32_t a = 0;

    for (uint32_t c = 5000; c > 0; c--) {
        a += c;
        a = (a << 3 | a >> 29) ^ a;
    }
    LOAD(h, 32, AT, flat32);
    run(h);
    assert_int_equal((uint32_t)emu_harness_gpr(h, VSR_X86_RAX), a);
}

static void real_mode_code_runs(void **state)
{
    emu_harness *h = *state;
    uint16_t a = 0;

    for (uint16_t c = 500; c > 0; c--)
        a = (uint16_t)((a + c) ^ 0x55);
    LOAD(h, 16, 0x7000, real16);
    run(h);
    assert_int_equal((uint16_t)emu_harness_gpr(h, VSR_X86_RAX), a);
    assert_int_equal((uint16_t)emu_harness_gpr(h, VSR_X86_RBX), a);
    assert_memory_equal(h->ram + 0x20000, &a, 2);
}

static int setup(void **state)
{
    *state = emu_harness_new(RAM_LEN);
    return 0;
}

static int teardown(void **state)
{
    emu_harness_free(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_64_bit_loop_computes_what_the_host_computes),
        TEST(code_that_changes_the_next_instruction_sees_the_change),
        TEST(a_string_store_into_code_is_seen),
        TEST(an_instruction_across_pages_runs_and_can_be_changed),
        TEST(interrupts_wait_for_if_and_one_instruction_more),
        TEST(an_interrupt_from_another_thread_ends_hlt),
        TEST(no_nmi_comes_right_behind_sti_or_mov_ss),
        TEST(two_nmis_are_kept),
        TEST(a_kick_ends_an_endless_loop),
        TEST(faults_come_before_their_instruction),
        TEST(accesses_outside_of_ram_reach_the_machine),
        TEST(single_steps_trap_after_one_instruction),
        TEST(indirect_calls_and_jumps_find_their_targets),
        TEST(returns_go_where_the_stack_says),
        TEST(flat_32_bit_code_runs),
        TEST(real_mode_code_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
