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
# With $VISOR_BUILD it is built, or nobody could have set that.
if [ -n "${VISOR_BUILD:-}" ]; then need debian; else need build debian; fi

vctl=$build/src/vctl/vctl
if [ -z "${VISOR_BUILD:-}" ]; then
    say "Build (in $build)"
    [ -f "$build/build.ninja" ] ||
        meson setup "$build" "$top" --buildtype=release >/dev/null
    ninja -C "$build" src/vctl/vctl src/visor-vmm/visor-vmm | tail -n 1 >&2
fi

# The file system is made once; each run has a disk of its own, above it.
guest_dir=${VISOR_GUEST_DIR:-$build/guest}
say "Root file system: made once, takes some minutes"
base=$("$top/tests/guests/make-debian.sh" "$guest_dir")
dir=$(mktemp -d "${TMPDIR:-/tmp}/visor-debian.XXXXXX")
trap 'rm -rf "$dir"' EXIT
disk=$dir/disk.$format
if [ "$format" = qcow2 ]; then
    qemu-img create -q -f qcow2 -b "$base/base.qcow2" -F qcow2 "$disk"
else
    qemu-img convert -O raw "$base/base.qcow2" "$disk"
fi

engine=$("$vctl" -c "$engine:///embed" uri)
engine=${engine%%:*}
export VISOR_URI="$engine:///session?root=$dir/state"
trap 'rc=$?
[ -n "$keep" ] || { "$vctl" destroy debian >/dev/null 2>&1 || :; rm -rf "$dir"; }
exit $rc' EXIT
say "Start, on $engine"
"$vctl" define - >/dev/null <<X
<domain type='$engine'>
  <name>debian</name><memory unit='MiB'>512</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pci'>hvm</type>
    <kernel>$base/vmlinuz</kernel><initrd>$base/initrd</initrd>
    <cmdline>root=/dev/vda rw console=ttyS0</cmdline></os>
  <devices>
    <disk type='file'><driver type='$format'/><source file='$disk'/>
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
    echo "Its files are in $dir" >&2
    exit 0
fi
python3 "$top/examples/debian_login.py" "$vctl" debian "${VISOR_TEST_SLOW:-1}"

say "Shut down, by ACPI"
"$vctl" shutdown debian --timeout $((60 * ${VISOR_TEST_SLOW:-1}))
"$vctl" undefine debian >/dev/null
[ "$format" != qcow2 ] || qemu-img check "$disk"
