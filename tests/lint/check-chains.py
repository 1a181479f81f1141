#!/usr/bin/env python3
"""Does every handler of the emulator jump into the next one?

A handler that calls it instead (its compiler saw a reason against a sibling
call) grows the stack with each instruction the guest runs. Looks for calls
through emu_insn[1].exec, i.e. "call *0x20(register)", in the archive's code.

Usage: check-chains.py LIBVSR_EMU.A [OBJDUMP]        Exit 1 on any finding.
"""
import re
import subprocess
import sys

INSN_SIZE = 0x20  # sizeof(emu_insn); exec is its first member


def main():
    objdump = sys.argv[2] if len(sys.argv) > 2 else "objdump"
    out = subprocess.run([objdump, "-d", "--no-show-raw-insn", sys.argv[1]],
                         capture_output=True, text=True, check=True).stdout
    function, functions, bad = "?", 0, set()
    lines = out.splitlines()
    for n, line in enumerate(lines):
        m = re.match(r"[0-9a-f]+ <(.*)>:$", line)
        if m:
            function = m.group(1)
            functions += 1
            continue
        m = re.search(r"\bcall[ql]?\s+\*0x%x\((%%r\w+)\)" % INSN_SIZE, line)
        # insn + 1 is the second argument: tells it from other tables
        if m and any(f"0x{INSN_SIZE:x}({m.group(1)})," in p or
                     f"$0x{INSN_SIZE:x},{m.group(1)}" in p or
                     f"$0x{INSN_SIZE:x},%rsi" in p
                     for p in lines[max(0, n - 16):n] if "lea" in p or "add" in p):
            bad.add(function)
    for name in sorted(bad):
        print(f"{name}: calls the next handler; end its variables' scope "
              "before EMU_NEXT, or use EMU_NEXT_LOOP")
    print(f"check-chains: {functions} functions, {len(bad)} finding(s)")
    return 1 if bad or functions == 0 else 0


sys.exit(main())
