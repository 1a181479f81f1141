/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emu_harness.c: an emulated VM with flat RAM.
 *
 * Threads: the test's own, and a watchdog while the vCPU runs.
 */
#include "tests/support/emu_harness.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PAGE_2M = 2 << 20,
    TOP_LEN = 0x10000,
    /* from the start of the last 64 KiB */
    PML4 = 0,
    PDPT = 0x1000,
    PD_LOW = 0x2000,
    PD_HIGH = 0x3000,
    GDT = 0x4000,
    IDT = 0x5000,
    STUBS = 0x6000,
    STUB_LEN = 16,
    TSS = 0x7000,

    SEL_CODE64 = 0x08,
    SEL_DATA = 0x10,
    SEL_CODE32 = 0x18,
};

typedef struct {
    emu_harness h;
    vsr_x86_state state;
    GMutex lock;
    GCond cond;
    bool running, late;
    int64_t deadline_us;
} harness;

/* --- what the guest reaches --- */

static void on_mmio(void *machine, vsr_io *io)
{
    emu_harness *h = machine;

    h->mmio_count++;
    h->mmio_addr = io->addr;
    if (io->is_write)
        h->mmio_last = io->data;
    else
        io->data = io->addr - HARNESS_MMIO;
}

static void on_pio(void *machine, vsr_io *io)
{
    emu_harness *h = machine;

    if (!io->is_write) {
        io->data = ~UINT64_C(0);
        return;
    }
    switch (io->addr) {
    case HARNESS_STOP:
        h->stopped = true;
        h->stop_value = io->data;
        vsr_emu_engine.vcpu_kick(h->vcpu);
        break;
    case HARNESS_TRAP:
        h->trap = (int)io->data;
        vsr_emu_engine.vcpu_kick(h->vcpu);
        break;
    case HARNESS_PUTC:
        if (h->text_len + 1 < sizeof h->text)
            h->text[h->text_len++] = (char)io->data;
        break;
    default:
        break;
    }
}

static int on_intr_ack(void *machine, uint32_t vcpu)
{
    emu_harness *h = machine;
    int vector = h->irq;

    h->acks++;
    h->irq = -1;
    vsr_emu_engine.vcpu_signal(h->vcpu, VSR_SIGNAL_INTR, 0);
    return vector;
}

static bool on_msr(void *machine, uint32_t vcpu, uint32_t index, bool is_write,
                   uint64_t *value)
{
    return false;
}

static uint64_t on_cr8_get(void *machine, uint32_t vcpu)
{
    return 0;
}

static void on_cr8_set(void *machine, uint32_t vcpu, uint64_t value)
{
}

static const vsr_engine_events events = {
    .mmio = on_mmio,
    .pio = on_pio,
    .intr_ack = on_intr_ack,
    .msr = on_msr,
    .cr8_get = on_cr8_get,
    .cr8_set = on_cr8_set,
};

/* --- tables --- */

static void put64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}

static void build_pages(uint8_t *top, uint64_t base)
{
    enum { P = 1, W = 2, U = 4, PS = 0x80 };

    put64(top + PML4, (base + PDPT) | P | W | U);
    put64(top + PDPT, (base + PD_LOW) | P | W | U);
    put64(top + PDPT + 3 * 8, (base + PD_HIGH) | P | W | U);
    for (uint64_t i = 0; i < 512; i++) {
        put64(top + PD_LOW + i * 8, i * PAGE_2M | P | W | U | PS);
        put64(top + PD_HIGH + i * 8,
              (UINT64_C(3) << 30) + i * PAGE_2M + (P | W | U | PS));
    }
}

