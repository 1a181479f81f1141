#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_engine.sh BUILD PROGRAM…: the engine's test programs on real KVM, and all
# guest programs with the transcripts that emu has too.
set -u
top=$(cd "$(dirname "$0")/../../.." && pwd)
build=$1
shift
script='
export VISOR_TEST_SLOW=10 PYTHONDONTWRITEBYTECODE=1
failed=""
for program in '"$*"'; do
    echo "== ${program##*/}"
    "$program" || failed="$failed ${program##*/}"
done
echo "== transcripts"
cd '"$build"' || exit 125
python3 '"$top"'/tests/guests/test_transcripts.py src/vctl/vctl \
    tests/guests/tiny.elf tests/guests/probe.elf kvm || failed="$failed transcripts"
[ -z "$failed" ] || { echo "FAILED:$failed"; exit 1; }
'
exec "$top/tests/lab/run" kvm -t 1500 -- "$script"
