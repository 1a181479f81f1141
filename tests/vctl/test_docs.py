#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bash completion completes, the manual page renders without a warning."""
import os
import shutil
import subprocess
import unittest

from support import VCTL, VctlTest

COMPLETION = os.environ["COMPLETION"]
MANUAL = os.environ["MANUAL"]


@unittest.skipUnless(shutil.which("bash"), "no bash")
class Completion(VctlTest):
    def complete(self, *words):
        """What Tab offers after these words, the last of which is begun."""
        script = '''
            . "$0"
            compopt() { :; }
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _vctl
            printf '%s\\n' "${COMPREPLY[@]}"
        '''
        r = subprocess.run(["bash", "-uc", script, COMPLETION, VCTL, *words],
                           capture_output=True, text=True, timeout=300,
                           check=False, cwd="/")
        self.assertEqual(r.stderr, "")
        return r.stdout.split()

    def test_commands(self):
        self.assertEqual(sorted(self.complete("des")), ["desc", "destroy"])
        self.assertIn("start", self.complete(""))
        self.assertEqual(self.complete("nonsense"), [])

    def test_options(self):
        self.assertIn("--json", self.complete("--"))
        self.assertEqual(self.complete("start", "--pau"), ["--paused"])
        self.assertEqual(self.complete("run", "--mem"), ["--memory="])
        self.assertEqual(self.complete("nonsense", "--"), [])

    def test_uris(self):
        self.assertIn("emu:///session", self.complete("-c", "emu"))

    def test_domains_of_the_connection_named(self):
        self.define("apple")
        self.define("pear")
        self.assertEqual(self.complete("-c", self.uri, "start", ""),
                         ["apple", "pear"])
        self.assertEqual(self.complete("-c", self.uri, "console", "p"),
                         ["pear"])

    def test_files_and_help(self):
        self.assertEqual(self.complete("define", "/et"), ["/etc"])
        self.assertEqual(self.complete("help", "undef"), ["undefine"])


class Manual(unittest.TestCase):
    @unittest.skipUnless(shutil.which("groff"), "no groff")
    def test_groff_has_no_warning_and_no_line_too_long(self):
        r = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-rLL=80n",
                            "-P-cbou", MANUAL], capture_output=True,
                           encoding="utf-8", check=False)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        for part in ("SYNOPSIS", "EXIT STATUS", "--memory", "VISOR_URI"):
            self.assertIn(part, r.stdout)
        self.assertEqual([line for line in r.stdout.split("\n")
                          if len(line) > 80], [])

    @unittest.skipUnless(shutil.which("mandoc"), "no mandoc")
    def test_mandoc_has_no_warning(self):
        r = subprocess.run(["mandoc", "-Tlint", "-Wwarning", MANUAL],
                           capture_output=True, text=True, check=False)
        self.assertEqual((r.returncode, r.stdout), (0, ""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
