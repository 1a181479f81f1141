/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * virtio.c: fuzz target of what a guest's virtio driver says: rings and chains in
 * RAM, PCI configuration, BARs, virtio-mmio registers; to a disk on PCI, an
 * entropy and a memory device on MMIO.
 *
 * Input: steps of eight bytes each: kind and size, place (two bytes), count,
 * value (four bytes). The devices are set up at first, with their queues where
 * QUEUE_AT says.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/pci/host.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/mem.h"
#include "devices/virtio/rng.h"
#include "machine/boot/image.h"
#include "tests/devices/fake_block.h"
#include "tests/support/fake_engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)  \
    do {                  \
        if (!(condition)) \
            abort();      \
    } while (0)

enum {
    RAM = 4 << 20,
    DEVFN = 5 << 3,
    BAR = 0xc0000000,
    MSIX = 0xc0010000,
    QUEUE_AT = 0x100000, /* of the disk's queue 0; each next one is a step on,
                            the entropy and the memory device's the last */
    QUEUE_STEP = 0x10000,
    AVAIL = 0x1000,
    USED = 0x2000,
    INDIRECT = 0x3000,
    DATA = 0x4000,
    SIZE = 16,
    BLK_QUEUES = 2,
    RNG_QUEUE = BLK_QUEUES,
    MEM_QUEUE,
    QUEUES,
    DISK = 64 << 10,
    MEM_BLOCKS = 16,
};
#define MEM_AT    (UINT64_C(4) << 30)
#define MEM_BLOCK (UINT64_C(2) << 20)

typedef struct {
    vsr_machine *machine;
    vsr_block *block;
    vsr_device *disk, *memory;
    uint64_t window[2]; /* of the entropy and the memory device */
    uint16_t avail[QUEUES];
} target;

/* --- accesses ------------------------------------------------------------------ */

static void set(target *t, uint64_t at, uint32_t size, uint64_t value)
{
    fake_mmio_write(t->machine, 0, at, size, value);
}

static uint64_t config_at(uint32_t offset)
{
    return VSR_ECAM_BASE + ((uint64_t)DEVFN << 12) + offset;
}

static void poke(target *t, uint64_t gpa, const void *from, uint32_t len)
{
    (void)vsr_mem_write(t->machine->mem, gpa, from, len);
}

static void nothing(void *opaque)
{
}

static void settle(target *t)
{
    for (unsigned i = 0; i < 3; i++)
        vsr_loop_sync(t->machine->loop, nothing, NULL);
}

/* --- the devices, and a driver that sets them up ----------------------------------- */

static void target_init(target *t)
{
    static const vsr_mem_options options;
    vsr_board pci, micro;
    const vsr_pci_host_params host = { &pci };
    vsr_virtio_blk_params disk = { .n_queues = BLK_QUEUES, .queue_size = 64 };
    vsr_virtio_rng_params rng = { .rate_bytes = 0 };
    vsr_virtio_mem_params memory = { .addr = MEM_AT,
                                     .size = MEM_BLOCKS * MEM_BLOCK,
                                     .block = MEM_BLOCK,
                                     .requested = 8 * MEM_BLOCK,
                                     .memory = &options };
    vsr_device *bridge;

    memset(t, 0, sizeof(*t));
    t->machine = fake_machine_new(1);
    CHECK(
        t->machine && vsr_board_init(&pci, VSR_BOARD_PCI, RAM, 1, 1, NULL) &&
        vsr_board_init(&micro, VSR_BOARD_MICRO, RAM, 1, 1, NULL) &&
        vsr_mem_add_ram(t->machine->mem, "ram", 0, RAM, false, &options, NULL));
    t->block = fake_block_new(t->machine->loop, DISK, false);
    bridge =
        vsr_device_new(t->machine, &vsr_pci_host_class, "pci", &host, NULL);
    CHECK(bridge);
    disk.virtio.host = vsr_pci_host_get(bridge);
    disk.virtio.devfn = DEVFN;
    disk.block = t->block;
    rng.virtio.mmio = vsr_board_add_mmio(&micro);
    t->window[0] = rng.virtio.mmio->base;
    memory.virtio.mmio = vsr_board_add_mmio(&micro);
    t->window[1] = memory.virtio.mmio->base;
    t->disk =
        vsr_device_new(t->machine, &vsr_virtio_blk_class, "disk", &disk, NULL);
    CHECK(t->disk &&
          vsr_device_new(t->machine, &vsr_virtio_rng_class, "rng", &rng, NULL));
    t->memory = vsr_device_new(t->machine, &vsr_virtio_mem_class, "memory",
                               &memory, NULL);
    CHECK(t->memory);
}

