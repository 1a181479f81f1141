/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conformance_box.c: see conformance_box.h.
 */
#include "tests/engine/conformance_box.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/loop.h"
#include "machine/x86/reset.h"
#include "tests/support/cm.h"

enum { CR0_LONG = 0x33, CR4_LONG = 0x620, EFER_LONG = 0x500 };
#define CR0_PG (UINT64_C(1) << 31)
#define MS     INT64_C(1000000)

uint64_t box_pattern(uint64_t addr, uint32_t size)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < size; i++)
        value |= (((addr + i) & 0xff) ^ 0xa5) << (8 * i);
    return value;
}

static void note(box *b, vsr_io *io)
{
    if (!io->is_write)
        io->data = box_pattern(io->addr, io->size);
    if (b->n_log < BOX_LOG_MAX)
        b->log[b->n_log++] = *io;
}

static void up_mmio(void *opaque, vsr_io *io)
{
    box *b = opaque;

    g_mutex_lock(&b->lock);
    b->n_mmio++;
    note(b, io);
    g_mutex_unlock(&b->lock);
}

static void up_pio(void *opaque, vsr_io *io)
{
    box *b = opaque;
    bool ends = io->is_write && io->addr == BOX_EXIT_PORT;

    g_mutex_lock(&b->lock);
    b->n_pio++;
    if (ends)
        b->ended[io->vcpu] = true;
    else
        note(b, io);
    g_mutex_unlock(&b->lock);
    if (ends)
        b->ops->vcpu_kick(b->vcpu[io->vcpu]);
}

static int up_intr_ack(void *opaque, uint32_t vcpu)
{
    box *b = opaque;
    int vector;

    g_mutex_lock(&b->lock);
    vector = b->vector[vcpu];
    b->vector[vcpu] = -1;
    b->n_acks++;
    g_mutex_unlock(&b->lock);
    (void)b->ops->vcpu_signal(b->vcpu[vcpu], VSR_SIGNAL_INTR, 0);
    return vector;
}

static bool up_msr(void *opaque, uint32_t vcpu, uint32_t index, bool is_write,
                   uint64_t *value)
{
    box *b = opaque;

    if (index == 0x1b && !is_write) {
        *value = b->apic_base;
        return true;
    }
    if (!is_write || index != 0x6e0)
        return false;
    g_mutex_lock(&b->lock);
    b->msr_written = index;
    b->msr_value = *value;
    g_mutex_unlock(&b->lock);
    return true;
}

static uint64_t up_cr8_get(void *opaque, uint32_t vcpu)
{
    return ((box *)opaque)->cr8;
}

static void up_cr8_set(void *opaque, uint32_t vcpu, uint64_t value)
{
    ((box *)opaque)->cr8 = value;
}

static const vsr_engine_events events = {
    .mmio = up_mmio,
    .pio = up_pio,
    .intr_ack = up_intr_ack,
    .msr = up_msr,
    .cr8_get = up_cr8_get,
    .cr8_set = up_cr8_set,
};

/* 2 MiB pages, present and writable. */
static void fill_page_tables(box *b)
{
    box_poke(b, BOX_PAGES, (BOX_PAGES + 0x1000) | 3, 8);
    box_poke(b, BOX_PAGES + 0x1000, (BOX_PAGES + 0x2000) | 3, 8);
    for (uint64_t i = 0; i < 512; i++)
        box_poke(b, BOX_PAGES + 0x2000 + 8 * i, i << 21 | 0x83, 8);
}

