#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_devices.sh BUILD: all devices on real kvm-amd (devices.sh).
set -u
build=$1
. "$(dirname "$0")/../lib.sh"
vctl=$build/src/vctl/vctl tool=$build/tests/devices/plugged_tool
VISOR_GUEST_DIR=$parts_dir "$top/tests/boot/test_devices.py" "$vctl" "$tool" prepare ||
    exit $?
exec "$top/tests/lab/run" kvm -t 1800 -- "export VISOR_GUEST_DIR='$parts_dir'
$top/tests/lab/kvm/devices.sh $vctl $tool"
