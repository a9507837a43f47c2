# SPDX-License-Identifier: GPL-2.0-only
"""`lab ctl`: pause, cut, reset … of partitions, asked by another process or from inside.

A request is a line, `TOKEN WORD…`; its answer is a line, `TOKEN JSON`. The channel from
inside a partition is shared by all who call there one after the other: an answer that a
killed caller left behind has another token than the next one's."""
import fcntl
import json
import os
import re
import secrets
import select
import time

import rundir
from common import LabError, UsageError, say, unix_socket
from links import Links, netem

# verb: (what a target looks like, targets needed)
PARTITION, LINKS = "ID", "ID|A-B|A:B"
VERBS = {"status": (None, 0), "pause": (PARTITION, 1), "resume": (PARTITION, 1),
         "poweroff": (PARTITION, 1), "reset": (PARTITION, 1), "cut": (LINKS, 1),
         "heal": (LINKS, 1), "net": (LINKS, 2)}
TARGET = {PARTITION: re.compile(r"[0-9]+"), LINKS: re.compile(r"[0-9]+([-:][0-9]+)?")}
HELP = """\
pause ID…             stop its processors; it is silent, its memory stays reachable
resume ID…            let them go on
poweroff ID…          pull the plug; it has ended when this returns
reset ID…             press its button: it boots anew, its command does not run again
cut ID|A-B|A:B…       drop every frame of all links of ID, of the link between A and B,
                      or only from A to B; nobody is told, as with a broken network
heal ID|A-B|A:B…      the opposite
net ID|A-B|A:B… KEY=VALUE[,…]|none
                      from now on: delay, jitter, loss, rate, duplicate, corrupt and
                      reorder as tc's netem has them; A-B is both ways, so a delay of
                      20ms makes a round trip of 40; `none` ends it
status                a line for each partition: booting, running, paused or off; then
                      one for each direction of a link that is cut or not plain

Exit status: 0, done; 2, called wrongly; 125, not done, and why. Works on the host and
inside a partition.
"""
INSIDE_PORT = "/dev/virtio-ports/xpmem.ctl"
LONGEST = 4096
PATIENCE = 60


def check(words):
    """Of both sides: what is asked for, before anything is done."""
    verb, rest = words[0] if words else "", words[1:]
    if verb not in VERBS:
        raise UsageError(f"ctl: {verb!r} is not one of {' '.join(VERBS)}")
    shape, least = VERBS[verb]
    if shape is None and rest:
        raise UsageError(f"ctl {verb} takes nothing more, not {rest[0]!r}")
    if len(rest) < least:
        raise UsageError(f"ctl {verb}: which {'links' if shape == LINKS else 'partition'}? "
                         f"({shape}{', then what' if verb == 'net' else ''})")
    if verb == "net":
        netem(rest.pop(), "ctl net")
    for target in rest:
        if not TARGET[shape].fullmatch(target):
            raise UsageError(f"ctl {verb}: {target!r} is no {shape}")


class Control:
    """The running lab's side."""

    def __init__(self, run, listener):
        self.run = run
        self.listener = listener
        self.links = Links(run)
        self.clients = {}       # what came of each so far
        run.watch(listener, self.accept)

    # --- on the host

    def accept(self):
        client, _ = self.listener.accept()
        self.clients[client] = b""
        self.run.watch(client, self.receive, client)

    def receive(self, client):
        try:
            data = client.recv(LONGEST)
        except OSError:
            data = b""
        self.clients[client] = (self.clients[client] + data).lstrip(b"\n")
        line, end, _ = self.clients[client].partition(b"\n")
        if not data or len(line) > LONGEST:
            self.drop(client)
        elif end:
            self.request(line, lambda answer: self.send(client, answer))

    def send(self, client, answer):
        if client in self.clients:
            try:
                client.sendall(answer)
            except OSError as error:
                say(f"ctl: {error}")
            self.drop(client)

    def drop(self, client):
        self.run.unwatch(client)
        del self.clients[client]
        client.close()

    # --- both

    def request(self, line, send):
        """Calls send(answer) once; for `net` when the guests have answered."""
        token, *words = line.decode(errors="replace").split() or [""]

        def reply(fine, text=""):
            send(f"{token} {json.dumps({'ok': fine, 'text': text})}\n".encode())

        try:
            check(words)
            verb, *rest = words
            if verb == "net":
                self.links.net(rest[:-1], rest[-1], reply)
                return
            if verb == "status":
                reply(True, "\n".join([*self.status(), *self.links.status()]))
                return
            for target in rest:
                if verb in ("cut", "heal"):
                    getattr(self.links, verb)(target)
                else:
                    getattr(self, verb)(self.run.guest(target))
            reply(True)
        except (LabError, OSError) as error:
            reply(False, str(error))

    def status(self):
        return [f"partition {ident} {guest.condition()}"
                for ident, guest in self.run.guests.items()]

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
        guest.ended()

    def reset(self, guest):
        """As by the button; more than one reset comes of it, since SeaBIOS adds its own."""
        guest.command("set-action", reboot="reset")
        guest.state = "boot"
        guest.status = guest.status or 0
        self.links.forget(guest)
        guest.command("system_reset")
        guest.command("cont")

    def close(self):
        for client in list(self.clients):
            self.drop(client)
        self.listener.close()
        path = os.path.join(self.run.config.directory, "ctl")
        if os.path.exists(path):
            os.unlink(path)


# --- the caller's side

def converse(read, write, words):
    """Sends a request and reads, by read(seconds), up to its own answer."""
    token = secrets.token_hex(8)
    end = time.monotonic() + PATIENCE
    # the line before may be one that was cut short
    write(f"\n{token} {' '.join(words)}\n".encode())
    lines = [b""]
    while True:
        data = read(max(0.0, end - time.monotonic()))
        if not data:
            raise LabError(f"ctl: no answer of the running lab within {PATIENCE} s")
        *lines, rest = (lines[-1] + data).split(b"\n")
        for line in lines:
            if line.startswith(token.encode() + b" "):
                return json.loads(line.partition(b" ")[2])
        lines = [rest]


def ask_inside(words):
    """In a partition: one caller at a time has the port."""
    with open("/run/lab/ctl.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with open(INSIDE_PORT, "r+b", buffering=0) as port:
            def read(seconds):
                ready, _, _ = select.select([port], [], [], seconds)
                return port.read(LONGEST) if ready else b""

            return converse(read, port.write, words)


def ask_outside(words, run):
    with unix_socket(rundir.running(run), "ctl", connect=True) as sock:
        def read(seconds):
            sock.settimeout(seconds or 0.001)
            return sock.recv(LONGEST)

        return converse(read, sock.sendall, words)


def main(words, run):
    check(words)
    try:
        answer = ask_inside(words) if os.path.exists(INSIDE_PORT) else ask_outside(words, run)
    except OSError as error:
        raise LabError(f"the running lab does not answer: {error}") from error
    if not answer["ok"]:
        raise LabError(answer["text"])
    if answer["text"]:
        print(answer["text"])
    return 0
