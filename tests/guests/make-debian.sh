#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# make-debian.sh DIR: a whole Debian 12 in DIR/debian, made once by mmdebstrap
# (minutes, most of them downloads): base.qcow2, its root file system, for
# /dev/vda; vmlinuz and initrd, its own. Root has no password, the network comes
# by DHCP. Prints DIR/debian. Waits for another that is at it. Without root: in a
# user namespace.
set -euo pipefail
guest_dir=${1:?usage: make-debian.sh DIR}
mkdir -p "$guest_dir"
guest_dir=$(cd "$guest_dir" && pwd)
dir=$guest_dir/debian
exec 8>"$guest_dir/.debian.lock"
flock 8
if [ -e "$dir/base.qcow2" ] && [ ! "$0" -nt "$dir/base.qcow2" ]; then
    echo "$dir"
    exit 0
fi
for program in mmdebstrap mke2fs qemu-img; do
    PATH=$PATH:/usr/sbin:/sbin command -v $program >/dev/null ||
        { echo "$program is missing" >&2; exit 1; }
done
export PATH=$PATH:/usr/sbin:/sbin
tmp=$(mktemp -d "$guest_dir/debian.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# Nobody reads its manuals. LZ4: who unpacks the initrd may be emulated.
timeout -k 10 1500 mmdebstrap --variant=minbase --quiet \
    --include=linux-image-cloud-amd64,lz4,systemd-sysv,udev,dbus,iproute2,netbase \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" &&
        echo COMPRESS=lz4 >"$1/etc/initramfs-tools/conf.d/compress"' \
    --customize-hook='chroot "$1" passwd -d root >/dev/null' \
    --customize-hook='echo visor >"$1/etc/hostname"' \
    --customize-hook='printf "[Match]\nName=e*\n[Network]\nDHCP=yes\n" >"$1/etc/systemd/network/e.network"' \
    --customize-hook='chroot "$1" systemctl -q enable systemd-networkd' \
    --customize-hook='echo "/dev/vda / ext4 defaults 0 1" >"$1/etc/fstab"' \
    bookworm "$tmp/root.tar" </dev/null >&2

# Owners and device nodes: as root, or in a name space where we are.
unpack="cd '$tmp' && mkdir tree && tar -xf root.tar -C tree --exclude=./dev/* &&
    truncate -s 1500M base.raw && mke2fs -q -t ext4 -d tree base.raw &&
    cp tree/boot/vmlinuz-* vmlinuz && cp tree/boot/initrd.img-* initrd &&
    rm -rf tree root.tar"
if [ "$(id -u)" -eq 0 ]; then
    bash -ec "$unpack" >&2
else
    unshare --user --map-root-user --map-auto bash -ec "$unpack" >&2
fi
qemu-img convert -O qcow2 "$tmp/base.raw" "$tmp/base.qcow2"
rm "$tmp/base.raw"
rm -rf "$dir"
mv "$tmp" "$dir"
trap - EXIT
chmod 755 "$dir"
echo "$dir"
