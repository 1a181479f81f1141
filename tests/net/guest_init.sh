#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The guest's /init: brings up its network card and does what net.do= says.
#   dhcp HOST_PORT      address by DHCP, a file from the host, a server on 7777
#   static ADDR PEER    ping the peer until it answers, exchange a file
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for m in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev \
    virtio_pci failover net_failover virtio_net; do
    insmod /modules/$m.ko || echo "guest: no module $m"
done
for word in $(cat /proc/cmdline); do
    case $word in net.*) eval "${word#net.}" ;; esac
done
ip link set lo up
ip link set eth0 up || {
    echo "guest: FAIL no eth0"
    poweroff -f
}
echo "guest: link $(cat /sys/class/net/eth0/address) mtu $(cat /sys/class/net/eth0/mtu)"
echo "guest: queues $(ls -d /sys/class/net/eth0/queues/rx-* | wc -l)"

# Linux's own view of errors.
counters() {
    for c in rx_errors tx_errors rx_length_errors rx_frame_errors; do
        n=$(cat /sys/class/net/eth0/statistics/$c)
        [ "$n" = 0 ] || echo "guest: FAIL $c is $n"
    done
}

case $do in
dhcp)
    cat >/tmp/udhcpc.sh <<'X'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/${mask:-24}" dev "$interface"
ip route add default via "$router"
echo "nameserver $dns" >/etc/resolv.conf
echo "guest: dhcp $ip router $router dns $dns"
X
    chmod 755 /tmp/udhcpc.sh
    udhcpc -i eth0 -n -q -t 5 -s /tmp/udhcpc.sh 2>/dev/null ||
        echo "guest: FAIL dhcp"
    # a file from the host, twice: small buffers, then whatever fits
    for i in 1 2; do
        start=$(cut -d' ' -f1 /proc/uptime)
        sum=$(nc 10.0.2.2 $port </dev/null | md5sum | cut -d' ' -f1)
        echo "guest: got $sum ($start to $(cut -d' ' -f1 /proc/uptime))"
    done
    ping -c 2 10.0.2.2 >/dev/null && echo "guest: host answers ping"
    i=0
    until ip -6 addr show dev eth0 | grep -q 'inet6 fec0:' || [ $i = 60 ]; do
        i=$((i + 1))
        sleep 1
    done
    ip -6 addr show dev eth0 | grep -q 'inet6 fec0:' && echo "guest: has an address of fec0::/64"
    [ -n "$serve" ] && {
        echo "guest: serving"
        echo "hello from the guest" | nc -l -p 7777
        echo "guest: served"
    }
    ;;
static)
    ip addr add "$addr/24" dev eth0
    i=0
    until ping -c 1 -W 1 "$peer" >/dev/null 2>&1; do
        i=$((i + 1))
        [ $i -lt 60 ] || { echo "guest: FAIL no $peer"; break; }
    done
    ping -c 3 -s 1400 "$peer" && echo "guest: $peer answers"
    if [ -n "$serve" ]; then
        dd if=/dev/zero bs=1024 count=$serve 2>/dev/null | nc -l -p 7777
        echo "guest: sent"
    else
        # an end of its input is one of the connection to busybox's nc
        mkfifo /tmp/never
        exec 3<>/tmp/never
        i=0 n=0
        until [ $n != 0 ] || [ $i = 60 ]; do # until the peer listens
            i=$((i + 1))
            sleep 1
            n=$(nc "$peer" 7777 <&3 2>/dev/null | wc -c)
        done
        echo "guest: received $n"
        sleep 1
    fi
    ;;
esac
counters
echo "guest: done"
poweroff -f
