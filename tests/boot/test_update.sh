#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_update.sh VCTL BOARD: devices that change under a running Debian kernel:
# disks grow, their limits and an interface's link change, and what was done is
# counted.
set -u
VCTL=$1 board=$2
. "$(dirname "$0")/lib.sh"
guest_parts
"$top/tests/guests/make-initramfs.sh" -k "$guest_dir/root" \
    --modules virtio_pci,virtio_mmio,virtio_blk,virtio_net \
    -i "$top/tests/boot/update_init.sh" "$work/update.cpio" ||
    { echo "skipped: no initramfs can be made"; exit 77; }
command -v qemu-img >/dev/null || { echo "skipped: no qemu-img"; exit 77; }
truncate -s 4M "$work/a.img"
truncate -s 1M "$work/c.img"
qemu-img create -q -f qcow2 -o cluster_size=4k "$work/b.qcow2" 8M

vctl() { "$VCTL" -c "${ENGINE:-emu}:///session?root=$work/root" "$@"; }
# until_ok COMMAND…: it succeeds, now or soon.
until_ok() {
    local end=$((SECONDS + 60 * slow))
    until "$@"; do
        [ $SECONDS -lt $end ] || fail "in vain: $*"
        sleep 0.1
    done
}
see() { until_ok grep -qF -- "$1" "$work/out"; }
number=0
# tell COMMAND: the guest is to run it. guest COMMAND: and has, with success.
tell() {
    number=$((number + 1))
    printf '%s %s\n' $number "$*" >&5
}
guest() {
    tell "$@"
    see "visor-guest: $number ended with"
    grep -qF "visor-guest: $number ended with 0" "$work/out" || fail "guest: $*"
}
# refused CODE WORD WHAT…: with that exit code and one line that has the word.
refused() {
    local code=$1 word=$2 rc
    shift 2
    vctl "$@" >"$work/err" 2>&1
    rc=$?
    [ $rc -eq "$code" ] && [ "$(wc -l <"$work/err")" = 1 ] &&
        grep -qF -- "$word" "$work/err" ||
        { cat "$work/err"; fail "$*: exit code $rc"; }
}
stat_of() { vctl stats update | sed -n "s/^$1=//p"; }
has_grown() { [ "$(stat_of "$1")" -gt "$2" ]; }
# disk TEXT: vda's XML with that in it. net TEXT: likewise.
disk() {
    cat >"$work/disk.xml" <<X
<disk type='file'><source file='${source:-$work/a.img}'/><target dev='vda'/>$1</disk>
X
    echo "$work/disk.xml"
}
net() {
    cat >"$work/net.xml" <<X
<interface type='${type:-user}'><mac address='52:54:00:01:02:03'/>$1</interface>
X
    echo "$work/net.xml"
}
start() {
    local pty
    vctl start update >/dev/null || fail "start"
    pty=$(vctl dumpxml update | sed -n "s/.*<source path='\(\/dev\/pts[^']*\)'.*/\1/p" | head -n 1)
    exec 5>"$pty" || fail "no pty"
}

cat >"$work/domain.xml" <<X
<domain type='${ENGINE:-emu}'><name>update</name>
  <memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='$board'>hvm</type><kernel>$kernel</kernel>
    <initrd>$work/update.cpio</initrd><cmdline>console=ttyS0</cmdline></os>
  <devices>
    <serial type='file'><source path='$work/out' append='on'/><target port='0'/></serial>
    <serial type='pty'><target port='1'/></serial>
    <disk type='file'><source file='$work/a.img'/><target dev='vda'/></disk>
    <disk type='file'><driver name='qemu' type='qcow2'/><source file='$work/b.qcow2'/>
      <target dev='vdb'/></disk>
    <disk type='file'><source file='$work/c.img'/><target dev='vdc'/><readonly/></disk>
    <interface type='user'><mac address='52:54:00:01:02:03'/></interface>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>
X
vctl define "$work/domain.xml" >/dev/null || fail "define"
trap 'vctl destroy update >/dev/null 2>&1; sleep 0.2; rm -rf "$work"' EXIT
start
see "visor-guest: up"

# Sizes: the kernel sees them, and the new parts keep what is written there.
vctl blockresize update vda 16M >/dev/null || fail "blockresize vda"
vctl blockresize update vdb 3G >/dev/null || fail "blockresize vdb"
guest 'until [ $(cat /sys/block/vda/size) = 32768 ]; do sleep 0.1; done'
guest 'until [ $(cat /sys/block/vdb/size) = 6291456 ]; do sleep 0.1; done'
guest 'echo new-part-of-vda | dd of=/dev/vda bs=512 seek=32000 conv=fsync 2>/dev/null'
guest 'echo new-part-of-vdb | dd of=/dev/vdb bs=512 seek=6291455 conv=fsync 2>/dev/null'
[ "$(stat -c %s "$work/a.img")" = 16777216 ] || fail "the file has not grown"
refused 1 "read-only" blockresize update vdc 2M
refused 1 "cannot shrink" blockresize update vdb 8M
refused 4 "vdz" blockresize update vdz 8M

