#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vctl drives a domain's life in emu:///session, as an operator types it."""
import os
import signal
import subprocess
import time
import unittest

from support import SLOW, VCTL, Terminal, VctlTest, domain_xml


class Lifecycle(VctlTest):
    def test_define_start_destroy_undefine(self):
        self.define("a")
        self.assertEqual(self.json("list"), [])
        self.assertEqual(self.json("list", "--all")[0]["state"], "shutoff")
        self.ok("start", "a")
        row = self.json("list")[0]
        self.assertEqual((row["name"], row["state"]), ("a", "running"))
        self.assertGreaterEqual(row["id"], 1)
        self.ok("destroy", "a")
        self.assertEqual(self.state("a"),
                         {"state": "shutoff", "reason": "destroyed"})
        self.ok("undefine", "a")
        self.assertEqual(self.json("list", "--all"), [])

    def test_a_domain_is_found_by_name_uuid_and_number(self):
        self.define("a")
        self.ok("start", "a")
        info = self.json("info", "a")
        self.assertEqual(self.json("info", info["uuid"])["name"], "a")
        self.assertEqual(self.json("info", str(info["id"]))["name"], "a")
        self.assertEqual(info["max_memory_kib"], 32768)

    def test_start_paused_then_resume_and_suspend(self):
        self.define("a", "s")
        self.ok("start", "--paused", "a")
        self.assertEqual(self.state("a")["state"], "paused")
        self.ok("resume", "a")
        self.assertEqual(self.state("a")["state"], "running")
        self.ok("suspend", "a")
        before = self.json("stats", "a")["cpu.time"]
        time.sleep(0.2)
        # A vCPU that has just stopped still has to fall asleep.
        self.assertLess(self.json("stats", "a")["cpu.time"] - before, 50000000)
        self.assertEqual(self.state("a"), {"state": "paused", "reason": "user"})
        self.fails(5, "suspend", "a")
        self.ok("resume", "a")

    def test_the_guest_powers_off(self):
        self.define("a", "p")
        self.ok("start", "a")
        self.assertEqual(self.wait_state("a", "shutoff")["reason"],
                         "guest-poweroff")

    def test_shutdown_presses_the_power_button(self):
        self.define("a", "w")
        self.ok("start", "a")
        self.ok("shutdown", "a", "--timeout", str(60 * SLOW))
        self.assertEqual(self.state("a")["reason"], "guest-poweroff")

    def test_shutdown_of_a_deaf_guest_times_out_and_destroy_works(self):
        self.define("a", "h")
        self.ok("start", "a")
        self.fails(6, "shutdown", "a", "--timeout", "1")
        self.ok("destroy", "a")

    def test_reboot_starts_again(self):
        self.define("a", "w")
        self.ok("start", "a")
        self.ok("reboot", "a")
        time.sleep(0.5)
        self.assertEqual(self.state("a")["state"], "running")
        self.ok("shutdown", "a", "--timeout", str(60 * SLOW))

    def test_reset_starts_from_the_beginning(self):
        self.define("a", "e")
        self.ok("start", "a")
        self.ok("reset", "a")
        self.assertEqual(self.state("a")["state"], "running")

    def test_a_triple_fault_is_a_crash(self):
        self.define("a", "t")
        self.ok("start", "a")
        self.assertEqual(self.wait_state("a", "shutoff")["reason"], "crashed")

    def test_on_crash_preserve_keeps_it_to_look_at(self):
        self.define("a", "t", extra="<on_crash>preserve</on_crash>")
        self.ok("start", "a")
        self.wait_state("a", "crashed")
        self.ok("destroy", "a")

    def test_a_crash_loop_ends(self):
        self.define("a", "t", extra="<on_crash>restart</on_crash>")
        self.ok("start", "a")
        self.wait_state("a", "shutoff", 30)

    def test_a_transient_domain_vanishes(self):
        self.ok("create", "-", text=domain_xml("t", "h"))
        self.assertEqual(self.json("list")[0]["name"], "t")
        self.ok("destroy", "t")
        self.assertEqual(self.json("list", "--all"), [])

    def test_undefine_of_a_running_domain_makes_it_transient(self):
        self.define("a")
        self.ok("start", "a")
        self.ok("undefine", "a")
        self.assertFalse(self.json("info", "a")["persistent"])
        self.ok("destroy", "a")
        self.fails(4, "info", "a")

    def test_autostart(self):
        self.define("a")
        self.define("b")
        self.ok("autostart", "a")
        self.assertTrue(self.json("info", "a")["autostart"])
        self.ok("autostart")
        self.assertEqual([d["name"] for d in self.json("list")], ["a"])
        self.ok("autostart", "--disable", "a")
        self.assertFalse(self.json("info", "a")["autostart"])

    def test_dumpxml_is_a_fixed_point(self):
        meta = ("<metadata><my:x xmlns:my='http://example.org/'>  <y a='1'/>\n"
                "</my:x></metadata>")
        self.define("a", extra=meta)
        first = self.ok("dumpxml", "a")
        self.assertIn(meta, first)
        self.ok("define", "-", text=first)
        self.assertEqual(self.ok("dumpxml", "a"), first)

    def test_description_and_metadata(self):
        self.define("a")
        self.fails(4, "desc", "a")
        self.ok("desc", "a", "a <machine> & more")
        self.ok("desc", "a", "--title", "T")
        self.assertEqual(self.ok("desc", "a"), "a <machine> & more\n")
        self.assertEqual(self.json("desc", "a", "--title"), {"text": "T"})
        uri = "http://example.org/x"
        self.ok("metadata", "a", uri, "--key", "k", "--set", "<o n='1'/>")
        self.assertIn("n='1'", self.ok("metadata", "a", uri).replace('"', "'"))
        self.assertIn(uri, self.ok("dumpxml", "a"))
        self.ok("metadata", "a", uri, "--remove")
        self.fails(4, "metadata", "a", uri)
        self.ok("desc", "a", "--remove")
        self.fails(4, "desc", "a")

    def test_edit(self):
        self.define("a")
        env = dict(os.environ, EDITOR="sed -i s/32768/65536/g", VISUAL="")
        r = subprocess.run([VCTL, "-c", self.uri, "edit", "a"], env=env,
                           capture_output=True, text=True, check=False)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(self.json("info", "a")["max_memory_kib"], 65536)
        env["EDITOR"] = "sed -i s/domain/domian/g"
        r = subprocess.run([VCTL, "-c", self.uri, "edit", "a"], env=env,
                           capture_output=True, text=True, check=False,
                           stdin=subprocess.DEVNULL)
        self.assertEqual(r.returncode, 1)
        self.assertEqual(self.json("info", "a")["max_memory_kib"], 65536)

    def test_console_types_and_leaves(self):
        self.define("a", "e")
        self.ok("start", "a")
        t = Terminal(VCTL, "-c", self.uri, "console", "--replay", "a")
        t.expect("tiny: hello")
        t.send("abc")
        t.expect("abc")
        t.send("\x1d")
        self.assertEqual(t.wait(), 0)
        self.assertEqual(self.state("a")["state"], "running")
        t = Terminal(VCTL, "-c", self.uri, "console", "a")
        t.expect("Ctrl-]")
        t.send("q")
        t.expect("tiny: goodbye")
        self.assertEqual(t.wait(), 0)
        self.wait_state("a", "shutoff")

    def test_events_follow(self):
        self.define("a", "p")
        watcher = self.watch()
        self.ok("start", "a")
        self.wait_state("a", "shutoff")
        self.ok("undefine", "a")
        out = "".join(self.seen(watcher, "undefined"))
        for word in ("started", "stopped", "undefined"):
            self.assertIn(f'"detail":"{word}"', out)


