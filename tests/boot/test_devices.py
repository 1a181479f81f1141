#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_devices.py VCTL GUEST_TOOL BOARD|prepare: all kinds of devices in one domain, by
XML and vctl in session mode (thus in the sandbox), under Debian's drivers: each
is used, from both sides; and after a power cycle the disks have what was
written. The generic kernel: the cloud kernel has no 9P. prepare: makes the
guest, for a lab, where that would take long; with the kernel unpacked."""
import hashlib
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
GUEST_DIR = os.path.abspath(os.environ.get("VISOR_GUEST_DIR", "guest"))
ENGINE = os.environ.get("ENGINE", "emu")
SLOW = int(os.environ.get("VISOR_TEST_SLOW", "1"))
MODULES = ("virtio_pci,virtio_mmio,virtio_blk,crc32c_generic,ext4,virtio_net,virtio_console,"
           "virtio-rng,virtio_balloon,vmw_vsock_virtio_transport,9pnet_virtio,9p")
MIB = 1 << 20
MEMORY = 320  # MiB
CUT = 200000  # bytes of busybox that go through channel and vsock

XML = """<domain type='{engine}'><name>devices</name>
<memory unit='MiB'>{memory}</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='{board}'>hvm</type><kernel>{kernel}</kernel>
  <initrd>{initrd}</initrd>
  <cmdline>console=ttyS0 quiet dev.port={port}{attr}{extra}</cmdline></os>
<devices>
  <serial type='file'><source path='{work}/out' append='on'/></serial>
  <disk type='file'><driver name='qemu' type='raw'/>
    <source file='{work}/a.img'/><target dev='vda'/><serial>RAW-1</serial></disk>
  <disk type='file'><driver name='qemu' type='qcow2' discard='unmap'/>
    <source file='{work}/b.qcow2'/><target dev='vdb'/><serial>QCOW2-2</serial></disk>
  <interface type='user'><mac address='52:54:00:0a:0b:0c'/>
    <portForward proto='tcp'><range start='{forward}' to='7777'/></portForward>
  </interface>
  <channel type='unix'><source mode='bind' path='{work}/agent'/>
    <target type='virtio' name='org.qemu.guest_agent.0'/></channel>
  <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  <memballoon model='virtio'><stats period='1'/></memballoon>
  <vsock model='virtio' xmlns:visor='https://libvisor.org/domain/1'>
    <cid auto='no' address='33'/><visor:socket path='{work}/v.sock'/></vsock>
  <filesystem type='mount'><source dir='{work}/shared'/>
    <target dir='shared'/></filesystem>
</devices></domain>
"""


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def must(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def is_newer(path, *sources):
    return os.path.exists(path) and all(
        os.path.getmtime(path) > os.path.getmtime(s) for s in sources)


def kernel_elf(kernel):
    return os.path.join(GUEST_DIR, os.path.basename(kernel) + ".elf")


def make_guest(tool):
    where = os.path.join(GUEST_DIR, "generic")
    got = subprocess.run([f"{GUESTS}/fetch-kernel.sh", where, "amd64"],
                         capture_output=True, text=True, check=False)
    if got.returncode != 0:
        skip("Debian's kernel cannot be downloaded: " + got.stderr)
    kernel = got.stdout.strip()
    initrd = os.path.join(GUEST_DIR, "devices.cpio")
    init = f"{HERE}/devices_init.sh"
    if is_newer(initrd, kernel, init, tool, __file__,
                f"{GUESTS}/make-initramfs.sh"):
        return kernel, initrd
    made = subprocess.run(
        [f"{GUESTS}/make-initramfs.sh", "-k", f"{where}/root", "--modules",
         MODULES, "--program", tool, "-i", init, initrd],
        capture_output=True, text=True, check=False)
    if made.returncode != 0:
        skip("no initramfs can be made: " + made.stderr)
    return kernel, initrd


class Failure(Exception):
    pass


def until(what, condition, seconds=120):
    """The condition's value, once it has one."""
    end = time.monotonic() + seconds * SLOW
    while not (value := condition()):
        if time.monotonic() > end:
            raise Failure(what)
        time.sleep(0.05)
    return value