# What is counted.
for name in rd.bytes rd.reqs rd.times wr.bytes wr.reqs wr.times fl.reqs; do
    before=$(stat_of "block.vda.$name")
    tell 'for io in "if=/dev/zero of=/dev/vda conv=fsync" "if=/dev/vda of=/dev/null iflag=direct"; do dd $io bs=4k count=4 2>/dev/null; done'
    until_ok has_grown "block.vda.$name" "$before"
done
vctl domblkstat update vda | grep -qx "block.vda.capacity=16777216" || fail "domblkstat"
vctl --json domblkstat update vdb | grep -q '"block.vdb.capacity": *3221225472' || fail "--json domblkstat"
vctl domblkstat update vda | grep -q vdb && fail "domblkstat of vda has vdb"
refused 4 "vdz" domblkstat update vdz

# A limit holds from now on: of what is written meanwhile no more is counted than
# it allows, by the host's clock, and all of it when the limit is gone.
vctl update-device update "$(disk '<iotune><write_bytes_sec>65536</write_bytes_sec></iotune>')" \
    --live >/dev/null || fail "iotune"
vctl dumpxml update | grep -q "<write_bytes_sec>65536<" || fail "iotune is not in the XML"
vctl dumpxml --inactive update | grep -q "iotune" && fail "iotune is in the definition"
from=$(stat_of block.vda.wr.bytes) since=$(date +%s)
tell 'dd if=/dev/zero of=/dev/vda bs=64k count=32 oflag=direct 2>/dev/null && echo "visor-guest: all is written"'
until_ok has_grown block.vda.wr.bytes $((from + 3 * 65536))
done=$(($(stat_of block.vda.wr.bytes) - from)) took=$(($(date +%s) + 1 - since))
[ "$done" -le $((took * 65536 + 2 * 65536)) ] || fail "$done bytes in $took s at the most"
vctl update-device update "$(disk '')" >/dev/null || fail "no iotune"
see "visor-guest: all is written"

# The link.
guest 'ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0'
guest 'until [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do sleep 0.1; done'
tx=$(stat_of net.52:54:00:01:02:03.tx.bytes)
tell 'ping -c 1 -W 1 10.0.2.2 >/dev/null'
until_ok has_grown net.52:54:00:01:02:03.tx.bytes "$tx"
until_ok has_grown net.52:54:00:01:02:03.rx.pkts 0
vctl domifstat update 52:54:00:01:02:03 | grep -q "tx.pkts=[1-9]" || fail "domifstat"
refused 4 "nolink" domifstat update nolink
vctl update-device update "$(net "<link state='down'/>")" --live >/dev/null || fail "link down"
guest 'until [ $(cat /sys/class/net/eth0/carrier) = 0 ]; do sleep 0.1; done'
vctl dumpxml update | grep -q "<link state='down'/>" || fail "the link is not in the XML"
vctl update-device update "$(net "<bandwidth><inbound average='1000'/></bandwidth>")" \
    --persistent >/dev/null || fail "link up"
guest 'until [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do sleep 0.1; done'
vctl dumpxml --inactive update | grep -q "average='1000'" || fail "--persistent"
vctl dumpxml update | grep -q "average='1000'" || fail "bandwidth"

# What cannot change is named, and nothing has changed.
vctl dumpxml update >"$work/before"
source=$work/c.img refused 1 "<source>" update-device update "$(source=$work/c.img disk '')"
refused 1 "<serial>" update-device update "$(disk '<serial>x</serial>')"
refused 1 "<interface type>" update-device update "$(type=null net '')"
refused 1 "<mtu>" update-device update "$(net "<mtu size='1400'/><link state='down'/>")"
refused 4 "vdz" update-device update <(disk '' >/dev/null; sed s/vda/vdz/ "$work/disk.xml")
vctl dumpxml update | cmp - "$work/before" || fail "a refusal changed something"

grep -iE "I/O error|WARNING: CPU|BUG:|Oops|Call Trace" "$work/out" && fail "the kernel complains"
vctl destroy update >/dev/null || fail "destroy"
qemu-img check -q "$work/b.qcow2" || fail "the qcow2 image is not clean"
exec 5>&-
until_ok test "$(vctl domstate update | cut -c1-7)" = shutoff
mv "$work/out" "$work/out.first"
start
see "visor-guest: up"
guest '[ $(cat /sys/block/vda/size) = 32768 ] && [ $(cat /sys/block/vdb/size) = 6291456 ]'
guest '[ "$(dd if=/dev/vda bs=512 skip=32000 count=1 2>/dev/null | head -n 1)" = new-part-of-vda ]'
guest '[ "$(dd if=/dev/vdb bs=512 skip=6291455 2>/dev/null | head -n 1)" = new-part-of-vdb ]'
echo "ok: updates"