box *box_new(const vsr_engine_ops *ops)
{
    const vsr_vm_config config = { .vcpus = BOX_VCPUS };
    g_autoptr(GError) error = NULL;
    box *b = g_new0(box, 1);
    vsr_mem_slot slot = { .len = BOX_RAM };

    b->ops = ops;
    b->apic_base = 0xfee00900;
    b->vector[0] = b->vector[1] = -1;
    g_mutex_init(&b->lock);
    b->ram = mmap(NULL, BOX_RAM, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    slot.host = b->ram;
    if (b->ram == MAP_FAILED || !ops->caps(&b->caps, &error) ||
        !ops->cpuid_supported(&b->cpuid, &error))
        goto out;
    fill_page_tables(b);
    b->vm = ops->vm_new(&config, &events, b, &error);
    if (b->vm == NULL || ops->mem_add(b->vm, &slot) != 0)
        goto out;
    if (ops->vm_resume != NULL)
        (void)ops->vm_resume(b->vm);
    return b;
out:
    fprintf(stderr, "engine '%s': %s\n", ops->name,
            error != NULL ? error->message : "no VM");
    box_free(b);
    return NULL;
}

void box_free(box *b)
{
    const vsr_mem_slot slot = { .len = BOX_RAM, .host = b->ram };

    if (b->vm != NULL) {
        assert_int_equal(b->ops->mem_remove(b->vm, &slot), 0);
        b->ops->vm_free(b->vm);
    }
    (void)munmap(b->ram, BOX_RAM);
    g_mutex_clear(&b->lock);
    g_free(b);
}

bool box_vcpu_new(box *b, uint32_t index)
{
    const vsr_vcpu_config config = { .index = index,
                                     .apic_id = index,
                                     .cpuid = &b->cpuid };
    g_autoptr(GError) error = NULL;

    b->vcpu[index] = b->ops->vcpu_new(b->vm, &config, &error);
    if (b->vcpu[index] == NULL)
        fprintf(stderr, "vCPU %u: %s\n", index, error->message);
    return b->vcpu[index] != NULL;
}

void box_vcpu_free(box *b, uint32_t index)
{
    b->ops->vcpu_free(b->vcpu[index]);
    b->vcpu[index] = NULL;
}

unsigned box_slow(void)
{
    const char *text = g_getenv("VISOR_TEST_SLOW");
    unsigned slow =
        text == NULL ? 1 : (unsigned)g_ascii_strtoull(text, NULL, 10);

    return CLAMP(slow, 1, 100);
}

bool box_ended(box *b, uint32_t index)
{
    bool ended;

    g_mutex_lock(&b->lock);
    ended = b->ended[index];
    b->ended[index] = false;
    g_mutex_unlock(&b->lock);
    return ended;
}

unsigned box_count(box *b, const unsigned *counter)
{
    unsigned n;

    g_mutex_lock(&b->lock);
    n = *counter;
    g_mutex_unlock(&b->lock);
    return n;
}

int box_run(box *b, uint32_t index)
{
    int rc;

    do {
        rc = b->ops->vcpu_run(b->vcpu[index]);
    } while (rc == VSR_RUN_KICKED && !box_ended(b, index));
    if (rc == VSR_RUN_FAILED)
        fprintf(stderr, "vCPU %u: %s\n", index,
                b->ops->vcpu_failure(b->vcpu[index]));
    return rc;
}

void box_code(box *b, uint64_t gpa, const uint8_t *code, size_t len)
{
    static const uint8_t loop[] = { 0xeb, 0xfe };

    memcpy(b->ram + gpa, code, len);
    memcpy(b->ram + gpa + len, loop, sizeof loop);
    b->ops->dirty_mark(b->vm, gpa, len + sizeof loop);
}

void box_real_mode(vsr_x86_state *state)
{
    vsr_x86_reset_state(state, NULL, true);
    state->seg[VSR_X86_CS].base = 0;
    state->seg[VSR_X86_CS].selector = 0;
    state->rip = BOX_CODE;
    state->gpr[VSR_X86_RSP] = BOX_STACK;
}

void box_long_mode(vsr_x86_state *state)
{
    const vsr_x86_seg data = { .limit = UINT32_MAX,
                               .selector = 0x10,
                               .attr = VSR_SEG_P | VSR_SEG_S | VSR_SEG_G |
                                       VSR_SEG_DB | 3 };
    const vsr_x86_seg code = { .limit = UINT32_MAX,
                               .selector = 0x08,
                               .attr = VSR_SEG_P | VSR_SEG_S | VSR_SEG_G |
                                       VSR_SEG_L | 11 };

    box_real_mode(state);
    state->cr0 = CR0_LONG | CR0_PG;
    state->cr4 = CR4_LONG;
    state->efer = EFER_LONG;
    state->cr3 = BOX_PAGES;
    for (int i = VSR_X86_ES; i <= VSR_X86_GS; i++)
        state->seg[i] = data;
    state->seg[VSR_X86_CS] = code;
    state->seg[VSR_X86_TR].limit = 0x67;
    state->seg[VSR_X86_LDTR] = (vsr_x86_seg){ 0 };
    state->gdt.limit = state->idt.limit = 0;
}

void box_start(box *b, uint32_t index, void (*mode)(vsr_x86_state *state))
{
    g_autofree vsr_x86_state *state = g_new0(vsr_x86_state, 1);

    assert_int_equal(b->ops->vcpu_get(b->vcpu[index], state), 0);
    mode(state);
    assert_int_equal(b->ops->vcpu_set(b->vcpu[index], state), 0);
}

uint64_t box_peek(const box *b, uint64_t gpa, unsigned size)
{
    uint64_t value = 0;

    memcpy(&value, b->ram + gpa, size);
    return value;
}

void box_poke(box *b, uint64_t gpa, uint64_t value, unsigned size)
{
    memcpy(b->ram + gpa, &value, size);
}

/* --- shared by tests --- */

void box_expect_io(const vsr_io *io, uint64_t addr, uint32_t size,
                   bool is_write, uint64_t data)
{
    assert_int_equal(io->addr, addr);
    assert_int_equal(io->size, size);
    assert_int_equal(io->is_write, is_write);
    assert_int_equal(io->data, data);
    assert_int_equal(io->vcpu, 0);
}

typedef struct {
    box *b;
    int64_t after_ns;
} kicker;

static void *kick_later(void *opaque)
{
    kicker *k = opaque;

    g_usleep((gulong)(k->after_ns / 1000));
    k->b->ops->vcpu_kick(k->b->vcpu[0]);
    return NULL;
}

/* vcpu_run until a kick after 10 ms. The upper bound ends a hang. */
void box_run_kicked(box *b)
{
    kicker k = { b, 10 * MS };
    int64_t start = vsr_now_ns(), took;
    GThread *thread = g_thread_new("kicker", kick_later, &k);

    assert_int_equal(b->ops->vcpu_run(b->vcpu[0]), VSR_RUN_KICKED);
    took = vsr_now_ns() - start;
    g_thread_join(thread);
    assert_true(took >= 9 * MS);
    assert_true(took < 60000 * MS);
}

uint64_t box_gpr(box *b, int reg)
{
    g_autofree vsr_x86_state *x86 = g_new0(vsr_x86_state, 1);

    assert_int_equal(b->ops->vcpu_get(b->vcpu[0], x86), 0);
    return x86->gpr[reg];
}
