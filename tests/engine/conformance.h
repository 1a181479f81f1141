/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conformance.h: does an engine keep the contract of engine/engine.h?
 */
#ifndef VSR_TESTS_ENGINE_CONFORMANCE_H
#define VSR_TESTS_ENGINE_CONFORMANCE_H

#include "engine/engine.h"

/* Runs all tests, printing them as CMocka does. What the engine's caps leave to
 * itself is skipped; so are those named in `leave_out` (NULL: none), which are
 * printed. Returns the number of failures, or 77 when the engine cannot run on
 * this host. */
int conformance_run(const vsr_engine_ops *ops, const char *const *leave_out);

#endif
