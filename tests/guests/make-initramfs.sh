#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# make-initramfs.sh [-k KERNELROOT] [--modules LIST] [--program FILE] [-i INIT]
# OUT: a busybox initramfs (cpio, uncompressed). INIT is the /init script; without
# it, guests/init.sh. With -k (fetch-kernel.sh's DIR/root) it holds the modules of
# the power button, and those of LIST (names as modprobe takes them, with commas
# between) with what they depend on; /modules/load names these in the order in
# which init.sh loads them. FILE goes to /bin. Works without root.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root='' init=$here/init.sh modules='' program=''
usage='usage: make-initramfs.sh [-k KERNELROOT] [--modules LIST] [--program FILE] [-i INIT] OUT'
while [ $# -gt 1 ]; do
    case $1 in
    -k) root=$2 ;;
    -i) init=$2 ;;
    --modules) modules=$2 ;;
    --program) program=$2 ;;
    *) echo "$usage" >&2; exit 2 ;;
    esac
    shift 2
done
out=${1:?$usage}
busybox=$(command -v busybox-static || command -v busybox || true)
[ -n "$busybox" ] || { echo "busybox is missing: apt-get install busybox-static" >&2; exit 1; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp"/{bin,sbin,dev,proc,sys,tmp,etc,root,modules}
if [ -n "$root" ]; then # looked through once: that takes its time in a lab
    find "$root/lib/modules" -name '*.ko' >"$tmp/files"
    for module in button evdev; do
        cp "$(grep -m 1 "/$module.ko$" "$tmp/files")" "$tmp/modules/"
    done
fi

# add_module NAME: it and, first, what it needs. A module says that itself; an
# installed kernel's index of it is not there.
add_module() {
    local name=${1//-/_} file need
    grep -qx "$name" "$tmp/modules/load" && return
    file=$(grep -m 1 "/${name//_/[-_]}.ko$" "$tmp/files" || true)
    [ -n "$file" ] || { echo "no module '$1' in $root" >&2; exit 1; }
    for need in $(tr '\0' '\n' <"$file" | sed -n 's/^depends=//p' | tr , ' '); do
        add_module "$need"
    done
    cp "$file" "$tmp/modules/$name.ko"
    echo "$name" >>"$tmp/modules/load"
}
if [ -n "$modules" ]; then
    [ -n "$root" ] || { echo "$usage" >&2; exit 2; }
    : >"$tmp/modules/load"
    for module in ${modules//,/ }; do add_module "$module"; done
fi
rm -f "$tmp/files"
# Its links are to where it is here: one more leads to where it is there.
"$busybox" --install -s "$tmp/bin"
rm -f "$tmp/bin/busybox"
cp "$busybox" "$tmp/bin/busybox"
real=$(readlink "$tmp/bin/sh")
if [ "$real" != /bin/busybox ]; then
    mkdir -p "$tmp/${real%/*}"
    ln -s /bin/busybox "$tmp/$real"
fi
ln -s ../bin/busybox "$tmp/sbin/init"
[ -z "$program" ] || cp "$program" "$tmp/bin/"
cp "$init" "$tmp/init"
chmod 755 "$tmp/init"
(cd "$tmp" && find . -mindepth 1 | LC_ALL=C sort |
    cpio --quiet -o -H newc --owner=0:0) >"$out.tmp"
mv "$out.tmp" "$out"
