#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Full disks, foreign folders, unreadable files, kills at any instant, crowds:
one clear error, nothing half-made, nothing left over, other domains untouched."""
import concurrent.futures
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import textwrap
import time
import unittest

from support import ENGINE, TINY, VCTL, VctlTest, domain_xml

NOBODY = 65534
# What a domain's folder may hold when nothing is going on (driver/folder.h).
FILES = {"name", "domain.xml", "autostart", "lock", "run.lock", "status.json",
         "killed", "vmm.log", "vmm.log.1",
         # Left by a kill in the middle of a write; the next one takes its place.
         "status.json.new", "domain.xml.new", "autostart.new"}
RUNNING_FILES = FILES | {"control.sock"}


def processes(root):
    """The visor-vmm processes that have something open in this folder."""
    found = []
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
                if not pid.isdigit() or not f.read().startswith("visor-vmm"):
                    continue
            if any(os.readlink(f"/proc/{pid}/fd/{fd}").startswith(root)
                   for fd in os.listdir(f"/proc/{pid}/fd")):
                found.append(int(pid))
        except OSError:
            continue
    return found


def can_mount():
    return subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
         "mount -t tmpfs tmpfs /mnt"], capture_output=True,
        check=False).returncode == 0


class Disaster(VctlTest):
    def tearDown(self):
        super().tearDown()
        for pid in processes(self.root):
            os.kill(pid, signal.SIGKILL)

    def wait_no_process(self, seconds=60):
        end = time.monotonic() + seconds
        while processes(self.root):
            self.assertLess(time.monotonic(), end, "a visor-vmm is left")
            time.sleep(0.02)

    def check_whole(self, seconds=60):
        """Every name leads to a folder, every folder has its name and only
        files that belong there; what is half-made is out of the way in tmp.
        A process that a killed client had just begun holds the folder's lock
        for a moment: whoever looks after that repairs it."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.look_whole()
            except AssertionError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def look_whole(self):
        top = os.path.join(self.root, ENGINE)
        names = {d["name"]: d["uuid"] for d in self.json("list", "--all")}
        for entry in os.listdir(top):
            path = os.path.join(top, entry)
            if len(entry) != 36:
                self.assertIn(entry, {"names", "tmp", "next-id", ".lock"})
                continue
            self.assertIn(entry, names.values())
            self.assertLessEqual(set(os.listdir(path)), RUNNING_FILES)
        for name, uuid in names.items():
            self.assertEqual(os.readlink(f"{top}/names/{name}"), uuid)
        return names

    def check_nothing_left(self):
        self.wait_no_process()
        self.assertEqual(self.check_whole(), {})
        top = os.path.join(self.root, ENGINE)
        # Making or removing one sweeps what killed clients left behind.
        self.define("sweeper")
        self.ok("undefine", "sweeper")
        self.assertEqual(os.listdir(f"{top}/names"), [])
        self.assertEqual(os.listdir(f"{top}/tmp"), [])

    def one_error(self, result, codes=(1,)):
        self.assertIn(result.returncode, codes, result.stderr)
        self.assertTrue(result.stderr.startswith("vctl: "), result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)

    # --- kills ---------------------------------------------------------------

    def test_a_client_killed_at_any_instant_leaves_all_whole(self):
        rng = random.Random(1)
        self.define("bystander")
        self.ok("start", "bystander")
        pid = self.vmm_pid("bystander")
        xml = self.enterContext(tempfile.TemporaryFile())
        xml.write(domain_xml("a").encode())
        for i in range(25):
            xml.seek(0)
            args = (["start", "a"], ["define", "-"], ["create", "-"],
                    ["destroy", "a"], ["undefine", "a"])[i % 5]
            if args[0] == "start":
                self.vctl("define", "-", text=domain_xml("a"))
            client = subprocess.Popen([VCTL, "-c", self.uri, *args],
                                      stdin=xml, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
            time.sleep(rng.random() * 0.06)
            client.kill()
            client.wait()
            self.check_whole()
            self.vctl("destroy", "a")
            self.vctl("undefine", "a")
            self.assertNotIn("a", self.check_whole())
        self.assertEqual(self.vmm_pid("bystander"), pid)
        self.assertEqual(self.state("bystander")["state"], "running")
        self.ok("destroy", "bystander")
        self.ok("undefine", "bystander")
        self.check_nothing_left()

    def test_a_process_killed_at_any_instant_is_a_failed_domain(self):
        rng = random.Random(2)
        self.define("a")
        for _ in range(20):
            client = subprocess.Popen([VCTL, "-c", self.uri, "start", "a"],
                                      stdout=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE, text=True)
            end = time.monotonic() + 60
            while not (found := processes(self.root)):
                self.assertLess(time.monotonic(), end)
            time.sleep(rng.random() * 0.01)
            os.kill(found[0], signal.SIGKILL)
            text = client.communicate(timeout=120)[1]
            if client.returncode != 0:
                self.assertEqual(client.returncode, 1, text)
                self.assertEqual(text.count("\n"), 1, text)
            self.assertIn(self.wait_state("a", "shutoff")["reason"],
                          {"failed", "none"})
            self.check_whole()
        self.ok("start", "a")
        self.ok("destroy", "a")
        self.ok("undefine", "a")
        self.check_nothing_left()

    def stop_before_it_listens(self, folder):
        """A start whose process is stopped in between its first status and its
        control socket: (client, pid), or None if we came too late."""
        status = os.path.join(folder, "status.json")
        client = subprocess.Popen([VCTL, "-c", self.uri, "start", "a"],
                                  stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 60
        pid = 0
        while not pid:
            self.assertLess(time.monotonic(), end)
            try:
                with open(status, encoding="utf-8") as f:
                    told = json.load(f)
                pid = told["pid"] if told["state_name"] != "shutoff" else 0
            except FileNotFoundError:
                pass
        os.kill(pid, signal.SIGSTOP)
        if not os.path.exists(os.path.join(folder, "control.sock")):
            return client, pid
        os.kill(pid, signal.SIGCONT)
        client.communicate(timeout=120)
        self.ok("destroy", "a")
        return None

    def test_a_destroy_before_the_process_listens(self):
        """It waits for a slow one; one that is stuck it kills; and the start
        says what became of it."""
        self.define("a")
        uuid = self.json("list", "--all")[0]["uuid"]
        folder = os.path.join(self.root, ENGINE, uuid)
        for is_stuck in (False, True):
            for _ in range(200):
                if found := self.stop_before_it_listens(folder):
                    break
            else:
                self.skipTest("this machine is too fast to be stopped in time")
            client, pid = found
            destroy = subprocess.Popen([VCTL, "-c", self.uri, "destroy", "a"],
                                       stderr=subprocess.PIPE, text=True)
            time.sleep(0.05)
            if not is_stuck:
                os.kill(pid, signal.SIGCONT)
            text = destroy.communicate(timeout=120)[1]
            self.assertEqual(destroy.returncode, 0, text)
            text = client.communicate(timeout=120)[1]
            if is_stuck or client.returncode != 0:
                self.assertEqual(client.returncode, 1, text)
                self.assertIn("destroyed while it started", text)
            self.wait_state("a", "shutoff")
            self.check_whole()
        self.ok("start", "a")
        self.ok("destroy", "a")
        self.ok("undefine", "a")
        self.check_nothing_left()

    # --- crowds --------------------------------------------------------------

    def crowd(self, clients, work):
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            for result in [pool.submit(work, i) for i in range(clients)]:
                result.result(timeout=300)

    def test_fifty_clients_on_their_own_domains(self):
        def work(i):
            self.ok("define", "-", text=domain_xml(f"d{i}", memory="16"))
            self.ok("start", f"d{i}")
            self.ok("destroy", f"d{i}")
            self.ok("undefine", f"d{i}")
        self.crowd(50, work)
        self.check_nothing_left()

    def test_fifty_clients_on_one_domain(self):
        uuid = "6a7a0d42-1e0d-4f0e-9a59-0d2b1c7f3e11"
        xml = domain_xml("a", extra=f"<uuid>{uuid}</uuid>", memory="16")
        allowed = {0, 4, 5}  # done, no such domain now, not in this state

        def work(i):
            for args in (("define", "-"), ("start", "a"), ("destroy", "a"),
                         ("undefine", "a")):
                r = self.vctl(*args, text=xml)
                if "destroyed while it started" in r.stderr:
                    continue
                self.assertIn(r.returncode, allowed, f"{args}: {r.stderr}")
                if r.returncode:
                    self.one_error(r, allowed)
        self.crowd(50, work)
        self.vctl("destroy", "a")
        self.vctl("undefine", "a")
        self.check_nothing_left()

    # --- full disks ----------------------------------------------------------

    @unittest.skipUnless(can_mount(), "no tmpfs can be mounted here")
    def test_a_full_disk(self):
        for options, filler in (
                ("size=64k", "dd if=/dev/zero of=fill bs=4k"),
                ("nr_inodes=30", "while : >fill/$((n += 1)); do :; done")):
            with self.subTest(options):
                self.on_disk(options, filler)

    def on_disk(self, options, filler):
        script = textwrap.dedent(f"""
            set -u
            mount -t tmpfs -o mode=700,{options} tmpfs "$ROOT" || exit 1
            cd "$ROOT"
            vctl() {{ "$VCTL" -c "{ENGINE}:///session?root=$ROOT" "$@"; }}
            fail() {{ echo "$*" >&2; cat err >&2; exit 1; }}
            # fails WHAT…: one line that says why
            fails() {{
                "$@" >/dev/null 2>/dev/shm/err.$$ && fail "'$*' worked"
                cat /dev/shm/err.$$ >&2
                [ "$(wc -l </dev/shm/err.$$)" = 1 ] || fail "'$*': not one line"
                grep -q "No space left" /dev/shm/err.$$ || fail "'$*': why?"
            }}
            fill() {{ mkdir -p fill 2>/dev/null; rmdir fill; [ "$1" = i ] && mkdir fill; n=0; ({filler}) 2>/dev/null; }}
            kind={'i' if 'inodes' in options else 'b'}
            trap 'rm -f /dev/shm/err.$$' EXIT
            vctl define "$XML/a.xml" || fail define a
            vctl define "$XML/w.xml" || fail define w
            vctl start w || fail start w
            fill $kind
            fails vctl define "$XML/b.xml"
            [ "$(vctl list --all --name | sort | tr '\\n' ' ')" = 'a w ' ] ||
                fail "the list is not as it was"
            vctl dumpxml a >/dev/null || fail dumpxml a
            vctl suspend w && vctl resume w || fail "w is disturbed"
            vctl destroy w || fail "destroy w on a full disk"
            [ "$(vctl domstate w)" = 'shutoff (destroyed)' ] || fail "state of w"
            if ! vctl start a 2>/dev/shm/err.$$; then
                [ "$(wc -l </dev/shm/err.$$)" = 1 ] || fail "start a: not one line"
                [ "$(vctl list --name)" = '' ] || fail "a half runs"
            fi
            vctl destroy a 2>/dev/null
            vctl undefine w || fail "undefine on a full disk"
            rm -rf fill
            vctl define "$XML/b.xml" && vctl start b && vctl start a ||
                fail "with room again"
            for name in a b; do
                vctl destroy $name && vctl undefine $name || fail "the end of $name"
            done
            [ -z "$(ls {ENGINE}/names {ENGINE}/tmp | grep -v :)" ] || fail "something is left"
        """)
        with tempfile.TemporaryDirectory() as xml:
            for name in ("a", "b", "w"):
                with open(f"{xml}/{name}.xml", "w", encoding="utf-8") as f:
                    f.write(domain_xml(name, "h"))
            env = dict(os.environ, ROOT=self.root, VCTL=VCTL, XML=xml)
            r = subprocess.run(
                ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                 script], env=env, capture_output=True, text=True, timeout=300,
                check=False)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        self.wait_no_process()

    # --- not allowed ---------------------------------------------------------

    def as_nobody(self, *args, root=None):
        """vctl as a user without privilege: ourselves, or nobody if root."""
        command = [VCTL, "-c", f"{ENGINE}:///session?root={root or self.root}", *args]
        if os.geteuid() == 0:
            command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                       "--clear-groups", *command]
            if subprocess.run(command[:4] + [VCTL, "version"],
                              capture_output=True, check=False).returncode:
                self.skipTest("nobody may not run this build")
        return subprocess.run(command, capture_output=True, text=True,
                              timeout=300, check=False)

    def give_to_nobody(self, path):
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)

    def test_an_unreadable_kernel(self):
        self.give_to_nobody(self.root)
        with tempfile.TemporaryDirectory() as d:
            os.chmod(d, 0o755)
            kernel, xml = f"{d}/secret", f"{d}/a.xml"
            shutil.copy(TINY, kernel)
            with open(xml, "w", encoding="utf-8") as f:
                f.write(domain_xml("a").replace(TINY, kernel))
            os.chmod(kernel, 0)
            r = self.as_nobody("define", xml)
            self.assertEqual(r.returncode, 0, r.stderr)
            r = self.as_nobody("start", "a")
            self.one_error(r, (1, 7))
            self.assertIn(kernel, r.stderr)
            self.assertIn("Permission denied", r.stderr)
            r = self.as_nobody("domstate", "a")
            self.assertEqual(r.stdout.split()[0], "shutoff")
            r = self.as_nobody("undefine", "a")
            self.assertEqual(r.returncode, 0, r.stderr)
        self.wait_no_process()

    def test_a_root_that_cannot_be_written(self):
        os.chmod(self.root, stat.S_IRUSR | stat.S_IXUSR)
        self.give_to_nobody(self.root)
        for root in (self.root, self.root + "/below", "/proc/none",
                     "/dev/null/none"):
            r = self.as_nobody("list", root=root)
            self.one_error(r, (3,))
            self.assertIn(root, r.stderr)
        os.chmod(self.root, 0o700)

    def test_a_root_of_somebody_else(self):
        for root in ("/", "/usr"):
            r = self.as_nobody("list", root=root)
            self.one_error(r, (3,))
            self.assertIn("belongs to user 0", r.stderr)
        if os.geteuid() == 0:
            os.chown(self.root, NOBODY, NOBODY)
            self.one_error(self.vctl("list"), (3,))
            os.chown(self.root, 0, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
