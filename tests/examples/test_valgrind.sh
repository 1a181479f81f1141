#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_valgrind.sh EMBED_KERNEL GUEST: a whole life of a machine inside of a
# program leaves no leak and no bad access. Exit 77 (skip) without valgrind.
set -u
command -v valgrind >/dev/null || { echo "skipped: no valgrind"; exit 77; }
out=$(timeout 300 valgrind --quiet --error-exitcode=99 --leak-check=full \
    --errors-for-leak-kinds=definite,indirect,possible \
    "$1" "$(realpath "$2")" "$(realpath "$2")" 2>&1)
rc=$?
echo "$out"
[ "$rc" -eq 0 ] || exit 1
grep -q "tiny: goodbye" <<<"$out" || exit 1
