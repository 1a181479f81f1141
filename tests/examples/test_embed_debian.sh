#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_embed_debian.sh EMBED_KERNEL: Debian's kernel runs inside of a program,
# from start to power-off. In an ASan build: without a leak and a bad access.
set -u
embed=$1
. "$(dirname "$0")/../boot/lib.sh"
guest_parts
timeout "${BOOT_TIMEOUT:-600}" "$embed" "$kernel" "$initrd" >"$work/out" 2>&1 ||
    fail "embed_kernel: exit code $?"
expect "[event: started]"
expect "visor-guest: user space reached"
expect "[event: stopped]"
echo "ok"
