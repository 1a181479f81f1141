#!/usr/bin/env python3
"""What libvisor.so exports = src/api/libvisor.syms = the public headers.

Usage: check-symbols.py LIBVISOR.SO TREE
"""
import re
import subprocess
import sys
from pathlib import Path

NODE = "LIBVISOR_0.1"


def declared(tree):
    names = set()
    for header in (tree / "include/visor").glob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
        names |= set(re.findall(r"VISOR_API\b[^;]*?\b(visor_\w+)\s*\(", text))
    return names


def scripted(tree):
    text = (tree / "src/api/libvisor.syms").read_text()
    part = re.search(r"global:(.*?)local:", text, re.S).group(1)
    return set(re.findall(r"(\w+);", part))


def exported(library):
    out = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", library],
                         capture_output=True, text=True, check=True).stdout
    names, odd = set(), []
    for line in out.splitlines():
        kind, name = line.split()[-2:]
        if kind == "A":  # the version node itself
            continue
        if kind != "T" or not name.endswith("@@" + NODE):
            odd.append(line)
        names.add(name.split("@")[0])
    return names, odd


def main():
    library, tree = sys.argv[1], Path(sys.argv[2])
    headers, script = declared(tree), scripted(tree)
    library_names, odd = exported(library)
    bad = [f"exported oddly: {line}" for line in odd]
    bad += [f"in a header, not in libvisor.syms: {n}" for n in sorted(headers - script)]
    bad += [f"in libvisor.syms, in no header: {n}" for n in sorted(script - headers)]
    bad += [f"in a header, not exported: {n}" for n in sorted(headers - library_names)]
    bad += [f"exported, in no header: {n}" for n in sorted(library_names - headers)]
    print("\n".join(bad))
    print(f"check-symbols: {len(library_names)} symbols, {len(bad)} finding(s)")
    return 1 if bad or not headers else 0


sys.exit(main())
