#!/usr/bin/env python3
"""Checks of the tree's shape that no compiler makes. Exit 1 on any finding.

Usage: check-layout.py TREE [LAYERS]      (a meson test; no third-party module)
"""
import re
import subprocess
import sys
from pathlib import Path

TREE = Path(sys.argv[1]).resolve()
LAYERS = Path(sys.argv[2] if len(sys.argv) > 2 else TREE / "tests/lint/layers.txt")
REGISTRY = "src/driver/registry.c"  # the one file that names every backend
HARD, SOFT = 1000, 600              # lines of one source file
# an external header: the only folders that may include it
ONLY_IN = {
    r"libxml/": ["xml"],
    r"yajl/": ["src/rpc", "src/vctl"],
    r"netlink/|linux/netlink|linux/rtnetlink": ["src/net"],
    r"linux/kvm\.h": ["drivers/kvm", "tests/drivers/kvm"],
    r"xen/": ["drivers/xen"],
    r"sys/ioctl\.h": ["drivers", "src/net", "src/block", "src/base"],
    r"glib|gio/": ["src", "drivers", "xml", "tests"],
}
# what a file of these folders must not call: they run on guest input
GUEST_FACING = ["src/devices", "src/machine", "src/migrate", "drivers"]
FATAL = re.compile(r"\b(abort|exit|_exit|g_error|g_assert\w*|assert)\s*\(")

found = []


def say(path, line, rule, text):
    found.append(f"{path}:{line}: [{rule}] {text}")


def layers():
    out = {}
    for raw in LAYERS.read_text().splitlines():
        raw = raw.split("#")[0].strip()
        if raw:
            name, _, rest = raw.partition(":")
            out[name.strip()] = rest.split()
    return out


def layer_of(path, table):
    best = [n for n in table if path == n or path.startswith(n + "/")]
    return max(best, key=len) if best else None


def code_of(text):
    """The text with comments blanked, line numbers kept."""
    keep = lambda m: re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r"/\*.*?\*/|//[^\n]*", keep, text, flags=re.S)


def includes(path, lines, table):
    here = layer_of(path, table)
    if here is None:
        return say(path, 1, "layer", "in no folder that layers.txt names")
    for n, line in enumerate(lines, 1):
        m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not m:
            continue
        target = m.group(2)
        for pat, where in ONLY_IN.items():
            if m.group(1) == "<" and re.match(pat, target):
                if not any(path == w or path.startswith(w + "/") for w in where):
                    say(path, n, "external", f"<{target}> belongs in {', '.join(where)}")
        if m.group(1) == "<":
            continue
        if target.startswith("visor/"):
            say(path, n, "include", f"public headers are included as <{target}>")
            continue
        if ".." in target.split("/"):
            say(path, n, "include", f'"{target}": write it from src/ or the root')
        for root in ("", "src/", str(Path(path).parent) + "/"):
            if (TREE / (root + target)).is_file():
                there = layer_of(root + target, table)
                allowed = table[here]
                if (there not in (here, "include/visor") and "*" not in allowed
                        and there not in allowed and path != REGISTRY):
                    say(path, n, "layer", f"{here} may not include {there}")
                break
        else:
            say(path, n, "include", f'"{target}" is nowhere in the tree')


def contents(path, text, lines):
    code = code_of(text)
    clines = code.splitlines()
    if len(lines) > HARD:
        say(path, len(lines), "size", f"{len(lines)} lines, {HARD} at the most: split it")
    elif len(lines) > SOFT:
        print(f"note: {path} has {len(lines)} lines (aim: {SOFT})")
    if "SPDX-License-Identifier" not in "\n".join(lines[:2]):
        say(path, 1, "spdx", "no SPDX line at the top")
    if path.endswith(".h"):
        guard = re.sub(r"^(INCLUDE|SRC)_", "", re.sub(r"\W", "_", path).upper())
        guard = guard if path.startswith("include/") else "VSR_" + guard
        if f"#ifndef {guard}\n" not in text:
            say(path, 1, "guard", f"include guard should be {guard}")
        if path.startswith("include/") and re.search(r"\b(GError|gboolean|gchar|G_[A-Z]+|xmlDoc)\b", code):
            say(path, 1, "public", "GLib or libxml2 in a public header")
    guest = any(path.startswith(g + "/") for g in GUEST_FACING)
    for n, line in enumerate(clines, 1):
        if guest and FATAL.search(line):
            say(path, n, "fatal", FATAL.search(line).group(0) + "…) where guest input runs")
        if re.match(r"(int|bool|void|visor_\w+|const char|uint\d+_t)\s*\*?\s*visor_\w+\(", line) \
                and path.startswith(("src/", "drivers/", "xml/")) and not path.startswith("src/api/"):
            say(path, n, "prefix", "visor_ functions are defined in src/api only")
        # A guest is a whole machine's program, not a library.
        if not path.startswith("tests/guests/") and \
                re.match(r"static\s+(?!const\b|inline\b|_Thread_local\b|_Noreturn\b|GPrivate\b|GOnce\b)"
                    r"[\w\s\*]+?\b\w+(\[[^\]]*\])*\s*(=[^=].*)?;\s*$", line) and "(" not in line.split("=")[0] \
                and not re.search(r"\*\s*const\s+\w+(\[[^\]]*\])*\s*(=|;)", line):
            say(path, n, "state", "mutable file-scope variable: put it in an object")
    if path.endswith(".c") and path.startswith(("src/", "drivers/", "xml/")):
        first = next((m.group(1) for m in re.finditer(r'#\s*include\s*["<]([^">]+)', code)), "")
        own = Path(path).with_suffix(".h")
        if (TREE / own).is_file() and not first.endswith(own.name):
            say(path, 1, "own-header", f"include {own.name} first")


def main():
    table = layers()
    files = subprocess.run(["git", "-C", str(TREE), "ls-files", "-co", "--exclude-standard"],
                           capture_output=True, text=True, check=True).stdout.split()
    for path in sorted(f for f in files if f.endswith((".c", ".h"))):
        text = (TREE / path).read_text(encoding="utf-8")
        lines = text.splitlines()
        includes(path, code_of(text).splitlines(), table)
        contents(path, text, lines)
    for d in sorted({str(Path(f).parent) for f in files if re.match(r"(src|drivers)/[^/]+/", f)}):
        if d in table and not (TREE / d / "README.md").is_file():
            say(d, 1, "readme", "no README.md says what this folder is for")
    for line in found:
        print(line)
    print(f"check-layout: {len(found)} finding(s)")
    return 1 if found else 0


sys.exit(main())