/* What the device says is what there is, and no more than there may be. */
static void check_memory(target *t)
{
    vsr_virtio_mem_info info;

    vsr_virtio_mem_get(t->memory, &info);
    CHECK(info.plugged <= info.size &&
          info.plugged == vsr_mem_plugged(t->machine->mem, MEM_AT, info.size));
}

static void target_fini(target *t)
{
    vsr_virtio_blk_stats stats;

    settle(t);
    check_memory(t);
    vsr_virtio_blk_get_stats(t->disk, &stats);
    CHECK(stats.in_flight == 0 && fake_block_get(t->block).waiting == 0);
    vsr_machine_free(t->machine);
    fake_block_free(t->block);
}

static void set_up_disk(target *t)
{
    set(t, config_at(VSR_PCI_BAR0), 4, BAR);
    set(t, config_at(VSR_PCI_BAR0 + 4), 4, MSIX);
    set(t, config_at(VSR_PCI_COMMAND), 2, 6);
    set(t, BAR + 20, 1, 0);
    set(t, BAR + 20, 1, 3);
    for (uint32_t i = 0; i < 2; i++) {
        set(t, BAR + 8, 4, i);
        set(t, BAR + 12, 4, i == 0 ? 0x30000200 : 1);
    }
    set(t, BAR + 20, 1, 11);
    for (uint32_t i = 0; i < BLK_QUEUES; i++) {
        uint32_t at = QUEUE_AT + QUEUE_STEP * i;

        set(t, BAR + 22, 2, i);
        set(t, BAR + 24, 2, SIZE);
        set(t, BAR + 32, 8, at);
        set(t, BAR + 40, 8, at + AVAIL);
        set(t, BAR + 48, 8, at + USED);
        set(t, BAR + 28, 2, 1);
    }
    set(t, BAR + 20, 1, 15);
}

