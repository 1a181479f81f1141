#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""extract-vmlinux.py BZIMAGE OUT: the ELF kernel inside of a bzImage.

Spec: Linux, Documentation/arch/x86/boot.rst, fields setup_sects (0x1f1),
      payload_offset (0x248), payload_length (0x24c).
"""
import subprocess
import sys

TOOLS = {b"\x1f\x8b": ["gzip", "-dc"], b"\xfd7zXZ": ["xz", "-dc"],
         b"BZh": ["bzip2", "-dc"], b"\x02\x21\x4c\x18": ["lz4", "-dc"],
         b"\x28\xb5\x2f\xfd": ["zstd", "-dcq"], b"\x5d\x00\x00": ["xz", "-dc"]}


def main():
    with open(sys.argv[1], "rb") as f:
        image = f.read()
    if image[0x202:0x206] != b"HdrS":
        sys.exit("not a bzImage")
    start = (image[0x1f1] + 1) * 512
    start += int.from_bytes(image[0x248:0x24c], "little")
    length = int.from_bytes(image[0x24c:0x250], "little")
    payload = image[start:start + length]
    for magic, tool in TOOLS.items():
        if payload.startswith(magic):
            # What follows the payload's end is its length, not an error.
            r = subprocess.run(tool, input=payload, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, check=False)
            if not r.stdout.startswith(b"\x7fELF"):
                sys.exit("the payload is no ELF file")
            with open(sys.argv[2], "wb") as f:
                f.write(r.stdout)
            return
    sys.exit("the payload is compressed in an unknown way")


if __name__ == "__main__":
    main()
