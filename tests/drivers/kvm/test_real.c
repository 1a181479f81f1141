/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_real.c: what the conformance test leaves to engines with chips of their
 * own: interrupts by line, message and descriptor, start-up IPIs, doorbells. On
 * the host's own /dev/kvm, software or not.
 */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/engine/conformance_box.h"
#include "tests/support/cm.h"

enum { HANDLER = 0x2000, SVR = 0xf0, APIC_X2 = 0xc00, ROUNDS = 5 };

/* Sets up the PIC for IRQ 4 as vector 0x24, tells port 0x81, waits. */
static const uint8_t guest_pic[] = {
    0xb0, 0x11, 0xe6, 0x20, /* ICW1: mov al, 0x11; out 0x20, al */
    0xb0, 0x20, 0xe6, 0x21, /* ICW2: vector 0x20 */
    0xb0, 0x04, 0xe6, 0x21, /* ICW3 */
    0xb0, 0x01, 0xe6, 0x21, /* ICW4 */
    0xb0, 0xef, 0xe6, 0x21, /* all masked but 4 */
    0xb0, 0x01, 0xe6, 0x81, /* mov al, 1; out 0x81, al */
    0xfb,                   /* sti */
    0xf4,                   /* again: hlt */
    0xeb, 0xfd,             /* jmp again */
};

/* Tells port 0x80, ends the interrupt at the PIC. */
static const uint8_t handler_pic[] = {
    0xb0, 0x55, 0xe6, 0x80, /* mov al, 0x55; out 0x80, al */
    0xb0, 0x20, 0xe6, 0x20, /* mov al, 0x20; out 0x20, al */
    0xcf,                   /* iret */
};

/* Tells port 0x81, waits. */
static const uint8_t guest_wait[] = {
    0xb0, 0x01, 0xe6, 0x81, /* mov al, 1; out 0x81, al */
    0xfb,                   /* sti */
    0xf4,                   /* again: hlt */
    0xeb, 0xfd,             /* jmp again */
};

/* Tells port 0x80, ends the interrupt at the LAPIC (x2APIC's EOI). */
static const uint8_t handler_lapic[] = {
    0xb0, 0x55, 0xe6, 0x80,             /* mov al, 0x55; out 0x80, al */
    0x66, 0xb9, 0x0b, 0x08, 0x00, 0x00, /* mov ecx, 0x80b */
    0x66, 0x31, 0xc0,                   /* xor eax, eax */
    0x66, 0x31, 0xd2,                   /* xor edx, edx */
    0x0f, 0x30,                         /* wrmsr */
    0xcf,                               /* iret */
};

/* INIT and SIPI to all but itself (x2APIC's ICR): start at 0x2000. */
static const uint8_t guest_start_others[] = {
    0x66, 0xb9, 0x30, 0x08, 0x00, 0x00, /* mov ecx, 0x830 */
    0x66, 0x31, 0xd2,                   /* xor edx, edx */
    0x66, 0xb8, 0x00, 0x45, 0x0c, 0x00, /* mov eax, 0xc4500 */
    0x0f, 0x30,                         /* wrmsr */
    0x66, 0xb8, 0x02, 0x46, 0x0c, 0x00, /* mov eax, 0xc4602 */
    0x0f, 0x30,                         /* wrmsr */
    0xf4,                               /* hlt */
};

/* Says which processor it is: port 0x80, then the end. */
static const uint8_t guest_other[] = {
    0xb0, 0x66, 0xe6, 0x80, /* mov al, 0x66; out 0x80, al */
    0xe6, 0xf4,             /* out 0xf4, al */
    0xf4,                   /* hlt */
};

/* Writes 1, 2, 3 to port 0x300 and 7 to port 0x301. */
static const uint8_t guest_doorbell[] = {
    0xba, 0x00, 0x03,       /* mov dx, 0x300 */
    0xb0, 0x01, 0xee,       /* mov al, 1; out dx, al */
    0xb0, 0x02, 0xee,       /* mov al, 2; out dx, al */
    0xb0, 0x03, 0xee,       /* mov al, 3; out dx, al */
    0x42, 0xb0, 0x07, 0xee, /* inc dx; mov al, 7; out dx, al */
    0xe6, 0xf4,             /* out 0xf4, al */
    0xf4,                   /* hlt */
};

