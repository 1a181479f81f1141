#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab_boot.sh BUILD [RUNS]: Debian's cloud kernel on real kvm-amd (tests/lab),
# one vCPU, 256 MiB, from exec to the first line of /init: vctl run on the micro
# board against QEMU's microvm at its best (RTC, PVH, unpacked kernel), by turns
# in one boot of the lab, same kernel, initramfs and command line; and on the pci
# board. Medians of RUNS (3): processor time that the lab's QEMU took meanwhile,
# seconds, exits and nested page faults by KVM's own counters; at the end micro's
# share of QEMU's processor time.
#
# Seconds are as noisy as the machine is busy, and exits grow with them: the
# lab's ticks, and for each of the guest's an interrupt and a write of the TSC's
# deadline. The exits without those are the same in every run, to 1 %; processor
# time is, to 10 %.
set -uo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
counters=/sys/kernel/debug/kvm
marker="visor-guest: user space reached"

# counter NAME: of all VMs that there are.
counter() { cat "$counters/$1"; }

# one NAME COMMAND…: in the lab; prints "NAME seconds exits timeless faults".
one() {
    local name=$1 begin end pid line
    shift
    sleep 0.3 # what the one before left to be done
    echo "begin $name"
    begin=$EPOCHREALTIME
    exec 5< <(exec "$@" </dev/null 2>/lab/err)
    pid=$!
    line=$(grep -a -m 1 "$marker" <&5)
    end=$EPOCHREALTIME
    if [ -n "$line" ]; then
        awk -v n="$name" -v a="$begin" -v b="$end" \
            -v all="$(counter exits)" -v faults="$(counter pf_fixed)" \
            -v irq="$(counter irq_exits)" -v window="$(counter irq_window_exits)" \
            -v deadline="$(counter irq_injections)" 'BEGIN {
                printf "%s %.2f %d %d %d\n", n, b - a, all,
                    all - irq - window - deadline, faults}'
    else
        echo "$name: never reached user space: $(tail -n 1 /lab/err)" >&2
    fi
    kill "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    exec 5<&-
}

inside() {
    local vctl=$1 parts=$2 runs=$3 i
    local common="console=ttyS0 quiet"
    for ((i = 0; i < runs; i++)); do
        one micro "$vctl" run --engine kvm --machine micro --memory 256M \
            --kernel "$parts/vmlinuz" --initrd "$parts/bench.cpio" \
            --append "$common pci=off"
        one qemu-microvm qemu-system-x86_64 -accel kvm -M microvm,rtc=on \
            -cpu host -m 256 -nodefaults -no-user-config -display none \
            -serial stdio -no-reboot -kernel "$parts/vmlinux" \
            -initrd "$parts/bench.cpio" -append "$common pci=off"
        one pci "$vctl" run --engine kvm --machine pci --memory 256M \
            --kernel "$parts/vmlinuz" --initrd "$parts/bench.cpio" \
            --append "$common"
    done
}

if [ "${1:-}" = --inside ]; then
    shift
    inside "$@"
    exit
fi

build=$(cd "${1:?usage: lab_boot.sh BUILD [RUNS]}" && pwd)
runs=${2:-3}
export VISOR_GUEST_DIR=${VISOR_GUEST_DIR:-$build/guest}
kernel=$("$top/tests/guests/fetch-kernel.sh" "$VISOR_GUEST_DIR") || exit 77
parts=$VISOR_GUEST_DIR/lab-boot
mkdir -p "$parts"
cp "$kernel" "$parts/vmlinuz"
"$top/tests/guests/extract-vmlinux.py" "$kernel" "$parts/vmlinux" || exit 1
cat >"$parts/init" <<INIT
#!/bin/sh
echo "$marker"
read -r nothing
INIT
"$top/tests/guests/make-initramfs.sh" -i "$parts/init" "$parts/bench.cpio" || exit 1

# below PID NAME: a process of that name that PID has started, at any depth.
below() {
    local child
    for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
        if [ "$(cat "/proc/$child/comm" 2>/dev/null)" = "$2" ]; then
            echo "$child"
            return
        fi
        below "$child" "$2"
    done
}

# In seconds, of all threads that live.
cpu_time() { cat "/proc/$1/task/"*/schedstat | awk '{n += $1} END {print n / 1e9}'; }

exec 6< <(exec "$top/tests/lab/run" kvm -t $((60 + 60 * runs)) -- \
    "$top/tests/bench/lab_boot.sh" --inside "$build/src/vctl/vctl" "$parts" \
    "$runs")
lab=$! qemu='' before=0
: >"$parts/results"
while read -r name rest <&6; do
    [ -n "$qemu" ] || qemu=$(below "$lab" qemu-system-x86 | head -n 1)
    now=$(cpu_time "$qemu") || now=0
    if [ "$name" = begin ]; then
        before=$now
    else
        echo "$name $rest $(awk -v a="$before" -v b="$now" \
            'BEGIN {printf "%.2f", b - a}')" | tee -a "$parts/results" >&2
    fi
done
wait "$lab" || exit 1

# median COLUMN NAME
median() {
    awk -v n="$2" -v c="$1" '$1 == n {print $c}' "$parts/results" | sort -n |
        awk '{v[NR] = $1} END {print NR ? v[int((NR + 1) / 2)] : "none"}'
}
for name in micro qemu-microvm pci; do
    printf '%-14s %5s s of CPU, %6s s  %6s exits, %5s without timers  %4s nested page faults\n' \
        "$name" "$(median 6 $name)" "$(median 2 $name)" "$(median 3 $name)" "$(median 4 $name)" \
        "$(median 5 $name)"
done
awk -v a="$(median 6 micro)" -v b="$(median 6 qemu-microvm)" \
    'BEGIN {if (b > 0) printf "micro takes %.2f of the processor time of QEMU\n", a / b}'
