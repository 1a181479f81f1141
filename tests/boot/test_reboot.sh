#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_reboot.sh VCTL: a guest that reboots starts again; one that crashes ends
# as crashed.
set -u
VCTL=$1
. "$(dirname "$0")/lib.sh"
guest_parts

# A reboot is a restart: stop at the second boot.
(boot reboot --timeout 25 --memory 256M; echo $? >"$work/status")
[ "$(cat "$work/status")" = 124 ] || fail "reboot: exit code $(cat "$work/status")"
[ "$(grep -c 'user space reached' "$work/out")" -ge 2 ] || fail "it did not boot again"
expect "reboot: Restarting system"

EXTRA_APPEND="panic=-1 reboot=t" boot crash --timeout 60
rc=$?
expect "Kernel panic - not syncing: sysrq triggered crash"
[ $rc -eq 124 ] || [ $rc -eq 126 ] || [ $rc -eq 0 ] || fail "crash: exit code $rc"
echo "ok: reboot and crash"
