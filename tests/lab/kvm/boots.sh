#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# boots.sh VCTL KERNEL…: in the lab: each kernel on both boards with 1, 2 and 4
# vCPUs; then reboot and crash.
set -u
top=$(cd "$(dirname "$0")/../../.." && pwd)
vctl=$1
shift
export ENGINE=kvm EXTRA_APPEND=mitigations=off
failed=0
for kernel in "$@"; do
    for board in pci micro; do
        for vcpus in 1 2 4; do
            VISOR_KERNEL=$kernel "$top/tests/boot/test_boot.sh" "$vctl" \
                $board $vcpus 512M || failed=$((failed + 1))
        done
    done
    echo "-- ${kernel##*/}"
done
VISOR_KERNEL=$1 "$top/tests/boot/test_reboot.sh" "$vctl" || failed=$((failed + 1))
[ $failed -eq 0 ]
