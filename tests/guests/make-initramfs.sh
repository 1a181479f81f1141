#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# make-initramfs.sh [-k KERNELROOT] [-i INIT] OUT: a busybox initramfs (cpio,
# uncompressed). INIT is the /init script; without it, guests/init.sh. With -k
# (fetch-kernel.sh's DIR/root) it holds the modules of the power button. Works
# without root.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root='' init=$here/init.sh
while getopts k:i: opt; do
    case $opt in
    k) root=$OPTARG ;;
    i) init=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
out=${1:?usage: make-initramfs.sh [-k KERNELROOT] [-i INIT] OUT}
busybox=$(command -v busybox-static || command -v busybox || true)
[ -n "$busybox" ] || { echo "busybox is missing: apt-get install busybox-static" >&2; exit 1; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp"/{bin,sbin,dev,proc,sys,tmp,etc,root,modules}
if [ -n "$root" ]; then
    for module in button evdev; do
        find "$root/lib/modules" -name "$module.ko" -exec cp {} "$tmp/modules/" \;
    done
fi
cp "$busybox" "$tmp/bin/busybox"
for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$tmp/bin/$applet"
done
ln -s ../bin/busybox "$tmp/sbin/init"
cp "$init" "$tmp/init"
chmod 755 "$tmp/init"
(cd "$tmp" && find . -mindepth 1 | LC_ALL=C sort |
    cpio --quiet -o -H newc --owner=0:0) >"$out.tmp"
mv "$out.tmp" "$out"
