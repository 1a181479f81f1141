/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file visor/error.h
 * Errors are returned, never stored: each call that can fail takes a
 * `visor_error **` (may be NULL) and returns one of these codes.
 *
 * Threads: an error belongs to whoever received it.
 */
#ifndef VISOR_ERROR_H
#define VISOR_ERROR_H

#include <visor/types.h>

VISOR_BEGIN_DECLS

/** All negative; 0 is success. Stable numbers. Since: 0.1 */
typedef enum {
    VISOR_OK = 0,
    VISOR_ERR_INTERNAL = -1,   /**< a bug in libvisor */
    VISOR_ERR_ARG = -2,        /**< NULL, bad flag, out of range */
    VISOR_ERR_NO_SUPPORT = -3, /**< this backend or build cannot do it */
    VISOR_ERR_NOT_FOUND = -4,  /**< no such domain, file, device */
    VISOR_ERR_EXISTS = -5,     /**< name or uuid in use */
    VISOR_ERR_STATE = -6,      /**< not possible in the domain's state */
    VISOR_ERR_BUSY = -7,       /**< another job holds the domain */
    VISOR_ERR_TIMEOUT = -8,    /**< not done in the time given */
    VISOR_ERR_CANCELLED = -9,  /**< cancelled by the caller */
    VISOR_ERR_XML = -10,       /**< not well-formed, or against the schema */
    VISOR_ERR_CONFIG = -11,    /**< well-formed, but makes no sense */
    VISOR_ERR_ACCESS = -12,    /**< permission denied */
    VISOR_ERR_RESOURCE = -13,  /**< memory, descriptors, disk space … */
    VISOR_ERR_SYSTEM = -14,    /**< another failure of the host */
    VISOR_ERR_IMAGE = -15,     /**< kernel, firmware or disk image is bad */
    VISOR_ERR_PROTOCOL = -16,  /**< the peer broke the protocol */
    VISOR_ERR_GUEST = -17,     /**< the guest did not do its part */
    VISOR_ERR_CRASHED = -18,   /**< the domain's process died */
    VISOR_ERR_READ_ONLY = -19  /**< the connection is read-only */
} visor_error_code;

/** The code of `err`; VISOR_OK for NULL. Since: 0.1 */
VISOR_API int visor_error_get_code(const visor_error *err);
/** One line, borrowed, valid while `err` lives; "" for NULL. Since: 0.1 */
VISOR_API const char *visor_error_get_message(const visor_error *err);
/** The symbol of a code, e.g. "VISOR_ERR_STATE"; never NULL. Since: 0.1 */
VISOR_API const char *visor_error_code_name(int code);
/** NULL is a no-op. Since: 0.1 */
VISOR_API void visor_error_free(visor_error *err);

VISOR_END_DECLS

#endif
