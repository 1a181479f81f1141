#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""debian_login.py VCTL DOMAIN [SLOW]: waits for the login prompt on a domain's
console, logs in as a person would, and looks around: apt-get, systemd, and a
program on this host that is reached through the guest's network."""
import os
import pty
import select
import socket
import subprocess
import sys
import threading
import time

VCTL, DOMAIN = sys.argv[1:3]
SLOW = int(sys.argv[3]) if len(sys.argv) > 3 else 1


class Console:
    def __init__(self):
        self.fd, terminal = pty.openpty()
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            [VCTL, "console", DOMAIN], stdin=terminal, stdout=terminal,
            stderr=terminal, close_fds=True)
        os.close(terminal)
        self.text = b""

    def expect(self, what, seconds):
        """What was said until `what`."""
        end = time.monotonic() + seconds * SLOW
        while what not in self.text:
            left = end - time.monotonic()
            ready = select.select([self.fd], [], [], max(0, left))[0]
            if not ready:
                sys.exit(f"debian: no {what!r} on the console; its last words:\n"
                         + self.text[-2000:].decode(errors="replace"))
            self.text += os.read(self.fd, 65536)
        said, self.text = self.text.split(what, 1)
        return said.decode(errors="replace")

    def run(self, command, seconds=60):
        """The command's output; its end is marked, the echo has no mark."""
        os.write(self.fd, f"{command}; echo end-$((40+2))\r".encode())
        said = self.expect(b"end-42", seconds)
        lines = said.replace("\r", "").split("\n")
        return "\n".join(lines[1:]).strip()

    def close(self):
        os.write(self.fd, b"\x1d")  # Ctrl-]
        self.process.wait(timeout=20)


def serve(listener):
    while True:
        client = listener.accept()[0]
        client.sendall(b"the host says hello\n")
        client.close()


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    port = listener.getsockname()[1]
    begin = time.monotonic()
    console = Console()
    console.expect(b"login: ", 300)
    print(f"login prompt after {time.monotonic() - begin:.1f} s")
    os.write(console.fd, b"root\r")
    console.expect(b"# ", 60)
    console.run("stty -echo; bind 'set enable-bracketed-paste off'; PS1=")
    apt = console.run("apt-get --version | head -n 1")
    print(apt)
    systemd = console.run("systemctl is-system-running --wait", 120)
    print("systemd:", systemd)
    # 10.0.2.2 is this host, as the guest's network has it.
    hello = console.run(
        f"for i in 1 2 3 4 5 6 7 8 9 10; do cat </dev/tcp/10.0.2.2/{port} "
        "2>/dev/null && break; sleep 1; done", 60)
    print("network:", hello)
    console.close()
    if not apt.startswith("apt 2."):
        sys.exit("debian: apt-get does not run")
    if systemd != "running":
        sys.exit("debian: not all of systemd's units started")
    if "the host says hello" not in hello:
        sys.exit("debian: the host was not reached through the network")


main()
