#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_domains.sh VCTL: two domains on one bridge, by XML and vctl, as root in a
# network namespace of the test's own: they talk to each other; their links go
# with them, also with one that is killed, and so does a bridge of ours.
set -u
VCTL=$1
if [ -z "${NET_DOMAINS_INSIDE:-}" ]; then
    unshare -n true 2>/dev/null && [ -w /dev/net/tun ] || {
        echo "skipped: no network namespaces, or no /dev/net/tun"
        exit 77
    }
    NET_DOMAINS_INSIDE=1 exec unshare -n "$0" "$@"
fi
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../boot/lib.sh"
guest_parts
"$top/tests/guests/make-initramfs.sh" -k "$guest_dir/root" \
    --modules virtio_pci,virtio_net -i "$here/guest_init.sh" "$work/net.cpio" ||
    { echo "skipped: no initramfs can be made"; exit 77; }
ip link add theirs type bridge && ip link set theirs up ||
    { echo "skipped: no bridges"; exit 77; }

vctl() { "$VCTL" -c "${ENGINE:-emu}:///session?root=$work/root" "$@"; }
bad() {
    tail -n 30 "$work"/out.*
    echo "FAIL: $*"
    exit 1
}
# until_ok WHAT COMMAND…
until_ok() {
    local what=$1 end=$((SECONDS + 60 * slow))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || bad "$what"
        sleep 0.1
    done
}
says() { grep -qE "guest: FAIL|WARNING:|BUG:|Call Trace" "$work/out.$1" && bad "$1 complains"; grep -qF -- "$2" "$work/out.$1"; }
no_link() { ! ip link show "$1" >/dev/null 2>&1; }
# is_port LINK BRIDGE
is_port() { [ "$(basename "$(readlink "/sys/class/net/$1/master" 2>/dev/null)")" = "$2" ] || ip -o link show "$1" | grep -q "master $2 "; }

# domain NAME BRIDGE LAST WORDS
domain() {
    : >"$work/out.$1"
    vctl define - >/dev/null <<X || bad "define $1"
<domain type='${ENGINE:-emu}'><name>$1</name>
  <memory unit='MiB'>192</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pci'>hvm</type><kernel>$kernel</kernel>
    <initrd>$work/net.cpio</initrd><cmdline>console=ttyS0 quiet $4</cmdline></os>
  <devices>
    <serial type='file'><source path='$work/out.$1'/></serial>
    <interface type='bridge'><mac address='52:54:00:00:00:$3'/>
      <source bridge='$2'/><target dev='tap-$1'/></interface>
  </devices>
</domain>
X
    vctl start "$1" >/dev/null || bad "start $1"
}
trap 'for d in a b c d; do vctl destroy $d >/dev/null 2>&1; done; sleep 0.2; rm -rf "$work"' EXIT

# Each pings the other; b gets a file of a's by TCP, then both power off.
domain a theirs 0a "net.do=static net.addr=10.9.0.1 net.peer=10.9.0.2 net.serve=2000"
domain b theirs 0b "net.do=static net.addr=10.9.0.2 net.peer=10.9.0.1"
is_port tap-a theirs && is_port tap-b theirs || bad "the links are no ports"
until_ok "b gets no answer" says b "guest: 10.9.0.1 answers"
until_ok "a gets no answer" says a "guest: 10.9.0.2 answers"
until_ok "not all came" says b "guest: received 2048000"
for d in a b; do
    until_ok "$d does not end" says $d "guest: done"
    until_ok "the link of $d stays" no_link tap-$d
    until_ok "$d is not off" sh -c "'$VCTL' -c '${ENGINE:-emu}:///session?root=$work/root' domstate $d | grep -q ^shutoff"
done
no_link theirs && bad "a bridge of others went"

# Two that wait for somebody who never comes, on a bridge that is known as ours
# by its alias: when the last of them is killed, it goes. (Not before it has a
# port: nobody needs it then either.)
ip link add ours type bridge && ip link set ours up || bad "bridge"
domain c ours 0c "net.do=static net.addr=10.9.0.3 net.peer=10.9.0.9"
domain d ours 0d "net.do=static net.addr=10.9.0.4 net.peer=10.9.0.9"
ip link set ours alias visor-bridge || bad "alias"
until_ok "c does not begin" says c "guest: link"
vctl destroy c >/dev/null || bad "destroy"
until_ok "the link of c stays" no_link tap-c
is_port tap-d ours || bad "the bridge of a running domain went"
pid=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$work/root/"*/*/status.json | sort -n | tail -n 1)
grep -q visor-vmm "/proc/$pid/cmdline" || bad "which process is d's? '$pid'"
kill -9 "$pid"
until_ok "the link of d stays" no_link tap-d
vctl domstate d | grep -q running && bad "d is dead, and runs"
no_link ours || bad "the bridge of a killed domain stays after a look at it"

# Its last domain is destroyed.
ip link add ours type bridge && ip link set ours up || bad "bridge"
vctl start c >/dev/null || bad "start c again"
ip link set ours alias visor-bridge || bad "alias"
is_port tap-c ours || bad "the link is no port"
vctl destroy c >/dev/null || bad "destroy"
until_ok "the link of c stays" no_link tap-c
no_link ours || bad "the bridge stays after its last domain"
no_link theirs && bad "a bridge of others went"
echo "ok: two domains on a bridge"
