#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hundred lives of a domain leave nothing on the host: no process, socket,
file or namespace. (Descriptors and memory: tests/vmm/test_cycles.c.)"""
import glob
import json
import os
import time
import unittest

from support import ENGINE, VctlTest

WARM_UP, CYCLES = 3, 100


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
            return f.read().strip()
    except OSError:
        return None


def namespaces():
    """Network namespaces that the kernel keeps, or None: not told to us. They
    go a little after their last process."""
    try:
        with open("/proc/slabinfo", encoding="utf-8") as f:
            return next(int(line.split()[1]) for line in f
                        if line.startswith("net_namespace"))
    except (OSError, StopIteration):
        return None


class Cycles(VctlTest):
    def folder(self):
        (path,) = glob.glob(f"{self.root}/{ENGINE}/*-*-*-*-*")
        return path

    def live_once(self):
        self.ok("start", "a")
        with open(f"{self.folder()}/status.json", encoding="utf-8") as f:
            self.pids.add(json.load(f)["pid"])
        self.ok("destroy", "a")

    def look(self):
        """Files with their sizes; the log and the numbers may grow."""
        files = {}
        for top, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(top, name)
                files[path] = (0 if name in ("vmm.log", "next-id",
                                             "status.json")
                               else os.lstat(path).st_size)
        with open("/proc/net/unix", encoding="utf-8") as f:
            sockets = [line for line in f if self.root in line]
        return files, sockets

    def test_a_hundred_lives_leave_nothing(self):
        self.pids = set()
        self.define("a", "h")
        for _ in range(WARM_UP):
            self.live_once()
        before, spaces = self.look(), namespaces()
        for _ in range(CYCLES):
            self.live_once()
        end = time.monotonic() + 60
        while (any(comm(pid) == "visor-vmm" for pid in self.pids) or
               # Other domains of the host come and go meanwhile.
               (spaces is not None and namespaces() > spaces + CYCLES // 2)):
            self.assertLess(time.monotonic(), end, "processes, or namespaces")
            time.sleep(0.05)
        self.assertEqual(self.look(), before)
        self.assertEqual(before[1], [])
        self.assertLess(os.path.getsize(f"{self.folder()}/vmm.log"), 1 << 20)


if __name__ == "__main__":
    unittest.main(verbosity=2)
