#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A running visor-vmm has given up what it does not need, and says so when it
is caught with it."""
import ctypes
import os
import shutil
import stat
import struct
import subprocess
import tempfile
import time
import unittest

from support import TINY, VCTL, ENGINE, VctlTest, domain_xml

NOBODY = 65534
SPACES = ("user", "mnt", "net", "ipc", "uts")
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                        ctypes.c_void_p]


def thread_status(pid):
    """/proc/PID/status of every thread, as dictionaries."""
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/status", encoding="utf-8") as f:
            yield dict(line.rstrip("\n").split(":\t", 1) for line in f)


def make_call(pid, number, *args):
    """Makes the main thread of a process do a system call: it waits in one."""
    attach, getregs, setregs, detach, peek = 16, 12, 13, 17, 1
    regs = (ctypes.c_ulonglong * 27)()

    def ptrace(what, addr=None, data=None):
        if LIBC.ptrace(what, pid, addr, data) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    ptrace(attach)
    os.waitpid(pid, 0x40000000)  # __WALL
    ptrace(getregs, None, ctypes.addressof(regs))
    orig_rax, rip, rax = 15, 16, 10
    code = LIBC.ptrace(peek, pid, regs[rip] - 2, None)
    assert struct.pack("<q", code)[:2] == b"\x0f\x05", "not in a system call"
    regs[rax], regs[orig_rax] = number, 2 ** 64 - 1
    regs[rip] -= 2
    for register, value in zip((14, 13, 12), args):  # rdi, rsi, rdx
        regs[register] = value
    ptrace(setregs, None, ctypes.addressof(regs))
    ptrace(detach)


class Sandbox(VctlTest):
    def log(self, name):
        uuid = self.json("info", name)["uuid"]
        with open(f"{self.root}/{ENGINE}/{uuid}/vmm.log",
                  encoding="utf-8") as f:
            return f.read()

    def check_threads(self, pid, has_spaces):
        n = 0
        for status in thread_status(pid):
            n += 1
            self.assertEqual(status["NoNewPrivs"], "1", status)
            if not self.unfiltered:
                self.assertEqual(status["Seccomp"], "2", status)
            for caps in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(int(status[caps], 16), 0, status)
            if has_spaces:
                self.assertEqual(int(status["CapBnd"], 16), 0, status)
        self.assertGreaterEqual(n, 5)  # main, server, control, machine, vCPU

    def check_spaces(self, pid):
        for space in SPACES:
            self.assertNotEqual(os.readlink(f"/proc/{pid}/ns/{space}"),
                                os.readlink(f"/proc/self/ns/{space}"), space)
        # Clients find a domain's process by its number.
        self.assertEqual(os.readlink(f"/proc/{pid}/ns/pid"),
                         os.readlink("/proc/self/ns/pid"))
        self.assertEqual(os.listdir(f"/proc/{pid}/root"), ["state"])

    def look(self, name):
        pid = self.vmm_pid(name)
        log = self.log(name)
        self.unfiltered = "without system call filters" in log
        self.assertNotIn("forbidden", log)
        has_spaces = "Sandbox: the host" not in log
        self.check_threads(pid, has_spaces)
        if has_spaces:
            self.check_spaces(pid)
        with open(f"/proc/{pid}/limits", encoding="utf-8") as f:
            limits = f.read()
        self.assertRegex(limits, r"Max core file size +0 +0 ")
        self.assertRegex(limits, r"Max open files +\d{1,4} +\d{1,4} ")
        return has_spaces

    @unittest.skipIf(os.geteuid() != 0, "looks into another process: not root")
    def test_as_root(self):
        self.define("a", "e")
        self.ok("start", "a")
        if not self.look("a"):
            self.skipTest("the host gives no namespaces")

    @unittest.skipIf(os.geteuid() != 0, "becomes another user: not root")
    def test_as_an_unprivileged_user(self):
        user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                "--clear-groups"]
        if shutil.which("setpriv") is None or subprocess.run(
                [*user, "test", "-x", VCTL, "-a", "-r", TINY],
                check=False).returncode != 0:
            self.skipTest("user 'nobody' cannot run vctl from the build folder")
        if ENGINE == "kvm" and not os.stat("/dev/kvm").st_mode & stat.S_IWOTH:
            self.skipTest("user 'nobody' may not use /dev/kvm")
        os.chown(self.root, NOBODY, NOBODY)

        def vctl(*args):
            return subprocess.run([*user, VCTL, "-c", self.uri, *args],
                                  capture_output=True, text=True, timeout=300,
                                  check=False)
        self.vctl = vctl
        path = os.path.join(self.root, "a.xml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(domain_xml("a", "e"))
        self.ok("define", path)
        self.ok("start", "a")
        has_spaces = self.look("a")
        self.ok("reset", "a")
        self.ok("destroy", "a")
        if not has_spaces:
            self.skipTest("the host gives no namespaces to users")

    @unittest.skipIf(os.geteuid() != 0, "steers another process: not root")
    def test_a_forbidden_call_fails_the_domain_and_is_in_its_log(self):
        self.define("a", "h")
        self.ok("start", "a")
        self.look("a")
        if self.unfiltered:
            self.skipTest("built without system call filters")
        make_call(self.vmm_pid("a"), 41, 2, 1, 0)  # socket(AF_INET, …)
        self.assertEqual(self.wait_state("a", "shutoff")["reason"], "failed")
        self.assertIn("Sandbox: forbidden system call 41 (socket)",
                      self.log("a"))
        self.ok("start", "a")

    def test_what_a_domain_does_works_inside(self):
        """Each of these takes another way through the filters."""
        self.define("a", "w")
        self.ok("start", "a")
        for command in ("stats", "dumpxml", "info", "suspend", "resume",
                        "reset", "reboot"):
            self.ok(command, "a")
        time.sleep(0.3)
        self.ok("desc", "a", "text")
        self.ok("shutdown", "a", "--timeout", "120")
        self.assertNotIn("forbidden", self.log("a"))

    def test_a_transient_domain_removes_its_folder_itself(self):
        self.ok("create", "-", text=domain_xml("t", "h"))
        pid = self.vmm_pid("t")
        self.ok("destroy", "t")
        end = time.monotonic() + 60
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
            time.sleep(0.01)
        # Nobody has looked since, and cleaned up.
        self.assertEqual(sorted(os.listdir(f"{self.root}/{ENGINE}")),
                         [".lock", "names", "next-id", "tmp"])
        self.assertEqual(os.listdir(f"{self.root}/{ENGINE}/names"), [])

    def test_a_serial_socket_goes_with_its_domain(self):
        folder = tempfile.mkdtemp(prefix="visor-serial.")
        path = os.path.join(folder, "s")
        try:
            self.define("a", "e", devices=(
                f"<serial type='unix'><source mode='bind' path='{path}'/>"
                "<target port='0'/></serial>"))
            self.ok("start", "a")
            self.assertTrue(stat.S_ISSOCK(os.stat(path).st_mode))
            self.ok("destroy", "a")
            self.assertEqual(os.listdir(folder), [])
        finally:
            shutil.rmtree(folder)

    def test_a_serial_file_grows(self):
        path = os.path.join(self.root, "serial.log")
        self.define("a", "p", devices=(
            f"<serial type='file'><source path='{path}'/>"
            "<target port='0'/></serial>"))
        self.ok("start", "a")
        self.wait_state("a", "shutoff")
        with open(path, encoding="utf-8") as f:
            self.assertIn("tiny", f.read())


if __name__ == "__main__":
    unittest.main(verbosity=2)
