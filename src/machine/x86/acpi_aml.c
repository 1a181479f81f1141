/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * acpi_aml.c: writes AML byte code and resource descriptors.
 *
 * Spec:    ACPI 6.5, 20.2 "AML Grammar Definition", 6.4 "Resource Data Types
 *          for ACPI".
 * Threads: any; the array is the caller's.
 */
#include "machine/x86/acpi_aml.h"

#include <string.h>

enum {
    OP_ZERO = 0x00,
    OP_ONE = 0x01,
    OP_NAME = 0x08,
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_STRING = 0x0d,
    OP_QWORD = 0x0e,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_METHOD = 0x14,
    OP_DUAL_NAME = 0x2e,
    OP_MULTI_NAME = 0x2f,
    OP_IF = 0xa0,
    OP_WHILE = 0xa2,
    OP_EXT = 0x5b,
    OP_EXT_REGION = 0x80,
    OP_EXT_FIELD = 0x81,
    OP_EXT_DEVICE = 0x82,
};

static void put(GByteArray *to, uint64_t value, uint32_t size)
{
    uint8_t bytes[8];
    uint32_t i;

    for (i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    g_byte_array_append(to, bytes, size);
}

static void put_bytes(GByteArray *to, const void *data, size_t len)
{
    g_byte_array_append(to, data, (guint)len);
}

/* 20.2.2: NameSeg is four characters, short ones end in '_'. */
static void name_seg(vsr_aml *aml, const char *from, size_t len)
{
    char seg[4] = { '_', '_', '_', '_' };

    memcpy(seg, from, MIN(len, 4));
    put_bytes(aml, seg, 4);
}

void vsr_aml_path(vsr_aml *aml, const char *path)
{
    uint32_t segments = 1;
    const char *c;

    if (*path == '\\')
        put(aml, (uint8_t)*path++, 1);
    for (c = path; *c; c++)
        segments += *c == '.';
    if (segments == 2)
        put(aml, OP_DUAL_NAME, 1);
    if (segments > 2) {
        put(aml, OP_MULTI_NAME, 1);
        put(aml, segments, 1);
    }
    while (*path) {
        size_t len = strcspn(path, ".");

        name_seg(aml, path, len);
        path += len + (path[len] == '.');
    }
}

/* 20.2.4 "Package Length Encoding": the length counts its own bytes. */
void vsr_aml_close(vsr_aml *aml, vsr_aml_mark mark)
{
    uint32_t len = aml->len - (uint32_t)mark;
    uint8_t enc[4];
    uint32_t n, i;

    if (len + 1 < 1 << 6)
        n = 1;
    else if (len + 2 < 1 << 12)
        n = 2;
    else if (len + 3 < 1 << 20)
        n = 3;
    else
        n = 4;
    len += n;
    if (n == 1) {
        enc[0] = (uint8_t)len;
    } else {
        enc[0] = (uint8_t)((n - 1) << 6 | (len & 0x0f));
        for (i = 1; i < n; i++)
            enc[i] = (uint8_t)(len >> (4 + 8 * (i - 1)));
    }
    put(aml, 0, n); /* room */
    memmove(aml->data + mark + n, aml->data + mark, aml->len - n - mark);
    memcpy(aml->data + mark, enc, n);
}

vsr_aml_mark vsr_aml_open_scope(vsr_aml *aml, const char *path)
{
    vsr_aml_mark mark;

    put(aml, OP_SCOPE, 1);
    mark = aml->len;
    vsr_aml_path(aml, path);
    return mark;
}

vsr_aml_mark vsr_aml_open_device(vsr_aml *aml, const char *name)
{
    vsr_aml_mark mark;

    put(aml, OP_EXT, 1);
    put(aml, OP_EXT_DEVICE, 1);
    mark = aml->len;
    vsr_aml_path(aml, name);
    return mark;
}

static vsr_aml_mark open_method(vsr_aml *aml, const char *name, uint8_t flags)
{
    vsr_aml_mark mark;

    put(aml, OP_METHOD, 1);
    mark = aml->len;
    vsr_aml_path(aml, name);
    put(aml, flags, 1);
    return mark;
}

vsr_aml_mark vsr_aml_open_method(vsr_aml *aml, const char *name, uint8_t args)
{
    return open_method(aml, name, args & 7);
}

vsr_aml_mark vsr_aml_open_serialized(vsr_aml *aml, const char *name,
                                     uint8_t args)
{
    return open_method(aml, name, (args & 7) | 1 << 3);
}

vsr_aml_mark vsr_aml_open_package(vsr_aml *aml, uint8_t count)
{
    vsr_aml_mark mark;

    put(aml, OP_PACKAGE, 1);
    mark = aml->len;
    put(aml, count, 1);
    return mark;
}

vsr_aml_mark vsr_aml_open_if(vsr_aml *aml)
{
    put(aml, OP_IF, 1);
    return aml->len;
}

vsr_aml_mark vsr_aml_open_while(vsr_aml *aml)
{
    put(aml, OP_WHILE, 1);
    return aml->len;
}

vsr_aml_mark vsr_aml_open_if_bits(vsr_aml *aml, const char *path, uint64_t mask)
{
    vsr_aml_mark mark = vsr_aml_open_if(aml);

    put(aml, VSR_AML_AND, 1);
    vsr_aml_path(aml, path);
    vsr_aml_int(aml, mask);
    put(aml, 0, 1); /* the result is stored nowhere */
    return mark;
}

vsr_aml_mark vsr_aml_open_if_local(vsr_aml *aml, uint8_t local, uint64_t mask)
{
    vsr_aml_mark mark = vsr_aml_open_if(aml);

    put(aml, VSR_AML_AND, 1);
    put(aml, VSR_AML_LOCAL0 + (local & 7u), 1);
    vsr_aml_int(aml, mask);
    put(aml, 0, 1);
    return mark;
}

void vsr_aml_load_local(vsr_aml *aml, const char *path, uint8_t local)
{
    put(aml, VSR_AML_STORE, 1);
    vsr_aml_path(aml, path);
    put(aml, VSR_AML_LOCAL0 + (local & 7u), 1);
}

void vsr_aml_store_int(vsr_aml *aml, uint64_t value, const char *path)
{
    put(aml, VSR_AML_STORE, 1);
    vsr_aml_int(aml, value);
    vsr_aml_path(aml, path);
}

void vsr_aml_notify(vsr_aml *aml, const char *path, uint8_t value)
{
    put(aml, VSR_AML_NOTIFY, 1);
    vsr_aml_path(aml, path);
    vsr_aml_int(aml, value);
}

/* 20.2.5.2 "Named Objects Encoding": a region in I/O space and the fields that
 * fill it, one an access; other bits are preserved, no lock. */
static void io_fields(vsr_aml *aml, const char *region, uint16_t port,
                      const char *const *fields, uint32_t n, uint8_t bytes)
{
    vsr_aml_mark mark;

    put(aml, OP_EXT, 1);
    put(aml, OP_EXT_REGION, 1);
    vsr_aml_path(aml, region);
    put(aml, 1, 1); /* SystemIO */
    vsr_aml_int(aml, port);
    vsr_aml_int(aml, (uint64_t)n * bytes);
    put(aml, OP_EXT, 1);
    put(aml, OP_EXT_FIELD, 1);
    mark = aml->len;
    vsr_aml_path(aml, region);
    put(aml, bytes == 1 ? 1 : 3, 1); /* ByteAcc, DWordAcc */
    for (uint32_t i = 0; i < n; i++) {
        vsr_aml_path(aml, fields[i]);
        put(aml, 8u * bytes, 1); /* bits */
    }
    vsr_aml_close(aml, mark);
}

void vsr_aml_io_byte(vsr_aml *aml, const char *region, const char *field,
                     uint16_t port)
{
    io_fields(aml, region, port, &field, 1, 1);
}

void vsr_aml_io_words(vsr_aml *aml, const char *region, uint16_t port,
                      const char *const *fields, uint32_t n)
{
    io_fields(aml, region, port, fields, n, 4);
}

void vsr_aml_name(vsr_aml *aml, const char *path)
{
    put(aml, OP_NAME, 1);
    vsr_aml_path(aml, path);
}

void vsr_aml_op(vsr_aml *aml, uint8_t op)
{
    put(aml, op, 1);
}

void vsr_aml_int(vsr_aml *aml, uint64_t value)
{
    if (value <= 1) {
        put(aml, value ? OP_ONE : OP_ZERO, 1);
    } else if (value <= UINT8_MAX) {
        put(aml, OP_BYTE, 1);
        put(aml, value, 1);
    } else if (value <= UINT16_MAX) {
        put(aml, OP_WORD, 1);
        put(aml, value, 2);
    } else if (value <= UINT32_MAX) {
        put(aml, OP_DWORD, 1);
        put(aml, value, 4);
    } else {
        put(aml, OP_QWORD, 1);
        put(aml, value, 8);
    }
}

void vsr_aml_string(vsr_aml *aml, const char *text)
{
    put(aml, OP_STRING, 1);
    put_bytes(aml, text, strlen(text) + 1);
}

/* 19.3.4: three letters of five bits, four hexadecimal digits, big-endian. */
void vsr_aml_eisa_id(vsr_aml *aml, const char *id)
{
    uint32_t value = (uint32_t)(id[0] - '@') << 26 |
                     (uint32_t)(id[1] - '@') << 21 |
                     (uint32_t)(id[2] - '@') << 16;
    uint32_t i;

    for (i = 0; i < 4; i++)
        value |= (uint32_t)g_ascii_xdigit_value(id[3 + i]) << (12 - 4 * i);
    put(aml, OP_DWORD, 1);
    put(aml, GUINT32_SWAP_LE_BE(value), 4);
}

void vsr_aml_buffer(vsr_aml *aml, const void *data, size_t len)
{
    vsr_aml_mark mark;

    put(aml, OP_BUFFER, 1);
    mark = aml->len;
    vsr_aml_int(aml, len);
    put_bytes(aml, data, len);
    vsr_aml_close(aml, mark);
}

/* 6.4.2.5 "I/O Port Descriptor" */
void vsr_aml_res_io(GByteArray *res, uint16_t base, uint8_t len)
{
    put(res, 0x47, 1);
    put(res, 1, 1); /* decodes 16 bits */
    put(res, base, 2);
    put(res, base, 2);
    put(res, 1, 1);
    put(res, len, 1);
}

/* 6.4.2.1 "IRQ Descriptor", without flags: edge, active high, exclusive */
void vsr_aml_res_irq(GByteArray *res, uint8_t irq)
{
    put(res, 0x22, 1);
    put(res, UINT64_C(1) << irq, 2);
}

/* 6.4.3.4 "32-Bit Fixed Memory Range Descriptor" */
void vsr_aml_res_mem32(GByteArray *res, uint32_t base, uint32_t len)
{
    put(res, 0x86, 1);
    put(res, 9, 2);
    put(res, 1, 1); /* writable */
    put(res, base, 4);
    put(res, len, 4);
}

/* 6.4.3.6 "Extended Interrupt Descriptor" */
void vsr_aml_res_interrupt(GByteArray *res, uint32_t gsi, bool shared)
{
    put(res, 0x89, 1);
    put(res, 6, 2);
    put(res, 1 | (shared ? 1 << 3 : 0), 1); /* consumer, level, active high */
    put(res, 1, 1);
    put(res, gsi, 4);
}

/* 6.4.3.5 "Address Space Resource Descriptors". kind: 0x87 double, 0x88 word,
 * 0x8a quad word. type: 0 memory, 1 I/O, 2 bus numbers. */
static void window(GByteArray *res, uint8_t kind, uint8_t type, uint8_t flags,
                   uint64_t first, uint64_t last)
{
    uint32_t size = kind == 0x88 ? 2 : kind == 0x87 ? 4 : 8;

    put(res, kind, 1);
    put(res, 3 + 5 * size, 2);
    put(res, type, 1);
    put(res, 0x0c, 1); /* minimum and maximum fixed, producer, positive */
    put(res, flags, 1);
    put(res, 0, size); /* granularity */
    put(res, first, size);
    put(res, last, size);
    put(res, 0, size); /* translation */
    put(res, last - first + 1, size);
}

void vsr_aml_res_bus(GByteArray *res, uint16_t first, uint16_t last)
{
    window(res, 0x88, 2, 0, first, last);
}

void vsr_aml_res_io_window(GByteArray *res, uint16_t first, uint16_t last)
{
    window(res, 0x88, 1, 3, first, last); /* the entire range */
}

void vsr_aml_res_mem_window32(GByteArray *res, uint32_t base, uint32_t len)
{
    window(res, 0x87, 0, 1, base, (uint64_t)base + len - 1); /* read-write */
}

void vsr_aml_res_mem_window64(GByteArray *res, uint64_t base, uint64_t len)
{
    window(res, 0x8a, 0, 1, base, base + len - 1);
}

void vsr_aml_crs(vsr_aml *aml, GByteArray *res)
{
    put(res, 0x79, 1); /* 6.4.2.9 "End Tag", checksum not used */
    put(res, 0, 1);
    vsr_aml_name(aml, "_CRS");
    vsr_aml_buffer(aml, res->data, res->len);
    g_byte_array_unref(res);
}
