#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The example programs do what their first comment says."""
import os
import select
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../vctl"))
from support import TINY, VctlTest, domain_xml  # noqa: E402

EXAMPLES = os.environ["EXAMPLES"]


def example(name, *args, **kwargs):
    return subprocess.run([os.path.join(EXAMPLES, name), *args],
                          capture_output=True, text=True, timeout=300,
                          check=False, **kwargs)


class Examples(VctlTest):
    def test_embed_kernel_prints_console_and_events(self):
        r = example("embed_kernel", TINY, TINY)
        # No 'p' in its command line: the guest powers off all the same.
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("tiny: goodbye", r.stdout)
        self.assertIn("[event: started]", r.stdout)
        self.assertIn("[event: stopped]", r.stdout)

    def test_start_domain_waits_for_the_end(self):
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as f:
            f.write(domain_xml("ex", "p"))
            f.flush()
            r = example("start_domain", self.uri, f.name)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("'ex' is shutoff (guest-poweroff)", r.stdout)
        self.assertEqual(self.json("list", "--all"), [])

    def test_stats_and_events(self):
        watcher = subprocess.Popen(
            [os.path.join(EXAMPLES, "events"), self.uri, "600"],
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(watcher.communicate)
        self.addCleanup(watcher.kill)
        while not select.select([watcher.stdout], [], [], 0.05)[0]:
            self.assertIsNone(watcher.poll())
            self.define("watched")
            self.ok("undefine", "watched")
        self.define("ex", "h")
        self.ok("start", "ex")
        r = example("stats", self.uri)
        self.assertIn("ex: running, 1 vCPU(s), 32 MiB", r.stdout)
        self.assertIn("cpu.time", r.stdout)
        self.ok("destroy", "ex")
        out = ""
        while "ex: lifecycle stopped" not in out:
            line = watcher.stdout.readline()
            self.assertTrue(line, out)
            out += line
        for word in ("defined", "started", "stopped"):
            self.assertIn(f"ex: lifecycle {word}", out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
