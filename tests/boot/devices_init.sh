#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The guest's /init for test_devices.py: at its first start it uses each of its
# devices and writes to both disks, at the second it reads that back.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for m in $(cat /modules/load); do
    insmod /modules/$m.ko || echo "guest: FAIL module $m"
done
for word in $(cat /proc/cmdline); do
    case $word in dev.*) eval "${word#dev.}" ;; esac
done
insmod /modules/button.ko
insmod /modules/evdev.ko
bad() { echo "guest: FAIL $*"; }
# until_ok COMMAND…: devices are found by and by.
until_ok() {
    local i=0
    until "$@" 2>/dev/null; do
        i=$((i + 1))
        [ $i -lt 600 ] || { bad "$*"; return 1; }
        sleep 0.1
    done
}
echo "guest: $(uname -r), disks $(cd /sys/block && echo vd*)"
mkdir -p /mnt
until_ok test -b /dev/vda
until_ok test -b /dev/vdb

# --- rng ---------------------------------------------------------------------
rng() {
    local hw=/sys/class/misc/hw_random a b
    until_ok grep -q virtio_rng $hw/rng_current || return
    a=$(head -c 64 /dev/hwrng | md5sum)
    b=$(head -c 64 /dev/hwrng | md5sum)
    [ "$a" != "$b" ] && [ "$(head -c 64 /dev/hwrng | wc -c)" = 64 ] ||
        bad "hwrng gives '$a', '$b'"
    echo "guest: entropy"
}

# --- channel -----------------------------------------------------------------
channel() {
    local p agent='' line
    for p in /sys/class/virtio-ports/*; do
        [ "$(cat $p/name 2>/dev/null)" = "$1" ] && agent=/dev/${p##*/}
    done
    [ -n "$agent" ] || { bad "no port $1"; return; }
    exec 5<>"$agent"
    echo "from the guest" >&5
    read -r line <&5
    echo "guest: channel says $line"
    head -c 200000 /bin/busybox >&5
    exec 5>&-
}

# --- net ---------------------------------------------------------------------
net() {
    ip link set lo up
    cat >/tmp/udhcpc.sh <<'X'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/${mask:-24}" dev "$interface"
ip route add default via "$router"
echo "guest: dhcp $ip router $router"
X
    chmod 755 /tmp/udhcpc.sh
    until_ok ip link set eth0 up || return
    echo "guest: link $(cat /sys/class/net/eth0/address)"
    udhcpc -i eth0 -n -q -t 20 -T 5 -s /tmp/udhcpc.sh 2>/dev/null || bad dhcp
    echo "guest: host says $(nc 10.0.2.2 $port </dev/null | md5sum)"
    nc -l -p 7777 -e /bin/cat &
    echo "guest: serves"
    wait
}

# --- vsock -------------------------------------------------------------------
vsock() {
    head -c 200000 /bin/busybox >/tmp/some
    plugged_tool connect 1234 </tmp/some >/tmp/back || bad vsock
    cmp /tmp/some /tmp/back && echo "guest: vsock there and back"
    plugged_tool connect 1 </dev/null 2>/dev/null && bad "nobody is at port 1"
    plugged_tool listen 5000 || bad "vsock listen"
}

# --- balloon -----------------------------------------------------------------
free_kib() { awk '/MemFree/{print $2}' /proc/meminfo; }
free_below() { [ "$(free_kib)" -lt "$1" ]; }
free_above() { [ "$(free_kib)" -gt "$1" ]; }
balloon() {
    local free
    until_ok test -d /sys/bus/virtio/drivers/virtio_balloon/virtio* || return
    free=$(free_kib)
    echo "guest: balloon"
    until_ok free_below $((free - 80000)) && echo "guest: balloon full"
    until_ok free_above $((free - 40000)) && echo "guest: balloon empty"
}

# --- folder ------------------------------------------------------------------
folder() {
    mount -t 9p -o trans=virtio,version=9p2000.L,msize=131072 shared /mnt ||
        { bad "mount 9p"; return; }
    cd /mnt
    echo "guest: reads $(cat hello)"
    cat /bin/busybox >copy && cmp /bin/busybox copy || bad copy
    mkdir -p d/e && ln -s ../hello d/link && ln hello second && mv hello d/e/moved
    [ "$(cat d/e/moved)" = "$(cat second)" ] || bad link
    [ "$(readlink d/link)" = ../hello ] || bad readlink
    for i in $(seq 1 50); do echo $i >d/f$i; done
    [ "$(ls d | wc -l)" = 52 ] || bad "ls $(ls d | wc -l)"
    [ "$(cat d/f* | wc -l)" = 50 ] || bad cat
    rm d/f* && [ "$(ls d | wc -l)" = 2 ] || bad rm
    chmod 4751 copy && [ "$(stat -c %a copy)" = 4751 ] || bad chmod
    chown 33:44 copy || bad chown
    touch -d "2001-02-03 04:05:06" copy
    dd if=/dev/zero of=big bs=1M count=1 conv=fsync 2>/dev/null
    truncate -s 5000 big && [ "$(stat -c %s big)" = 5000 ] || bad truncate
    mkfifo pipe || bad mkfifo
    plugged_tool lock second || bad lock
    [ -z "$attr" ] || plugged_tool attr second || bad attr
    cat ../secret ../../secret 2>/dev/null && bad "out of the folder"
    ln -s ../secret out && cat out 2>/dev/null && bad "out by a link"
    df /mnt | tail -n 1 | grep -q % || bad df
    cd /
    umount /mnt && echo "guest: folder" || bad umount
}

# --- disks -------------------------------------------------------------------
# vda has a pattern from its sector 8192 on, vdb a file system.
pattern() { dd if=/dev/vda bs=64k skip=64 count=32 iflag=direct 2>/dev/null | md5sum; }
write_disks() {
    head -c 2097152 /dev/urandom >/tmp/random
    dd if=/tmp/random of=/dev/vda bs=64k seek=64 conv=fsync 2>/dev/null ||
        bad "write vda"
    echo "guest: vda has $(md5sum </tmp/random)"
    mke2fs -F /dev/vdb >/dev/null && mount -t ext4 /dev/vdb /mnt ||
        bad "no file system on vdb"
    cp /tmp/random /mnt/data
    (cd /mnt && md5sum data >sum)
    umount /mnt || bad "umount vdb"
    rm /tmp/random
    # What says that this is done is the last thing written.
    echo written | dd of=/dev/vda bs=512 conv=sync,fsync 2>/dev/null
}
read_disks() {
    echo "guest: vda still has $(pattern)"
    mount -t ext4 /dev/vdb /mnt || bad "no file system on vdb any more"
    (cd /mnt && md5sum -c sum) && echo "guest: vdb has its file"
    umount /mnt
}

echo "guest: serials $(cat /sys/block/vda/serial) $(cat /sys/block/vdb/serial)"
if [ "$(head -c 7 /dev/vda)" = written ]; then
    read_disks
else
    for what in rng "channel org.qemu.guest_agent.0" vsock net folder balloon \
        write_disks; do
        $what
        echo "guest: $what done at $(cut -d' ' -f1 /proc/uptime)"
    done
fi
echo "guest: waits for the button"
dd if=/dev/input/event0 of=/dev/null bs=24 count=1 2>/dev/null || bad button
echo "guest: done"
poweroff -f
