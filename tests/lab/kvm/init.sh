#!/bin/busybox sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The /init of the KVM lab. The host's files, read-only, lie below a layer in
# memory; writes vanish, but for the run's folder (/lab) and the shared one. The
# command is /lab/command; what it prints and its status go through two ports of
# virtio-console.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
while read -r module; do
    $b insmod "/modules/$module" 2>/dev/null
done </modules/order
end() {
    echo "lab: $*" >/dev/console
    $b sync
    $b poweroff -f
}
$b mount -t virtiofs host /lower || end "no files of the host"
$b mount -t tmpfs -o size=80% upper /upper
$b mkdir /upper/files /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work root /root ||
    end "no overlay"
$b mount -t proc proc /root/proc
$b mount -t sysfs sysfs /root/sys
$b mount -t debugfs debugfs /root/sys/kernel/debug
$b mount -t devtmpfs dev /root/dev
$b mkdir -p /root/dev/pts /root/dev/shm /root/lab
$b mount -t devpts devpts /root/dev/pts
$b mount -t tmpfs shm /root/dev/shm
$b mount -t tmpfs run /root/run
$b ln -sf /proc/self/fd /root/dev/fd
for n in 0:stdin 1:stdout 2:stderr; do
    $b ln -sf "/proc/self/fd/${n%%:*}" "/root/dev/${n#*:}"
done
$b ip link set lo up
run='' share='' env=''
for word in $($b cat /proc/cmdline); do
    case $word in
    lab.run=*) run=${word#lab.run=} ;;
    lab.share=*) share=${word#lab.share=} ;;
    lab.modules=*) env="LAB_MODULES=${word#lab.modules=}" ;;
    esac
done
$b mount --bind "/lower$run" /root/lab || end "no folder of the run"
if [ -n "$share" ]; then
    $b mount --bind "/lower$share" "/root$share" || end "no shared folder"
fi
out='' status='' ping=''
for port in /sys/class/virtio-ports/*; do
    case $($b cat "$port/name") in
    out) out=/dev/${port##*/} ;;
    status) status=/dev/${port##*/} ;;
    ping) ping=/dev/${port##*/} ;;
    esac
done
# What comes there is only to come ('run' says why).
$b cat "$ping" >/dev/null &
# A port takes output only once somebody listens; QEMU's does from the start.
# Not only a chroot: what looks from another mount namespace is to see "/" too.
cd /root
$b mount --move . /
$b chroot . /usr/bin/env -i HOME=/root TERM=dumb LAB=kvm "$env" \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /bin/bash /lab/command </dev/null >"$out" 2>&1
echo $? >"$status"
$b sync
$b poweroff -f
