/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host_alu.h: which way the host does the guest's integer operations.
 *
 * EMU_GENERIC_ALU asks for plain C on any host; a test compares the two.
 */
#ifndef VSR_DRIVERS_EMU_HOST_ALU_H
#define VSR_DRIVERS_EMU_HOST_ALU_H

#if defined(__x86_64__) && !defined(EMU_GENERIC_ALU)
#include "drivers/emu/host_amd64_alu.h"
#else
#include "drivers/emu/host_generic_alu.h"
#endif

#endif
