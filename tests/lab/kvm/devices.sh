#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# devices.sh VCTL GUEST_TOOL: in the lab, VISOR_GUEST_DIR set: Debian's own
# drivers of all devices on both transports; devices that come and go. The tests
# of the emulator.
set -u
cd "$(dirname "$0")/../../.." || exit 125
vctl=$1 tool=$2
export ENGINE=kvm VISOR_TEST_SLOW=10 PYTHONDONTWRITEBYTECODE=1
failed=0

# check COMMAND…
check() {
    local start=$SECONDS
    echo "== $*"
    "$@" >/tmp/out 2>&1 || { failed=1; cat /tmp/out; }
    echo "$(tail -n 1 /tmp/out), $((SECONDS - start)) s"
}

for board in pci micro; do
    check python3 tests/boot/test_devices.py "$vctl" "$tool" $board
done
check tests/boot/test_hotplug.sh "$vctl"
for board in pci micro; do
    check tests/boot/test_update.sh "$vctl" $board
done
exit $failed