static void build_gates(uint8_t *top, uint64_t base, unsigned bits)
{
    put64(top + GDT + SEL_CODE64, UINT64_C(0x00af9b000000ffff));
    put64(top + GDT + SEL_DATA, UINT64_C(0x00cf93000000ffff));
    put64(top + GDT + SEL_CODE32, UINT64_C(0x00cf9b000000ffff));
    memset(top + IDT, 0, 0x1000);
    for (unsigned v = 0; v < 256; v++) {
        uint64_t stub = base + STUBS + v * STUB_LEN;
        /* mov al, v; out HARNESS_TRAP, al; hlt */
        uint8_t code[] = { 0xb0, (uint8_t)v, 0xe6, HARNESS_TRAP, 0xf4 };
        uint64_t gate = (stub & 0xffff) | UINT64_C(0x8e0000000000) |
                        (stub & 0xffff0000) << 32;

        memcpy(top + STUBS + v * STUB_LEN, code, sizeof code);
        if (bits == 64) {
            put64(top + IDT + v * 16, gate | SEL_CODE64 << 16);
            put64(top + IDT + v * 16 + 8, stub >> 32);
        } else {
            put64(top + IDT + v * 8, gate | SEL_CODE32 << 16);
        }
    }
}

/* --- life --- */

emu_harness *emu_harness_new(uint64_t ram_len)
{
    harness *p = g_new0(harness, 1);
    emu_harness *h = &p->h;
    vsr_cpuid cpuid = { 0 };
    vsr_vm_config vm_config = { .vcpus = 1 };
    vsr_vcpu_config config = { .cpuid = &cpuid };
    vsr_mem_slot slot = { .len = ram_len };
    GError *error = NULL;

    g_mutex_init(&p->lock);
    g_cond_init(&p->cond);
    h->irq = -1;
    h->ram_len = ram_len;
    h->ram = mmap(NULL, ram_len, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (h->ram == MAP_FAILED)
        g_error("No memory for the guest");
    slot.host = h->ram;
    if (!vsr_emu_engine.cpuid_supported(&cpuid, &error))
        g_error("%s", error->message);
    h->vm = vsr_emu_engine.vm_new(&vm_config, &events, h, &error);
    if (h->vm == NULL)
        g_error("%s", error->message);
    if (vsr_emu_engine.mem_add(h->vm, &slot) != 0)
        g_error("mem_add failed");
    h->vcpu = vsr_emu_engine.vcpu_new(h->vm, &config, &error);
    if (h->vcpu == NULL)
        g_error("%s", error->message);
    return h;
}

void emu_harness_free(emu_harness *h)
{
    harness *p = (harness *)h;

    vsr_emu_engine.vcpu_free(h->vcpu);
    vsr_emu_engine.vm_free(h->vm);
    munmap(h->ram, h->ram_len);
    g_mutex_clear(&p->lock);
    g_cond_clear(&p->cond);
    g_free(p);
}

/* --- start --- */

static vsr_x86_seg segment(uint16_t selector, uint16_t attr, uint32_t limit)
{
    return (vsr_x86_seg){ .limit = limit, .selector = selector, .attr = attr };
}

static void set_protected(harness *p, unsigned bits, uint64_t top)
{
    enum { PE = 1, MP = 2, ET = 0x10, NE = 0x20, WP = 0x10000 };
    vsr_x86_state *s = &p->state;

    s->cr0 = PE | MP | ET | NE | WP;
    s->cr4 = 0x600; /* OSFXSR, OSXMMEXCPT */
    s->gdt = (vsr_x86_dtable){ top + GDT, SEL_CODE32 + 7 };
    s->idt = (vsr_x86_dtable){ top + IDT, 256 * (bits == 64 ? 16 : 8) - 1 };
    for (unsigned i = VSR_X86_ES; i <= VSR_X86_GS; i++)
        s->seg[i] = segment(SEL_DATA, 0xc093, 0xffffffff);
    if (bits == 64) {
        s->seg[VSR_X86_CS] = segment(SEL_CODE64, 0xa09b, 0xffffffff);
        s->cr0 |= UINT64_C(1) << 31;
        s->cr3 = top + PML4;
        s->cr4 |= 0x20;  /* PAE */
        s->efer = 0xd01; /* SCE, LME, LMA, NXE */
    } else {
        s->seg[VSR_X86_CS] = segment(SEL_CODE32, 0xc09b, 0xffffffff);
    }
}

static void set_real(harness *p)
{
    vsr_x86_state *s = &p->state;

    s->cr0 = 0x10;
    s->idt.limit = 0x3ff;
    for (unsigned i = VSR_X86_ES; i <= VSR_X86_GS; i++)
        s->seg[i] = segment(0, 0x93, 0xffff);
    s->seg[VSR_X86_CS].attr = 0x9b;
}

void emu_harness_load(emu_harness *h, unsigned bits, uint64_t at,
                      const void *code, size_t len)
{
    harness *p = (harness *)h;
    uint64_t top = h->ram_len - TOP_LEN;
    vsr_x86_state *s = &p->state;
    int rc;

    memcpy(h->ram + at, code, len);
    vsr_emu_engine.dirty_mark(h->vm, at, len);
    build_pages(h->ram + top, top);
    build_gates(h->ram + top, top, bits);
    vsr_emu_engine.dirty_mark(h->vm, top, TOP_LEN);

    memset(s, 0, sizeof *s);
    if (bits == 16)
        set_real(p);
    else
        set_protected(p, bits, top);
    s->seg[VSR_X86_TR] = segment(0, 0x8b, 0x67);
    s->seg[VSR_X86_TR].base = top + TSS;
    s->seg[VSR_X86_LDTR] = segment(0, 0x82, 0xffff);
    s->rip = at;
    s->rflags = 2;
    s->gpr[VSR_X86_RSP] = bits == 16 ? 0xfff0 : top;
    s->dr[6] = 0xffff0ff0;
    s->dr[7] = 0x400;
    s->xcr0 = 1;
    s->apic_base = 0xfee00900;
    s->xsave[0] = 0x7f; /* FCW */
    s->xsave[1] = 0x03;
    s->xsave[24] = 0x80; /* MXCSR */
    s->xsave[25] = 0x1f;
    s->xsave[512] = 3;
    s->xsave_len = 576;
    rc = vsr_emu_engine.vcpu_set(h->vcpu, s);
    if (rc != 0)
        g_error("vcpu_set: %s", g_strerror(-rc));

    h->stopped = false;
    h->trap = -1;
    h->text_len = 0;
    memset(h->text, 0, sizeof h->text);
}

/* --- running --- */

static gpointer watchdog(gpointer data)
{
    harness *p = data;

    g_mutex_lock(&p->lock);
    while (p->running) {
        if (!g_cond_wait_until(&p->cond, &p->lock, p->deadline_us)) {
            p->late = true;
            vsr_emu_engine.vcpu_kick(p->h.vcpu);
            break;
        }
    }
    g_mutex_unlock(&p->lock);
    return NULL;
}

int emu_harness_run(emu_harness *h, unsigned limit_ms)
{
    harness *p = (harness *)h;
    GThread *thread;
    bool late;
    int rc;

    p->running = true;
    p->late = false;
    p->deadline_us = g_get_monotonic_time() + (int64_t)limit_ms * 1000;
    thread = g_thread_new("watchdog", watchdog, p);
    do {
        rc = vsr_emu_engine.vcpu_run(h->vcpu);
        g_mutex_lock(&p->lock);
        late = p->late;
        g_mutex_unlock(&p->lock);
    } while (rc == VSR_RUN_KICKED && !h->stopped && h->trap < 0 && !late);
    g_mutex_lock(&p->lock);
    p->running = false;
    g_cond_signal(&p->cond);
    g_mutex_unlock(&p->lock);
    g_thread_join(thread);
    return late ? -ETIME : rc;
}

const vsr_x86_state *emu_harness_state(emu_harness *h)
{
    harness *p = (harness *)h;
    int rc = vsr_emu_engine.vcpu_get(h->vcpu, &p->state);

    if (rc != 0)
        g_error("vcpu_get: %s", g_strerror(-rc));
    return &p->state;
}

uint64_t emu_harness_gpr(emu_harness *h, unsigned reg)
{
    return emu_harness_state(h)->gpr[reg];
}
