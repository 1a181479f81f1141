#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vanish.sh: in the lab, $VCTL and $TINY set: the device goes, or is another one,
# while a domain runs. The domain goes on; a new one has one clear error; 'auto'
# takes emu; and all is well when the device is back.
set -u
root=$(mktemp -d)
uri="kvm:///session?root=$root"
trap '[ ! -e /dev/kvm.away ] || mv -f /dev/kvm.away /dev/kvm; rm -rf "$root"' EXIT

fail() {
    echo "FAIL: $*"
    cat "$root/err" 2>/dev/null
    exit 1
}

# domain NAME: defines one.
domain() {
    "$VCTL" -c "$uri" define - >/dev/null <<EOF || fail "define $1"
<domain type='kvm'><name>$1</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pci'>hvm</type><kernel>$TINY</kernel>
<cmdline>e</cmdline></os><devices><serial type='pty'/></devices></domain>
EOF
}

# no_start WORDS: one line of error, with these words.
no_start() {
    "$VCTL" -c "$uri" start late 2>"$root/err" && fail "it starts without the device"
    [ "$(wc -l <"$root/err")" = 1 ] || fail "not one line"
    grep -qF -- "$1" "$root/err" || fail "no '$1'"
}

domain early
"$VCTL" -c "$uri" start early || fail "start early"
domain late
mv /dev/kvm /dev/kvm.away

"$VCTL" -c "$uri" suspend early && "$VCTL" -c "$uri" resume early ||
    fail "a running domain does not go on"
"$VCTL" -c "$uri" reset early || fail "reset of a running domain"
no_start "There is no '/dev/kvm'"
[ "$("$VCTL" -c auto:///embed uri)" = emu:///embed ] || fail "auto does not take emu"
"$VCTL" doctor >"$root/doctor"
grep -q "^FAIL *kvm *Device /dev/kvm: There is no" "$root/doctor" || {
    cat "$root/doctor"
    fail "doctor does not name the device"
}

mknod /dev/kvm c 1 3
no_start "not KVM's device"
[ "$("$VCTL" -c auto:///embed uri)" = emu:///embed ] || fail "auto takes /dev/null"
"$VCTL" -c "$uri" domstate early | grep -q ^running || fail "state of early"

mv -f /dev/kvm.away /dev/kvm
"$VCTL" -c "$uri" start late || fail "start with the device again"
"$VCTL" -c "$uri" destroy late && "$VCTL" -c "$uri" destroy early || fail destroy
echo "ok: without its device"
