#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# test_policy.sh BUILD: what a guest on real KVM sees of its processor, as it was
# asked for; huge pages; nested virtualization that the host offers, and not.
set -u
. "$(dirname "$0")/../lib.sh"
build=$1
VCTL=$build/src/vctl/vctl
. "$top/tests/boot/lib.sh"
guest_parts
"$top/tests/guests/make-initramfs.sh" -i "$top/tests/lab/kvm/look.sh" \
    "$guest_dir/look.cpio" || skip "no initramfs can be made"
script='
failed=""
vctl='"$VCTL"' tiny='"$build"'/tests/guests/tiny.elf out=/run/out
# try STATUS WORDS ARGUMENT…: the run ends so and says so.
try() {
    local status=$1 words=$2
    shift 2
    timeout 300 "$vctl" run -e kvm "$@" >$out 2>&1
    local rc=$?
    if [ $rc -ne "$status" ] || ! grep -qF -- "$words" $out; then
        failed="$failed [$*]"
        echo "FAIL ($rc): run $*: no \"$words\""
        tail -n 5 $out
    fi
}
look() {
    try 0 "look: clock kvm-clock" -M micro -m 256M -t 280 -i '"$guest_dir"'/look.cpio \
        '"$kernel"' "$@"
    grep ^look: $out
}
has() { grep -qF -- "$1" $out || failed="$failed [no $1]"; }
tiny() { try "$1" "$2" -m 32M -a p "$tiny" "${@:3}"; }

"$vctl" -c kvm:///embed capabilities >$out
has "<model name='"'x86-64-v2'"'/>"
has "<feature name='"'svm'"'/>"
for cpu in x86-64-v1 x86-64-v2 host-model host-passthrough maximum,+svm \
    maximum,-kvmclock; do
    tiny 0 "tiny: goodbye" --cpu $cpu
done
tiny 125 "'"'avx2'"'" --cpu x86-64-v3
tiny 125 "is of vendor Intel, but" --cpu Nehalem
tiny 125 "parameter '"'nested'"'" --cpu maximum,+vmx

echo 0 >/proc/sys/vm/nr_hugepages
tiny 125 "16 huge pages of 2048 KiB are needed, the host'"'"'s pool has 0 free" --hugepages
echo 16 >/proc/sys/vm/nr_hugepages
tiny 0 "tiny: goodbye" --hugepages
tiny 0 "tiny: goodbye" --hugepages --prealloc
grep -q "HugePages_Free: *16$" /proc/meminfo || failed="$failed [pages kept]"
echo 0 >/proc/sys/vm/nr_hugepages

look --cpu host-model
has "look: svm 0"
has "look: hypervisor 1"
look --cpu host-passthrough,+svm -n 2
has "look: svm 2"
has "kvm-guest: setup PV IPIs"
has "kvm-guest: PV spinlocks enabled"
has "TSC deadline timer available"

# In the sandbox, from start to end.
cat >/run/nested.xml <<XML
<domain type="kvm"><name>nested</name><memory unit="MiB">32</memory>
<os><kernel>$tiny</kernel><cmdline>h</cmdline></os>
<cpu mode="host-model"><feature policy="require" name="svm"/></cpu>
<features><kvm><hint-dedicated state="on"/></kvm></features>
<devices><serial type="null"/></devices>
<visor:halt-poll xmlns:visor="https://libvisor.org/domain/1" ns="0"/>
<visor:disable-exits xmlns:visor="https://libvisor.org/domain/1" pause="on"/>
</domain>
XML
export HOME=/root XDG_RUNTIME_DIR=/run
for words in "create /run/nested.xml" "suspend nested" "resume nested" \
    "reset nested" "domstate nested" "destroy nested"; do
    "$vctl" -c kvm:///session $words >$out 2>&1 || {
        failed="$failed [$words]"
        cat $out
    }
done

if rmmod kvm_amd && modprobe -d "$LAB_MODULES" kvm_amd nested=0; then
    tiny 125 "does not have '"'svm'"' (required); nested" --cpu maximum,+svm
else
    failed="$failed [kvm_amd anew]"
fi
[ -z "$failed" ] || { echo "FAILED:$failed"; exit 1; }
'
exec "$top/tests/lab/run" kvm -c 2 -t 1500 -- "$script"
