#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The guest's /init. The kernel's command line chooses what it does:
#   visor.do=poweroff (default) | reboot | halt | crash | shell | wait | cat | disk | watch
#   | memory
mount -t devtmpfs dev /dev 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
do=poweroff
for word in $(cat /proc/cmdline); do
    case $word in visor.do=*) do=${word#visor.do=} ;; esac
done
echo "visor-guest: user space reached"
echo "visor-guest: $(uname -sr), $(grep -c ^processor /proc/cpuinfo) CPU(s), $(awk '/MemTotal/{print int($2/1024)}' /proc/meminfo) MiB"
if [ -e /modules/load ]; then # make-initramfs.sh --modules
    while read -r module; do
        insmod /modules/$module.ko || echo "visor-guest: no module $module"
    done </modules/load
fi
case $do in
poweroff) poweroff -f ;;
reboot) reboot -f ;;
halt) halt -f ;;
crash) echo c >/proc/sysrq-trigger ;;
shell)
    echo "visor-guest: a shell; 'poweroff -f' ends it"
    # setsid gives the shell the console as its controlling terminal
    setsid sh -c 'exec sh -l </dev/ttyS0 >/dev/ttyS0 2>&1'
    poweroff -f
    ;;
wait) # until somebody presses the power button
    for module in button evdev; do
        [ -e /modules/$module.ko ] && insmod /modules/$module.ko
    done
    if [ -e /dev/input/event0 ]; then
        echo "visor-guest: waiting for the power button"
        dd if=/dev/input/event0 of=/dev/null bs=24 count=1 2>/dev/null
        echo "visor-guest: power button pressed"
    else
        echo "visor-guest: no power button device"
        while :; do sleep 1000; done
    fi
    poweroff -f
    ;;
disk) # what is written to /dev/vda is there after a reboot
    mkdir -p /mnt
    echo "visor-guest: vda has $(cat /sys/block/vda/size) sectors, $(ls /sys/block/vda/mq | wc -l) queue(s), serial '$(cat /sys/block/vda/serial)'"
    if mount -t ext4 /dev/vda /mnt 2>/dev/null; then
        (cd /mnt && sha256sum -c sum) && echo "visor-guest: the disk has what was written"
        umount /mnt
        poweroff -f
    fi
    mke2fs -F /dev/vda >/dev/null
    mount -t ext4 /dev/vda /mnt || echo "visor-guest: no file system on vda"
    dd if=/dev/urandom of=/mnt/data bs=64k count=128 2>/dev/null
    (cd /mnt && sha256sum data >sum)
    umount /mnt && echo "visor-guest: the disk is written"
    reboot -f
    ;;
watch) # says which disks and links there are, whenever that changes
    last=
    while :; do
        now=$(cd /sys/class && ls block net | grep '[a-z0-9]$' | tr '\n' ' ')
        if [ "$now" != "$last" ]; then
            echo "visor-guest: now $now"
            [ ! -b /dev/vdb ] || echo "visor-guest: vdb says $(head -c 12 /dev/vdb)"
        fi
        last=$now
        sleep 0.1
    done
    ;;
memory) # says how much there is when that has settled, and uses some of it
    mkdir -p /mnt
    mount -t tmpfs -o size=90% tmpfs /mnt
    last='' told='' same=0
    while :; do
        now=$(awk '/MemTotal/{print int($2/1024)}' /proc/meminfo)
        [ "$now" = "$last" ] && same=$((same + 1)) || same=0
        last=$now
        if [ $same -ge 3 ] && [ "$now" != "$told" ]; then
            told=$now
            dd if=/dev/zero of=/mnt/x bs=1M count=$((now * 6 / 10)) 2>/dev/null
            rm /mnt/x
            echo "visor-guest: memory $now"
        fi
        sleep 0.1
    done
    ;;
cat) # echo lines until "bye"
    echo "visor-guest: type"
    while read -r line; do
        echo "visor-guest: got $line"
        [ "$line" = bye ] && break
    done
    poweroff -f
    ;;
esac
while :; do sleep 1000; done
