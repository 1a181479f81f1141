# SPDX-License-Identifier: LGPL-2.1-or-later
# deps.sh: installs what is missing (Debian 12). Source it, then call
# `need build`, `need guest`, `need test`, `need lab`. Works without root when
# everything is there already.

DEPS_build="gcc meson ninja-build pkg-config libc6-dev libglib2.0-dev libxml2-dev
libyajl-dev libnl-3-dev libcmocka-dev zlib1g-dev liblzma-dev libbz2-dev
liblz4-dev libzstd-dev libseccomp-dev liburing-dev libnbd-dev libslirp-dev"
DEPS_guest="busybox-static cpio"
DEPS_test="python3 seabios valgrind clang g++ libxml2-utils nasm acpica-tools
qemu-system-x86 qemu-utils git man-db iproute2"

DEPS_debian="mmdebstrap e2fsprogs qemu-utils python3 uidmap"

DEPS_lab="qemu-system-x86 qemu-system-common busybox-static kmod cpio xz-utils
lz4"

need() {
    local set list pkg missing=""
    for set in "$@"; do
        list="DEPS_$set"
        for pkg in ${!list}; do
            [ "$(dpkg-query -W -f='${db:Status-Status}' "$pkg" 2>/dev/null)" = installed ] ||
                missing="$missing $pkg"
        done
    done
    [ -z "$missing" ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "missing packages:$missing" >&2
        echo "as root: apt-get install --no-install-recommends$missing" >&2
        return 1
    fi
    echo "installing:$missing" >&2
    apt-get update -qq >&2 || return 1
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        -o DPkg::Lock::Timeout=300 --no-install-recommends $missing >/dev/null || {
        echo "apt-get install failed for:$missing" >&2
        return 1
    }
}
