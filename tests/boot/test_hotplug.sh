#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_hotplug.sh VCTL: a disk and an interface come to a running Debian kernel
# and go again, as a user would do it; what is refused leaves nothing behind.
set -u
VCTL=$1
. "$(dirname "$0")/lib.sh"
guest_parts
events=
"$top/tests/guests/make-initramfs.sh" -k "$guest_dir/root" \
    --modules virtio_pci,virtio_blk,virtio_net "$work/hotplug.cpio" ||
    { echo "skipped: no initramfs can be made"; exit 77; }
echo "hello guest" >"$work/b.img"
truncate -s 4M "$work/a.img" "$work/b.img" "$work/c.img"

vctl() { "$VCTL" -c "${ENGINE:-emu}:///session?root=$work/root" "$@"; }
# see TEXT: the guest has said it, or says it soon.
see() {
    local end=$((SECONDS + 60 * slow))
    until grep -qF -- "$1" "$work/out"; do
        [ $SECONDS -lt $end ] || fail "the guest does not say '$1'"
        sleep 0.1
    done
}
# refused CODE WHAT…: with that exit code and one line.
refused() {
    local code=$1 rc
    shift
    vctl "$@" >"$work/err" 2>&1
    rc=$?
    [ $rc -eq "$code" ] && [ "$(wc -l <"$work/err")" = 1 ] ||
        { cat "$work/err"; fail "$*: exit code $rc"; }
}

cat >"$work/domain.xml" <<X
<domain type='${ENGINE:-emu}'><name>plug</name>
  <memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pci'>hvm</type><kernel>$kernel</kernel>
    <initrd>$work/hotplug.cpio</initrd><cmdline>console=ttyS0 visor.do=watch</cmdline></os>
  <devices>
    <serial type='file'><source path='$work/out'/><target port='0'/></serial>
    <disk type='file'><source file='$work/a.img'/><target dev='vda'/></disk>
  </devices>
</domain>
X
vctl define "$work/domain.xml" >/dev/null || fail "define"
vctl start plug >/dev/null || fail "start"
trap 'kill $events 2>/dev/null; vctl destroy plug >/dev/null 2>&1; sleep 0.2; rm -rf "$work"' EXIT
see "now vda lo"
# Not by the function: the number would be that of a shell around it.
"$VCTL" -c "${ENGINE:-emu}:///session?root=$work/root" events --follow \
    >"$work/events" 2>/dev/null &
events=$!
# It listens from when it has said something.
end=$((SECONDS + 60 * slow))
until [ -s "$work/events" ]; do
    [ $SECONDS -lt $end ] || fail "no events"
    vctl suspend plug >/dev/null && vctl resume plug >/dev/null ||
        fail "suspend and resume"
    sleep 0.2
done

vctl attach-disk plug "$work/b.img" vdb --live >/dev/null || fail "attach-disk"
see "now vda vdb lo"
see "vdb says hello guest"
vctl attach-interface plug null --mac 52:54:00:01:02:03 >/dev/null ||
    fail "attach-interface"
see "now vda vdb eth0 lo"
[ "$(vctl domblklist plug | wc -l)" = 3 ] || fail "domblklist"
vctl domiflist plug | grep -q 52:54:00:01:02:03 || fail "domiflist"

# What is refused, and what has no room.
refused 5 attach-disk plug "$work/b.img" vdc # in use
refused 4 attach-disk plug "$work/none.img" vdc
refused 4 detach-disk plug vdz
refused 1 attach-disk plug "$work/c.img" vdb
refused 1 attach-interface plug user
[ "$(vctl domblklist plug | wc -l)" = 3 ] || fail "a refused disk is there"

: >"$work/mark"
vctl detach-disk plug vdb >/dev/null || fail "detach-disk"
see "now vda eth0 lo"
vctl detach-interface plug 52:54:00:01:02:03 >/dev/null || fail "detach-interface"
until [ "$(grep -c "now vda lo" "$work/out")" = 2 ]; do sleep 0.1; done
# The image is free again, and the same slot takes another.
vctl attach-disk plug "$work/b.img" vdb --persistent >/dev/null || fail "again"
until [ "$(grep -c "now vda vdb lo" "$work/out")" = 2 ]; do sleep 0.1; done
vctl dumpxml --inactive plug | grep -q "b.img" || fail "--persistent"

for event in "device added: virtio-disk1" "device added: net0" \
    "device removed: virtio-disk1" "device removed: net0"; do
    end=$((SECONDS + 60 * slow))
    until grep -qF "$event" "$work/events"; do
        [ $SECONDS -lt $end ] || { cat "$work/events"; fail "no event '$event'"; }
        sleep 0.1
    done
done
kill $events
grep -iE "WARNING: CPU|BUG:|Oops|Call Trace|ACPI Error" "$work/out" && fail "the kernel complains"
vctl destroy plug >/dev/null || fail "destroy"
vctl start plug >/dev/null || fail "the second start"
see "now vda vdb lo"
echo "ok: hot-plug"
