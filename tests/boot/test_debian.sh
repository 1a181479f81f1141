#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_debian.sh BUILD [LAB]: examples/debian.sh, on emu, or on real KVM in the
# lab. Its file system is made once, for both; skipped where that cannot be had.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$1 lab=${2:-}
guest_dir=${VISOR_GUEST_DIR:-$build/guest}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$top/tests/guests/make-debian.sh" "$guest_dir" >/dev/null 2>"$log" || {
    cat "$log"
    echo "skipped: no Debian can be made: $(grep . "$log" | tail -n 1)"
    exit 77
}
export VISOR_BUILD=$build VISOR_GUEST_DIR=$guest_dir
[ -n "$lab" ] || exec "$top/examples/debian.sh" --engine emu
exec "$top/tests/lab/run" "$lab" -t 1800 -- "
export VISOR_BUILD='$build' VISOR_GUEST_DIR='$guest_dir' VISOR_TEST_SLOW=10
'$top/examples/debian.sh' --engine kvm"
