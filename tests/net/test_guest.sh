#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_guest.sh NET_GUEST WHAT: Debian's kernel with its virtio-net driver.
#   user     DHCP, a file over TCP from the host, IPv6, a forwarded port
#   bridge   two guests on one bridge, each of two queues, in a network namespace
#   macvtap  the same on one link
set -u
guest=$1 what=$2
if [ "$what" != user ] && [ -z "${NET_GUEST_INSIDE:-}" ]; then
    unshare -n true 2>/dev/null && [ -w /dev/net/tun ] || {
        echo "skipped: no network namespaces, or no /dev/net/tun"
        exit 77
    }
    NET_GUEST_INSIDE=1 exec unshare -n "$0" "$@"
fi
VCTL=
. "$(dirname "$0")/../boot/lib.sh"
guest_parts

# The driver's modules and the guest's own init, as a second archive.
make_initrd() {
    local root=$work/initrd
    mkdir -p "$root/modules"
    for m in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev \
        virtio_pci failover net_failover virtio_net; do
        find "$guest_dir/root/lib/modules" -name "$m.ko" -exec cp {} "$root/modules/" \;
    done
    cp "$(dirname "$0")/guest_init.sh" "$root/init"
    chmod 755 "$root/init"
    (cd "$root" && find . -mindepth 1 | cpio --quiet -o -H newc --owner=0:0) >"$work/extra.cpio"
    cat "$initrd" "$work/extra.cpio" >"$work/all.cpio"
}

# start NAME KIND DEVICE QUEUES LAST FORWARDS WORDS…: in the background; $!.
start() {
    local name=$1
    shift
    timeout 240 "$guest" "${@:1:5}" "$kernel" "$work/all.cpio" \
        "console=ttyS0 quiet ${*:6}" >"$work/$name" 2>"$work/$name.err" </dev/null &
}

wait_text() { # NAME TEXT
    local i
    for ((i = 0; i < 1800; i++)); do
        grep -qF -- "$2" "$work/$1" && return
        grep -qF "guest: FAIL" "$work/$1" && break
        sleep 0.1
    done
    cat "$work/$1" "$work/$1.err"
    echo "FAIL: no '$2'"
    exit 1
}

ended() { # PID NAME
    wait "$1" || { cat "$work/$2" "$work/$2.err"; echo "FAIL: net_guest: exit code $?"; exit 1; }
    grep -E "FAIL|WARNING:|BUG:|Call Trace|page allocation" "$work/$2" && exit 1
    grep -qF "guest: done" "$work/$2" || { cat "$work/$2"; echo "FAIL: not done"; exit 1; }
}

make_initrd
case $what in
user)
    head -c 6000000 /dev/urandom >"$work/file"
    sum=$(md5sum <"$work/file" | cut -d' ' -f1)
    exec 8< <(exec 2>/dev/null && python3 - "$work/file" <<'P'
import signal, socket, sys
signal.alarm(120)
data = open(sys.argv[1], "rb").read()
s = socket.create_server(("127.0.0.1", 0))
free = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], free.getsockname()[1], flush=True)
free.close()
for i in range(2):
    c = s.accept()[0]
    c.sendall(data)
    c.close()
P
    )
    read -r port forward <&8
    start out user - 1 1 "tcp:$forward:7777" "net.do=dhcp net.port=$port net.serve=1"
    pid=$!
    wait_text out "guest: serving"
    hello=$(python3 -c "
import socket
c = socket.create_connection(('127.0.0.1', $forward), 20)
print(c.makefile().read(), end='')")
    [ "$hello" = "hello from the guest" ] || { cat "$work/out"; echo "FAIL: '$hello'"; exit 1; }
    ended $pid out
    cp "$work/out" "$work/err"
    expect "guest: link 52:54:00:00:01:01 mtu 1500"
    expect "guest: dhcp 10.0.2.15 router 10.0.2.2 dns 10.0.2.3"
    expect "guest: got $sum"
    [ "$(grep -cF "guest: got $sum" "$work/out")" = 2 ] || fail "a file was damaged"
    expect "guest: has an address of fec0::/64"
    expect "guest: served"
    ;;
bridge | macvtap)
    device=visorbr0
    if [ "$what" = macvtap ]; then
        device=v0
        ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up ||
            { echo "skipped: no veth links"; exit 77; }
    fi
    start a "$what" "$device" 2 10 - "net.do=static net.addr=10.9.0.1 net.peer=10.9.0.2 net.serve=20000"
    a=$!
    start b "$what" "$device" 2 11 - "net.do=static net.addr=10.9.0.2 net.peer=10.9.0.1"
    b=$!
    ended $b b
    ended $a a
    grep -qF "10.9.0.1 answers" "$work/b" && grep -qF "10.9.0.2 answers" "$work/a" ||
        { cat "$work/a" "$work/b"; echo "FAIL: no answer"; exit 1; }
    grep -qF "guest: received 20480000" "$work/b" ||
        { cat "$work/a" "$work/b"; echo "FAIL: not all came"; exit 1; }
    grep -qF "guest: queues 2" "$work/a" || { cat "$work/a"; echo "FAIL: queues"; exit 1; }
    ;;
esac
echo "ok: $what"