static void set_up_mmio(target *t, uint32_t queue)
{
    uint32_t at = QUEUE_AT + QUEUE_STEP * queue;

    const struct {
        uint16_t offset;
        uint32_t value;
    } steps[] = {
        { 0x70, 0 },          { 0x70, 3 },         { 0x24, 0 },
        { 0x20, 0x30000000 }, { 0x24, 1 },         { 0x20, 1 },
        { 0x70, 11 },         { 0x38, SIZE },      { 0x80, at },
        { 0x90, at + AVAIL }, { 0xa0, at + USED }, { 0x44, 1 },
        { 0x70, 15 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++)
        set(t, t->window[queue - RNG_QUEUE] + steps[i].offset, 4,
            steps[i].value);
}

static void set_up(target *t)
{
    static const uint8_t zeros[USED + 0x1000];

    for (uint32_t i = 0; i < QUEUES; i++)
        poke(t, QUEUE_AT + QUEUE_STEP * i, zeros, sizeof(zeros));
    memset(t->avail, 0, sizeof(t->avail));
    set_up_disk(t);
    set_up_mmio(t, RNG_QUEUE);
    set_up_mmio(t, MEM_QUEUE);
}

/* --- steps ------------------------------------------------------------------------- */

static void kick(target *t, uint32_t queue)
{
    if (queue < BLK_QUEUES)
        set(t, BAR + 0x3000 + 4 * queue, 2, queue);
    else
        set(t, t->window[queue - RNG_QUEUE] + 0x50, 4, 0);
    settle(t);
}

static void publish(target *t, uint32_t queue, uint16_t head, uint32_t count)
{
    uint32_t at = QUEUE_AT + QUEUE_STEP * queue + AVAIL;

    for (uint32_t i = 0; i < count; i++) {
        poke(t, at + 4 + 2u * (t->avail[queue] % SIZE), &head, 2);
        t->avail[queue]++;
    }
    poke(t, at + 2, &t->avail[queue], 2);
    kick(t, queue);
}

typedef struct {
    uint64_t gpa;
    uint32_t len;
    uint16_t flags, next;
} desc;

/* A request as a driver would make it: header, data, status, from descriptor
 * `head` on or in an indirect table. */
static void request(target *t, uint32_t queue, const uint8_t *step)
{
    uint32_t base = QUEUE_AT + QUEUE_STEP * queue, value = vsr_le32(step + 4);
    uint16_t head = step[1] % SIZE, flags = step[2];
    const uint32_t header[4] = { flags & 15, 0, value & 0xff, 0 };
    const desc all = { base + INDIRECT, 3 * sizeof(desc), 4, 0 };
    desc d[3];
    uint32_t first = (flags & 0x20) != 0 ? 0 : head;

    for (uint32_t i = 0; i < 3; i++)
        d[i] = (desc){
            .gpa = base + DATA + 0x1000 * i,
            .len = i == 0   ? 16
                   : i == 1 ? value >> 16
                            : 1,
            .flags = (uint16_t)((i < 2 ? 1 : 0) |
                                (i == 2 || (i == 1 && (flags & 0x10)) ? 2 : 0)),
            .next = (uint16_t)((first + i + 1) % SIZE),
        };
    poke(t, base + DATA, header, sizeof(header));
    if ((flags & 0x20) != 0) {
        poke(t, base + INDIRECT, d, sizeof(d));
        poke(t, base + (uint32_t)(head * sizeof(all)), &all, sizeof(all));
    } else {
        for (uint32_t i = 0; i < 3; i++)
            poke(t, base + (uint32_t)((head + i) % SIZE * sizeof(desc)), &d[i],
                 sizeof(desc));
    }
    publish(t, queue, head, 1);
}

/* A request to the memory device, near to what is right. */
static void memory_request(target *t, const uint8_t *step)
{
    uint32_t base = QUEUE_AT + QUEUE_STEP * MEM_QUEUE;
    uint32_t value = vsr_le32(step + 4);
    uint64_t addr = MEM_AT + (value & 31) * MEM_BLOCK + (value >> 5 & 1);
    uint16_t type = step[1] & 7, blocks = (uint16_t)(value >> 8 & 0x1f);
    uint16_t head = step[2] % SIZE;
    uint8_t body[24] = { 0 };
    const desc d[] = {
        { base + DATA, 24, 1, (uint16_t)((head + 1) % SIZE) },
        /* The answer in what may be gone by then. */
        { (value & 0x40) != 0 ? MEM_AT + (value & 15) * MEM_BLOCK
                              : base + DATA + 64,
          10, 2, 0 },
    };

    memcpy(body, &type, 2);
    memcpy(body + 8, &addr, 8);
    memcpy(body + 16, &blocks, 2);
    poke(t, base + DATA, body, sizeof(body));
    for (uint32_t i = 0; i < 2; i++)
        poke(t, base + (uint32_t)((head + i) % SIZE * sizeof(desc)), &d[i],
             sizeof(desc));
    publish(t, MEM_QUEUE, head, 1);
    check_memory(t);
}

/* The machine's resets, pauses, and what is wanted of the memory device. */
static void reset(target *t, uint16_t place, uint32_t value)
{
    if (place & 1)
        vsr_virtio_mem_class.reset(t->memory);
    else if (place & 2)
        (void)vsr_virtio_mem_set_requested(t->memory, (value & 31) * MEM_BLOCK,
                                           NULL);
    else
        vsr_virtio_blk_class.reset(t->disk);
}

static void take_step(target *t, const uint8_t *step)
{
    static const uint64_t bases[] = { BAR, MSIX, BAR + 0x2000, BAR + 0x3000 };
    uint32_t size = 1u << (step[0] & 3), value = vsr_le32(step + 4);
    uint32_t queue = step[3] % QUEUES;
    uint16_t place = vsr_le16(step + 1);
    uint64_t bar = bases[place >> 12 & 3] + (place & 0xfff);

    switch (step[0] >> 2 & 15) {
    case 0: /* rings and what they point at */
        poke(t, QUEUE_AT + QUEUE_STEP * queue + place, &value, 4);
        break;
    case 1:
        publish(t, queue, place, 1 + (value & 0x3f));
        break;
    case 2:
    case 3:
        request(t, queue, step);
        break;
    case 4:
        set(t, bar, size, value);
        break;
    case 5:
        (void)fake_mmio_read(t->machine, 0, bar, size);
        break;
    case 6:
        set(t, config_at(place & 0xfff), size, value);
        break;
    case 7:
        (void)fake_mmio_read(t->machine, 0, config_at(place & 0xfff), size);
        break;
    case 8:
        set(t, t->window[step[3] & 1] + (place & 0x1ff), size, value);
        break;
    case 9:
        (void)fake_mmio_read(t->machine, 0,
                             t->window[step[3] & 1] + (place & 0x1ff), size);
        break;
    case 10:
        kick(t, queue);
        break;
    case 11:
        fake_block_fail(t->block, VSR_BLOCK_OPS, place & 7,
                        value & 1 ? -5 : -28);
        break;
    case 12: /* pause and go on; the kept requests with it */
        vsr_virtio_blk_class.quiesce(t->disk);
        vsr_virtio_blk_class.unquiesce(t->disk);
        break;
    case 13:
        reset(t, place, value);
        break;
    case 14:
        memory_request(t, step);
        break;
    default:
        set_up(t);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    target t;

    target_init(&t);
    set_up(&t);
    for (; size >= 8; data += 8, size -= 8)
        take_step(&t, data);
    target_fini(&t);
    return 0;
}
