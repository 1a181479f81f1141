#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_engine.sh PROGRAM…: test programs on real KVM, one lab for all.
set -u
top=$(cd "$(dirname "$0")/../../.." && pwd)
script='failed=0; for program in '"$*"'; do echo "== ${program##*/}"
    "$program" || failed=1; done; exit $failed'
exec "$top/tests/lab/run" kvm -t 600 -- "$script"
