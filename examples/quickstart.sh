#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# quickstart.sh [--shell] [--engine ENGINE] [--vcpus N] [--memory SIZE]
#
# From a clean clone to a running guest: installs what is missing, builds
# libvisor, gets Debian's kernel (unpacked, not installed) and busybox, makes a
# small initramfs, and boots it with 'vctl run', its console on this terminal.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
build=${VISOR_BUILD:-$top/build}
engine=auto vcpus=1 memory=256M what=poweroff
while [ $# -gt 0 ]; do
    case $1 in
    --shell) what=shell ;;
    --engine) engine=$2; shift ;;
    --vcpus) vcpus=$2; shift ;;
    --memory) memory=$2; shift ;;
    -h | --help) sed -n '3,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "quickstart: unknown option '$1' (try --help)" >&2; exit 2 ;;
    esac
    shift
done

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }

# shellcheck source=../tests/support/deps.sh
. "$top/tests/support/deps.sh"
say "Packages"
need build guest

say "Build (in $build)"
[ -f "$build/build.ninja" ] ||
    meson setup "$build" "$top" --buildtype=release >"$build.log" 2>&1 || {
    cat "$build.log" >&2
    exit 1
}
rm -f "$build.log"
ninja -C "$build" src/vctl/vctl src/visor-vmm/visor-vmm | tail -n 1 >&2

say "Guest: Debian's kernel and a busybox initramfs"
kernel=$("$top/tests/guests/fetch-kernel.sh" "$build/guest")
initrd=$build/guest/quickstart.cpio
"$top/tests/guests/make-initramfs.sh" -k "$build/guest/root" "$initrd"

vctl=$build/src/vctl/vctl
engine=$("$vctl" -c "$engine:///embed" uri)
engine=${engine%%:*}
append="console=ttyS0 quiet visor.do=$what"

say "Boot: ${kernel##*/} on $engine, $vcpus vCPU(s), $memory"
if [ "$what" = shell ]; then
    echo "    Ctrl-] ends it; so does 'poweroff -f' in the guest" >&2
    exec "$vctl" run --engine "$engine" --kernel "$kernel" --initrd "$initrd" \
        --vcpus "$vcpus" --memory "$memory" --append "$append"
fi

# The console goes to the terminal as it comes; the moment of the marker line
# goes to a file.
stamp=$(mktemp)
trap 'rm -f "$stamp"' EXIT
start=$(date +%s%N)
status=0
"$vctl" run --engine "$engine" --kernel "$kernel" --initrd "$initrd" \
    --vcpus "$vcpus" --memory "$memory" --append "$append" --timeout 300 \
    </dev/null | while IFS= read -r line; do
    printf '%s\n' "$line"
    case $line in *"visor-guest: user space reached"*) date +%s%N >"$stamp" ;; esac
done || status=$?
[ "$status" -eq 0 ] || { echo "quickstart: the guest failed ($status)" >&2; exit "$status"; }
[ -s "$stamp" ] || { echo "quickstart: the guest never reached user space" >&2; exit 1; }
ms=$((($(cat "$stamp") - start) / 1000000))

say "Engine: $engine"
say "Time to user space: $((ms / 1000)).$(printf %03d $((ms % 1000))) s"
say "A shell in such a guest: $0 --shell"
