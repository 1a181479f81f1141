#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_links_guest.sh VCTL TEST_NET_LINKS TEST_NET_MACVTAP TEST_NET_UPDATE: as root of Debian's
# kernel in a guest, which has all that the host's may lack: VLANs on bridges,
# tc's police. Nothing is skipped there.
set -u
VCTL=$1 links=$2 macvtap=$3 update=$4
. "$(dirname "$0")/../boot/lib.sh"
guest_parts
ip=$(command -v ip) || { echo "skipped: no ip (iproute2)"; exit 77; }

tc=$(command -v tc) || { echo "skipped: no tc (iproute2)"; exit 77; }
sh=$(command -v dash) || { echo "skipped: no dash"; exit 77; }

root=$work/initrd
mkdir -p "$root/modules" "$root/bin" "$root/usr/bin"
# In the order of their dependencies.
modules="llc stp bridge tun tap macvlan macvtap veth sch_tbf sch_ingress cls_u32 act_police"
for m in $modules; do
    find "$guest_dir/root/lib/modules" -name "$m.ko" -exec cp {} "$root/modules/" \;
done
cp "$links" "$root/test_links"
cp "$macvtap" "$root/test_macvtap"
cp "$update" "$root/test_update"
cp "$ip" "$tc" "$root/usr/bin/"
cp "$sh" "$root/bin/sh" # busybox's knows no ip but its own
ldd "$links" "$ip" "$tc" "$sh" | grep -o '/[^ :]*' | sort -u | while read -r lib; do
    case $lib in "$links" | "$ip" | "$tc" | "$sh") continue ;; esac
    mkdir -p "$root/$(dirname "$lib")"
    cp -L "$lib" "$root/$lib"
done
cat >"$root/init" <<E2
#!/bin/sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for m in $modules; do insmod /modules/\$m.ko || echo "insmod: no \$m"; done
[ -e /dev/net/tun ] || { mkdir -p /dev/net; mknod /dev/net/tun c 10 200; }
export PATH=/usr/bin:/bin:/sbin LD_LIBRARY_PATH=/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu
/test_links
echo "links: status \$?"
/test_macvtap
echo "macvtap: status \$?"
/test_update
echo "update: status \$?"
poweroff -f
E2
chmod 755 "$root/init"
(cd "$root" && find . -mindepth 1 | cpio --quiet -o -H newc --owner=0:0) >"$work/extra.cpio"
cat "$initrd" "$work/extra.cpio" >"$work/all.cpio"
initrd=$work/all.cpio
boot links --memory 512M || { cat "$work/err"; fail "vctl run"; }
grep -E "SKIPPED|FAILED|ERROR|LINE|PASSED|insmod|arrived" "$work/out"
expect "links: status 0"
expect "macvtap: status 0"
expect "update: status 0"
grep -qE "SKIPPED|FAILED|insmod" "$work/out" && fail "something was skipped or failed"
echo "ok: links in a guest"
