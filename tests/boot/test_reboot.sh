#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_reboot.sh VCTL: a guest that reboots starts again, on both boards (Linux
# takes other ways there); one that crashes ends as crashed.
set -u
VCTL=$1
. "$(dirname "$0")/lib.sh"
guest_parts

# A reboot is a restart: wait for the second boot.
for board in pci micro; do
    : >"$work/out"
    (boot_exec reboot --memory 256M --machine $board) &
    run=$!
    end=$((SECONDS + 120 * slow))
    while [ "$(grep -c "user space reached" "$work/out")" -lt 2 ]; do
        kill -0 $run 2>/dev/null || fail "reboot on $board: it ended"
        [ $SECONDS -lt $end ] || fail "it did not boot again on $board"
        sleep 0.2
    done
    {
        kill $run
        wait $run
    } 2>/dev/null
    expect "reboot: Restarting system"
done

# A panic that goes on to a triple fault, which is a crash.
EXTRA_APPEND="${EXTRA_APPEND:-} panic=-1 reboot=t" boot crash
rc=$?
expect "Kernel panic - not syncing: sysrq triggered crash"
[ $rc -eq 126 ] || fail "crash: exit code $rc"
grep -q "triple fault" "$work/err" || { cat "$work/err"; fail "crash: why?"; }
echo "ok: reboot and crash"
