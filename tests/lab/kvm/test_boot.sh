#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_boot.sh VCTL: Debian's cloud and generic kernels, as bzImage and as ELF,
# boot on real KVM (boots.sh).
set -u
. "$(dirname "$0")/../lib.sh"
VCTL=$1
. "$top/tests/boot/lib.sh"
guest_parts
kernels=("$kernel")
generic=$("$top/tests/guests/fetch-kernel.sh" "$guest_dir/generic" amd64) ||
    skip "Debian's generic kernel cannot be downloaded"
kernels+=("$generic")
for file in "$kernel" "$generic"; do
    elf=$guest_dir/${file##*/}.elf
    [ -e "$elf" ] || {
        "$top/tests/guests/extract-vmlinux.py" "$file" "$elf.tmp" || exit 1
        mv "$elf.tmp" "$elf"
    }
    kernels+=("$elf")
done
exec "$top/tests/lab/run" kvm -t 1500 -- VISOR_GUEST_DIR="$guest_dir" \
    "$top/tests/lab/kvm/boots.sh" "$VCTL" "${kernels[@]}"
