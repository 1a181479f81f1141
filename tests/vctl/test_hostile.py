#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that mean harm: storms of accesses, garbage for code, loops without
end. Their process stands, says why when a guest cannot go on, obeys at all
times, and the neighbours notice nothing."""
import os
import re
import subprocess
import sys
import time
import unittest

from support import ENGINE, SLOW, VCTL, Terminal, VctlTest, domain_xml

PROBE = os.environ["PROBE"]
# Each costs a lab some ten seconds.
SEEDS = 5 if SLOW == 1 else 2
# No promise: only that it ends at all. The figures are printed.
DESTROY_S = 20 * SLOW
RUN_S = 0.5 if SLOW == 1 else 1


def hostile_xml(name, what, extra=""):
    xml = domain_xml(name, f"hostile {what}", extra, memory="64")
    return xml.replace(os.environ["TINY"], PROBE)


class Hostile(VctlTest):
    figures = []

    @classmethod
    def tearDownClass(cls):
        for name, ms in cls.figures:
            print(f"destroy of '{name}' on {ENGINE}: {ms:.0f} ms")

    def setUp(self):
        super().setUp()
        self.define("neighbour", "e")
        self.ok("start", "neighbour")
        self.neighbour = self.vmm_pid("neighbour")

    def bad(self, what, extra=""):
        self.ok("create", "-", text=hostile_xml("bad", what, extra))

    def destroy(self, what):
        begin = time.monotonic()
        self.ok("destroy", "bad")
        took = time.monotonic() - begin
        self.figures.append((what, took * 1000))
        self.assertLess(took, DESTROY_S)
        self.fails(4, "info", "bad")

    def check_neighbour(self):
        """The same process, and it does what it is told."""
        self.assertEqual(self.state("neighbour")["state"], "running")
        self.assertEqual(self.vmm_pid("neighbour"), self.neighbour)
        t = Terminal(VCTL, "-c", self.uri, "console", "neighbour")
        t.expect("Ctrl-]")
        t.send("abc")
        t.expect("abc")
        t.send("\x1d")
        self.assertEqual(t.wait(), 0)

    def obeys(self, what):
        """One that never ends by itself."""
        self.bad(what)
        pid = self.vmm_pid("bad")
        time.sleep(RUN_S)
        self.ok("suspend", "bad")
        self.assertEqual(self.state("bad"),
                         {"state": "paused", "reason": "user"})
        self.ok("resume", "bad")
        self.ok("reset", "bad")
        self.assertEqual(self.vmm_pid("bad"), pid)
        self.assertEqual(self.state("bad")["state"], "running")
        self.destroy(what)
        self.check_neighbour()

    def crash(self, what):
        """The words of the event of its crash; the process goes on."""
        watcher = self.watch()
        self.bad(what, "<on_crash>preserve</on_crash>")
        self.assertEqual(self.wait_state("bad", "crashed"),
                         {"state": "crashed", "reason": "crashed"})
        event = self.seen(watcher, "crashed")[-1]
        self.vmm_pid("bad")
        self.destroy(what)
        self.check_neighbour()
        return event

    def test_a_storm_on_all_ports(self):
        self.obeys("p")

    def test_a_storm_on_memory_that_is_not_there(self):
        self.obeys("m")

    def test_a_loop_with_interrupts_off(self):
        self.obeys("s")

    def test_a_halt_for_ever(self):
        self.obeys("h")

    def test_garbage_for_code(self):
        for seed in range(SEEDS):
            self.bad(f"g{seed:02}", "<on_crash>preserve</on_crash>"
                     "<on_poweroff>preserve</on_poweroff>"
                     "<on_reboot>preserve</on_reboot>")
            time.sleep(RUN_S)
            self.assertIn(self.state("bad")["state"],
                          {"running", "paused", "crashed"})
            self.vmm_pid("bad")
            self.destroy(f"g{seed:02}")
        self.check_neighbour()

    def test_a_triple_fault_names_itself(self):
        self.assertIn("vCPU 0: triple fault", self.crash("t"))

    def test_a_loop_of_triple_faults_ends_and_says_why(self):
        self.ok("define", "-", text=hostile_xml(
            "loop", "t", "<on_crash>restart</on_crash>"))
        self.ok("start", "loop")
        self.assertEqual(self.wait_state("loop", "shutoff", 60)["reason"],
                         "crashed")
        self.check_neighbour()

    @unittest.skipUnless(ENGINE == "kvm", "an emulator just does it")
    def test_what_kvm_cannot_emulate_names_the_exit(self):
        for what in ("v", "j"):
            text = self.crash(what)
            self.assertRegex(text, r"vCPU 0: KVM_EXIT_INTERNAL_ERROR 1: an "
                             r"instruction that KVM cannot emulate at RIP 0x")

    def test_a_domain_that_is_being_stopped_all_the_time(self):
        """Suspend, resume and reset from three sides at a storm."""
        self.bad("p")
        clients = [subprocess.Popen(
            ["sh", "-c", f"for i in 1 2 3 4 5; do {VCTL} -c '{self.uri}' "
             f"{verb} bad; done"], stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
            for verb in ("suspend", "resume", "reset")]
        for client in clients:
            errors = client.communicate(timeout=120 * SLOW)[1]
            for line in errors.splitlines():
                # Only that it is in the other state already.
                self.assertTrue(re.search(r"is (paused|running), not", line),
                                line)
        self.assertIn(self.state("bad")["state"], {"running", "paused"})
        self.destroy("a crowd")
        self.check_neighbour()


if __name__ == "__main__":
    r = subprocess.run([VCTL, "-c", f"{ENGINE}:///embed", "uri"], check=False,
                       stdout=subprocess.DEVNULL)
    if r.returncode != 0:
        print(f"skipped: engine {ENGINE} cannot run here")
        sys.exit(77)
    unittest.main(verbosity=2)
