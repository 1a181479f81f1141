#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_life.sh BUILD: the tests of the API and of vctl that emu passes, on real
# KVM; what 'auto' and 'doctor' make of it; a /dev/kvm that goes (vanish.sh).
set -u
top=$(cd "$(dirname "$0")/../../.." && pwd)
build=$1
script='
cd '"$build"' || exit 125
export VISOR_TEST_ENGINE=kvm VISOR_TEST_SLOW=10 PYTHONDONTWRITEBYTECODE=1
export VCTL=$PWD/src/vctl/vctl TINY=$PWD/tests/guests/tiny.elf
export PROBE=$PWD/tests/guests/probe.elf
failed=""
try() { echo "== $*"; "$@" || failed="$failed ${*##*/}"; }
try src/vctl/vctl doctor
src/vctl/vctl doctor | grep -q "^ok.*Hardware virtualization" || failed="$failed doctor"
[ "$(src/vctl/vctl -c auto:///embed uri)" = kvm:///embed ] || failed="$failed auto"
for name in embed events session; do
    try tests/api/test_api_$name
done
for name in lifecycle run hostile; do
    try python3 '"$top"'/tests/vctl/test_$name.py
done
try '"$top"'/tests/lab/kvm/vanish.sh
[ -z "$failed" ] || { echo "FAILED:$failed"; exit 1; }
'
exec "$top/tests/lab/run" kvm -t 2400 -- "$script"
