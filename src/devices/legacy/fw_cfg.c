/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fw_cfg.c: firmware configuration items behind two ports.
 *
 * All items are made at init and none changes while the guest runs, so it can do
 * no more than read them in an order of its choice.
 *
 * Spec:    QEMU docs/specs/fw_cfg.rst.
 * Threads: registers on vCPU threads under the device's lock.
 */
#include "devices/legacy/fw_cfg.h"

#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/machine.h"

enum {
    KEY_SIGNATURE = 0x0000,
    KEY_ID = 0x0001,
    KEY_RAM_SIZE = 0x0003,
    KEY_NO_GRAPHIC = 0x0004,
    KEY_CPUS = 0x0005,
    KEY_MAX_CPUS = 0x000f,
    KEY_DIRECTORY = 0x0019,
    KEY_FIRST_FILE = 0x0020,

    FILE_NAME_LEN = 56,
    ITEMS_MAX = 16,
    E820_MAX = 16,
};

typedef struct {
    uint16_t key;
    char name[FILE_NAME_LEN]; /* of a file, else "" */
    GByteArray *bytes;        /* owned */
} item;

typedef struct {
    vsr_device base;
    item items[ITEMS_MAX];
    uint32_t n_items;
    const item *selected; /* NULL: reads give zero */
    uint32_t at;
} fw_cfg;

static fw_cfg *to_fw_cfg(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, fw_cfg, base);
}

static void put_le(GByteArray *to, uint64_t value, uint32_t size)
{
    uint32_t i;

    for (i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(value >> 8 * i);

        g_byte_array_append(to, &byte, 1);
    }
}

static void put_be(GByteArray *to, uint64_t value, uint32_t size)
{
    uint32_t i;

    for (i = size; i > 0; i--)
        put_le(to, value >> 8 * (i - 1) & 0xff, 1);
}

static GByteArray *add_item(fw_cfg *f, uint16_t key)
{
    item *it = &f->items[f->n_items++];

    it->key = key;
    it->bytes = g_byte_array_new();
    return it->bytes;
}

static void add_number(fw_cfg *f, uint16_t key, uint64_t value, uint32_t size)
{
    put_le(add_item(f, key), value, size);
}

/* Files are numbered in order of being added. */
static GByteArray *add_file(fw_cfg *f, uint16_t *next_key, const char *name)
{
    GByteArray *bytes = add_item(f, (*next_key)++);

    g_strlcpy(f->items[f->n_items - 1].name, name, FILE_NAME_LEN);
    return bytes;
}

static void add_files(fw_cfg *f, const vsr_fw_cfg_params *p)
{
    uint16_t key = KEY_FIRST_FILE;
    vsr_memmap_entry map[E820_MAX];
    uint32_t n = vsr_board_memmap(p->board, map, E820_MAX);
    GByteArray *file = add_file(f, &key, "etc/e820");
    uint32_t i;

    for (i = 0; i < n; i++) {
        if (map[i].addr < VSR_MIB)
            continue; /* firmware knows its own first MiB */
        put_le(file, map[i].addr, 8);
        put_le(file, map[i].len, 8);
        put_le(file, map[i].type, 4);
    }
    if (p->console_port)
        put_le(add_file(f, &key, "etc/sercon-port"), p->console_port, 8);
}

/* The directory: a count, then size, key, reserved and name, big-endian. */
static void add_directory(fw_cfg *f)
{
    GByteArray *dir = g_byte_array_new();
    uint32_t i, n = 0;

    for (i = 0; i < f->n_items; i++)
        n += f->items[i].name[0] != '\0';
    put_be(dir, n, 4);
    for (i = 0; i < f->n_items; i++) {
        const item *it = &f->items[i];

        if (!it->name[0])
            continue;
        put_be(dir, it->bytes->len, 4);
        put_be(dir, it->key, 2);
        put_be(dir, 0, 2);
        g_byte_array_append(dir, (const uint8_t *)it->name, FILE_NAME_LEN);
    }
    f->items[f->n_items++] = (item){ .key = KEY_DIRECTORY, .bytes = dir };
}

void vsr_fw_cfg_set_cpus(vsr_device *device, uint32_t n)
{
    fw_cfg *f = to_fw_cfg(device);

    g_mutex_lock(&device->lock);
    for (uint32_t i = 0; i < f->n_items; i++)
        if (f->items[i].key == KEY_CPUS) {
            g_byte_array_set_size(f->items[i].bytes, 0);
            put_le(f->items[i].bytes, n, 2);
        }
    g_mutex_unlock(&device->lock);
}

static void selector_write(fw_cfg *f, uint16_t key)
{
    uint32_t i;

    f->selected = NULL;
    f->at = 0;
    for (i = 0; i < f->n_items; i++)
        if (f->items[i].key == key)
            f->selected = &f->items[i];
}

static uint8_t data_read(fw_cfg *f)
{
    if (!f->selected || f->at >= f->selected->bytes->len)
        return 0;
    return f->selected->bytes->data[f->at++];
}

/* A word at 0x510 selects, a byte at 0x511 is data: they overlap, so the size
 * decides. */
static void ports_access(void *opaque, uint64_t offset, vsr_io *io)
{
    vsr_device *device = opaque;
    fw_cfg *f = to_fw_cfg(device);

    if (io->is_write) {
        if (offset == 0 && io->size == 2)
            selector_write(f, (uint16_t)io->data);
    } else {
        io->data = offset == 1 && io->size == 1 ? data_read(f) : 0;
    }
}

static const vsr_region_ops ports_ops = { .access = ports_access };

static void fw_cfg_reset(vsr_device *device)
{
    selector_write(to_fw_cfg(device), KEY_SIGNATURE);
}

static void fw_cfg_fini(vsr_device *device)
{
    fw_cfg *f = to_fw_cfg(device);
    uint32_t i;

    for (i = 0; i < f->n_items; i++)
        g_byte_array_unref(f->items[i].bytes);
}

static bool fw_cfg_init(vsr_device *device, const void *params, GError **error)
{
    fw_cfg *f = to_fw_cfg(device);
    const vsr_fw_cfg_params *p = params;

    g_byte_array_append(add_item(f, KEY_SIGNATURE), (const uint8_t *)"QEMU", 4);
    add_number(f, KEY_ID, 1, 4); /* the ports, no DMA */
    add_number(f, KEY_RAM_SIZE, p->board->ram_bytes, 8);
    add_number(f, KEY_NO_GRAPHIC, 1, 2);
    add_number(f, KEY_CPUS, p->board->vcpus, 2);
    add_number(f, KEY_MAX_CPUS, p->board->max_vcpus, 2);
    if (p->firmware)
        add_files(f, p);
    add_directory(f);
    if (vsr_device_add_region(device, VSR_SPACE_PIO, VSR_PORT_FW_CFG, 2,
                              &ports_ops, false, error))
        return true;
    fw_cfg_fini(device);
    return false;
}

const vsr_device_class vsr_fw_cfg_class = {
    .name = "fw-cfg",
    .instance_size = sizeof(fw_cfg),
    .init = fw_cfg_init,
    .fini = fw_cfg_fini,
    .reset = fw_cfg_reset,
};
