# SPDX-License-Identifier: GPL-2.0-only
"""`lab ctl`: pause, cut, reset … of partitions, asked by another process or from inside."""
import fcntl
import os
import socket

import rundir
from common import LabError, UsageError, say, unix_socket

VERBS = ("pause", "resume", "poweroff", "reset", "cut", "heal")
INSIDE_PORT = "/dev/virtio-ports/xpmem.ctl"


class Control:
    """The running lab's side: one line in, one line out."""

    def __init__(self, run, listener):
        self.run = run
        self.listener = listener
        run.watch(listener, self.accept)

    def accept(self):
        client, _ = self.listener.accept()
        with client, client.makefile("rw") as stream:
            client.settimeout(5)
            try:
                stream.write(self.execute(stream.readline().split()) + "\n")
                stream.flush()
            except OSError as error:
                say(f"ctl: {error}")

    def execute(self, words):
        """`ok`, or what is wrong."""
        if not words or words[0] not in VERBS:
            return f"error: not one of {' '.join(VERBS)}"
        try:
            for target in words[1:]:
                self.apply(words[0], target)
        except (LabError, OSError) as error:
            return f"error: {error}"
        return "ok"

    def apply(self, verb, target):
        first, dash, second = target.partition("-")
        guest = self.guest(first)
        if verb in ("cut", "heal"):
            peers = [self.guest(second).ident] if dash else [
                i for i, other in self.run.guests.items() if other is not guest and other.running]
            for peer in peers:
                self.link(guest.ident, peer, verb == "heal")
                self.link(peer, guest.ident, verb == "heal")
            return
        if dash:
            raise LabError(f"{verb} takes one partition, not {target}")
        getattr(self, verb)(guest)

    def guest(self, text):
        guest = self.run.guests.get(int(text)) if text.isdigit() else None
        if guest is None or not guest.running or guest.expected_end:
            raise LabError(f"no partition {text} is running")
        return guest

    def link(self, ident, peer, up):
        self.run.guests[ident].command("set_link", name=f"lan{peer}", up=up)

    @staticmethod
    def pause(guest):
        guest.command("stop")

    @staticmethod
    def resume(guest):
        guest.command("cont")

    @staticmethod
    def poweroff(guest):
        """Pull the plug: the guest is not asked."""
        guest.expected_end = True
        guest.status = guest.status or 0
        guest.command("quit")

    @staticmethod
    def reset(guest):
        """As by the button; more than one reset comes of it, since SeaBIOS adds its own."""
        guest.command("set-action", reboot="reset")
        guest.state = "boot"
        guest.status = guest.status or 0
        guest.command("system_reset")
        guest.command("cont")

    def close(self):
        self.listener.close()
        path = os.path.join(self.run.config.directory, "ctl")
        if os.path.exists(path):
            os.unlink(path)


def ask(words, run):
    """The caller's side, on the host or in a partition."""
    line = " ".join(words) + "\n"
    if os.path.exists(INSIDE_PORT):
        with open("/run/lab/ctl.lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with open(INSIDE_PORT, "r+b", buffering=0) as port:
                port.write(line.encode())
                answer = b""
                while not answer.endswith(b"\n"):
                    answer += port.read(4096)
        return answer.decode().strip()
    try:
        with unix_socket(rundir.running(run), "ctl", connect=True) as sock:
            sock.settimeout(60)
            sock.sendall(line.encode())
            with sock.makefile("r") as stream:
                return stream.readline().strip()
    except (socket.timeout, OSError) as error:
        raise LabError(f"the running lab does not answer: {error}") from error


def main(verb, targets, run):
    if verb not in VERBS:
        raise UsageError(f"ctl: {verb!r} is not one of {' '.join(VERBS)}")
    if not targets:
        raise UsageError(f"ctl {verb}: which partition?")
    answer = ask([verb, *targets], run)
    if answer != "ok":
        raise LabError(answer or "no answer")
    return 0
