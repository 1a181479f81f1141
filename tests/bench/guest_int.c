/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_int.c: integer work for the emulator's benchmark, as a flat 64-bit
 * image without any library. RDI: which kernel; RSI: rounds. The checksum goes
 * to ports E0h (low half), then F4h (high half).
 *
 * Also compiled into the benchmark itself, for the right answer.
 */
#include <stdint.h>

typedef uint32_t u32;
typedef uint64_t u64;

#ifdef GUEST
#define MEMORY ((unsigned char *)0x800000)
#else
extern unsigned char guest_memory[];
#define MEMORY guest_memory
#endif

u64 guest_work(u64 kernel, u64 rounds);

static u64 sieve(u64 rounds)
{
    enum { N = 1 << 16 };
    unsigned char *composite = MEMORY;
    u64 sum = 0;

    for (u64 r = 0; r < rounds; r++) {
        for (u32 i = 0; i < N; i++)
            composite[i] = 0;
        for (u32 i = 2; i < N; i++) {
            if (composite[i])
                continue;
            sum += i;
            for (u32 j = 2 * i; j < N; j += i)
                composite[j] = 1;
        }
    }
    return sum;
}

static u32 ror(u32 x, int n)
{
    return x >> n | x << (32 - n);
}

/* The shape of SHA-256's compression, with a schedule of its own. */
static u64 mix(u64 rounds)
{
    u32 s[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    volatile u32 *w = (volatile u32 *)MEMORY;

    for (u64 r = 0; r < rounds; r++) {
        for (u32 i = 0; i < 64; i++)
            w[i] = i < 16 ? (u32)r * 0x9e3779b9u + i
                          : w[i - 16] + w[i - 7] +
                                (ror(w[i - 15], 7) ^ ror(w[i - 15], 18)) +
                                (ror(w[i - 2], 17) ^ w[i - 2] >> 10);
        for (u32 i = 0; i < 64; i++) {
            u32 t1 = s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25)) +
                     ((s[4] & s[5]) ^ (~s[4] & s[6])) + w[i];
            u32 t2 = (ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22)) +
                     ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

            for (int k = 7; k > 0; k--)
                s[k] = s[k - 1];
            s[4] += t1;
            s[0] = t1 + t2;
        }
    }
    return (u64)s[0] << 32 | s[7];
}

__attribute__((noinline)) static u64 fib(u64 n)
{
    if (n < 2)
        return n;
    return fib(n - 1) + fib(n - 2);
}

static u64 calls(u64 rounds)
{
    u64 sum = 0;

    for (u64 r = 0; r < rounds; r++)
        sum += fib(20);
    return sum;
}

/* Big numbers, as in a kernel's RSA: multiply and subtract with borrow. */
static u64 bignum(u64 rounds)
{
    enum { N = 64 };
    u64 *a = (u64 *)MEMORY, *b = a + N;
    u64 seed = 1;

    for (int i = 0; i < 2 * N; i++)
        a[i] = seed = seed * 6364136223846793005u + 1442695040888963407u;
    for (u64 r = 0; r < rounds; r++) {
        u64 carry = 0, factor = r * 0x9e3779b97f4a7c15u | 1;

        for (int i = 0; i < N; i++) {
            unsigned __int128 p = (unsigned __int128)b[i] * factor + carry;

            carry = (u64)(p >> 64) + (a[i] < (u64)p);
            a[i] -= (u64)p;
        }
        b[r % N] ^= carry;
    }
    for (int i = 0; i < N; i++)
        seed ^= a[i];
    return seed;
}

/* Strings and tables: bytes, compares, unpredictable branches. */
static u64 text(u64 rounds)
{
    unsigned char *p = MEMORY;
    u64 seed = 42, sum = 0;

    for (int i = 0; i < 8192; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        p[i] = "the quick brown fox\njumps over a lazy dog 0123"[seed >> 59];
    }
    for (u64 r = 0; r < rounds; r++) {
        u32 word = 0;

        for (int i = 0; i < 8192; i++) {
            unsigned char c = p[i];

            if (c >= 'a' && c <= 'z')
                word = word * 31 + c;
            else if (c >= '0' && c <= '9')
                word ^= (u32)c << (c & 15);
            else {
                sum += word;
                word = (u32)r;
            }
        }
    }
    return sum;
}

u64 guest_work(u64 kernel, u64 rounds)
{
    switch (kernel) {
    case 0:
        return sieve(rounds);
    case 1:
        return mix(rounds);
    case 2:
        return calls(rounds);
    case 3:
        return bignum(rounds);
    default:
        return text(rounds);
    }
}
