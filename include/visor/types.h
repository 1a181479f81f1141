/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file visor/types.h
 * Types and macros that every public header shares.
 */
#ifndef VISOR_TYPES_H
#define VISOR_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define VISOR_BEGIN_DECLS extern "C" {
#define VISOR_END_DECLS   }
#else
#define VISOR_BEGIN_DECLS
#define VISOR_END_DECLS
#endif

/** Marks what libvisor.so exports. */
#define VISOR_API __attribute__((visibility("default")))
/** The result must be looked at. */
#define VISOR_CHECK __attribute__((warn_unused_result))

VISOR_BEGIN_DECLS

/** A connection to one backend on one host. Reference counted. */
typedef struct visor_connection visor_connection;
/** One virtual machine known to a connection. Reference counted. */
typedef struct visor_domain visor_domain;
/** An open byte stream, e.g. a console. */
typedef struct visor_stream visor_stream;
/** One error: code, message, where. */
typedef struct visor_error visor_error;

VISOR_END_DECLS

#endif