class Robust(VctlTest):
    def test_a_killed_vmm_is_a_failed_domain_and_starts_again(self):
        self.define("a")
        self.define("b")
        self.ok("start", "a")
        self.ok("start", "b")
        os.kill(self.vmm_pid("a"), signal.SIGKILL)
        self.assertEqual(self.wait_state("a", "shutoff")["reason"], "failed")
        self.assertEqual(self.state("b")["state"], "running")
        self.ok("start", "a")
        self.assertEqual(self.state("a")["state"], "running")

    def test_a_wedged_vmm_can_be_destroyed(self):
        self.define("a")
        self.ok("start", "a")
        os.kill(self.vmm_pid("a"), signal.SIGSTOP)
        begin = time.monotonic()
        self.ok("destroy", "a")
        self.assertLess(time.monotonic() - begin, 60 * SLOW)
        self.assertEqual(self.state("a")["state"], "shutoff")

    def test_the_domain_outlives_its_client(self):
        self.define("a")
        client = subprocess.Popen([VCTL, "-c", self.uri, "start", "--console",
                                   "a"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
        self.wait_state("a", "running")
        client.kill()
        client.communicate()
        self.assertEqual(self.state("a")["state"], "running")

    def test_two_clients_start_once(self):
        self.define("a")
        clients = [subprocess.Popen([VCTL, "-c", self.uri, "start", "a"],
                                    stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
                   for _ in range(4)]
        codes = sorted(c.wait(30 * SLOW) for c in clients)
        self.assertEqual(codes, [0, 5, 5, 5])
        self.assertEqual(len(self.json("list")), 1)

    def test_names_and_uuids_are_unique(self):
        self.define("a")
        uuid = self.json("info", "a")["uuid"]
        # As libvirt: without its uuid it is another domain of the same name.
        self.assertIn(uuid, self.fails(5, "define", "-", text=domain_xml("a")))
        self.define("a", extra=f"<uuid>{uuid}</uuid>", memory="64")
        self.assertEqual(self.json("info", "a")["max_memory_kib"], 65536)
        other = domain_xml("b", extra=f"<uuid>{uuid}</uuid>")
        self.assertIn(uuid, self.fails(5, "define", "-", text=other))

    def test_a_foreign_state_folder_is_refused(self):
        os.chmod(self.root, 0o777)
        self.assertIn(self.root, self.fails(3, "list"))
        os.chmod(self.root, 0o700)

    def test_bad_input_has_one_clear_error(self):
        for text, word in (("<domain", "line 1"),
                           ("<nonsense/>", "nonsense"),
                           (domain_xml("a", memory="0"), "memory"),
                           (domain_xml("a", memory="99999999999999"), "memory"),
                           (domain_xml("a", devices="<tpm/>"), "tpm"),
                           (domain_xml("a/b"), "a/b")):
            self.assertIn(word, self.fails(1, "define", "-", text=text).lower())
        self.fails(4, "start", "nobody")
        self.fails(3, "list", uri="vmware:///session")
        self.fails(2, "start")
        self.fails(2, "nonsense")
        self.assertEqual(self.json("list", "--all"), [])

    def test_a_missing_or_bad_kernel_leaves_nothing_behind(self):
        for name, path in (("m", "/nonexistent/vmlinuz"), ("b", "/etc/passwd"),
                           ("d", "/tmp")):
            xml = domain_xml(name).replace(os.environ["TINY"], path)
            self.ok("define", "-", text=xml)
            self.assertIn(path, self.vctl("start", name).stderr)
            self.assertEqual(self.state(name)["state"], "shutoff")
        self.assertEqual(self.json("list"), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
