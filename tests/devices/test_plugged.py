#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_plugged.py PLUGGED_GUEST PLUGGED_TOOL: Debian's kernel and its drivers
of the virtio console, socket, balloon and 9P devices. The generic kernel: the
cloud kernel has no 9P."""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
GUESTS = os.path.join(HERE, "..", "guests")
MODULES = ("virtio_pci,virtio_console,vmw_vsock_virtio_transport,"
           "virtio_balloon,9pnet_virtio,9p")
GUEST_DIR = os.environ.get("VISOR_GUEST_DIR", "guest")


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def make_guest(work, tool):
    where = os.path.join(GUEST_DIR, "generic")
    os.makedirs(where, exist_ok=True)
    got = subprocess.run([f"{GUESTS}/fetch-kernel.sh", where, "amd64"],
                         capture_output=True, text=True)
    if got.returncode != 0:
        skip("Debian's kernel cannot be downloaded: " + got.stderr)
    initrd = os.path.join(work, "initrd")
    made = subprocess.run(
        [f"{GUESTS}/make-initramfs.sh", "-k", f"{where}/root", "--modules",
         MODULES, "-i", f"{HERE}/plugged_init.sh", initrd],
        capture_output=True, text=True)
    if made.returncode != 0:
        skip("no initramfs can be made: " + made.stderr)
    os.makedirs(f"{work}/extra/bin")
    shutil.copy(tool, f"{work}/extra/bin/plugged_tool")
    more = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"],
                          input=b"bin\nbin/plugged_tool\n",
                          cwd=f"{work}/extra", capture_output=True, check=True)
    with open(initrd, "ab") as out:
        out.write(more.stdout)
    return got.stdout.strip(), initrd


class Guest:
    def __init__(self, program, work, kernel, initrd):
        self.work = work
        self.text = ""
        self.errors = ""
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            [program, work, kernel, initrd, "console=ttyS0 quiet"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.readers = [
            threading.Thread(target=self.read, args=(stream, name))
            for stream, name in ((self.process.stdout, "text"),
                                 (self.process.stderr, "errors"))]
        for reader in self.readers:
            reader.start()

    def read(self, stream, name):
        while data := os.read(stream.fileno(), 4096):
            with self.changed:
                setattr(self, name,
                        getattr(self, name) + data.decode(errors="replace"))
                self.changed.notify_all()

    def wait(self, pattern, name="text", seconds=60):
        end = time.monotonic() + seconds
        with self.changed:
            while not (match := re.search(pattern, getattr(self, name))):
                if time.monotonic() > end or self.process.poll() is not None:
                    self.fail(f"no '{pattern}'")
                self.changed.wait(0.5)
        return match

    def tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def fail(self, why):
        print(self.text, self.errors, "FAIL:", why, sep="\n")
        self.process.kill()
        os._exit(1)


def connect(work, name):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(f"{work}/{name}")
    return s


def echo_server(work):
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{work}/v.sock_1234")
    server.listen()

    def serve():
        client = server.accept()[0]
        while data := client.recv(65536):
            client.sendall(data)
        client.close()

    threading.Thread(target=serve, daemon=True).start()


def read_all(s, n=None):
    got = b""
    while n is None or len(got) < n:
        data = s.recv(65536)
        if not data:
            break
        got += data
    return got


def run(program, tool, work):
    kernel, initrd = make_guest(work, tool)
    shared = f"{work}/shared"
    os.mkdir(shared)
    for name in (f"{work}/secret", f"{shared}/hello"):
        with open(name, "w") as f:
            f.write("hello from the host")
    echo_server(work)
    guest = Guest(program, work, kernel, initrd)

    guest.wait("guest: console ready", seconds=90)
    end = time.monotonic() + 60
    while "hello on hvc0" not in open(f"{work}/hvc0").read():
        if time.monotonic() > end:
            guest.fail("nothing on hvc0")
        time.sleep(0.05)
    guest.tell("resize 132 43")
    # Kernels of Linux before 2025 take the two the other way round.
    guest.wait("guest: console (43 132|132 43)")

    agent = connect(work, "agent")
    if read_all(agent, 15) != b"from the guest\n":
        guest.fail("the channel's first line")
    agent.sendall(b"well met\n")
    guest.wait("guest: channel says well met")
    time.sleep(1)  # the guest writes meanwhile, and waits for us
    busybox = os.path.getsize(shutil.which("busybox"))
    if len(read_all(agent, busybox)) != busybox:
        guest.fail("the channel lost something")

    guest.wait("guest: vsock there and back")
    guest.wait("guest: listening")
    client = connect(work, "v.sock")
    client.sendall(b"CONNECT 5000\nmore than one line")
    answer = read_all(client, 30)
    if not re.fullmatch(rb"OK \d+\nmore than one li.*", answer, re.S):
        guest.fail(f"vsock answers {answer}")
    client.close()

    before = int(guest.wait(r"guest: balloon ready (\d+)\s")[1])
    guest.tell(f"balloon {200 << 20}")
    after = int(guest.wait(r"guest: balloon (\d+)\s")[1])
    if before - after < 150 * 1024:
        guest.fail(f"{before} KiB were free, and then {after}")
    guest.tell("info")
    info = guest.wait(r"info: actual (\d+) reported (\d+) free (\d+) total "
                      r"(\d+)\s", "errors")
    if int(info[1]) < 150 << 20 or int(info[4]) < 256 << 20:
        guest.fail("the balloon's numbers")
    guest.tell("balloon 0")

    guest.wait("guest: done", seconds=120)
    guest.process.stdin.close()
    if guest.process.wait(30) != 0:
        guest.fail(f"exit code {guest.process.returncode}")
    for reader in guest.readers:
        reader.join()
    for text in ("guest: reads hello from the host", "guest: copied"):
        if text not in guest.text:
            guest.fail(f"no '{text}'")
    bad = re.search(r"guest: FAIL.*|BUG:.*|WARNING:.*|Call Trace.*|"
                    r"insmod: .*", guest.text)
    if bad:
        guest.fail(bad[0])
    st = os.stat(f"{shared}/copy")
    if st.st_size != busybox or st.st_mode & 0o7777 != 0o4751 and os.geteuid():
        guest.fail("the copy on the host")
    if open(f"{shared}/d/e/moved").read() != "hello from the host":
        guest.fail("what was moved")
    print(re.search("guest: 64 MiB.*", guest.text)[0].strip())
    print("ok;", info[0])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="visor-plugged-") as folder:
        run(sys.argv[1], sys.argv[2], folder)
