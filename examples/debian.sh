#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# debian.sh [--engine ENGINE] [--format raw|qcow2] [--keep]
#
# A real Debian 12: makes its root file system with mmdebstrap and an image of
# it, starts that with a disk and a user-mode network, logs in on the console,
# reaches a program on this host through the network, and shuts it down by ACPI.
# --keep leaves it running, and says how to go on.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
build=${VISOR_BUILD:-$top/build}
engine=auto format=qcow2 keep=
while [ $# -gt 0 ]; do
    case $1 in
    --engine) engine=$2; shift ;;
    --format) format=$2; shift ;;
    --keep) keep=1 ;;
    -h | --help) sed -n '3,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "debian: unknown option '$1' (try --help)" >&2; exit 2 ;;
    esac
    shift
done

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }

# shellcheck source=../tests/support/deps.sh
. "$top/tests/support/deps.sh"
say "Packages"
need build debian

vctl=$build/src/vctl/vctl
if [ -z "${VISOR_BUILD:-}" ]; then
    say "Build (in $build)"
    [ -f "$build/build.ninja" ] ||
        meson setup "$build" "$top" --buildtype=release >/dev/null
    ninja -C "$build" src/vctl/vctl src/visor-vmm/visor-vmm | tail -n 1 >&2
fi

# The file system is made once; each run has a disk of its own.
dir=${VISOR_GUEST_DIR:-$build/guest}/debian
mkdir -p "$dir"
if [ ! -e "$dir/root.tar" ]; then
    say "Root file system: mmdebstrap, some minutes"
    mmdebstrap --variant=minbase --quiet \
        --include=linux-image-cloud-amd64,systemd-sysv,udev,dbus,iproute2,netbase \
        --customize-hook='chroot "$1" passwd -d root >/dev/null' \
        --customize-hook='echo visor >"$1/etc/hostname"' \
        --customize-hook='printf "[Match]\nName=e*\n[Network]\nDHCP=yes\n" >"$1/etc/systemd/network/e.network"' \
        --customize-hook='chroot "$1" systemctl -q enable systemd-networkd' \
        --customize-hook='echo "/dev/vda / ext4 defaults 0 1" >"$1/etc/fstab"' \
        bookworm "$dir/root.tar.new"
    mv "$dir/root.tar.new" "$dir/root.tar"
fi

say "Image: $dir/disk.$format"
rm -rf "$dir/tree" "$dir"/disk.*
mkdir "$dir/tree"
# Owners and device nodes: as root, or in a name space where we are.
unpack="tar -xf '$dir/root.tar' -C '$dir/tree' --exclude=./dev/* &&
    truncate -s 1500M '$dir/disk.raw' &&
    mke2fs -q -t ext4 -d '$dir/tree' '$dir/disk.raw' &&
    cp '$dir/tree'/boot/vmlinuz-* '$dir/vmlinuz' &&
    cp '$dir/tree'/boot/initrd.img-* '$dir/initrd' && rm -rf '$dir/tree'"
if [ "$(id -u)" -eq 0 ]; then
    bash -ec "$unpack"
else
    unshare --user --map-root-user --map-auto bash -ec "$unpack"
fi
if [ "$format" = qcow2 ]; then
    qemu-img convert -O qcow2 "$dir/disk.raw" "$dir/disk.qcow2"
    rm "$dir/disk.raw"
fi

engine=$("$vctl" -c "$engine:///embed" uri)
engine=${engine%%:*}
export VISOR_URI="$engine:///session?root=$dir/state"
say "Start, on $engine"
"$vctl" destroy debian >/dev/null 2>&1 || true
"$vctl" define - >/dev/null <<X
<domain type='$engine'>
  <name>debian</name><memory unit='MiB'>512</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pci'>hvm</type>
    <kernel>$dir/vmlinuz</kernel><initrd>$dir/initrd</initrd>
    <cmdline>root=/dev/vda rw console=ttyS0</cmdline></os>
  <devices>
    <disk type='file'><driver type='$format'/><source file='$dir/disk.$format'/>
      <target dev='vda' bus='virtio'/></disk>
    <interface type='user'><model type='virtio'/></interface>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <serial type='pty'/>
  </devices>
</domain>
X
"$vctl" start debian >/dev/null
if [ -n "$keep" ]; then
    echo "It runs: VISOR_URI='$VISOR_URI' $vctl console debian (login: root)" >&2
    exit 0
fi
python3 "$top/examples/debian_login.py" "$vctl" debian "${VISOR_TEST_SLOW:-1}"

say "Shut down, by ACPI"
"$vctl" shutdown debian --timeout $((60 * ${VISOR_TEST_SLOW:-1}))
"$vctl" undefine debian >/dev/null
[ "$format" != qcow2 ] || qemu-img check -q "$dir/disk.qcow2"
