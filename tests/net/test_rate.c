/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/rate.h"

#include "tests/support/cm.h"

#define S INT64_C(1000000000)

/* Sends 1500-byte frames for `ns`, as fast as is allowed. */
static uint64_t sent_in(const vsr_net_rate *rate, int64_t ns)
{
    const int64_t begin = 17 * S;
    int64_t now = begin;
    vsr_net_meter meter;
    uint64_t bytes = 0;

    vsr_net_meter_init(&meter, rate);
    while (now < begin + ns) {
        int64_t at = vsr_net_meter_wait(&meter, now);

        if (at != 0) {
            assert_true(at > now);
            now = at;
            continue;
        }
        vsr_net_meter_take(&meter, now, 1500);
        bytes += 1500;
    }
    return bytes;
}

static void average_is_kept(void **state)
{
    const vsr_net_rate rate = { .average = 1000 };
    uint64_t bytes = sent_in(&rate, 10 * S), due = 10 * 1000 * 1024;

    assert_in_range(bytes, due, due + 2 * 65536);
}

static void burst_comes_once(void **state)
{
    const vsr_net_rate rate = { .average = 100, .burst = 2048 };
    uint64_t bytes = sent_in(&rate, 10 * S);
    uint64_t due = (10 * 100 + 2048) * 1024;

    assert_in_range(bytes, due - 4096, due + 4096);
}

static void peak_bounds_the_burst(void **state)
{
    const vsr_net_rate rate = { .average = 1000, .peak = 2000, .burst = 8192 };
    uint64_t bytes = sent_in(&rate, S);

    assert_in_range(bytes, 2000 * 1024, 2000 * 1024 + 2 * 65536);
}

static void fast_rates_are_exact(void **state)
{
    const vsr_net_rate rate = { .average = 12 * 1024 * 1024, .burst = 64 };
    uint64_t bytes = sent_in(&rate, S / 10);
    uint64_t due = UINT64_C(12) * 1024 * 1024 * 1024 / 10;

    assert_in_range(bytes, due, due + due / 20);
}

static void no_limit_never_waits(void **state)
{
    const vsr_net_rate rate = { 0 };
    vsr_net_meter meter;

    vsr_net_meter_init(&meter, &rate);
    assert_false(vsr_net_meter_is_on(&meter));
    vsr_net_meter_take(&meter, 5, 65536);
    assert_int_equal(vsr_net_meter_wait(&meter, 5), 0);
}

static void absurd_numbers_do_not_overflow(void **state)
{
    const vsr_net_rate rate = { .average = UINT64_MAX,
                                .peak = UINT64_MAX,
                                .burst = UINT64_MAX };
    const vsr_net_rate slow = { .average = 1, .burst = UINT64_MAX };
    vsr_net_meter meter;

    vsr_net_meter_init(&meter, &rate);
    vsr_net_meter_take(&meter, S, 65536);
    assert_int_equal(vsr_net_meter_wait(&meter, S), 0);
    vsr_net_meter_init(&meter, &slow);
    vsr_net_meter_take(&meter, S, 65536);
    assert_int_equal(vsr_net_meter_wait(&meter, S), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(average_is_kept),
        cmocka_unit_test(burst_comes_once),
        cmocka_unit_test(peak_bounds_the_burst),
        cmocka_unit_test(fast_rates_are_exact),
        cmocka_unit_test(no_limit_never_waits),
        cmocka_unit_test(absurd_numbers_do_not_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
