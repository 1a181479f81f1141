#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_boot.sh BUILD cover|all: Debian's cloud and generic kernels, as bzImage
# and as ELF (by PVH), boot on real KVM (boots.sh); quickstart.sh takes kvm there
# by itself.
set -u
. "$(dirname "$0")/../lib.sh"
build=$1
VCTL=$build/src/vctl/vctl
. "$top/tests/boot/lib.sh"
guest_parts
cloud=$kernel
generic=$("$top/tests/guests/fetch-kernel.sh" "$guest_dir/generic" amd64) ||
    skip "Debian's generic kernel cannot be downloaded"
for file in "$cloud" "$generic"; do
    elf=$guest_dir/${file##*/}.elf
    [ -e "$elf" ] || {
        "$top/tests/guests/extract-vmlinux.py" "$file" "$elf.tmp" || exit 1
        mv "$elf.tmp" "$elf"
    }
done
# So that the boards, which take turns, do with each kernel.
kernels=("$cloud" "$guest_dir/${cloud##*/}.elf"
    "$generic" "$guest_dir/${generic##*/}.elf")
script='
export VISOR_GUEST_DIR='"$guest_dir"' VISOR_BUILD='"$build"'
'"$top/tests/lab/kvm/boots.sh $VCTL $2 ${kernels[*]}"' || exit 1
echo "== quickstart.sh"
# It is built; in here that could only take long.
mkdir /tmp/bin
printf "#!/bin/sh\nexit 0\n" >/tmp/bin/ninja
chmod 755 /tmp/bin/ninja
export PATH=/tmp/bin:$PATH
'"$top/examples/quickstart.sh"' >/tmp/quickstart 2>&1
rc=$?
tail -n 8 /tmp/quickstart
[ $rc -eq 0 ] || { echo "FAILED: quickstart.sh: $rc"; exit 1; }
grep -q "Engine: kvm" /tmp/quickstart || { echo "FAILED: not on kvm"; exit 1; }
'
exec "$top/tests/lab/run" kvm -t 3000 -- "$script"