static int setup(void **state)
{
    box *b = box_new(&vsr_kvm_engine);

    *state = b;
    return b == NULL || !box_vcpu_new(b, 0);
}

static int teardown(void **state)
{
    box *b = *state;

    box_vcpu_free(b, 0);
    box_free(b);
    return 0;
}

static void start(box *b, const uint8_t *code, size_t len)
{
    box_code(b, BOX_CODE, code, len);
    box_start(b, 0, box_real_mode);
}

static void set_handler(box *b, unsigned vector, const uint8_t *code,
                        size_t len)
{
    box_code(b, HANDLER, code, len);
    box_poke(b, 4 * vector, HANDLER, 4);
}

/* x2APIC mode, the APIC switched on. */
static void enable_lapic(box *b)
{
    g_autofree vsr_x86_state *x86 = g_new0(vsr_x86_state, 1);

    assert_int_equal(b->ops->vcpu_get(b->vcpu[0], x86), 0);
    assert_true(x86->lapic_valid);
    x86->apic_base |= APIC_X2;
    x86->lapic[SVR] = 0xff;
    x86->lapic[SVR + 1] = 1;
    assert_int_equal(b->ops->vcpu_set(b->vcpu[0], x86), 0);
}

/* Interrupts a guest that has told port 0x81, ROUNDS times. */
typedef struct {
    box *b;
    int fd; /* of an irqfd */
    bool (*fire)(box *b, int fd);
    unsigned fired;
} interrupter;

static bool wait_log(box *b, unsigned n)
{
    gint64 end = g_get_monotonic_time() + G_TIME_SPAN_MINUTE;

    while (box_count(b, &b->n_log) < n)
        if (g_get_monotonic_time() > end)
            return false;
        else
            g_usleep(100);
    return true;
}

static void end_vcpu(box *b, uint32_t index)
{
    g_mutex_lock(&b->lock);
    b->ended[index] = true;
    g_mutex_unlock(&b->lock);
    b->ops->vcpu_kick(b->vcpu[index]);
}

static void *interrupt(void *opaque)
{
    interrupter *i = opaque;

    if (wait_log(i->b, 1))
        while (i->fired < ROUNDS && i->fire(i->b, i->fd)) {
            if (!wait_log(i->b, 2 + i->fired))
                break;
            i->fired++;
        }
    end_vcpu(i->b, 0);
    return NULL;
}

static unsigned interrupted(box *b, bool (*fire)(box *b, int fd), int fd)
{
    interrupter i = { .b = b, .fd = fd, .fire = fire };
    GThread *thread = g_thread_new("interrupter", interrupt, &i);

    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    g_thread_join(thread);
    return i.fired;
}

static bool fire_line(box *b, int fd)
{
    return b->ops->irq_line(b->vm, 4, true) == 0 &&
           b->ops->irq_line(b->vm, 4, false) == 0;
}

static bool fire_msi(box *b, int fd)
{
    return b->ops->msi(b->vm, 0xfee00000, 0x41) == 0;
}

static bool fire_fd(box *b, int fd)
{
    return eventfd_write(fd, 1) == 0;
}

static void a_line_goes_through_the_pic(void **state)
{
    box *b = *state;

    set_handler(b, 0x24, handler_pic, sizeof handler_pic);
    start(b, guest_pic, sizeof guest_pic);
    assert_int_equal(interrupted(b, fire_line, -1), ROUNDS);
    assert_int_equal(b->log[1].addr, 0x80);
    assert_int_equal(b->log[1].data, 0x55);
}

static void a_message_goes_to_the_lapic(void **state)
{
    box *b = *state;

    set_handler(b, 0x41, handler_lapic, sizeof handler_lapic);
    start(b, guest_wait, sizeof guest_wait);
    enable_lapic(b);
    assert_int_equal(interrupted(b, fire_msi, -1), ROUNDS);
}

