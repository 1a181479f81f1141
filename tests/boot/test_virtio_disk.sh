#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_virtio_disk.sh VCTL BOARD VCPUS: what Debian's kernel writes to a virtio
# disk is there after a reboot, and in the file.
set -u
VCTL=$1 board=$2 vcpus=$3
. "$(dirname "$0")/lib.sh"
guest_parts
"$top/tests/guests/make-initramfs.sh" -k "$guest_dir/root" \
    --modules virtio_pci,virtio_mmio,virtio_blk "$work/disk.cpio" ||
    { echo "skipped: no initramfs can be made"; exit 77; }
truncate -s 64M "$work/disk.img"

uri="${ENGINE:-emu}:///session?root=$work/root"
cat >"$work/domain.xml" <<X
<domain type='${ENGINE:-emu}'><name>disk</name>
  <memory unit='MiB'>256</memory><vcpu>$vcpus</vcpu>
  <os><type arch='x86_64' machine='$board'>hvm</type><kernel>$kernel</kernel>
    <initrd>$work/disk.cpio</initrd><cmdline>console=ttyS0 visor.do=disk</cmdline></os>
  <devices>
    <serial type='file'><source path='$work/out'/><target port='0'/></serial>
    <disk type='file' device='disk'><driver name='qemu' type='raw' queues='$vcpus'/>
      <source file='$work/disk.img'/><target dev='vda' bus='virtio'/>
      <serial>VISOR-TEST-0001</serial></disk>
  </devices>
</domain>
X
"$VCTL" -c "$uri" define "$work/domain.xml" >"$work/err" 2>&1 &&
    "$VCTL" -c "$uri" start disk >>"$work/err" 2>&1 ||
    { cat "$work/err"; fail "the domain does not start"; }
end=$((SECONDS + 120 * slow))
until "$VCTL" -c "$uri" domstate disk | grep -q "^shutoff"; do
    [ $SECONDS -lt $end ] || { "$VCTL" -c "$uri" destroy disk; fail "it did not end"; }
    sleep 0.3
done
expect "vda has 131072 sectors, $vcpus queue(s), serial 'VISOR-TEST-0001'"
expect "visor-guest: the disk is written"
expect "visor-guest: the disk has what was written"
[ "$(grep -c "user space reached" "$work/out")" = 2 ] || fail "not two boots"
grep -iE "I/O error|WARNING: CPU|BUG:|Oops|Call Trace" "$work/out" && fail "the kernel complains"
# The file system that the guest made (its magic is at 1080).
[ "$(od -An -tx1 -j1080 -N2 "$work/disk.img")" = " 53 ef" ] || fail "nothing is in the file"
echo "ok: $board, $vcpus vCPU(s)"
