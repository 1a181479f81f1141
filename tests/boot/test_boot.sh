#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_boot.sh VCTL BOARD VCPUS [MEMORY]: Debian's kernel reaches user space with
# what it was given, and powers off.
set -u
VCTL=$1 board=$2 vcpus=$3 memory=${4:-256M}
. "$(dirname "$0")/lib.sh"
guest_parts
boot poweroff --machine "$board" --vcpus "$vcpus" --memory "$memory" ||
    { rc=$?; cat "$work/err"; fail "vctl run: exit code $rc"; }
expect "visor-guest: user space reached"
expect "$vcpus CPU(s)"
expect "reboot: Power down"
grep -iE "unchecked MSR|WARNING:|BUG:|Oops|Call Trace|not functional|spurious" "$work/out" &&
    fail "the kernel complains"
echo "ok: $board, $vcpus vCPU(s), $memory"
