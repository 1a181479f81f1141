#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# fetch-kernel.sh DIR [FLAVOUR]: Debian's kernel (cloud-amd64 by default, or
# amd64), downloaded by apt and unpacked, not installed. Prints the path of the
# bzImage; modules are in DIR/root/lib/modules. Does nothing when it is there.
set -euo pipefail
dir=${1:?usage: fetch-kernel.sh DIR [FLAVOUR]}
flavour=${2:-cloud-amd64}
mkdir -p "$dir"
if ! ls "$dir"/root/boot/vmlinuz-*-"$flavour" >/dev/null 2>&1; then
    if ! apt-cache show "linux-image-$flavour" >/dev/null 2>&1; then
        [ "$(id -u)" -eq 0 ] || {
            echo "no package lists: run 'apt-get update' as root first" >&2
            exit 1
        }
        apt-get update -qq >&2
    fi
    package=$(apt-cache depends "linux-image-$flavour" |
        awk '/Depends: linux-image-[0-9]/{print $2; exit}')
    [ -n "$package" ] || { echo "no kernel package for linux-image-$flavour" >&2; exit 1; }
    tmp=$(mktemp -d "$dir/tmp.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    (cd "$tmp" && { apt-get download -qq "$package" ||
        { [ "$(id -u)" -eq 0 ] && apt-get update -qq && apt-get download -qq "$package"; }; } >&2 2>/dev/null)
    dpkg-deb -x "$tmp"/*.deb "$tmp/root"
    rm -rf "$dir/root.old"
    [ -d "$dir/root" ] && cp -a "$dir/root/." "$tmp/root/"
    [ -d "$dir/root" ] && mv "$dir/root" "$dir/root.old"
    mv "$tmp/root" "$dir/root"
    rm -rf "$dir/root.old"
fi
ls "$dir"/root/boot/vmlinuz-*-"$flavour" | tail -n 1
