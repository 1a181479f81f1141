/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_emu_int.c: how many million instructions a second the emulator runs.
 *
 * Usage: bench_emu_int GUEST_IMAGE [KERNEL]. Checks each checksum against the
 * host's own and exits with 1 where they differ; says nothing about how fast is
 * fast enough.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <glib.h>

#include "tests/support/emu_harness.h"

uint64_t guest_work(uint64_t kernel, uint64_t rounds);
extern unsigned char guest_memory[];
unsigned char guest_memory[1 << 20];

enum { IMAGE_AT = 0x400000, RAM_LEN = 32 << 20 };

static const struct {
    const char *name;
    uint64_t rounds;
} kernels[] = {
#ifdef BENCH_FP /* guest_fp.c */
    { "matmul", 60 }, { "nbody", 100000 }, { "x87", 4000 },
    { "copy", 3000 }, { "vector", 4000 },
#else /* guest_int.c */
    { "sieve", 200 },    { "mix", 8000 },  { "calls", 400 },
    { "bignum", 60000 }, { "text", 1000 },
#endif
};

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t instructions(emu_harness *h)
{
    const char *names[32];
    uint64_t values[32];
    uint32_t n;

    if (vsr_emu_engine.vcpu_stats == NULL)
        return 0;
    n = vsr_emu_engine.vcpu_stats(h->vcpu, names, values, 32);
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(names[i], "emu.instructions") == 0)
            return values[i];
    return 0;
}

static bool bench(emu_harness *h, const char *image, size_t len, uint64_t n)
{
    vsr_x86_state state;
    uint64_t got, want, insns;
    double start, took;
    int rc;

    emu_harness_load(h, 64, IMAGE_AT, image, len);
    state = *emu_harness_state(h);
    state.gpr[VSR_X86_RDI] = n;
    state.gpr[VSR_X86_RSI] = kernels[n].rounds;
    vsr_emu_engine.vcpu_set(h->vcpu, &state);
    insns = instructions(h);
    start = cpu_seconds();
    rc = emu_harness_run(h, 60000);
    took = cpu_seconds() - start;
    insns = instructions(h) - insns;
    got = emu_harness_gpr(h, VSR_X86_RDX);
    want = guest_work(n, kernels[n].rounds);
    printf("%-8s %8.1f M insns %7.3f s %7.0f MIPS  %s\n", kernels[n].name,
           (double)insns / 1e6, took, (double)insns / 1e6 / took,
           got == want ? "ok" : "WRONG");
    if (rc != VSR_RUN_KICKED || !h->stopped)
        printf("         ended with %d, trap %d\n", rc, h->trap);
    return got == want;
}

int main(int argc, char **argv)
{
    emu_harness *h;
    gchar *image;
    gsize len;
    bool ok = true;

    if (argc < 2 || !g_file_get_contents(argv[1], &image, &len, NULL)) {
        fprintf(stderr, "usage: bench_emu_int GUEST_IMAGE [KERNEL]\n");
        return 2;
    }
    h = emu_harness_new(RAM_LEN);
    for (uint64_t n = 0; n < G_N_ELEMENTS(kernels); n++)
        if (argc < 3 || strcmp(argv[2], kernels[n].name) == 0)
            ok &= bench(h, image, len, n);
    emu_harness_free(h);
    g_free(image);
    return !ok;
}
