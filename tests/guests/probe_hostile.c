/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe_hostile.c: programs that mean harm, or do what nobody expects. Most of
 * them never end.
 */
#include "probe.h"

/* Where pseudo-random instructions are, and how long each piece is. */
#define CHUNKS UINT64_C(0x1000000)
enum { CHUNK = 256, CHUNKS_MAX = 4096 };

static u64 random_state = 1;

static u32 random32(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (u32)(random_state >> 32);
}

static bool ends_the_machine(u16 port)
{
    return (port >= 0x5d && port <= 0x64) || (port >= 0x8f && port <= 0x92) ||
           (port >= 0x5fd && port <= 0x605) || (port >= 0xcf6 && port <= 0xcf9);
}

static void storm_ports(void)
{
    for (;;) {
        u32 value = random32();
        u16 port = (u16)random32();

        if (ends_the_machine(port))
            continue;
        out8(port, (u8)value);
        out32(port, value);
        (void)in32(port);
    }
}

static void storm_mmio(void)
{
    for (;;) {
        u64 at = 0xc0000000u + (random32() & 0x3fffffff);
        u32 value = random32();

        if (at >= 0xfee00000 && at < 0xfee01000)
            continue; /* its own interrupt controller may end it */
        *(volatile u32 *)(at & ~3u) = value;
        *(volatile u8 *)at = (u8)value;
        (void)*(volatile u64 *)(at & ~7u);
    }
}

/* Every exception leads to the next piece. */
static u32 next_chunk;

static void to_next_chunk(frame *f)
{
    u64 at = CHUNKS + (u64)(next_chunk++ % CHUNKS_MAX) * CHUNK;

    for (u32 i = 0; i < CHUNK; i += 4)
        *(volatile u32 *)(at + i) = random32();
    f->rip = at;
    f->rflags = 2;
    f->rsp = CHUNKS - 64;
    f->cs = 8;
    f->ss = 0x10;
}

static void garbage(u64 seed)
{
    random_state = seed * 2654435761u + 1;
    on_any_exception = to_next_chunk;
    __asm__ volatile("ud2");
}

/* The tables are gone, so that the first exception is the third too. */
static void triple_fault(void)
{
    static const struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) nothing = { 0, 0 };

    __asm__ volatile("lidt %0; ud2" : : "m"(nothing));
}

/* What KVM has to emulate and cannot; an emulator just does it. */
static void vector_mmio(void)
{
    __asm__ volatile("pmuludq (%0), %%xmm0" : : "r"(UINT64_C(0xd0000000)));
    print("done\n");
}

void program_hostile(const char *what)
{
    print("hostile\n");
    switch (what[0]) {
    case 'p':
        storm_ports();
        break;
    case 'm':
        storm_mmio();
        break;
    case 'g':
        garbage((u64)(what[1] - '0') * 10 + (u64)(what[2] - '0'));
        break;
    case 't':
        triple_fault();
        break;
    case 's': /* for ever, interrupts off */
        __asm__ volatile("cli; 1: jmp 1b");
        break;
    case 'h':
        __asm__ volatile("cli; 1: hlt; jmp 1b");
        break;
    case 'v':
        vector_mmio();
        break;
    case 'j': /* where nothing is */
        __asm__ volatile("jmp *%0" : : "r"(UINT64_C(0xd0000000)));
        break;
    default:
        break;
    }
}
