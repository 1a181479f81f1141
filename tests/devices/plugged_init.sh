#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The guest's /init: uses each of its devices once.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for m in $(cat /modules/load); do
    insmod /modules/$m.ko || echo "guest: FAIL module $m"
done
sleep 1

exec 6<>/dev/hvc0 # the kernel takes a size for an open terminal only
stty -F /dev/hvc0 raw 2>/dev/null
echo "hello on hvc0" >&6
echo "guest: console ready"
size=
until [ -n "$size" ]; do
    sleep 0.2
    size=$(stty -F /dev/hvc0 size 2>/dev/null)
done
echo "guest: console $size"

for p in /sys/class/virtio-ports/*; do
    [ "$(cat $p/name 2>/dev/null)" = org.qemu.guest_agent.0 ] && agent=/dev/${p##*/}
done
echo "guest: channel $agent"
exec 5<>"$agent"
echo "from the guest" >&5
read -r line <&5
echo "guest: channel says $line"
cat /bin/busybox >&5
exec 5>&-

dd if=/bin/busybox bs=1024 count=700 2>/dev/null >/tmp/some
plugged_tool connect 1234 </tmp/some >/tmp/back
cmp /tmp/some /tmp/back && echo "guest: vsock there and back"
plugged_tool connect 1 </dev/null && echo "guest: FAIL nobody is at port 1"
plugged_tool listen 5000

echo "guest: balloon ready $(awk '/MemFree/{print $2}' /proc/meminfo)"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    sleep 0.5
    free=$(awk '/MemFree/{print $2}' /proc/meminfo)
    [ "$free" -lt 250000 ] && break
done
echo "guest: balloon $free"

mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 shared /root ||
    echo "guest: FAIL mount"
cd /root
echo "guest: reads $(cat hello)"
cat /bin/busybox >copy && cmp /bin/busybox copy && echo "guest: copied"
mkdir -p d/e && ln -s ../hello d/link && ln hello second && mv hello d/e/moved
[ "$(cat d/e/moved)" = "$(cat second)" ] || echo "guest: FAIL link"
[ "$(readlink d/link)" = ../hello ] || echo "guest: FAIL readlink"
for i in $(seq 1 200); do echo $i >d/f$i; done
[ "$(ls d | wc -l)" = 202 ] || echo "guest: FAIL ls $(ls d | wc -l)"
[ "$(cat d/f* | wc -l)" = 200 ] || echo "guest: FAIL cat"
rm d/f* && [ "$(ls d | wc -l)" = 2 ] || echo "guest: FAIL rm"
chmod 4751 copy && [ "$(stat -c %a copy)" = 4751 ] || echo "guest: FAIL chmod"
chown 33:44 copy; touch -d "2001-02-03 04:05:06" copy
dd if=/dev/zero of=big bs=1M count=16 conv=fsync 2>/dev/null
truncate -s 5000 big && [ "$(stat -c %s big)" = 5000 ] || echo "guest: FAIL truncate"
mkfifo pipe || echo "guest: FAIL mkfifo"
plugged_tool lock second || echo "guest: FAIL lock"
plugged_tool attr second || echo "guest: FAIL attr"
cat ../secret ../../secret 2>/dev/null && echo "guest: FAIL out of the folder"
ln -s ../secret out && cat out 2>/dev/null && echo "guest: FAIL out by a link"
start=$(cut -d' ' -f1 /proc/uptime)
dd if=/dev/zero of=speed bs=1M count=64 2>/dev/null
middle=$(cut -d' ' -f1 /proc/uptime)
echo 3 >/proc/sys/vm/drop_caches
dd if=speed of=/dev/null bs=1M 2>/dev/null
echo "guest: 64 MiB written from $start to $middle, read to $(cut -d' ' -f1 /proc/uptime)"
rm speed
df /root | tail -n 1 | grep -q % || echo "guest: FAIL df"
cd /
umount /root || echo "guest: FAIL umount"
echo "guest: done"
poweroff -f
