#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_memory.sh VCTL: a Debian kernel gives memory up and gets it back, by the
# balloon and by a memory device, and the host has it meanwhile.
set -u
VCTL=$1
. "$(dirname "$0")/lib.sh"
guest_parts
"$top/tests/guests/make-initramfs.sh" -k "$guest_dir/root" \
    --modules virtio_pci,virtio_balloon,virtio_mem "$work/memory.cpio" ||
    { echo "skipped: no initramfs can be made"; exit 77; }

vctl() { "$VCTL" -c "${ENGINE:-emu}:///session?root=$work/root" "$@"; }
# stat NAME: a number of the domain, in KiB.
stat() { vctl stats mem 2>/dev/null | sed -n "s/^$1=//p"; }
# until_true WHAT COMMAND…: it succeeds, or does soon.
until_true() {
    local what=$1 end=$((SECONDS + 60 * slow))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || { vctl stats mem; fail "$what: not in time"; }
        sleep 0.2
    done
}
# told OP MIB: what the guest has said last of its memory compares so.
told() {
    local now
    now=$(awk '/visor-guest: memory/{now = $3} END {print now}' "$work/out" | tr -d '\r')
    [ -n "$now" ] && [ "$now" "$1" "$2" ]
}
has() { [ -n "$(stat "$1")" ]; }
is() { [ "$(stat "$1")" = "$2" ]; }
rss_below() { [ "$(stat balloon.rss)" -lt "$1" ]; }
refused() {
    local code=$1 text=$2 rc
    shift 2
    vctl "$@" >"$work/err" 2>&1
    rc=$?
    [ $rc -eq "$code" ] && grep -qF -- "$text" "$work/err" ||
        { cat "$work/err"; fail "$*: exit code $rc"; }
}
device() { # SIZE REQUESTED, in MiB
    echo "<memory model='virtio-mem'><target><size unit='MiB'>$1</size>
        <block unit='MiB'>2</block><requested unit='MiB'>$2</requested></target></memory>"
}
request() { # SIZE REQUESTED
    device "$@" >"$work/device.xml"
    vctl update-device mem "$work/device.xml" --live >/dev/null || fail "update-device"
}

# 384 MiB of RAM, 64 of them in the balloon; 256 more to come.
cat >"$work/domain.xml" <<X
<domain type='${ENGINE:-emu}'><name>mem</name>
  <maxMemory slots='2' unit='GiB'>1</maxMemory>
  <memory unit='MiB'>640</memory><currentMemory unit='MiB'>320</currentMemory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pci'>hvm</type><kernel>$kernel</kernel>
    <initrd>$work/memory.cpio</initrd>
    <cmdline>console=ttyS0 visor.do=memory memhp_default_state=online_movable</cmdline></os>
  <devices>
    <serial type='file'><source path='$work/out'/><target port='0'/></serial>
    <memballoon model='virtio'><stats period='1'/></memballoon>
    $(device 256 0)
  </devices>
</domain>
X
vctl define "$work/domain.xml" >/dev/null || fail "define"
vctl start mem >/dev/null || fail "start"
trap 'vctl destroy mem >/dev/null 2>&1; sleep 0.2; rm -rf "$work"' EXIT

until_true "the balloon at the start" is balloon.current $((320 << 10))
until_true "the guest's word" told -gt 200
told -lt 320 || fail "the guest has more than is in <currentMemory>"
[ "$(vctl dumpxml mem | grep -c "<currentMemory unit='KiB'>$((320 << 10))<")" = 1 ] ||
    fail "dumpxml"
until_true "the guest's statistics" has balloon.last-update
for name in swap_in major_fault unused available usable disk_caches; do
    has balloon.$name || fail "no balloon.$name"
done

# Down: what the guest has used once is the host's again.
before=$(stat balloon.rss)
vctl setmem mem 160M --live >/dev/null || fail "setmem"
until_true "the balloon down" is balloon.current $((160 << 10))
until_true "the guest's word" told -lt 160
until_true "the host's memory" rss_below $((before - (80 << 10)))
vctl setmem mem 384M --live >/dev/null || fail "setmem"
until_true "the balloon up" is balloon.current $((384 << 10))
until_true "the guest's word" told -gt 320
refused 1 "1 to $((384 << 10)) KiB" setmem mem 385M --live

# A memory device: 0, 256, 64 MiB.
without=$(awk '/visor-guest: memory/{now = $3} END {print now}' "$work/out" | tr -d '\r')
request 256 256
until_true "the memory device up" is memory.virtiomem0.current $((256 << 10))
until_true "the guest's word" told -eq $((without + 256))
vctl dumpxml mem | grep -q "<current unit='KiB'>$((256 << 10))<" || fail "dumpxml: <current>"
is balloon.current $(((384 + 256) << 10)) || fail "balloon.current with the device"
before=$(stat balloon.rss)
request 256 64
until_true "the memory device down" is memory.virtiomem0.current $((64 << 10))
until_true "the guest's word" told -eq $((without + 64))
until_true "the host's memory" rss_below $((before - (96 << 10)))
refused 1 "requested" update-device mem <(device 256 300) --live
refused 5 "is requested" detach-device mem "$work/device.xml" --live

# Both are wanted as before after a reset.
vctl setmem mem 256M --live >/dev/null || fail "setmem"
until_true "the balloon before the reset" is balloon.current $(((256 + 64) << 10))
: >"$work/out"
vctl reset mem >/dev/null || fail "reset"
until_true "the guest's word after a reset" told -gt 200
until_true "the memory device after a reset" is memory.virtiomem0.current $((64 << 10))
until_true "the balloon after a reset" is balloon.current $(((256 + 64) << 10))

# The device goes, and another comes. A balloon that has pages of the device would
# have each of them moved, which takes the guest minutes.
vctl setmem mem 384M --live >/dev/null || fail "setmem"
until_true "the empty balloon" is balloon.current $(((384 + 64) << 10))
request 256 0
until_true "the memory device to go" is memory.virtiomem0.current 0
vctl detach-device mem "$work/device.xml" --live >/dev/null || fail "detach-device"
has memory.virtiomem0.size && fail "the device has not gone"
device 128 128 >"$work/device.xml"
vctl attach-device mem "$work/device.xml" --live >/dev/null || fail "attach-device"
until_true "the second memory device" is memory.virtiomem1.current $((128 << 10))
until_true "the guest's word" told -gt 320
grep -iE "WARNING: CPU|BUG:|Oops|Call Trace|ACPI Error" "$work/out" && fail "the kernel complains"
vctl destroy mem >/dev/null || fail "destroy"
echo "ok: memory"
