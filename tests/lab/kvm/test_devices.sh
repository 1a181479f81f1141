#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_devices.sh BUILD: on real kvm-amd Debian's own drivers keep what they write
# to a disk, on both transports, and devices come and go: the tests of the
# emulator.
set -u
build=$1
. "$(dirname "$0")/../lib.sh"
"$top/tests/lab/kvm/run" -t 1800 -- "cd '$top'
export ENGINE=kvm VISOR_TEST_SLOW=10 VISOR_GUEST_DIR='$build/guest'
export LD_LIBRARY_PATH='$build/src/api'
failed=0
check() {
    echo \"== \$*\"
    bash \"\$@\" >/tmp/out 2>&1 || { failed=1; cat /tmp/out; }
    tail -n 1 /tmp/out
}
check tests/boot/test_virtio_disk.sh '$build/src/vctl/vctl' pci 1
check tests/boot/test_virtio_disk.sh '$build/src/vctl/vctl' micro 1
check tests/boot/test_hotplug.sh '$build/src/vctl/vctl'
exit \$failed"
