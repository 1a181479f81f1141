/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host_oracle.c: the sandbox around one native instruction.
 *
 * The code page holds, in this order, a prologue that loads the state, a hole
 * of 16 bytes for the instruction (filled up with NOPs), an epilogue that saves
 * the state, and a few slots that both reach relative to RIP.
 */
#include "tests/support/host_oracle.h"

#if defined(__x86_64__)

#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    HOLE = 16,
    CODE = PAGE,              /* a guard page comes first */
    MEMORY = CODE + 2 * PAGE, /* code, guard */
    TOTAL = MEMORY + HOST_ORACLE_MEMORY + PAGE,
    N_SIGNALS = 5,
};

struct host_oracle {
    uint8_t *map;
    uint8_t *alt_stack;
    stack_t old_stack;
    struct sigaction old_action[N_SIGNALS];
    bool taken;
};

/* Not SIGALRM and the like: only what an instruction can raise. */
static const int signals[N_SIGNALS] = { SIGFPE, SIGILL, SIGSEGV, SIGBUS,
                                        SIGTRAP };

_Static_assert(offsetof(host_oracle_state, rflags) == 128, "used below");
_Static_assert(offsetof(host_oracle_state, fx) == 144, "used below");

/* rdi: the state. Flags are loaded by POPFQ; MOV changes none of them. */
__asm__(".pushsection .rodata\n"
        "vsr_oracle_begin:\n"
        "    push %rbx\n"
        "    push %rbp\n"
        "    push %r12\n"
        "    push %r13\n"
        "    push %r14\n"
        "    push %r15\n"
        "    mov %rdi, vsr_oracle_state(%rip)\n"
        "    mov %rsp, vsr_oracle_rsp(%rip)\n"
        "    stmxcsr vsr_oracle_mxcsr(%rip)\n"
        "    fnstcw vsr_oracle_cw(%rip)\n"
        "    fxrstor64 144(%rdi)\n"
        "    pushq 128(%rdi)\n"
        "    popfq\n"
        "    mov 0(%rdi), %rax\n"
        "    mov 8(%rdi), %rcx\n"
        "    mov 16(%rdi), %rdx\n"
        "    mov 24(%rdi), %rbx\n"
        "    mov 32(%rdi), %rsp\n"
        "    mov 40(%rdi), %rbp\n"
        "    mov 48(%rdi), %rsi\n"
        "    mov 64(%rdi), %r8\n"
        "    mov 72(%rdi), %r9\n"
        "    mov 80(%rdi), %r10\n"
        "    mov 88(%rdi), %r11\n"
        "    mov 96(%rdi), %r12\n"
        "    mov 104(%rdi), %r13\n"
        "    mov 112(%rdi), %r14\n"
        "    mov 120(%rdi), %r15\n"
        "    mov 56(%rdi), %rdi\n"
        "vsr_oracle_hole:\n"
        "    .skip 16, 0x90\n"
        "    mov %rdi, vsr_oracle_rdi(%rip)\n"
        "    mov vsr_oracle_state(%rip), %rdi\n"
        "    mov %rax, 0(%rdi)\n"
        "    mov %rcx, 8(%rdi)\n"
        "    mov %rdx, 16(%rdi)\n"
        "    mov %rbx, 24(%rdi)\n"
        "    mov %rsp, 32(%rdi)\n"
        "    mov %rbp, 40(%rdi)\n"
        "    mov %rsi, 48(%rdi)\n"
        "    mov %r8, 64(%rdi)\n"
        "    mov %r9, 72(%rdi)\n"
        "    mov %r10, 80(%rdi)\n"
        "    mov %r11, 88(%rdi)\n"
        "    mov %r12, 96(%rdi)\n"
        "    mov %r13, 104(%rdi)\n"
        "    mov %r14, 112(%rdi)\n"
        "    mov %r15, 120(%rdi)\n"
        "    mov vsr_oracle_rdi(%rip), %rax\n"
        "    mov %rax, 56(%rdi)\n"
        "    mov vsr_oracle_rsp(%rip), %rsp\n"
        "    pushfq\n"
        "    popq 128(%rdi)\n"
        "    cld\n"
        "    fxsave64 144(%rdi)\n"
        "    fninit\n"
        "    ldmxcsr vsr_oracle_mxcsr(%rip)\n"
        "    fldcw vsr_oracle_cw(%rip)\n"
        "    pop %r15\n"
        "    pop %r14\n"
        "    pop %r13\n"
        "    pop %r12\n"
        "    pop %rbp\n"
        "    pop %rbx\n"
        "    ret\n"
        "    .balign 8\n"
        "vsr_oracle_state: .quad 0\n"
        "vsr_oracle_rsp: .quad 0\n"
        "vsr_oracle_rdi: .quad 0\n"
        "vsr_oracle_mxcsr: .long 0\n"
        "vsr_oracle_cw: .long 0\n"
        "vsr_oracle_end:\n"
        ".popsection\n");

extern const uint8_t vsr_oracle_begin[], vsr_oracle_hole[], vsr_oracle_end[];

