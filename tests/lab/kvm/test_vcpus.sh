#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_vcpus.sh BUILD: on real kvm-amd vCPUs come and go, on both boards: the test
# of the emulator. vCPUs that come are made inside of the sandbox.
set -u
build=$1
. "$(dirname "$0")/../lib.sh"
"$top/tests/lab/kvm/run" -t 1800 -- "cd '$top'
export ENGINE=kvm VISOR_TEST_SLOW=10 VISOR_GUEST_DIR='$build/guest'
export LD_LIBRARY_PATH='$build/src/api'
failed=0
for board in pci micro; do
    bash tests/boot/test_vcpus.sh '$build/src/vctl/vctl' \$board >/tmp/out 2>&1 ||
        { failed=1; cat /tmp/out; }
    tail -n 1 /tmp/out
done
exit \$failed"
