#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# setup.sh: makes the KVM lab's kernel, modules and initramfs out of Debian's
# packages, once; prints their folder. Exit 77 where they cannot be had.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
here=$top/tests/lab/kvm
dir=$parts_dir/lab-kvm
mkdir -p "$parts_dir"
exec 9>"$parts_dir/.lab-kvm.lock"
flock 9
if [ -e "$dir/initramfs" ] && [ ! "$here/init.sh" -nt "$dir/initramfs" ] &&
    [ ! "$here/setup.sh" -nt "$dir/initramfs" ]; then
    echo "$dir"
    exit 0
fi
lab_packages
kernel=$("$top/tests/guests/fetch-kernel.sh" "$parts_dir" cloud-amd64) ||
    skip "Debian's kernel cannot be downloaded"
version=${kernel##*/vmlinuz-}
tmp=$(mktemp -d "$parts_dir/lab-kvm.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/lab/lib/modules" "$tmp"/root/{bin,modules,proc,sys,dev,lower,upper,root}
cp -a "$parts_dir/root/lib/modules/$version" "$tmp/lab/lib/modules/"
PATH=$PATH:/usr/sbin:/sbin
depmod -b "$tmp/lab" "$version"
cp "$kernel" "$tmp/lab/vmlinuz"
cp "$(command -v busybox-static || command -v busybox)" "$tmp/root/bin/busybox"
# In the order in which they have to be loaded.
for module in virtio_pci virtio_console virtiofs overlay kvm-amd; do
    modprobe -d "$tmp/lab" -S "$version" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' | while read -r file; do
    name=$(basename "$file")
    case $name in
    *.xz) xz -dc "$file" >"$tmp/root/modules/${name%.xz}" ;;
    *) cp "$file" "$tmp/root/modules/$name" ;;
    esac
    echo "${name%.xz}" >>"$tmp/root/modules/order"
done
cp "$here/init.sh" "$tmp/root/init"
chmod 755 "$tmp/root/init"
(cd "$tmp/root" && find . -mindepth 1 | LC_ALL=C sort |
    cpio --quiet -o -H newc --owner=0:0 | gzip -1) >"$tmp/lab/initramfs"
rm -rf "$dir"
mv "$tmp/lab" "$dir"
echo "$dir"
