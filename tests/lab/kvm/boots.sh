#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# boots.sh VCTL cover|all KERNEL…: in the lab: Debian's kernels on both boards
# with 1, 2 and 4 vCPUs, then reboot and crash. 'cover': each kernel with each
# number of vCPUs, the boards in turn, so that every two values meet; 'all': the
# whole product.
set -u
top=$(cd "$(dirname "$0")/../../.." && pwd)
vctl=$1 set=$2
shift 2
export ENGINE=kvm EXTRA_APPEND=mitigations=off VISOR_TEST_SLOW=10
failed='' n=0

# one KERNEL BOARD VCPUS
one() {
    local start=$SECONDS
    VISOR_KERNEL=$1 "$top/tests/boot/test_boot.sh" "$vctl" "$2" "$3" 512M ||
        failed="$failed ${1##*/}/$2/$3"
    echo "   ${1##*/}, $((SECONDS - start)) s"
}

boards=(pci micro)
for kernel in "$@"; do
    for vcpus in 1 2 4; do
        if [ "$set" = all ]; then
            one "$kernel" pci $vcpus
            one "$kernel" micro $vcpus
        else
            one "$kernel" "${boards[n % 2]}" $vcpus
        fi
        n=$((n + 1))
    done
done
VISOR_KERNEL=$1 "$top/tests/boot/test_reboot.sh" "$vctl" || failed="$failed reboot"
[ -z "$failed" ] || { echo "FAILED:$failed"; exit 1; }
