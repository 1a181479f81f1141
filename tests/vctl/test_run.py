#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vctl run: a kernel here and now, its console on this terminal."""
import json
import os
import subprocess
import unittest

from support import ENGINE, SLOW, TINY, VCTL, Terminal


def run(*args, **kwargs):
    return subprocess.run([VCTL, "run", "--engine", ENGINE, "--memory", "32M",
                           "--timeout", str(120 * SLOW), *args],
                          capture_output=True,
                          text=True, timeout=300 * SLOW, check=False,
                          stdin=subprocess.DEVNULL, **kwargs)


class Run(unittest.TestCase):
    def test_the_console_is_stdout_and_a_power_off_is_0(self):
        for board in ("pci", "micro"):
            r = run(TINY, "--append", "p", "--machine", board)
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertEqual(r.stdout, "tiny: hello tiny.elf p\ntiny: goodbye\n")

    def test_the_guest_status_is_the_exit_code(self):
        r = run(TINY, "--append", "x", "--test-devices")
        self.assertEqual(r.returncode, 7, r.stderr)

    def test_debug_exit_is_off_unless_asked_for(self):
        r = run(TINY, "--append", "x", "--timeout", "2")
        self.assertEqual(r.returncode, 124)

    def test_a_crash_is_126(self):
        r = run(TINY, "--append", "t")
        self.assertEqual(r.returncode, 126)
        self.assertIn("triple fault", r.stderr)
        r = run(TINY, "--append", "j")
        self.assertEqual(r.returncode, 126)

    def test_a_reset_loop_ends(self):
        r = run(TINY, "--append", "u")
        self.assertIn(r.returncode, (124, 126))
        self.assertGreater(r.stdout.count("tiny: hello"), 5)

    def test_garbage_on_every_port_does_no_harm(self):
        for board in ("pci", "micro"):
            r = run(TINY, "--append", "g" if ENGINE == "emu" else "k",
                    "--machine", board)
            self.assertEqual(r.returncode, 0, r.stderr)

    def test_bad_images_are_125_and_name_the_file(self):
        for path in ("/nonexistent", "/etc/hostname", "/dev/null", "/"):
            r = run(path)
            self.assertEqual(r.returncode, 125)
            self.assertIn(path, r.stderr)
            self.assertEqual(r.stderr.count("\n"), 1, r.stderr)

    def test_absurd_numbers_are_refused(self):
        for args in (("--memory", "1K"), ("--memory", "900T"),
                     ("--vcpus", "100000")):
            r = subprocess.run([VCTL, "run", "--engine", ENGINE, TINY, *args],
                               capture_output=True, text=True, timeout=300 * SLOW,
                               check=False)
            self.assertEqual(r.returncode, 125, (args, r.stderr))
        r = run(TINY, "--append", "p", "--memory", "nonsense")
        self.assertEqual(r.returncode, 2)

    def test_the_processor_is_as_asked_for(self):
        def xml(cpu):
            return run(TINY, "--print-xml", "--cpu", cpu).stdout
        self.assertIn("<cpu mode='custom'><model>x86-64-v2</model>"
                      "<feature policy='require' name='aes'/>"
                      "<feature policy='disable' name='sse4.2'/></cpu>",
                      xml("x86-64-v2,+aes,-sse4.2"))
        self.assertIn("<cpu mode='maximum'><feature policy='disable' "
                      "name='kvmclock'/></cpu>", xml("-kvmclock"))
        self.assertIn("<cpu mode='host-model'></cpu>", xml("host-model"))
        self.assertIn("<model>a&lt;b</model>", xml("a<b"))
        for cpu in ("x86-64-v1", "host-model", "maximum,-sep", "-kvmclock,"):
            r = run(TINY, "--append", "p", "--cpu", cpu)
            self.assertEqual(r.returncode, 0, r.stderr)
        for cpu, words in (("Z80", "'Z80' is unknown"),
                           ("+warp", "'warp' is unknown"),
                           ("x86-64-v1,+3dnow,+xop",
                            "does not have '3dnow' (required), 'xop' (req")):
            r = run(TINY, "--append", "p", "--cpu", cpu)
            self.assertEqual(r.returncode, 125)
            self.assertIn(words, r.stderr)
            self.assertEqual(r.stderr.count("\n"), 1, r.stderr)

    def test_the_command_line_suits_the_board(self):
        def cmdline(*args):
            xml = run(TINY, "--print-xml", *args).stdout
            return xml.split("<cmdline>")[1].split("</cmdline>")[0]

        self.assertEqual(cmdline(), "console=ttyS0")
        self.assertEqual(cmdline("--machine", "micro"), "console=ttyS0 pci=off")
        self.assertEqual(cmdline("--machine", "micro", "--append", "p"), "p")

    def test_the_memory_is_as_asked_for(self):
        r = run(TINY, "--append", "p", "--prealloc")
        self.assertEqual(r.returncode, 0, r.stderr)
        r = run(TINY, "--print-xml", "--prealloc", "--page-size=1G")
        self.assertIn("<hugepages><page size='1048576' unit='KiB'/></hugepages>"
                      "<allocation mode='immediate'/>", r.stdout)
        r = run(TINY, "--print-xml", "--hugepages")
        self.assertIn("<memoryBacking><hugepages/></memoryBacking>", r.stdout)
        r = run(TINY, "--append", "p", "--page-size=64K")
        self.assertEqual(r.returncode, 125)
        self.assertIn("this host has no huge pages of 64 KiB", r.stderr)
        r = run(TINY, "--append", "p", "--page-size=x")
        self.assertEqual(r.returncode, 2)

    def test_typing_reaches_the_guest_and_ctrl_bracket_ends_it(self):
        t = Terminal(VCTL, "run", "--engine", ENGINE, "--memory", "32M", TINY,
                     "--append", "e")
        t.expect("tiny: hello")
        t.send("xyz")
        t.expect("xyz")
        t.send("\x1d")
        self.assertEqual(t.wait(), 0)

    def test_help_version_and_doctor(self):
        def out(*args):
            return subprocess.run([VCTL, *args], capture_output=True, text=True,
                                  check=False).stdout
        self.assertIn("--kernel", out("help", "run"))
        self.assertIn("libvisor", out("version"))
        for command in out("help", "--names").split("\n")[:-1]:
            name = command.split("\t")[0]
            self.assertIn(f"vctl {name}:", out("help", name))
            self.assertIn(f".B {name}", out("help", "--man").replace("\\-", "-"))
        findings = json.loads(out("--json", "doctor"))
        self.assertTrue(any(f["engine"] == "emu" and f["result"] == "ok"
                            for f in findings))
        info = json.loads(out("--json", "-c", "emu:///embed", "nodeinfo"))
        self.assertEqual(info["cpus"], len(os.sched_getaffinity(0)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
