#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The guest's /init of test_update.sh: runs the lines that come by the second
# serial port, "NUMBER COMMAND", one after the other; says so on the first.
mount -t devtmpfs dev /dev 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r module; do
    insmod "/modules/$module.ko" || echo "visor-guest: no module $module"
done </modules/load
stty -F /dev/ttyS1 raw -echo
exec 3</dev/ttyS1
echo "visor-guest: up"
while read -r number command <&3; do
    eval "$command"
    echo "visor-guest: $number ended with $?"
done
