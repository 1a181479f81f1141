# SPDX-License-Identifier: LGPL-2.1-or-later
# lib.sh: what the labs share. Source it from LAB/run or LAB/setup.sh.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Kernels and lab parts are kept here, made once.
parts_dir=${VISOR_GUEST_DIR:-$top/build/guest}

# skip WHY: the lab cannot be had on this machine.
skip() {
    echo "skipped: $*"
    exit 77
}

# lab_packages: installs what the labs need, or skips.
lab_packages() {
    # shellcheck source=../support/deps.sh
    . "$top/tests/support/deps.sh"
    need lab >&2 || skip "the lab's packages cannot be installed"
}
