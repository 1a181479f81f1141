/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake_kvm.c: see fake_kvm.h.
 */
#include "tests/drivers/kvm/fake_kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/kvm/kvm_sys.h"

enum { FDS = 64, FD_BASE = 1000, MSRS = 256, MSR_GAP = 0x140, REQUESTS = 128 };

typedef enum { FD_FREE, FD_DEVICE, FD_VM, FD_VCPU } fd_kind;

/* What is only kept: one blob for each pair of requests. */
typedef struct {
    unsigned long get, set;
    size_t len;
    uint8_t data[4096];
} blob;

/* All there is of the host; the table has no place for an object. */
typedef struct {
    fake_kvm front;
    fd_kind fds[FDS];
    struct kvm_run *runs[FDS]; /* of the vCPU with that descriptor */
    struct {
        uint32_t index;
        uint64_t value;
    } msrs[MSRS];
    size_t n_msrs;
    blob blobs[8];
} host;

static host *the_host(void)
{
    static host h;

    return &h;
}

fake_kvm *fake(void)
{
    return &the_host()->front;
}

/* --- what was asked --- */

/* Survives fake_reset(). */
static unsigned long *requests(void)
{
    static unsigned long all[REQUESTS];

    return all;
}

static void note(unsigned long request)
{
    unsigned long *at = requests();

    while (*at != 0 && *at != request)
        if (++at == requests() + REQUESTS - 1)
            abort();
    *at = request;
}

bool fake_seen(unsigned long request)
{
    for (const unsigned long *at = requests(); *at != 0; at++)
        if (*at == request)
            return true;
    return false;
}

void fake_reset(void)
{
    static const blob all[] = {
        { KVM_GET_XSAVE, KVM_SET_XSAVE, sizeof(struct kvm_xsave), { 0 } },
        { KVM_GET_XCRS, KVM_SET_XCRS, sizeof(struct kvm_xcrs), { 0 } },
        { KVM_GET_DEBUGREGS,
          KVM_SET_DEBUGREGS,
          sizeof(struct kvm_debugregs),
          { 0 } },
        { KVM_GET_LAPIC, KVM_SET_LAPIC, sizeof(struct kvm_lapic_state), { 0 } },
        { KVM_GET_IRQCHIP, KVM_SET_IRQCHIP, sizeof(struct kvm_irqchip), { 0 } },
        { KVM_GET_PIT2, KVM_SET_PIT2, sizeof(struct kvm_pit_state2), { 0 } },
    };
    struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .value = 1 } } };

    memset(the_host(), 0, sizeof(host));
    memcpy(the_host()->blobs, all, sizeof all);
    memcpy(the_host()->blobs[1].data, &xcrs, sizeof xcrs);
    fake()->version = KVM_API_VERSION;
    fake()->vendor_ebx = 0x756e6547;
    fake()->nested.hdr.vmx.vmxon_pa = UINT64_MAX;
    fake()->without_cap = -1;
    fake()->cpuinfo = "processor\t: 0\nvendor_id\t: GenuineIntel\n"
                      "flags\t\t: fpu vmx sse2\n";
    fake()->run_ns = 10000;
    fake()->regs.rflags = 2;
    fake()->sregs.cr0 = 0x60000010;
    fake()->sregs.cs = (struct kvm_segment){ .base = 0xffff0000,
                                             .limit = 0xffff,
                                             .selector = 0xf000,
                                             .type = 11,
                                             .present = 1,
                                             .s = 1 };
}

/* --- failing --- */

/* 0, or -errno. */
static int may_fail(unsigned long request)
{
    fake()->calls++;
    if (fake()->calls == fake()->fail_at) {
        fake()->failed = request;
        return -fake()->fail_with;
    }
    if (request != 0 && request == fake()->fail_request)
        return -fake()->fail_request_with;
    return 0;
}

/* --- files and memory --- */

static int fd_new(fd_kind kind)
{
    for (int i = 0; i < FDS; i++)
        if (the_host()->fds[i] == FD_FREE) {
            the_host()->fds[i] = kind;
            fake()->n_open++;
            return FD_BASE + i;
        }
    return -EMFILE;
}

static fd_kind kind_of(int fd)
{
    return fd >= FD_BASE && fd < FD_BASE + FDS ? the_host()->fds[fd - FD_BASE]
                                               : FD_FREE;
}

static int fake_open(const char *path)
{
    int rc = may_fail(0);

    if (rc < 0)
        return rc;
    if (fake()->open_error != 0)
        return -fake()->open_error;
    return strcmp(path, "/dev/kvm") == 0 ? fd_new(FD_DEVICE) : -ENOENT;
}

