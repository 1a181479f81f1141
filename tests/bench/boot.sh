#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# boot.sh BUILD [RUNS]: CPU and wall time from start to power-off of the same
# kernel and initramfs, 256 MiB, one vCPU: vctl run on emu (both boards) against
# QEMU TCG's microvm. Medians of RUNS (3) and the ratio.
set -euo pipefail
build=$(cd "${1:?usage: boot.sh BUILD [RUNS]}" && pwd)
runs=${2:-3}
top=$(cd "$(dirname "$0")/../.." && pwd)
kernel=$("$top/tests/guests/fetch-kernel.sh" "$build/guest")
initrd=$build/guest/bench.cpio
"$top/tests/guests/make-initramfs.sh" "$initrd"
append="console=ttyS0 quiet reboot=t visor.do=poweroff"

# measure NAME COMMAND…: prints "NAME cpu_s wall_s" of the median run by CPU.
measure() {
    local name=$1 i
    shift
    for ((i = 0; i < runs; i++)); do
        TIMEFORMAT='%U %S %R'
        { time "$@" </dev/null >"$build/bench.out" 2>/dev/null || true; } 2>&1 |
            tail -n 1 | awk '{print $1 + $2, $3}'
        grep -q "user space reached" "$build/bench.out" ||
            echo "$name: never reached user space" >&2
    done | sort -n | awk -v n="$name" '{c[NR] = $1; w[NR] = $2}
        END {m = int((NR + 1) / 2); printf "%-12s cpu %6.2f s  wall %6.2f s\n", n, c[m], w[m]}'
}

# (On a busy host QEMU's guest may hang while it calibrates its TSC.)
qemu=$(measure qemu-tcg timeout 60 qemu-system-x86_64 -accel tcg -M microvm,rtc=on \
    -m 256 -nographic -no-reboot -kernel "$kernel" -initrd "$initrd" \
    -append "$append")
echo "$qemu"
base=$(awk '{print $3}' <<<"$qemu")
for board in micro pci; do
    ours=$(measure "emu-$board" "$build/src/vctl/vctl" run --engine emu \
        --machine "$board" --kernel "$kernel" --initrd "$initrd" \
        --memory 256M --append "$append" --timeout 120)
    echo "$ours"
    awk -v b="$base" '{printf "%-12s %.2f x QEMU CPU time\n", "", $3 / b}' <<<"$ours"
done
