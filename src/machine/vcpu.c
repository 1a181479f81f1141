/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vcpu.c: one thread for each vCPU of a run-style engine.
 *
 * A thread is in guest code (`in_guest`), or parked on its condition, or runs a
 * function it was asked to run while parked. To stop: clear `run`, kick each
 * that is in guest code, wait. The engine loses no kick; the wait kicks again
 * after a few milliseconds all the same, so that no fault of an engine there
 * makes a machine that cannot be freed.
 *
 * A vCPU that is not in use has no thread until it is plugged for the first
 * time. One that was unplugged keeps its thread, parked, and what the engine has
 * of it: KVM frees no vCPU before its VM, and somebody may be about to send it
 * an interrupt.
 *
 * Threads that come later are started by the maker, a thread that does nothing
 * else: a thread has the system call filter of the one that started it, and the
 * control thread's lets no vCPU run.
 *
 * Threads: new, free, run, pause, make, use and call on the control thread (call
 *          also from the vCPU's own); park from any; get from any thread.
 */
#include "machine/vcpu.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/error.h"
#include "base/thread.h"
#include "machine/x86/cpu_model.h"

enum { REKICK_US = 5000 };

typedef struct {
    vsr_vcpus *vcpus;
    uint32_t index;
    GThread *thread;         /* NULL: it was never in use */
    vsr_engine_vcpu *handle; /* constant once `created` */
    clockid_t cpu_clock;     /* likewise */
    GError *error;           /* why there is none */

    /* Under vcpus->lock. */
    GCond wake;   /* for the thread */
    bool is_used; /* runs when the others do; read without the lock, too */
    bool created, in_guest;
    int (*call)(vsr_engine_vcpu *vcpu, void *opaque);
    void *call_opaque;
    int call_result;
    bool call_done;
} vcpu_thread;

struct vsr_vcpus {
    vsr_machine *machine;
    uint32_t n;      /* that there can be */
    vsr_loop *maker; /* NULL: all were there from the start */
    vcpu_thread *vcpu;
    vsr_vcpu_entry *entry; /* of vsr_vcpus_set_entry() */
    void *entry_opaque;

    GMutex lock;  /* guards what follows, and the threads' members */
    GCond parked; /* a thread has left guest code, finished a call, or ended */
    bool run, exit;
};

/* --- the thread --- */

/* False, with an error: there is none. */
static bool vcpu_create(vcpu_thread *vcpu)
{
    vsr_vcpus *vcpus = vcpu->vcpus;
    const vsr_machine *machine = vcpus->machine;
    g_autofree vsr_cpuid *rows = g_new0(vsr_cpuid, 1);
    vsr_vcpu_config config = { .index = vcpu->index,
                               .apic_id = vcpu->index,
                               .cpuid = rows };

    vsr_cpu_model_vcpu(machine->config.cpuid, config.apic_id, rows);
    (void)pthread_getcpuclockid(pthread_self(), &vcpu->cpu_clock);
    vcpu->handle =
        machine->engine->vcpu_new(machine->vm, &config, &vcpu->error);
    if (vcpu->handle != NULL && vcpus->entry != NULL &&
        !vcpus->entry(vcpus->entry_opaque, &vcpu->error))
        machine->engine->vcpu_free(g_steal_pointer(&vcpu->handle));
    g_mutex_lock(&vcpus->lock);
    vcpu->created = true;
    g_cond_broadcast(&vcpus->parked);
    g_mutex_unlock(&vcpus->lock);
    return vcpu->handle != NULL;
}

/* What a return from vcpu_run means for the machine. */
static void vcpu_returned(vcpu_thread *vcpu, int reason)
{
    vsr_machine *machine = vcpu->vcpus->machine;
    g_autofree char *text = NULL;

    if (reason < 0) {
        text = g_strdup_printf("vCPU %u: %s", vcpu->index, g_strerror(-reason));
        vsr_machine_request(machine, VSR_REQUEST_CRASH, 0, text);
        return;
    }
    switch ((vsr_run_reason)reason) {
    case VSR_RUN_KICKED:
    case VSR_RUN_DEBUG: /* nobody has asked for it: go on */
        return;
    case VSR_RUN_SHUTDOWN:
        text = g_strdup_printf("vCPU %u: triple fault", vcpu->index);
        vsr_machine_request(machine,
                            machine->config.triple_fault_resets
                                ? VSR_REQUEST_RESET
                                : VSR_REQUEST_CRASH,
                            0, text);
        return;
    case VSR_RUN_FAILED:
        text = g_strdup_printf("vCPU %u: %s", vcpu->index,
                               machine->engine->vcpu_failure(vcpu->handle));
        vsr_machine_request(machine, VSR_REQUEST_CRASH, 0, text);
        return;
    }
}

/* Lock held, and again at return. */
static void vcpu_run_guest(vcpu_thread *vcpu)
{
    vsr_vcpus *vcpus = vcpu->vcpus;
    int reason;

    vcpu->in_guest = true;
    g_mutex_unlock(&vcpus->lock);
    reason = vcpus->machine->engine->vcpu_run(vcpu->handle);
    if (reason != VSR_RUN_KICKED)
        vcpu_returned(vcpu, reason);
    g_mutex_lock(&vcpus->lock);
    vcpu->in_guest = false;
    g_cond_broadcast(&vcpus->parked);
}

static void vcpu_run_call(vcpu_thread *vcpu)
{
    vsr_vcpus *vcpus = vcpu->vcpus;

    g_mutex_unlock(&vcpus->lock);
    vcpu->call_result = vcpu->call(vcpu->handle, vcpu->call_opaque);
    g_mutex_lock(&vcpus->lock);
    vcpu->call = NULL;
    vcpu->call_done = true;
    g_cond_broadcast(&vcpus->parked);
}

static void *vcpu_main(void *opaque)
{
    vcpu_thread *vcpu = opaque;
    vsr_vcpus *vcpus = vcpu->vcpus;

    if (!vcpu_create(vcpu))
        return NULL;
    g_mutex_lock(&vcpus->lock);
    while (!vcpus->exit) {
        if (vcpu->call != NULL)
            vcpu_run_call(vcpu);
        else if (vcpus->run && vcpu->is_used)
            vcpu_run_guest(vcpu);
        else
            g_cond_wait(&vcpu->wake, &vcpus->lock);
    }
    g_mutex_unlock(&vcpus->lock);
    vcpus->machine->engine->vcpu_free(vcpu->handle);
    return NULL;
}

/* --- all of them --- */

static bool vcpu_start(vcpu_thread *vcpu, GError **error)
{
    g_autofree char *name = g_strdup_printf("vcpu%u", vcpu->index);
    vsr_vcpus *vcpus = vcpu->vcpus;

    vcpu->thread = vsr_thread_new(name, vcpu_main, vcpu, error);
    if (vcpu->thread == NULL)
        return false;
    g_mutex_lock(&vcpus->lock);
    while (!vcpu->created)
        g_cond_wait(&vcpus->parked, &vcpus->lock);
    g_mutex_unlock(&vcpus->lock);
    if (vcpu->handle == NULL) {
        g_thread_join(g_steal_pointer(&vcpu->thread));
        vcpu->created = false;
        g_propagate_prefixed_error(error, g_steal_pointer(&vcpu->error),
                                   "vCPU %u: ", vcpu->index);
        return false;
    }
    return true;
}

typedef struct {
    vcpu_thread *vcpu;
    GError **error;
    bool ok;
} make_call;

static void make_on_maker(void *opaque)
{
    make_call *call = opaque;

    call->ok = vcpu_start(call->vcpu, call->error);
}

bool vsr_vcpus_make(vsr_vcpus *vcpus, uint32_t index, GError **error)
{
    make_call call = { &vcpus->vcpu[index], error, false };

    if (call.vcpu->thread != NULL)
        return true;
    vsr_loop_sync(vcpus->maker, make_on_maker, &call);
    return call.ok;
}

void vsr_vcpus_use(vsr_vcpus *vcpus, uint32_t index, bool is_used)
{
    vcpu_thread *vcpu = &vcpus->vcpu[index];

    g_mutex_lock(&vcpus->lock);
    __atomic_store_n(&vcpu->is_used, is_used, __ATOMIC_RELEASE);
    g_cond_signal(&vcpu->wake);
    g_mutex_unlock(&vcpus->lock);
}

bool vsr_vcpus_is_used(const vsr_vcpus *vcpus, uint32_t index)
{
    return index < vcpus->n &&
           __atomic_load_n(&vcpus->vcpu[index].is_used, __ATOMIC_ACQUIRE);
}

void vsr_vcpus_set_entry(vsr_vcpus *vcpus, vsr_vcpu_entry *entry, void *opaque)
{
    vcpus->entry = entry;
    vcpus->entry_opaque = opaque;
}

vsr_vcpus *vsr_vcpus_new(vsr_machine *machine, GError **error)
{
    vsr_vcpus *vcpus = g_new0(vsr_vcpus, 1);
    bool ok;

    vcpus->machine = machine;
    vcpus->n = machine->config.max_vcpus;
    vcpus->vcpu = g_new0(vcpu_thread, vcpus->n);
    g_mutex_init(&vcpus->lock);
    g_cond_init(&vcpus->parked);
    for (uint32_t i = 0; i < vcpus->n; i++) {
        vcpus->vcpu[i].vcpus = vcpus;
        vcpus->vcpu[i].index = i;
        g_cond_init(&vcpus->vcpu[i].wake);
    }
    if (machine->config.vcpus < vcpus->n)
        vcpus->maker = vsr_loop_new("vcpu maker", error);
    ok = machine->config.vcpus == vcpus->n || vcpus->maker != NULL;
    for (uint32_t i = 0; i < machine->config.vcpus && ok; i++) {
        ok = vcpu_start(&vcpus->vcpu[i], error);
        vcpus->vcpu[i].is_used = ok;
    }
    if (!ok)
        g_clear_pointer(&vcpus, vsr_vcpus_free);
    return vcpus;
}

/* Lock held; atomic because vsr_vcpus_running() looks without it. */
static void run_set(vsr_vcpus *vcpus, bool run)
{
    __atomic_store_n(&vcpus->run, run, __ATOMIC_RELAXED);
}

/* Lock held. */
static void wake_all(vsr_vcpus *vcpus)
{
    for (uint32_t i = 0; i < vcpus->n; i++)
        g_cond_signal(&vcpus->vcpu[i].wake);
}

/* Lock held. Kicks those in guest code; how many are there? */
static uint32_t kick_all(vsr_vcpus *vcpus)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < vcpus->n; i++)
        if (vcpus->vcpu[i].in_guest) {
            vcpus->machine->engine->vcpu_kick(vcpus->vcpu[i].handle);
            n++;
        }
    return n;
}

