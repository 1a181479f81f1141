#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_vcpus.sh VCTL BOARD: vCPUs come to a running Debian kernel and go again, the
# number stays over a reset, and a guest that keeps one keeps it.
set -u
VCTL=$1
board=$2
. "$(dirname "$0")/lib.sh"
guest_parts
"$top/tests/guests/make-initramfs.sh" -i "$top/tests/boot/vcpus_init.sh" \
    "$work/vcpus.cpio" || { echo "skipped: no initramfs can be made"; exit 77; }

vctl() { "$VCTL" -c "${ENGINE:-emu}:///session?root=$work/root" "$@"; }
# see N TEXT: the guest says it for the Nth time, soon.
see() {
    local end=$((SECONDS + 60 * slow))
    until [ "$(grep -cF -- "$2" "$work/out")" -ge "$1" ]; do
        [ $SECONDS -lt $end ] || fail "the guest does not say '$2' ($1)"
        sleep 0.1
    done
}
# refused CODE TEXT N: setvcpus N ends with that exit code and says so.
refused() {
    local rc
    vctl setvcpus vcpus "$3" --live >"$work/err" 2>&1
    rc=$?
    [ $rc -eq "$1" ] && grep -qF -- "$2" "$work/err" ||
        { cat "$work/err"; fail "setvcpus $3: exit code $rc"; }
}
# there_are N: as all say who can be asked.
there_are() {
    local n
    vctl info vcpus | grep -q "^vCPUs: *$1 of 3$" || fail "info: not $1"
    if [ "$1" = 3 ]; then
        vctl dumpxml vcpus | grep -q "<vcpu[^=]*\(placement='static'\)\?>3</vcpu>" || fail "dumpxml: not 3"
    else
        vctl dumpxml vcpus | grep -q "<vcpu .*current=.$1.>3</vcpu>" || fail "dumpxml: not $1"
    fi
    n=$(vctl stats vcpus | grep -cE '\bvcpu\.[0-9]+\.time') # those in use only
    [ "$n" = "$1" ] || fail "stats: $n vCPUs, not $1"
}
cat >"$work/domain.xml" <<X
<domain type='${ENGINE:-emu}'><name>vcpus</name>
  <memory unit='MiB'>256</memory><vcpu current='1'>3</vcpu>
  <os><type arch='x86_64' machine='$board'>hvm</type><kernel>$kernel</kernel>
    <initrd>$work/vcpus.cpio</initrd><cmdline>console=ttyS0 ${EXTRA_APPEND:-}</cmdline></os>
  <devices>
    <serial type='file'><source path='$work/out'/><target port='0'/></serial>
  </devices>
</domain>
X
vctl define "$work/domain.xml" >/dev/null || fail "define"
vctl start vcpus >/dev/null || fail "start"
trap 'vctl destroy vcpus >/dev/null 2>&1; sleep 0.2; rm -rf "$work"' EXIT
see 1 "started with 1 of 0-2"
there_are 1

vctl setvcpus vcpus 3 --live >/dev/null || fail "setvcpus 3"
there_are 3
see 1 "now 3 CPU(s)"
see 1 "cpu 2 of 3 runs"
refused 1 "1 to 3 vCPUs, not 4" 4
refused 2 "0" 0

# All but the first go, and one comes again.
vctl setvcpus vcpus 1 --live >/dev/null || fail "setvcpus 1"
there_are 1
see 2 "now 1 CPU(s)"
vctl setvcpus vcpus 2 --live >/dev/null || fail "setvcpus 2"
see 1 "cpu 1 of 2 runs"
see 1 "now 2 CPU(s)"

# The number stays; from here on the guest keeps what it has.
vctl reset vcpus >/dev/null || fail "reset"
see 1 "started with 2 of 0-2"
there_are 2
see 2 "now 2 CPU(s)"
# It takes the whole time that vctl waits: once is enough.
[ "$board" = micro ] || refused 6 "has not let go of vCPU 1" 1
there_are 2
vctl setvcpus vcpus 3 --live >/dev/null || fail "setvcpus 3, after the refusal"
see 2 "now 3 CPU(s)"
there_are 3

grep -iE "WARNING: CPU|BUG:|Oops|Call Trace|ACPI (BIOS )?Error|TSC warp" "$work/out" &&
    fail "the kernel complains"
vctl dumpxml --inactive vcpus | grep -q "current='1'" || fail "the definition changed"
vctl destroy vcpus >/dev/null || fail "destroy"
vctl start vcpus >/dev/null || fail "the second start" # with a new file
see 1 "started with 1 of 0-2"
echo "ok: vCPUs on $board"