static void fake_close(int fd)
{
    if (fd < 0)
        return;
    if (kind_of(fd) == FD_FREE)
        abort(); /* closed twice, or never opened */
    the_host()->fds[fd - FD_BASE] = FD_FREE;
    fake()->n_open--;
}

static void *map(size_t len, int *err)
{
    int rc = may_fail(0);

    if (rc < 0) {
        *err = -rc;
        return NULL;
    }
    fake()->n_mapped++;
    return calloc(1, len);
}

static void *fake_map(int fd, size_t len, int *err)
{
    void *at;

    if (kind_of(fd) != FD_VCPU || len != FAKE_RUN_LEN)
        abort();
    at = map(len, err);
    the_host()->runs[fd - FD_BASE] = at;
    return at;
}

static void *fake_map_anonymous(size_t len, int *err)
{
    return map(len, err);
}

static void fake_unmap(void *at, size_t len)
{
    fake()->n_mapped--;
    free(at);
}

static int fake_read_file(const char *path, char *to, size_t size)
{
    const char *text = NULL;

    if (strcmp(path, "/proc/cpuinfo") == 0)
        text = fake()->cpuinfo;
    else if (fake()->module != NULL && strcmp(path, fake()->module) == 0)
        text = "Y\n";
    to[0] = '\0';
    if (text == NULL)
        return -ENOENT;
    return (int)g_strlcpy(to, text, size);
}

/* --- MSRs --- */

static uint64_t *msr_find(uint32_t index)
{
    host *h = the_host();

    for (size_t i = 0; i < h->n_msrs; i++)
        if (h->msrs[i].index == index)
            return &h->msrs[i].value;
    if (h->n_msrs == MSRS)
        abort();
    h->msrs[h->n_msrs].index = index;
    h->msrs[h->n_msrs].value = 0;
    return &h->msrs[h->n_msrs++].value;
}

uint64_t fake_msr(uint32_t index)
{
    return *msr_find(index);
}

/* How many were done: up to the first that is not there, or whose top bit a
 * write sets. */
static int do_msrs(struct kvm_msrs *list, bool is_set)
{
    for (uint32_t i = 0; i < list->nmsrs; i++) {
        struct kvm_msr_entry *entry = &list->entries[i];

        if (entry->index == MSR_GAP ||
            (is_set && entry->index < 0x1000 && entry->data >> 63))
            return (int)i;
        if (is_set)
            *msr_find(entry->index) = entry->data;
        else
            entry->data = *msr_find(entry->index);
    }
    return (int)list->nmsrs;
}

/* --- requests --- */

static int give_cpuid(struct kvm_cpuid2 *out)
{
    static const struct kvm_cpuid_entry2 rows[] = {
        { .function = 0, .eax = 0xd, .ebx = 0x756e6547 },
        { .function = 1, .ecx = ~0u, .edx = ~0u },
        { .function = 7, .flags = 1, .ebx = ~0u, .ecx = ~0u, .edx = ~0u },
        { .function = 0xa, .eax = 0x07300402 },
        { .function = 0xd,
          .flags = 1,
          .eax = 0x602e7,
          .ebx = 576,
          .ecx = 11008 },
        { .function = 0xd, .index = 1, .flags = 1, .eax = 0x1f },
        { .function = 0xd, .index = 2, .flags = 1, .eax = 256, .ebx = 576 },
        { .function = 0xd, .index = 9, .flags = 1, .eax = 8, .ebx = 2688 },
        { .function = 0xd, .index = 18, .flags = 1, .eax = 8192, .ebx = 2816 },
        { .function = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b },
        { .function = 0x40000001, .eax = ~0u },
        { .function = 0x80000001, .ecx = ~0u, .edx = ~0u },
        { .function = 0x80000008, .eax = 0x3027 },
        { .function = 0x8000000a, .eax = 1, .ebx = 8, .edx = ~0u },
    };

    if (out->nent < G_N_ELEMENTS(rows))
        return -E2BIG;
    out->nent = G_N_ELEMENTS(rows);
    memcpy(out->entries, rows, sizeof rows);
    out->entries[0].ebx = fake()->vendor_ebx;
    return 0;
}

