#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# /init of the guest of test_vcpus.sh: brings every processor online that comes
# (udev's part on a whole system), says how many there are whenever that changes,
# and lets none go after a start with two.
mount -t devtmpfs dev /dev 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
count() { grep -c ^processor /proc/cpuinfo; }
echo "visor-guest: started with $(count) of $(cat /sys/devices/system/cpu/possible)"
[ "$(count)" != 2 ] || echo 0 >/sys/firmware/acpi/hotplug/processor/enabled
last=
while :; do
    for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
        [ "$(cat "$cpu/online" 2>/dev/null)" != 0 ] || echo 1 >"$cpu/online"
    done
    now=$(count)
    # Each of them runs something.
    [ "$now" = "$last" ] ||
        for cpu in $(awk '/^processor/{print $3}' /proc/cpuinfo); do
            taskset -c "$cpu" true && echo "visor-guest: cpu $cpu of $now runs"
        done
    [ "$now" = "$last" ] || echo "visor-guest: now $now CPU(s)"
    last=$now
    sleep 0.1
done
