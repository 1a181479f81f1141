#!/usr/bin/env python3
"""Each header compiles alone: public ones as C99 and C++11, ours as gnu11.

Usage: check-headers.py TREE CC [CXX]      CFLAGS for GLib come from pkg-config.
"""
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TREE = Path(sys.argv[1]).resolve()
CC = sys.argv[2]
CXX = sys.argv[3] if len(sys.argv) > 3 else None
WARN = ["-Wall", "-Wextra", "-Werror"]


def flags(*packages):
    return subprocess.run(["pkg-config", "--cflags", *packages], capture_output=True,
                          text=True, check=True).stdout.split()


def check(job):
    path, command = job
    done = subprocess.run(command, input=f'#include "{path}"\n#include "{path}"\n',
                          capture_output=True, text=True, cwd=TREE)
    return path, " ".join(command[:4]), done.returncode, done.stderr


def main():
    jobs = []
    for header in sorted((TREE / "include/visor").glob("*.h")):
        path = f"visor/{header.name}"
        common = ["-Iinclude", "-fsyntax-only", *WARN]
        jobs.append((path, [CC, "-xc", "-", "-std=c99", "-pedantic", *common]))
        if CXX:
            jobs.append((path, [CXX, "-xc++", "-", "-std=c++11", "-pedantic", *common]))
    ours = flags("glib-2.0", "libxml-2.0", "libnl-3.0")
    for top in ("src", "xml", "drivers/emu"):
        for header in sorted((TREE / top).rglob("*.h")):
            path = str(header.relative_to(TREE)).removeprefix("src/")
            jobs.append((path, [CC, "-xc", "-", "-std=gnu11", "-fsyntax-only", "-D_GNU_SOURCE",
                                "-I.", "-Isrc", "-Iinclude", *WARN, "-Wno-unused-parameter", *ours]))
    failed = 0
    with ThreadPoolExecutor(2) as pool:
        for path, how, code, text in pool.map(check, jobs):
            if code != 0:
                failed += 1
                print(f"{path} ({how}):\n{text}")
    print(f"check-headers: {len(jobs)} compiled, {failed} failed")
    return 1 if failed or not jobs else 0


sys.exit(main())
