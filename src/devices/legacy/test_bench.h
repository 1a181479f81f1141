/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_bench.h: what bare-metal test kernels poke at to see interrupts, and
 * I/O that reads back what was written.
 *
 *   ports 0xe0..0xe3      four bytes that keep what was written
 *   ports 0xe4..0xe7      writes are taken and forgotten
 *   ports 0x2000..0x2017  interrupt line n of 24: it is what was last written
 *   0xff000000, 64 KiB    memory, but reached as a device is
 *
 * The addresses are those of other virtual machines' "pc-testdev".
 *
 * Threads: see machine/device.h.
 */
#ifndef VSR_DEVICES_LEGACY_TEST_BENCH_H
#define VSR_DEVICES_LEGACY_TEST_BENCH_H

#include "machine/device.h"

extern const vsr_device_class vsr_test_bench_class; /* params: NULL */

#endif