/* For the signal handler. */
static _Thread_local sigjmp_buf escape;
static _Thread_local volatile sig_atomic_t running;
static _Thread_local volatile int fault_vector;

static void on_signal(int number, siginfo_t *info, void *context)
{
    const ucontext_t *u = context;

    if (!running) {
        /* Not ours: let it kill the test as it would have. */
        signal(number, SIG_DFL);
        return;
    }
    fault_vector = (int)u->uc_mcontext.gregs[REG_TRAPNO];
    siglongjmp(escape, 1);
}

/* CMocka takes the same signals at the start of each test, so look every time
 * whether they are still ours. */
static void take_signals(host_oracle *o)
{
    struct sigaction action = { .sa_sigaction = on_signal,
                                .sa_flags =
                                    SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    struct sigaction now;

    if (sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_sigaction == on_signal)
        return;
    for (unsigned i = 0; i < N_SIGNALS; i++)
        sigaction(signals[i], &action, &o->old_action[i]);
    o->taken = true;
}

host_oracle *host_oracle_new(void)
{
    host_oracle *o = calloc(1, sizeof *o);
    stack_t stack = { .ss_size = 64 * 1024 };

    if (o == NULL)
        return NULL;
    o->map = mmap(NULL, TOTAL, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (o->map == MAP_FAILED) {
        free(o);
        return NULL;
    }
    o->alt_stack = malloc(stack.ss_size);
    stack.ss_sp = o->alt_stack;
    if (o->alt_stack == NULL ||
        mprotect(o->map + CODE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) !=
            0 ||
        mprotect(o->map + MEMORY, HOST_ORACLE_MEMORY, PROT_READ | PROT_WRITE) !=
            0 ||
        sigaltstack(&stack, &o->old_stack) != 0) {
        free(o->alt_stack);
        munmap(o->map, TOTAL);
        free(o);
        return NULL;
    }
    memcpy(o->map + CODE, vsr_oracle_begin,
           (size_t)(vsr_oracle_end - vsr_oracle_begin));
    return o;
}

void host_oracle_free(host_oracle *o)
{
    if (o == NULL)
        return;
    for (unsigned i = 0; o->taken && i < N_SIGNALS; i++)
        sigaction(signals[i], &o->old_action[i], NULL);
    sigaltstack(&o->old_stack, NULL);
    free(o->alt_stack);
    munmap(o->map, TOTAL);
    free(o);
}

uint8_t *host_oracle_memory(host_oracle *o)
{
    return o->map + MEMORY;
}

static uint8_t *hole(const host_oracle *o)
{
    return o->map + CODE + (vsr_oracle_hole - vsr_oracle_begin);
}

uint64_t host_oracle_rip(const host_oracle *o)
{
    return (uint64_t)(uintptr_t)hole(o);
}

/* User space on Linux has no other use for GS. */
bool host_oracle_set_gs(host_oracle *o, uint64_t base)
{
    enum { ARCH_SET_GS = 0x1001 };

    return syscall(SYS_arch_prctl, ARCH_SET_GS, base) == 0;
}

void host_oracle_reset_fx(host_oracle_state *state)
{
    static const uint16_t control = 0x037f;
    static const uint32_t mxcsr = 0x1f80;

    memset(state->fx, 0, sizeof state->fx);
    memcpy(state->fx, &control, sizeof control);
    memcpy(state->fx + 24, &mxcsr, sizeof mxcsr);
}

int host_oracle_run(host_oracle *o, const uint8_t *bytes, unsigned len,
                    host_oracle_state *state)
{
    /* AC, TF, NT and ID would hurt us; IF and IOPL are not a user's. */
    enum { USER_FLAGS = 0xcd5, FIXED = 2 };
    void (*enter)(host_oracle_state *) = NULL;
    host_oracle_state work = *state;
    void *code = o->map + CODE;

    if (len > HOST_ORACLE_INSN_MAX)
        return 6;
    take_signals(o);
    memset(hole(o), 0x90, HOLE);
    memcpy(hole(o), bytes, len);
    memcpy(&enter, &code, sizeof enter);
    work.rflags = (work.rflags & USER_FLAGS) | FIXED;
    if (sigsetjmp(escape, 0) != 0) {
        running = 0;
        __asm__ volatile("fninit\n\tldmxcsr %0\n\tcld"
                         :
                         : "m"((const uint32_t){ 0x1f80 }));
        return fault_vector;
    }
    running = 1;
    enter(&work);
    running = 0;
    *state = work;
    return HOST_ORACLE_OK;
}

#else

host_oracle *host_oracle_new(void)
{
    return 0;
}

void host_oracle_free(host_oracle *oracle)
{
}

uint8_t *host_oracle_memory(host_oracle *oracle)
{
    return 0;
}

uint64_t host_oracle_rip(const host_oracle *oracle)
{
    return 0;
}

bool host_oracle_set_gs(host_oracle *oracle, uint64_t base)
{
    return false;
}

void host_oracle_reset_fx(host_oracle_state *state)
{
}

int host_oracle_run(host_oracle *oracle, const uint8_t *bytes, unsigned len,
                    host_oracle_state *state)
{
    return 6;
}

#endif
