/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * acpi_aml.h: writes AML byte code and resource descriptors.
 *
 * Package lengths are filled in when a scope is closed, so code is written in
 * the order it reads in ASL.
 *
 * Spec: ACPI 6.5, 20.2 "AML Grammar Definition", 6.4 "Resource Data Types for
 *       ACPI".
 */
#ifndef VSR_MACHINE_X86_ACPI_AML_H
#define VSR_MACHINE_X86_ACPI_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

typedef GByteArray vsr_aml;

/* What open functions return and vsr_aml_close() takes. */
typedef size_t vsr_aml_mark;

vsr_aml_mark vsr_aml_open_scope(vsr_aml *aml, const char *path);
vsr_aml_mark vsr_aml_open_device(vsr_aml *aml, const char *name);
vsr_aml_mark vsr_aml_open_method(vsr_aml *aml, const char *name, uint8_t args);
/* One caller at a time. */
vsr_aml_mark vsr_aml_open_serialized(vsr_aml *aml, const char *name,
                                     uint8_t args);
vsr_aml_mark vsr_aml_open_package(vsr_aml *aml, uint8_t count);
/* If (path & mask) */
vsr_aml_mark vsr_aml_open_if_bits(vsr_aml *aml, const char *path,
                                  uint64_t mask);
/* If (LocalN & mask) */
vsr_aml_mark vsr_aml_open_if_local(vsr_aml *aml, uint8_t local, uint64_t mask);
/* What decides is written next, then what is done. */
vsr_aml_mark vsr_aml_open_if(vsr_aml *aml);
vsr_aml_mark vsr_aml_open_while(vsr_aml *aml);
void vsr_aml_close(vsr_aml *aml, vsr_aml_mark mark);

/* Name (name, <what is written next>). Paths: "_HID", "\\_S5", "\\_SB". */
void vsr_aml_name(vsr_aml *aml, const char *path);
void vsr_aml_path(vsr_aml *aml, const char *path);
void vsr_aml_int(vsr_aml *aml, uint64_t value);
void vsr_aml_string(vsr_aml *aml, const char *text);
void vsr_aml_eisa_id(vsr_aml *aml, const char *id); /* "PNP0501" */
void vsr_aml_buffer(vsr_aml *aml, const void *data, size_t len);
void vsr_aml_op(vsr_aml *aml, uint8_t op); /* ReturnOp, Arg3Op … */
void vsr_aml_notify(vsr_aml *aml, const char *path, uint8_t value);
/* OperationRegion (region, SystemIO, port, 1), and `field` for its byte. */
void vsr_aml_io_byte(vsr_aml *aml, const char *region, const char *field,
                     uint16_t port);

/* OperationRegion (region, SystemIO, port, 4 * n), and `fields` for its words. */
void vsr_aml_io_words(vsr_aml *aml, const char *region, uint16_t port,
                      const char *const *fields, uint32_t n);
/* Store (path, LocalN); Store (value, path). */
void vsr_aml_load_local(vsr_aml *aml, const char *path, uint8_t local);
void vsr_aml_store_int(vsr_aml *aml, uint64_t value, const char *path);

enum {
    VSR_AML_LOCAL0 = 0x60,
    VSR_AML_ARG0 = 0x68,
    VSR_AML_ARG1 = 0x69,
    VSR_AML_ARG2 = 0x6a,
    VSR_AML_ARG3 = 0x6b,
    VSR_AML_STORE = 0x70,
    VSR_AML_SHIFT_RIGHT = 0x7a,
    VSR_AML_AND = 0x7b,
    VSR_AML_NOTIFY = 0x86,
    VSR_AML_EQUAL = 0x93,
    VSR_AML_RETURN = 0xa4,
};

/* Resource templates: descriptors into an array of their own, then _CRS. */
void vsr_aml_res_io(GByteArray *res, uint16_t base, uint8_t len);
void vsr_aml_res_irq(GByteArray *res, uint8_t irq); /* ISA: edge, high */
void vsr_aml_res_mem32(GByteArray *res, uint32_t base, uint32_t len);
/* Extended interrupt: level, active high. */
void vsr_aml_res_interrupt(GByteArray *res, uint32_t gsi, bool shared);
/* Windows a bridge hands down. */
void vsr_aml_res_bus(GByteArray *res, uint16_t first, uint16_t last);
void vsr_aml_res_io_window(GByteArray *res, uint16_t first, uint16_t last);
void vsr_aml_res_mem_window32(GByteArray *res, uint32_t base, uint32_t len);
void vsr_aml_res_mem_window64(GByteArray *res, uint64_t base, uint64_t len);
/* Name (_CRS, ResourceTemplate () { res }); empties and frees `res`. */
void vsr_aml_crs(vsr_aml *aml, GByteArray *res);

#endif