class Domain:
    def __init__(self, vctl, work):
        self.command = [vctl, "-c", f"{ENGINE}:///session?root={work}/root"]
        self.out = f"{work}/out"
        self.seen = 0  # of the console, in former starts

    def vctl(self, *args):
        r = subprocess.run([*self.command, *args], capture_output=True,
                           text=True, check=False, timeout=300 * SLOW)
        if r.returncode != 0:
            raise Failure(f"vctl {' '.join(args)}: {r.stderr}")
        return r.stdout

    def text(self):
        if not os.path.exists(self.out):
            return ""
        with open(self.out, errors="replace") as f:
            return f.read()[self.seen:].replace("\r", "")

    def wait(self, pattern):
        """What the guest says; sooner or later, in this start."""
        alive = time.monotonic() + 5

        def look():
            nonlocal alive
            text = self.text()
            bad = re.search(r"guest: FAIL.*|BUG:.*|WARNING: .*|Call Trace.*|"
                            r"insmod: .*|I/O error.*", text)
            if bad:
                raise Failure(f"the guest says '{bad[0]}'")
            found = re.search(pattern, text)
            if not found and time.monotonic() > alive:
                if not self.vctl("domstate", "devices").startswith("running"):
                    raise Failure(f"the guest ended without '{pattern}'")
                alive = time.monotonic() + 5 * SLOW
            return found
        return until(f"the guest does not say '{pattern}'", look)

    def power_cycle_end(self):
        self.wait("guest: waits for the button")
        self.vctl("shutdown", "devices", "--timeout", str(60 * SLOW))
        if not self.vctl("domstate", "devices").startswith("shutoff"):
            raise Failure("it is not off after shutdown")
        self.seen += len(self.text())


def connect(address):
    if isinstance(address, tuple):
        return socket.create_connection(address, 60 * SLOW)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60 * SLOW)
    s.connect(address)
    return s


def read_all(s, n=None):
    got = b""
    while n is None or len(got) < n:
        data = s.recv(65536 if n is None else n - len(got))
        if not data:
            break
        got += data
    return got


def serve(server, talk):
    """All who come to a listening socket, one after the other."""
    def run():
        while True:
            client = server.accept()[0]
            talk(client)
            client.close()

    threading.Thread(target=run, daemon=True).start()


def echo(client):
    while data := client.recv(65536):
        client.sendall(data)


def expect(what, got, wanted):
    if got != wanted:
        raise Failure(f"{what}: {got!r:.200}, not {wanted!r:.200}")


def talk_by_channel(domain, work, busybox):
    with connect(f"{work}/agent") as agent:
        expect("channel", read_all(agent, 15), b"from the guest\n")
        agent.sendall(b"well met\n")
        domain.wait("guest: channel says well met\n")
        expect("channel", len(data := read_all(agent, CUT)), CUT)
        if data != busybox[:CUT]:
            raise Failure("the channel changed something")


def talk_by_vsock(domain, work):
    domain.wait("guest: vsock there and back\n")
    domain.wait("guest: listening\n")
    line = b"more than one line"
    with connect(f"{work}/v.sock") as client:
        client.sendall(b"CONNECT 5000\n" + line)
        answer = b""
        while not (match := re.fullmatch(rb"OK \d+\n(.*)", answer, re.S)) or \
                len(match[1]) < len(line):
            if not (more := client.recv(1000)):
                raise Failure(f"vsock answers {answer}")
            answer += more
        expect("vsock", match[1], line)


def talk_by_net(domain, data, forward):
    domain.wait("guest: link 52:54:00:0a:0b:0c\n")
    domain.wait("guest: dhcp 10.0.2.15 router 10.0.2.2\n")
    domain.wait(f"guest: host says {hashlib.md5(data).hexdigest()}")
    domain.wait("guest: serves\n")

    def ask():  # the host's end is there before the guest listens
        with connect(("127.0.0.1", forward)) as client:
            try:
                client.sendall(b"who is there")
                return read_all(client, 12) == b"who is there"
            except OSError:
                return False
    until("nobody answers at the forwarded port", ask)


def look_at_folder(domain, work, busybox):
    domain.wait("guest: reads hello from the host\n")
    domain.wait("guest: folder\n")
    with open(f"{work}/shared/copy", "rb") as f:
        if f.read() != busybox:
            raise Failure("the copy in the folder is none")
    with open(f"{work}/shared/d/e/moved") as f:
        expect("moved", f.read(), "hello from the host")