static int on_device(unsigned long request, void *arg)
{
    switch (request) {
    case KVM_GET_API_VERSION:
        return fake()->version;
    case KVM_CHECK_EXTENSION:
        if ((int)(uintptr_t)arg == fake()->without_cap)
            return 0;
        return (uintptr_t)arg == KVM_CAP_X86_DISABLE_EXITS ? 15
               : (uintptr_t)arg == KVM_CAP_NR_MEMSLOTS     ? FAKE_SLOTS
               : (uintptr_t)arg == KVM_CAP_MAX_VCPUS       ? 1024
                                                           : 1;
    case KVM_GET_VCPU_MMAP_SIZE:
        return FAKE_RUN_LEN;
    case KVM_GET_SUPPORTED_CPUID:
        return give_cpuid(arg);
    case KVM_X86_GET_MCE_CAP_SUPPORTED:
        *(uint64_t *)arg = 0x1000120;
        return 0;
    case KVM_GET_MSRS:
        ((struct kvm_msrs *)arg)->entries[0].data =
            UINT64_C(0x100000000) | ((struct kvm_msrs *)arg)->entries[0].index;
        return 1;
    case KVM_CREATE_VM:
        return fd_new(FD_VM);
    default:
        return -ENOTTY;
    }
}

static int set_slot(const struct kvm_userspace_memory_region *slot)
{
    if (slot->slot >= FAKE_SLOTS)
        return -EINVAL;
    for (int i = 0; i < FAKE_SLOTS; i++) {
        const struct kvm_userspace_memory_region *other = &fake()->slot[i];

        if (i != (int)slot->slot && slot->memory_size != 0 &&
            other->memory_size != 0 &&
            slot->guest_phys_addr <
                other->guest_phys_addr + other->memory_size &&
            other->guest_phys_addr < slot->guest_phys_addr + slot->memory_size)
            return -EEXIST;
    }
    fake()->slot[slot->slot] = *slot;
    return 0;
}

static int on_vm(unsigned long request, void *arg)
{
    switch (request) {
    case KVM_CREATE_VCPU:
        return fd_new(FD_VCPU);
    case KVM_SET_USER_MEMORY_REGION:
        return set_slot(arg);
    case KVM_GET_DIRTY_LOG:
        *(uint64_t *)((struct kvm_dirty_log *)arg)->dirty_bitmap =
            fake()->dirty;
        fake()->dirty = 0;
        return 0;
    case KVM_IRQ_LINE:
        fake()->line = *(struct kvm_irq_level *)arg;
        return 0;
    case KVM_SIGNAL_MSI:
        fake()->msi = *(struct kvm_msi *)arg;
        return 1;
    case KVM_IRQFD:
        fake()->irqfd = *(struct kvm_irqfd *)arg;
        return 0;
    case KVM_IOEVENTFD:
        fake()->doorbell = *(struct kvm_ioeventfd *)arg;
        return 0;
    case KVM_GET_CLOCK:
        *(struct kvm_clock_data *)arg = fake()->clock;
        return 0;
    case KVM_SET_CLOCK:
        fake()->clock = *(struct kvm_clock_data *)arg;
        return 0;
    case KVM_ENABLE_CAP:
        fake()->cap = *(struct kvm_enable_cap *)arg;
        return 0;
    case KVM_SET_IDENTITY_MAP_ADDR:
    case KVM_SET_TSS_ADDR:
    case KVM_CREATE_IRQCHIP:
    case KVM_SET_GSI_ROUTING:
    case KVM_CREATE_PIT2:
        return 0;
    default:
        return -ENOTTY;
    }
}

static int on_run(int fd)
{
    static const struct kvm_run out = {
        .exit_reason = KVM_EXIT_IO,
        .io = { .direction = KVM_EXIT_IO_OUT,
                .size = 1,
                .port = 0x80,
                .count = 1,
                .data_offset = 4096 },
    };
    struct kvm_run *run = the_host()->runs[fd - FD_BASE];

    if (run->immediate_exit)
        return -EINTR;
    fake()->now_ns += fake()->run_ns;
    if (fake()->run != NULL)
        return fake()->run(run);
    run->exit_reason = out.exit_reason;
    run->io = out.io;
    return 0;
}

static int tsc_attr(unsigned long request, const struct kvm_device_attr *attr)
{
    uint64_t *at = (void *)(uintptr_t)attr->addr;

    if (attr->group != KVM_VCPU_TSC_CTRL || attr->attr != KVM_VCPU_TSC_OFFSET)
        return -ENXIO;
    if (request == KVM_GET_DEVICE_ATTR)
        *at = fake()->tsc_offset;
    else if (request == KVM_SET_DEVICE_ATTR)
        fake()->tsc_offset = *at;
    return 0;
}

