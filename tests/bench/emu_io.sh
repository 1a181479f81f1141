#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# emu_io.sh BUILD [RUNS]: what a read of a virtio disk costs on emu, and on QEMU
# TCG, in CPU time of all threads of the process. A Debian guest reads blocks of
# 4 KiB, 32 at a time, first of a RAM disk of its own, then of the virtio disk:
# the difference is the driver, the device and the file; the interpreter's cost of
# the rest is in both. Medians of RUNS (3), microseconds a read.
set -uo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$(cd "${1:?usage: emu_io.sh BUILD [RUNS]}" && pwd)
runs=${2:-3}
reads=20000
export VISOR_GUEST_DIR=${VISOR_GUEST_DIR:-$build/guest}
kernel=$("$top/tests/guests/fetch-kernel.sh" "$VISOR_GUEST_DIR") || exit 77
work=$(mktemp -d)
chmod 700 "$work"
pid=''
trap 'kill $pid 2>/dev/null; rm -rf "$work"' EXIT
cat >"$work/init" <<INIT
#!/bin/sh
mount -t devtmpfs dev /dev 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r module; do insmod /modules/\$module.ko; done </modules/load
dd if=/dev/vda of=/dev/ram0 bs=1M count=16 2>/dev/null
for step in idle ram0 vda; do
    echo "bench: \$step"
    read -r go
    [ \$step = idle ] || guest_io disk /dev/\$step rand 4096 32 "$reads reads"
done
echo "bench: end"
read -r go
INIT
"$top/tests/guests/make-initramfs.sh" -k "$VISOR_GUEST_DIR/root" \
    --modules virtio_pci,virtio_blk,brd --program "$build/tests/bench/guest_io" \
    -i "$work/init" "$work/io.cpio" || exit 1
dd if=/dev/urandom of="$work/disk" bs=1M count=16 2>/dev/null
mkfifo "$work/in"

# Clock ticks of the process so far.
ticks() { awk '{sub(/.*\) /, ""); print $12 + $13}' "/proc/$1/stat"; }

see() {
    local i
    for ((i = 0; i < 1200; i++)); do
        grep -q "^bench: $1" "$work/out" && return
        sleep 0.05
    done
    echo "the guest does not say '$1'" >&2
    exit 1
}

# steps NAME PID: microseconds of CPU time a read.
steps() {
    local name=$1 a b c
    see idle
    echo >&6
    see ram0
    a=$(ticks "$2")
    echo >&6
    see vda
    b=$(ticks "$2")
    echo >&6
    see end
    c=$(ticks "$2")
    awk -v n="$name" -v ram=$((b - a)) -v disk=$((c - b)) -v r=$reads \
        -v hz="$(getconf CLK_TCK)" 'BEGIN {
            printf "%s %.2f %.2f\n", n, (disk - ram) / hz / r * 1e6, ram / hz / r * 1e6}'
}

append="console=ttyS0 quiet"
for ((i = 0; i < runs; i++)); do
    cat >"$work/d.xml" <<X
<domain type='emu'><name>io$i</name>
  <memory unit='MiB'>256</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pci'>hvm</type><kernel>$kernel</kernel>
    <initrd>$work/io.cpio</initrd><cmdline>$append</cmdline></os>
  <devices>
    <serial type='pty'><target port='0'/></serial>
    <disk type='file'><driver type='raw' io='io_uring'/>
      <source file='$work/disk'/><target dev='vda'/></disk>
  </devices>
</domain>
X
    : >"$work/out"
    vctl=("$build/src/vctl/vctl" -c "emu:///session?root=$work/root")
    "${vctl[@]}" create "$work/d.xml" >/dev/null || exit 1
    pid=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$work"/root/emu/*/status.json)
    pty=$("${vctl[@]}" dumpxml "io$i" | sed -n "s/.*source path='\(.*\)'.*/\1/p" | head -n 1)
    stty raw -echo <"$pty"
    cat "$pty" >"$work/out" &
    reader=$!
    exec 6>"$pty"
    steps emu "$pid"
    exec 6>&-
    "${vctl[@]}" destroy "io$i" >/dev/null
    kill $reader 2>/dev/null
    wait $reader 2>/dev/null

    : >"$work/out"
    exec 6<>"$work/in"
    qemu-system-x86_64 -accel tcg -M q35 -cpu max -m 256 -nodefaults \
        -no-user-config -display none -serial stdio -no-reboot \
        -kernel "$kernel" -initrd "$work/io.cpio" -append "$append" \
        -object iothread,id=io \
        -drive if=none,id=d,file="$work/disk",format=raw,aio=io_uring \
        -device virtio-blk-pci,drive=d,iothread=io <"$work/in" >"$work/out" &
    pid=$!
    steps qemu "$pid"
    kill "$pid"
    wait "$pid" 2>/dev/null
    exec 6>&-
    pid=''
done | tee "$work/results" >&2

median() {
    awk -v n="$1" -v c="$2" '$1 == n {print $c}' "$work/results" | sort -n |
        awk '{v[NR] = $1} END {print NR ? v[int((NR + 1) / 2)] : 0}'
}
for name in emu qemu; do
    printf '%-5s %6s us a read of the virtio disk beyond the %6s of a RAM disk in the guest\n' \
        $name "$(median $name 2)" "$(median $name 3)"
done
awk -v a="$(median emu 2)" -v b="$(median qemu 2)" \
    'BEGIN {if (b > 0) printf "emu takes %.2f of the CPU time of QEMU TCG\n", a / b}'
