#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_transcripts.py [--update] VCTL TINY PROBE [ENGINE]

Runs every guest program on an engine (emu) and compares what it prints, and how
it ends, with transcripts.txt: so that all engines say the same. --update writes
that file anew. Exit 77 where the engine cannot run."""
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "transcripts.txt")
# In a lab all takes longer.
SECONDS = 120 * int(os.environ.get("VISOR_TEST_SLOW", "1"))

# Name: image, command line, options of `vctl run`.
PROGRAMS = {
    "power-off": ("tiny", "p"),
    "exit": ("tiny", "x", "--test-devices"),
    "memory": ("tiny", "m"),
    "crash": ("tiny", "t"),
    "ports": ("tiny", "k"),
    "compute": ("probe", "compute"),
    "float": ("probe", "float"),
    "faults": ("probe", "faults"),
    "traps": ("probe", "traps"),
    "pic": ("probe", "pic"),
    "ioapic": ("probe", "ioapic"),
    "lapic": ("probe", "lapic"),
    "x2apic": ("probe", "x2apic"),
    "board": ("probe", "board"),
    "triple-fault": ("probe", "hostile t"),
    "smp-1": ("probe", "smp 1"),
    "smp-2": ("probe", "smp 2", "--vcpus", "2"),
    "smp-4": ("probe", "smp 4", "--vcpus", "4"),
    "micro-pic": ("probe", "pic", "--machine", "micro"),
    "micro-ioapic": ("probe", "ioapic", "--machine", "micro"),
    "micro-board": ("probe", "board", "--machine", "micro"),
    "micro-smp-2": ("probe", "smp 2", "--vcpus", "2", "--machine", "micro"),
}

# What a KVM without hardware behind it does otherwise: what its transcript has
# then, and why.
SOFTWARE = {
    "float": (r"KVM_EXIT_INTERNAL_ERROR 1: an instruction that KVM cannot "
              r"emulate", "its emulator has no x87 arithmetic and no SSE"),
    "traps": (r"KVM_EXIT_INTERNAL_ERROR 1: an instruction that KVM cannot "
              r"emulate", "its emulator has no INT3 and no INT n"),
    "crash": (r"KVM_EXIT_INTERNAL_ERROR 1: an instruction that KVM cannot "
              r"emulate|triple fault", "its emulator has no INT3"),
    "x2apic": (r"in service: no\n", "its LAPIC ends an interrupt by itself"),
}


def transcript(vctl, image, engine, line, *options):
    try:
        r = subprocess.run(
            [vctl, "run", "--engine", engine, "--memory", "32M", "--timeout",
             str(SECONDS), *options, image, "--append", line],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=2 * SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "vctl does not end\n"
    text = r.stdout.decode(errors="replace").replace("\r\n", "\n")
    return text + r.stderr.decode(errors="replace") + f"status {r.returncode}\n"


def read_golden():
    with open(GOLDEN, encoding="utf-8") as f:
        parts = re.split(r"^== (\S+)\n", f.read(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def is_software(vctl, engine):
    r = subprocess.run([vctl, "--json", "doctor"], stdout=subprocess.PIPE,
                       check=False)
    return any(f["engine"] == engine and "this KVM is software" in f["detail"]
               for f in json.loads(r.stdout))


def compare(name, got, golden, software):
    """True: as it has to be."""
    if got == golden[name]:
        note = SOFTWARE[name][1] + "; not so here" \
            if software and name in SOFTWARE else ""
    elif software and name in SOFTWARE and re.search(SOFTWARE[name][0], got):
        note = "otherwise on this software KVM: " + SOFTWARE[name][1]
    else:
        print(f"FAIL {name}\n--- it should say\n{golden[name]}--- it says\n{got}")
        return False
    print(f"ok   {name}" + (f" ({note})" if note else ""))
    return True


def main():
    args = sys.argv[1:]
    update = args[:1] == ["--update"]
    vctl, *images = args[1:] if update else args
    engine = images[2] if len(images) > 2 else "emu"
    images = {"tiny": images[0], "probe": images[1]}
    r = subprocess.run([vctl, "-c", f"{engine}:///embed", "uri"], check=False,
                       stdout=subprocess.DEVNULL)
    if r.returncode != 0:
        print(f"skipped: engine {engine} cannot run here")
        return 77
    software = is_software(vctl, engine)
    got = {name: transcript(vctl, images[image], engine, line, *options)
           for name, (image, line, *options) in PROGRAMS.items()}
    if update:
        for name, text in got.items():
            if text.endswith(("status 124\n", "status 125\n")):
                sys.exit(f"{name} does not run:\n{text}")
        with open(GOLDEN, "w", encoding="utf-8") as f:
            f.writelines(f"== {name}\n{text}" for name, text in got.items())
        return 0
    golden = read_golden()
    if golden.keys() != got.keys():
        print("FAIL: transcripts.txt has other programs than this test")
        return 1
    bad = [name for name in got
           if not compare(name, got[name], golden, software)]
    print(f"{len(got)} programs on {engine}, {len(bad)} not as they should be")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