static int on_vcpu(int fd, unsigned long request, void *arg)
{
    switch (request) {
    case KVM_RUN:
        return on_run(fd);
    case KVM_GET_MSRS:
    case KVM_SET_MSRS:
        return do_msrs(arg, request == KVM_SET_MSRS);
    case KVM_GET_REGS:
        *(struct kvm_regs *)arg = fake()->regs;
        return 0;
    case KVM_SET_REGS:
        fake()->regs = *(struct kvm_regs *)arg;
        return 0;
    case KVM_GET_SREGS:
        *(struct kvm_sregs *)arg = fake()->sregs;
        return 0;
    case KVM_SET_SREGS:
        fake()->sregs = *(struct kvm_sregs *)arg;
        return 0;
    case KVM_GET_VCPU_EVENTS:
        *(struct kvm_vcpu_events *)arg = fake()->events;
        return 0;
    case KVM_SET_VCPU_EVENTS:
        fake()->events = *(struct kvm_vcpu_events *)arg;
        return 0;
    case KVM_GET_MP_STATE:
        *(struct kvm_mp_state *)arg = fake()->mp;
        return 0;
    case KVM_SET_MP_STATE:
        fake()->mp = *(struct kvm_mp_state *)arg;
        return 0;
    case KVM_ENABLE_CAP:
        fake()->pv_is_enforced = ((struct kvm_enable_cap *)arg)->cap ==
                                 KVM_CAP_ENFORCE_PV_FEATURE_CPUID;
        return 0;
    case KVM_GET_NESTED_STATE:
        memcpy(arg, &fake()->nested, sizeof fake()->nested);
        return 0;
    case KVM_SET_NESTED_STATE:
        memcpy(&fake()->nested, arg, sizeof fake()->nested);
        fake()->n_nested_set++;
        return 0;
    case KVM_KVMCLOCK_CTRL:
        fake()->n_clock_ctrl++;
        return 0;
    case KVM_HAS_DEVICE_ATTR:
    case KVM_GET_DEVICE_ATTR:
    case KVM_SET_DEVICE_ATTR:
        return tsc_attr(request, arg);
    case KVM_SET_CPUID2:
    case KVM_SET_SIGNAL_MASK:
    case KVM_X86_SETUP_MCE:
        return 0;
    default:
        return -ENOTTY;
    }
}

static bool on_blob(unsigned long request, void *arg)
{
    for (size_t i = 0; i < G_N_ELEMENTS(the_host()->blobs); i++) {
        blob *b = &the_host()->blobs[i];

        if (request == b->get && b->len > 0)
            memcpy(arg, b->data, b->len);
        else if (request == b->set && b->len > 0)
            memcpy(b->data, arg, b->len);
        else
            continue;
        return true;
    }
    return false;
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
    fd_kind kind = kind_of(fd);
    int rc;

    if (kind == FD_FREE)
        abort(); /* a closed descriptor is used */
    note(request);
    rc = may_fail(request);
    if (rc < 0)
        return rc;
    if (kind != FD_DEVICE && on_blob(request, arg))
        return 0;
    switch (kind) {
    case FD_DEVICE:
        return on_device(request, arg);
    case FD_VM:
        return on_vm(request, arg);
    case FD_VCPU:
        return on_vcpu(fd, request, arg);
    case FD_FREE:
        break;
    }
    return -EBADF;
}

/* --- signals and time --- */

static int fake_thread_id(void)
{
    return 7;
}

static void fake_signal_block(int signal, int *before)
{
    *before = 0;
    fake()->n_blocked++;
}

static void fake_signal_unblock(int signal, int before)
{
    fake()->n_blocked--;
}

static void fake_signal_send(int thread, int signal)
{
    fake()->n_sent++;
}

static void fake_signal_drain(int signal)
{
}

static int fake_signal_pick(void)
{
    int rc = may_fail(0);

    return rc < 0 ? rc : FAKE_SIGNAL;
}

static uint64_t fake_signal_mask(int signal)
{
    return 0;
}

static int64_t fake_now_ns(void)
{
    return fake()->now_ns;
}

static uint64_t fake_tsc(void)
{
    return fake()->tsc;
}

static void fake_cpuid(uint32_t leaf, uint32_t out[4])
{
    for (uint32_t i = 0; i < 4; i++)
        out[i] = leaf << 8 | i;
}

const kvm_sys_ops kvm_sys = {
    .open = fake_open,
    .ioctl = fake_ioctl,
    .close = fake_close,
    .map = fake_map,
    .map_anonymous = fake_map_anonymous,
    .unmap = fake_unmap,
    .thread_id = fake_thread_id,
    .signal_block = fake_signal_block,
    .signal_unblock = fake_signal_unblock,
    .signal_send = fake_signal_send,
    .signal_drain = fake_signal_drain,
    .signal_pick = fake_signal_pick,
    .signal_mask = fake_signal_mask,
    .now_ns = fake_now_ns,
    .tsc = fake_tsc,
    .cpuid = fake_cpuid,
    .read_file = fake_read_file,
};