def look_at_disks(domain, work, digest):
    with open(f"{work}/a.img", "rb") as f:
        f.seek(4 * MIB)
        expect("a.img", hashlib.md5(f.read(2 * MIB)).hexdigest(), digest)
    must("qemu-img", "check", "-q", f"{work}/b.qcow2")
    domain.vctl("start", "devices")
    domain.wait(f"guest: vda still has {digest}")
    domain.wait("guest: vdb has its file\n")
    domain.power_cycle_end()
    must("qemu-img", "check", "-q", f"{work}/b.qcow2")


def has_attributes(work):
    """Does the host's file system keep them? A tmpfs may not."""
    try:
        os.setxattr(work, "user.colour", b"blue")
        return True
    except OSError:
        return False


def prepare(work):
    os.mkdir(f"{work}/shared")
    for name in (f"{work}/secret", f"{work}/shared/hello"):
        with open(name, "w") as f:
            f.write("hello from the host")
    with open(f"{work}/a.img", "wb") as f:
        f.truncate(32 * MIB)
    must("qemu-img", "create", "-q", "-f", "qcow2", f"{work}/b.qcow2", "64M")


def run(vctl, tool, board, work):
    kernel, initrd = make_guest(tool)
    if ENGINE == "kvm" and is_newer(kernel_elf(kernel), kernel):
        kernel = kernel_elf(kernel)
    with open(shutil.which("busybox"), "rb") as f:
        busybox = f.read()
    prepare(work)
    data = os.urandom(MIB // 4)
    server = socket.create_server(("127.0.0.1", 0))
    serve(server, lambda client: client.sendall(data))
    vsock = socket.socket(socket.AF_UNIX)
    vsock.bind(f"{work}/v.sock_1234")
    vsock.listen()
    serve(vsock, echo)
    with socket.create_server(("127.0.0.1", 0)) as free:
        forward = free.getsockname()[1]

    domain = Domain(vctl, work)
    with open(f"{work}/domain.xml", "w") as f:
        f.write(XML.format(
            engine=ENGINE, memory=MEMORY, board=board, kernel=kernel, initrd=initrd, work=work,
            port=server.getsockname()[1], forward=forward,
            extra=" mitigations=off" if ENGINE == "kvm" else "",
            attr=" dev.attr=1" if has_attributes(work) else ""))
    try:
        domain.vctl("define", f"{work}/domain.xml")
        domain.vctl("start", "devices")
        domain.wait("guest: serials RAW-1 QCOW2-2\n")
        domain.wait("guest: entropy\n")
        talk_by_channel(domain, work, busybox)
        talk_by_vsock(domain, work)
        talk_by_net(domain, data, forward)
        look_at_folder(domain, work, busybox)
        domain.wait("guest: balloon\n")
        domain.vctl("setmem", "devices", f"{MEMORY - 100}M", "--live")
        domain.wait("guest: balloon full\n")
        domain.vctl("setmem", "devices", f"{MEMORY}M", "--live")
        domain.wait("guest: balloon empty\n")
        digest = domain.wait("guest: vda has ([0-9a-f]{32})")[1]
        took = re.findall(r"guest: (\w+).* done at ([0-9.]+)", domain.text())
        domain.power_cycle_end()
        look_at_disks(domain, work, digest)
    except (Failure, OSError, subprocess.SubprocessError) as failure:
        print(domain.text())
        subprocess.run([*domain.command, "destroy", "devices"], check=False)
        sys.exit(f"FAIL: {failure}")
    print(f"ok: {board};", ", ".join(f"{what} {at}" for what, at in took))


def main():
    vctl, tool, what = sys.argv[1:4]
    if what == "prepare":
        kernel = make_guest(tool)[0]
        elf = kernel_elf(kernel)
        if not is_newer(elf, kernel):
            must(f"{GUESTS}/extract-vmlinux.py", kernel, elf + ".tmp")
            os.rename(elf + ".tmp", elf)
        return
    with tempfile.TemporaryDirectory(prefix="visor-devices-") as folder:
        run(vctl, tool, what, folder)


main()