void vsr_vcpus_free(vsr_vcpus *vcpus)
{
    if (vcpus == NULL)
        return;
    vsr_vcpus_pause(vcpus);
    g_mutex_lock(&vcpus->lock);
    vcpus->exit = true;
    wake_all(vcpus);
    g_mutex_unlock(&vcpus->lock);
    for (uint32_t i = 0; i < vcpus->n; i++) {
        vcpu_thread *vcpu = &vcpus->vcpu[i];

        if (vcpu->thread != NULL)
            g_thread_join(vcpu->thread);
        g_cond_clear(&vcpu->wake);
    }
    if (vcpus->maker != NULL)
        vsr_loop_free(vcpus->maker);
    g_cond_clear(&vcpus->parked);
    g_mutex_clear(&vcpus->lock);
    g_free(vcpus->vcpu);
    g_free(vcpus);
}

void vsr_vcpus_run(vsr_vcpus *vcpus)
{
    g_mutex_lock(&vcpus->lock);
    /* Under the lock, as the park that a request makes: one of the two sees
     * the other. */
    run_set(vcpus, !g_atomic_int_get(&vcpus->machine->requested));
    wake_all(vcpus);
    g_mutex_unlock(&vcpus->lock);
}

void vsr_vcpus_park(vsr_vcpus *vcpus)
{
    g_mutex_lock(&vcpus->lock);
    run_set(vcpus, false);
    (void)kick_all(vcpus);
    g_mutex_unlock(&vcpus->lock);
}

