/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cm.h: CMocka with the headers it needs before itself.
 */
#ifndef VSR_TESTS_SUPPORT_CM_H
#define VSR_TESTS_SUPPORT_CM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
