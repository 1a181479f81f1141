#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_memory.sh BUILD: on real kvm-amd memory comes and goes, by balloon and
# memory device: the test of the emulator. Its blocks are slots of KVM's, made
# inside of the sandbox.
set -u
build=$1
. "$(dirname "$0")/../lib.sh"
"$top/tests/lab/kvm/run" -t 1800 -- "cd '$top'
export ENGINE=kvm VISOR_TEST_SLOW=10 VISOR_GUEST_DIR='$build/guest'
tests/boot/test_memory.sh '$build/src/vctl/vctl'"
