# SPDX-License-Identifier: LGPL-2.1-or-later
# lib.sh: what the boot tests share. Source it with VCTL set.
# Exit 77 (skip) when the guest's parts cannot be had.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
guest_dir=${VISOR_GUEST_DIR:-$PWD/guest}
mkdir -p "$guest_dir"
# In a lab all takes longer.
slow=${VISOR_TEST_SLOW:-1}
work=$(mktemp -d "${TMPDIR:-/tmp}/visor-boot.XXXXXX")
trap 'rm -rf "$work"' EXIT

# guest_parts: sets $kernel ($VISOR_KERNEL, if that is set) and $initrd (made
# once, under a lock).
guest_parts() {
    exec 9>"$guest_dir/.lock"
    flock 9
    kernel=$("$top/tests/guests/fetch-kernel.sh" "$guest_dir" 2>"$work/fetch.log") || {
        cat "$work/fetch.log"
        echo "skipped: Debian's kernel cannot be downloaded"
        exit 77
    }
    kernel=${VISOR_KERNEL:-$kernel}
    initrd=$guest_dir/test.cpio
    if [ ! -e "$initrd" ] || [ "$top/tests/guests/init.sh" -nt "$initrd" ]; then
        "$top/tests/guests/make-initramfs.sh" -k "$guest_dir/root" "$initrd" ||
            { echo "skipped: no initramfs can be made"; exit 77; }
    fi
    exec 9>&-
}

fail() {
    echo "FAIL: $*"
    [ -e "$work/out" ] && tail -n 40 "$work/out"
    exit 1
}

# expect TEXT: $work/out holds it.
expect() {
    grep -qF -- "$1" "$work/out" || fail "no '$1' in the console"
}

# boot WHAT [vctl run options…]: runs to the end, output in $work/out.
boot() {
    (boot_exec "$@")
}

# boot_exec WHAT …: the same; in a shell of its own, which it becomes.
boot_exec() {
    local what=$1
    shift
    exec "$VCTL" run --engine "${ENGINE:-emu}" --kernel "$kernel" \
        --initrd "$initrd" \
        --append "console=ttyS0 visor.do=$what ${EXTRA_APPEND:-}" \
        --timeout $((120 * slow)) "$@" >"$work/out" 2>"$work/err" </dev/null
}
