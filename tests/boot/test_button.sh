#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_button.sh VCTL BOARD: 'vctl shutdown' makes Debian's kernel report its
# power button, and the guest powers off.
set -u
VCTL=$1 board=$2
. "$(dirname "$0")/lib.sh"
guest_parts
export XDG_STATE_HOME=$work/state
cat >"$work/button.xml" <<XML
<domain type='${ENGINE:-emu}'>
  <name>button</name>
  <memory unit='MiB'>256</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='$board'>hvm</type>
    <kernel>$kernel</kernel>
    <initrd>$initrd</initrd>
    <cmdline>console=ttyS0 visor.do=wait ${EXTRA_APPEND:-}</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <devices>
    <serial type='file'><source path='$work/out'/></serial>
  </devices>
</domain>
XML
session() { "$VCTL" -c "${ENGINE:-emu}:///session" "$@"; }
trap 'session destroy button >/dev/null 2>&1; rm -rf "$work"' EXIT
session define "$work/button.xml" || fail "define"
session start button || fail "start"
for _ in $(seq $((1200 * slow))); do
    grep -qs "visor-guest: waiting for the power button" "$work/out" && break
    sleep 0.1
done
expect "visor-guest: waiting for the power button"
session shutdown button --timeout $((120 * slow)) || fail "shutdown: exit code $?"
expect "visor-guest: power button pressed"
expect "reboot: Power down"
echo "ok: $board"
