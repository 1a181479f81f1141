#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The /init of a guest that says what it sees of its processor, then powers off.
mount -t devtmpfs dev /dev 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
dmesg -n 1
for flag in svm monitor hypervisor; do
    echo "look: $flag $(grep -cw $flag /proc/cpuinfo)"
done
echo "look:$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2)"
echo "look: clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
dmesg | grep -E 'kvm-guest|kvm-clock|TSC deadline|paravirtualized' |
    sed 's/^\[[^]]*\] /look: /'
poweroff -f
