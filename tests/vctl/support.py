# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the vctl tests share: a state folder of their own, the small guest."""
import json
import os
import pty
import select
import shutil
import subprocess
import tempfile
import time
import unittest

VCTL = os.environ["VCTL"]
TINY = os.environ["TINY"]
ENGINE = os.environ.get("VISOR_TEST_ENGINE", "emu")
# In a lab all takes longer: every limit is that many times as long.
SLOW = int(os.environ.get("VISOR_TEST_SLOW", "1"))


def domain_xml(name, do="h", extra="", devices=None, memory="32"):
    """A domain that boots the small test guest; `do` is its command line."""
    devices = devices or "<serial type='pty'><target port='0'/></serial>"
    return (f"<domain type='{ENGINE}'><name>{name}</name>"
            f"<memory unit='MiB'>{memory}</memory><vcpu>1</vcpu>"
            f"<os><type arch='x86_64' machine='pci'>hvm</type>"
            f"<kernel>{TINY}</kernel><cmdline>{do}</cmdline></os>{extra}"
            f"<devices>{devices}</devices></domain>")


class VctlTest(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="visor-vctl.")
        self.uri = f"{ENGINE}:///session?root={self.root}"

    def tearDown(self):
        for name in self.vctl("list", "--name").stdout.split():
            self.vctl("destroy", name)
        shutil.rmtree(self.root, ignore_errors=True)

    def vctl(self, *args, uri=None, text=None, timeout=300 * SLOW):
        return subprocess.run([VCTL, "-c", uri or self.uri, *args],
                              input=text, capture_output=True, text=True,
                              timeout=timeout, check=False)

    def ok(self, *args, **kwargs):
        r = self.vctl(*args, **kwargs)
        self.assertEqual(r.returncode, 0, f"vctl {args}: {r.stderr}")
        return r.stdout

    def fails(self, code, *args, **kwargs):
        """Exit code and exactly one line of explanation."""
        r = self.vctl(*args, **kwargs)
        self.assertEqual(r.returncode, code, f"vctl {args}: {r.stdout}{r.stderr}")
        self.assertTrue(r.stderr.startswith("vctl: "), r.stderr)
        return r.stderr

    def json(self, *args):
        return json.loads(self.ok("--json", *args))

    def define(self, name, do="h", **kwargs):
        self.ok("define", "-", text=domain_xml(name, do, **kwargs))

    def state(self, name):
        return self.json("domstate", name)

    def wait_state(self, name, state, seconds=60):
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            now = self.state(name)
            if now["state"] == state:
                return now
            time.sleep(0.02)
        self.fail(f"{name} is {now}, not {state}")

    def watch(self):
        """`vctl events --follow` as JSON, which listens when this returns."""
        watcher = subprocess.Popen(
            [VCTL, "-c", self.uri, "--json", "events", "--follow", "--timeout",
             str(300 * SLOW)], stdout=subprocess.PIPE, text=True)
        while not select.select([watcher.stdout], [], [], 0.05)[0]:
            self.assertIsNone(watcher.poll())
            self.define("watched")
            self.ok("undefine", "watched")
        return watcher

    def seen(self, watcher, detail):
        """The events up to that one, a line each; then it is ended."""
        lines = []
        for line in watcher.stdout:
            lines.append(line)
            if f'"detail":"{detail}"' in line and '"watched"' not in line:
                break
        watcher.kill()
        watcher.communicate()
        return lines

    def vmm_pid(self, name):
        """The process of a running domain, from the kernel's list of sockets'
        owners: the one whose arguments or folder name its uuid."""
        uuid = self.json("info", name)["uuid"]
        for pid in os.listdir("/proc"):
            if not pid.isdigit():
                continue
            try:
                with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
                    if not f.read().startswith("visor-vmm"):
                        continue
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    if uuid in os.readlink(f"/proc/{pid}/fd/{fd}") and \
                            self.root in os.readlink(f"/proc/{pid}/fd/{fd}"):
                        return int(pid)
            except OSError:
                continue
        self.fail(f"no process of '{name}'")


class Terminal:
    """A program on a pseudo terminal."""

    def __init__(self, *args):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(args, stdin=slave, stdout=slave,
                                        stderr=slave, close_fds=True)
        os.close(slave)
        self.output = ""

    def expect(self, text, seconds=60):
        end = time.monotonic() + seconds * SLOW
        while text not in self.output:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise AssertionError(f"no {text!r} in {self.output!r}")
            try:
                data = os.read(self.master, 4096)
            except OSError:
                data = b""
            if not data:
                raise AssertionError(f"ended without {text!r}: {self.output!r}")
            self.output += data.decode(errors="replace")

    def send(self, text):
        os.write(self.master, text.encode())

    def wait(self, seconds=60):
        status = self.process.wait(seconds * SLOW)
        os.close(self.master)
        return status