void vsr_vcpus_pause(vsr_vcpus *vcpus)
{
    g_mutex_lock(&vcpus->lock);
    run_set(vcpus, false);
    while (kick_all(vcpus) > 0)
        (void)g_cond_wait_until(&vcpus->parked, &vcpus->lock,
                                g_get_monotonic_time() + REKICK_US);
    g_mutex_unlock(&vcpus->lock);
}

bool vsr_vcpus_running(const vsr_vcpus *vcpus)
{
    return __atomic_load_n(&vcpus->run, __ATOMIC_RELAXED);
}

vsr_engine_vcpu *vsr_vcpus_get(vsr_vcpus *vcpus, uint32_t index)
{
    return vsr_vcpus_is_used(vcpus, index) ? vcpus->vcpu[index].handle : NULL;
}

int vsr_vcpus_call(vsr_vcpus *vcpus, uint32_t index,
                   int (*fn)(vsr_engine_vcpu *vcpu, void *opaque), void *opaque)
{
    vcpu_thread *vcpu;
    int result;

    if (index >= vcpus->n || vcpus->vcpu[index].thread == NULL)
        return -EINVAL;
    vcpu = &vcpus->vcpu[index];
    if (vcpu->thread == g_thread_self())
        return fn(vcpu->handle, opaque);
    g_mutex_lock(&vcpus->lock);
    if (vcpus->run || vcpu->in_guest) {
        g_mutex_unlock(&vcpus->lock);
        return -EBUSY;
    }
    vcpu->call = fn;
    vcpu->call_opaque = opaque;
    vcpu->call_done = false;
    g_cond_signal(&vcpu->wake);
    while (!vcpu->call_done)
        g_cond_wait(&vcpus->parked, &vcpus->lock);
    result = vcpu->call_result;
    g_mutex_unlock(&vcpus->lock);
    return result;
}

uint64_t vsr_vcpus_cpu_ns(const vsr_vcpus *vcpus, uint32_t index)
{
    struct timespec ts;

    if (index >= vcpus->n || vcpus->vcpu[index].thread == NULL ||
        clock_gettime(vcpus->vcpu[index].cpu_clock, &ts) < 0)
        return 0;
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}