static void a_descriptor_raises_a_line(void **state)
{
    box *b = *state;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    set_handler(b, 0x24, handler_pic, sizeof handler_pic);
    start(b, guest_pic, sizeof guest_pic);
    assert_int_equal(b->ops->irqfd_add(b->vm, 4, fd), 0);
    assert_int_equal(interrupted(b, fire_fd, fd), ROUNDS);
    assert_int_equal(b->ops->irqfd_remove(b->vm, 4, fd), 0);
    assert_true(b->ops->irqfd_add(b->vm, 4, -1) < 0);
    (void)close(fd);
}

/* The PIC forgets its vectors: IRQ 4 is vector 4 again. */
static void a_reset_resets_the_chips(void **state)
{
    box *b = *state;

    set_handler(b, 0x24, handler_pic, sizeof handler_pic);
    start(b, guest_pic, sizeof guest_pic);
    assert_int_equal(interrupted(b, fire_line, -1), ROUNDS);
    assert_int_equal(b->ops->vm_reset(b->vm), 0);
    b->n_log = 0;
    box_poke(b, 4 * 0x24, BOX_CODE, 4);
    set_handler(b, 4, handler_pic, sizeof handler_pic);
    start(b, guest_wait, sizeof guest_wait);
    assert_int_equal(interrupted(b, fire_line, -1), ROUNDS);
    assert_int_equal(b->log[1].addr, 0x80);
}

static void a_doorbell_rings_without_an_access(void **state)
{
    box *b = *state;
    int two = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int any = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    eventfd_t value;

    assert_int_equal(b->ops->doorbell_add(b->vm, 0x300, 1, 2, true, two), 0);
    assert_int_equal(b->ops->doorbell_add(b->vm, 0x301, 0, 0, true, any), 0);
    start(b, guest_doorbell, sizeof guest_doorbell);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_int_equal(eventfd_read(two, &value), 0);
    assert_int_equal(value, 1);
    assert_int_equal(eventfd_read(any, &value), 0);
    assert_int_equal(b->n_log, 2); /* 1 and 3 */
    assert_int_equal(b->log[1].data, 3);
    assert_int_equal(b->ops->doorbell_remove(b->vm, 0x300, 1, 2, true, two), 0);
    assert_int_equal(b->ops->doorbell_remove(b->vm, 0x301, 0, 0, true, any), 0);
    start(b, guest_doorbell, sizeof guest_doorbell);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_int_equal(b->n_log, 6);
    assert_true(b->ops->doorbell_remove(b->vm, 0x300, 1, 2, true, two) < 0);
    (void)close(two);
    (void)close(any);
}

static void *run_other(void *opaque)
{
    box *b = opaque;

    assert_true(box_vcpu_new(b, 1));
    g_mutex_lock(&b->lock);
    b->ready = true;
    g_mutex_unlock(&b->lock);
    (void)box_run(b, 1);
    box_vcpu_free(b, 1);
    return NULL;
}

static bool is_ready(box *b)
{
    bool ready;

    g_mutex_lock(&b->lock);
    ready = b->ready;
    g_mutex_unlock(&b->lock);
    return ready;
}

static void *wait_for_other(void *opaque)
{
    box *b = opaque;

    (void)wait_log(b, 1);
    end_vcpu(b, 0);
    return NULL;
}

static void init_and_sipi_start_another_vcpu(void **state)
{
    box *b = *state;
    GThread *other, *waiter;

    box_code(b, HANDLER, guest_other, sizeof guest_other);
    start(b, guest_start_others, sizeof guest_start_others);
    enable_lapic(b);
    other = g_thread_new("vcpu1", run_other, b);
    while (!is_ready(b)) /* from then on it keeps what it is sent */
        g_usleep(100);
    waiter = g_thread_new("waiter", wait_for_other, b);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    g_thread_join(waiter);
    assert_int_equal(b->n_log, 1);
    assert_int_equal(b->log[0].vcpu, 1);
    assert_int_equal(b->log[0].data, 0x66);
    g_thread_join(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_goes_through_the_pic),
        TEST(a_message_goes_to_the_lapic),
        TEST(a_descriptor_raises_a_line),
        TEST(a_reset_resets_the_chips),
        TEST(a_doorbell_rings_without_an_access),
        TEST(init_and_sipi_start_another_vcpu),
    };
    vsr_engine_caps caps;

    if (!vsr_kvm_engine.caps(&caps, NULL)) {
        printf("skipped: this host has no usable /dev/kvm\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
