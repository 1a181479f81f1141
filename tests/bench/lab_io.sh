#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab_io.sh BUILD [RUNS]: a Debian guest's disk and network on real kvm-amd
# (tests/lab): random reads of 4 KiB and reads in order of 128 KiB of a RAM disk
# of the lab (O_DIRECT, io_uring), TCP to and from a tap. The pci board against
# QEMU's q35 with virtio-pci, io_uring, an I/O thread, a tap without vhost; by
# turns in one lab, same kernel, initramfs and command line. Medians of RUNS (3)
# and our share of QEMU's.
set -uo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
measures="disk-random disk-in-order tcp-out tcp-in"

# one NAME COMMAND…: the guest prints "bench: MEASURE VALUE", then it is over.
one() {
    local name=$1
    shift
    timeout 300 "$@" </dev/null 2>/lab/err >/lab/out
    tr -d '\r' </lab/out | sed -n "s/^bench: /$name /p"
    grep -q '^bench: end' /lab/out ||
        echo "$name did not end: $(tail -n 3 /lab/err /lab/out)" >&2
}

inside() {
    local vctl=$1 parts=$2 runs=$3 i link server hog
    local append="console=ttyS0 quiet"
    for module in brd tun; do modprobe -d "$LAB_MODULES" $module; done
    blockdev --getsize64 /dev/ram0 >/dev/null || exit 1
    dd if=/dev/urandom of=/dev/ram0 bs=1M count=64 2>/dev/null
    for link in ours theirs; do
        ip tuntap add dev $link mode tap vnet_hdr
        ip link set $link up
    done
    ip address add 10.77.0.1/24 dev ours
    ip address add 10.78.0.1/24 dev theirs
    "$parts/guest_io" listen 0.0.0.0 7777 &
    server=$!
    # QEMU's TCG loses an interrupt that comes in the moment of a nested VMRUN; in
    # an idle lab the next one may be long in coming.
    chrt -i 0 sh -c 'while :; do :; done' &
    hog=$!
    cat >/lab/ours.xml <<X
<domain type='kvm'><name>ours</name>
  <memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pci'>hvm</type><kernel>$parts/vmlinuz</kernel>
    <initrd>$parts/io.cpio</initrd><cmdline>$append host=10.77.0</cmdline></os>
  <on_poweroff>destroy</on_poweroff>
  <devices>
    <serial type='file'><source path='/lab/out'/><target port='0'/></serial>
    <disk type='block'><driver type='raw' cache='none' io='io_uring'/>
      <source dev='/dev/ram0'/><target dev='vda'/></disk>
    <interface type='ethernet'><target dev='ours' managed='no'/></interface>
  </devices>
</domain>
X
    for ((i = 0; i < runs; i++)); do
        rm -f /lab/out
        "$vctl" -c "kvm:///session?root=/tmp/root" create /lab/ours.xml >/lab/err 2>&1
        for ((n = 0; n < 600; n++)); do
            grep -q '^bench: end' /lab/out 2>/dev/null && break
            sleep 0.5
        done
        "$vctl" -c "kvm:///session?root=/tmp/root" destroy ours >/dev/null 2>&1
        mv /lab/out /lab/ours.out
        one ours cat /lab/ours.out
        one qemu qemu-system-x86_64 -accel kvm -M q35 -cpu host -m 256 \
            -nodefaults -no-user-config -display none -serial stdio -no-reboot \
            -kernel "$parts/vmlinuz" -initrd "$parts/io.cpio" \
            -append "$append host=10.78.0" -object iothread,id=io \
            -drive if=none,id=d,file=/dev/ram0,format=raw,cache=none,aio=io_uring \
            -device virtio-blk-pci,drive=d,iothread=io \
            -netdev tap,id=n,ifname=theirs,script=no,downscript=no,vhost=off \
            -device virtio-net-pci,netdev=n
    done
    kill $server $hog
}

if [ "${1:-}" = --inside ]; then
    shift
    inside "$@"
    exit
fi

build=$(cd "${1:?usage: lab_io.sh BUILD [RUNS]}" && pwd)
runs=${2:-3}
export VISOR_GUEST_DIR=${VISOR_GUEST_DIR:-$build/guest}
kernel=$("$top/tests/guests/fetch-kernel.sh" "$VISOR_GUEST_DIR") || exit 77
parts=$VISOR_GUEST_DIR/lab-io
mkdir -p "$parts"
cp "$kernel" "$parts/vmlinuz"
cp "$build/tests/bench/guest_io" "$parts/"
cat >"$parts/init" <<'INIT'
#!/bin/sh
mount -t devtmpfs dev /dev 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r module; do insmod /modules/$module.ko; done </modules/load
for word in $(cat /proc/cmdline); do
    case $word in host=*) net=${word#host=} ;; esac
done
ip address add $net.2/24 dev eth0
ip link set eth0 up
echo "bench: disk-random $(guest_io disk /dev/vda rand 4096 32 6)"
echo "bench: disk-in-order $(guest_io disk /dev/vda seq 131072 8 6)"
echo "bench: tcp-out $(guest_io tcp $net.1 7777 send 6)"
echo "bench: tcp-in $(guest_io tcp $net.1 7777 receive 6)"
echo "bench: end"
poweroff -f
INIT
"$top/tests/guests/make-initramfs.sh" -k "$VISOR_GUEST_DIR/root" \
    --modules virtio_pci,virtio_blk,virtio_net --program "$parts/guest_io" \
    -i "$parts/init" "$parts/io.cpio" || exit 1

"$top/tests/lab/run" kvm -t $((200 + 200 * runs)) -- \
    "$top/tests/bench/lab_io.sh" --inside "$build/src/vctl/vctl" "$parts" \
    "$runs" | tee "$parts/results" >&2
[ "${PIPESTATUS[0]}" -eq 0 ] || exit 1

# median NAME MEASURE
median() {
    awk -v n="$1" -v m="$2" '$1 == n && $2 == m {print $3}' "$parts/results" |
        sort -n | awk '{v[NR] = $1} END {print NR ? v[int((NR + 1) / 2)] : 0}'
}
for measure in $measures; do
    awk -v m=$measure -v a="$(median ours $measure)" -v b="$(median qemu $measure)" \
        'BEGIN {printf "%-14s ours %10.2f  qemu %10.2f  %s\n", m, a, b,
                (b > 0 ? sprintf("%.2f times", a / b) : "no number")}'
done
