/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_fp.c: SSE2 and x87 work for the emulator's benchmark, as a flat 64-bit
 * image without any library. RDI: which kernel; RSI: rounds. The checksum is in
 * RDX when a write to port F4h ends the run.
 *
 * Also compiled into the benchmark itself, for the right answer.
 */
#include <stdint.h>

typedef uint64_t u64;
typedef uint32_t u32;
typedef u32 v4u __attribute__((vector_size(16)));

u64 guest_work(u64 kernel, u64 rounds);

#ifdef GUEST
#define MEMORY ((unsigned char *)0x800000)
#else
extern unsigned char guest_memory[];
#define MEMORY guest_memory
#endif

static u64 bits(double d)
{
    union {
        double d;
        u64 u;
    } x = { d };

    return x.u;
}

static u64 matmul(u64 rounds)
{
    enum { N = 64 };
    double(*a)[N] = (void *)MEMORY, (*b)[N] = a + N, (*c)[N] = b + N;

    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = 1.0 / (i + j + 1);
            b[i][j] = (i * 7 + j * 3) % 11 - 5;
        }
    for (u64 r = 0; r < rounds; r++)
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                double sum = (double)(r & 7);

                for (int k = 0; k < N; k++)
                    sum += a[i][k] * b[k][j];
                c[i][j] = sum;
            }
    return bits(c[3][5]) ^ bits(c[N - 1][N - 1]);
}

/* Three-body problem: divisions, square roots, register pressure. */
static u64 nbody(u64 rounds)
{
    double x[3] = { 0, 4.8, 8.3 }, y[3] = { 0, -1.1, 4.1 },
           z[3] = { 0, -.1, -.4 };
    double u[3] = { 0, .6, -1.01 }, v[3] = { 0, 2.8, 1.8 }, w[3] = { 0, 0, 0 };
    double m[3] = { 39.4, .037, .011 };

    for (u64 r = 0; r < rounds; r++) {
        for (int i = 0; i < 3; i++)
            for (int j = i + 1; j < 3; j++) {
                double dx = x[i] - x[j], dy = y[i] - y[j], dz = z[i] - z[j];
                double d2 = dx * dx + dy * dy + dz * dz, d, f;

                __asm__("sqrtsd %1, %0" : "=x"(d) : "x"(d2));
                f = .001 / (d2 * d);
                u[i] -= dx * m[j] * f;
                v[i] -= dy * m[j] * f;
                w[i] -= dz * m[j] * f;
                u[j] += dx * m[i] * f;
                v[j] += dy * m[i] * f;
                w[j] += dz * m[i] * f;
            }
        for (int i = 0; i < 3; i++) {
            x[i] += .001 * u[i];
            y[i] += .001 * v[i];
            z[i] += .001 * w[i];
        }
    }
    return bits(x[0]) ^ bits(y[1]) ^ bits(z[2]);
}

static u64 x87_sum(u64 rounds)
{
    double *p = (double *)MEMORY;
    long double sum = 0;

    for (int i = 0; i < 1024; i++)
        p[i] = 1.0 / (i + 1);
    for (u64 r = 0; r < rounds; r++)
        for (int i = 0; i < 1024; i++)
            sum = sum * .5L + (long double)p[i];
    return bits((double)sum);
}

static u64 copy(u64 rounds)
{
    v4u *from = (void *)MEMORY, *to = from + 4096;

    for (int i = 0; i < 4096; i++)
        from[i] = (v4u){ (u32)i, (u32)i * 3, 5, 7 };
    for (u64 r = 0; r < rounds; r++)
        for (int i = 0; i < 4096; i += 4) {
            v4u a = from[i], b = from[i + 1], c = from[i + 2], d = from[i + 3];

            __asm__ volatile("" : "+x"(a), "+x"(b), "+x"(c), "+x"(d));
            to[i] = a;
            to[i + 1] = b;
            to[i + 2] = c;
            to[i + 3] = d;
        }
    return to[4095][1];
}

/* Integers in vector registers: shifts, adds, shuffles, multiplies. */
static u64 vector(u64 rounds)
{
    v4u a = { 1, 2, 3, 4 }, b = { 5, 6, 7, 8 };

    for (u64 r = 0; r < rounds * 1024; r++) {
        a += b;
        b ^= a << 7 | a >> 25;
        b = __builtin_shufflevector(b, b, 1, 2, 3, 0);
        a ^= b >> 3;
    }
    return (u64)a[0] << 32 | b[3];
}

u64 guest_work(u64 kernel, u64 rounds)
{
    switch (kernel) {
    case 0:
        return matmul(rounds);
    case 1:
        return nbody(rounds);
    case 2:
        return x87_sum(rounds);
    case 3:
        return copy(rounds);
    default:
        return vector(rounds);
    }
}
