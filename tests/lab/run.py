# SPDX-License-Identifier: GPL-2.0-only
"""One run: boot, barrier, command, tear-down, in a single-threaded event loop."""
import os
import selectors
import socket
import sys
import time

import kernels
import packages
import rundir
import splat
from common import (EXIT_LAB, EXIT_SPLAT, EXIT_TIMEOUT, LabError, say, unix_socket)
from control import Control
from initramfs import write_initramfs
from partition import Partition, memory

DEADLINE = 60           # of boot and of tear-down, and more for each partition
DEADLINE_EACH = 20
DUMP_TIME = 2           # the answer has no end mark
CHANNELS = ("console", "control", "output", "ctl", "net", "qmp")


class Deadline(Exception):
    """The partitions did not get where they should within the time."""


class Guest(Partition):
    """A partition and how far it is: boot -> ready -> (command) -> done -> down."""

    def __init__(self, ident, directory):
        super().__init__(ident, directory)
        self.state = "boot"
        self.status = None          # of the command
        self.expected_end = False   # powered off on purpose
        self.pending = {name: b"" for name in CHANNELS}
        self.splats = 0

    @property
    def up(self):
        """It runs, or is paused, and is not on its way out."""
        return self.running and not self.expected_end

    def condition(self):
        condition = super().condition()
        return "booting" if condition == "running" and self.state == "boot" else condition

    def awake(self):
        """Raise unless it can be asked something."""
        condition = self.condition()
        if condition != "running":
            raise LabError(f"partition {self.ident} is {condition} and cannot do that now")

    def take_lines(self, name, data):
        """Complete lines of a channel; the rest waits for more."""
        *lines, self.pending[name] = (self.pending[name] + data).split(b"\n")
        return lines


def worst(statuses):
    """77 means skipped: worse than success, better than any failure."""
    return max(statuses, key=lambda s: (s != 0, s != 77, s), default=0)


class Run:
    def __init__(self, config):
        self.config = config
        self.guests = {}
        self.selector = selectors.DefaultSelector()
        self.failures = []
        self.control = None
        self.sinks = {"console": self.console, "output": self.output, "ctl": self.ctl,
                      "control": self.control_data, "net": self.net}

    def prepare(self):
        config = self.config
        packages.ensure(packages.RUN)
        config.kdir = kernels.kernel(config.flavour)
        config.accelerator = kernels.accelerator(config.kdir, config.icount)
        config.find_module(kernels.module)
        config.directory = rundir.create()
        config.share = os.path.join(config.directory, "share")
        config.initramfs = os.path.join(config.directory, "initramfs")
        write_initramfs(config.initramfs, config.kdir)

    def start(self):
        config = self.config
        idents = range(1, config.nodes + 1)
        ram = {i: memory(i, config.mem) for i in idents}
        links = {i: {} for i in idents}
        for one in idents:
            for other in range(one + 1, config.nodes + 1):
                links[one][other], links[other][one] = socket.socketpair()
        for i in idents:
            config.write_guest(i)
            self.guests[i] = Guest(i, config.directory)
            self.guests[i].start(config, ram, links[i])
        for guest in self.guests.values():
            guest.handshake()
            for name in CHANNELS:
                self.watch(guest.channels[name], self.readable, guest, name)
            self.watch(guest.pidfd, self.died, guest)
        for fd in ram.values():
            os.close(fd)
        self.control = Control(self, unix_socket(config.directory, "ctl"))

    def watch(self, what, handler, *details):
        self.selector.register(what, selectors.EVENT_READ, (handler, details))

    def unwatch(self, what):
        self.selector.unregister(what)

    def until(self, condition, seconds):
        """Handle events until condition() holds."""
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                raise Deadline
            for key, _ in self.selector.select(left):
                handler, details = key.data
                if key.fileobj in self.selector.get_map():
                    handler(*details)

    @property
    def deadline(self):
        return (DEADLINE + DEADLINE_EACH * self.config.nodes) * self.config.patience

    def all(self, *states):
        return all(g.state in states or g.expected_end for g in self.guests.values())

    # --- what comes in

    def readable(self, guest, name):
        if name == "qmp":
            self.qmp(guest)
            return
        try:
            data = guest.channels[name].recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.unwatch(guest.channels[name])
        self.sinks[name](guest, data)

    def qmp(self, guest):
        try:
            guest.read_events()
        except (OSError, ValueError):
            self.unwatch(guest.channels["qmp"])
        guest.events.clear()

    def console(self, guest, data):
        for line in guest.take_lines("console", data):
            if splat.is_splat(line):
                if not guest.splats:
                    say(f"partition {guest.ident}: kernel splat, see below: "
                        + line.decode(errors="replace").strip())
                guest.splats += 1

    def output(self, guest, data):
        trailer = self.config.trailer.encode()
        for line in guest.take_lines("output", data):
            if trailer in line:
                line, _, status = line.partition(trailer)
                if line:
                    self.print(guest, line)
                guest.status = int(status)
                guest.state = "done"
            else:
                self.print(guest, line)

    @staticmethod
    def print(guest, line):
        sys.stdout.buffer.write(b"[%d] %s\n" % (guest.ident, line))
        sys.stdout.buffer.flush()

    def ctl(self, guest, data):
        """`lab ctl` called inside a partition."""
        def send(answer):
            if guest.up:
                guest.channels["ctl"].sendall(answer)

        for line in guest.take_lines("ctl", data):
            if line:
                self.control.request(line, send)

    def net(self, guest, data):
        """What a guest says of changes to its links."""
        for line in guest.take_lines("net", data):
            self.control.links.answer(line)

    def guest(self, text):
        """The partition that an administrator of the lab means."""
        guest = self.guests.get(int(text)) if text.isdigit() else None
        if guest is None or not guest.up:
            raise LabError(f"no partition {text} is running")
        return guest

    def control_data(self, guest, data):
        for line in guest.take_lines("control", data):
            self.control_line(guest, line)

    def control_line(self, guest, line):
        word, _, rest = line.decode(errors="replace").partition(" ")
        if word == "ready":
            # after a reset the command does not run again, and a reboot is a panic again
            guest.command("set-action", reboot="shutdown")
            guest.state = "ready" if guest.status is None else "done"
            self.control.links.restore(guest)
        elif word == "fail":
            raise LabError(f"partition {guest.ident}: {rest}\n{self.console_tail(guest)}")
        elif word == "down":
            status, _, reason = rest.partition(" ")
            if status != "0":
                self.failures.append(f"partition {guest.ident}: tear-down failed: {reason}")
            guest.state = "down"
            guest.expected_end = True
            self.tell(guest, "off")

    def tell(self, guest, word):
        guest.channels["control"].sendall(word.encode() + b"\n")

    def died(self, guest):
        self.unwatch(guest.pidfd)
        guest.process.wait()
        self.control.links.forget(guest)
        self.drain(guest)
        if guest.state != "down" and not guest.expected_end:
            tail = "" if guest.splats else self.console_tail(guest)
            raise LabError(f"partition {guest.ident} died\n{tail}{guest.qemu_log()}".strip())
        guest.state = "gone"

    def drain(self, guest):
        """What a dead QEMU had still written."""
        for name in ("console", "output"):
            while guest.channels[name] in self.selector.get_map():
                self.readable(guest, name)

    @staticmethod
    def console_tail(guest):
        with open(guest.console_path, "rb") as f:
            lines = f.read().decode(errors="replace").splitlines()
        return "".join(f"  console {guest.ident}: {line}\n" for line in lines[-25:])

    # --- the phases

    def execute(self):
        """The exit status of the run."""
        self.prepare()
        config = self.config
        accelerator = config.accelerator[1].partition(",")[0]
        say(f"{config.nodes} partitions, kernel {os.path.basename(config.kdir)}, "
            f"{config.mem} MB and {config.cpus} CPUs each, {accelerator}; "
            f"share {config.share}")
        status = None
        try:
            self.start()
            status = self.phases()
        except LabError as error:
            say(str(error))
            status = EXIT_LAB
        finally:
            for guest in self.guests.values():
                guest.kill()
            self.tidy()
        return self.verdict(status)

    def phases(self):
        config = self.config
        began = time.monotonic()
        try:
            self.until(lambda: self.all("ready"), self.deadline)
        except Deadline:
            return self.late("boot and join", EXIT_LAB)
        say(f"ready after {time.monotonic() - began:.1f} s")
        for guest in self.guests.values():
            guest.state = "running" if config.runs_on(guest.ident) else "done"
            guest.status = None if config.runs_on(guest.ident) else 0
            self.tell(guest, "go")
        try:
            self.until(lambda: self.all("done"), config.timeout)
        except Deadline:
            return self.late(f"end their command within {config.timeout:g} s", EXIT_TIMEOUT)
        status = worst([g.status or 0 for g in self.guests.values()])
        return self.finish(status)

    def finish(self, status):
        for guest in self.guests.values():
            if guest.running and not guest.expected_end:
                guest.command("cont")
                self.tell(guest, "end")
        try:
            self.until(lambda: all(g.state == "gone" for g in self.guests.values()),
                       self.deadline)
        except Deadline:
            return self.late("shut down", status or EXIT_LAB)
        return status

    def late(self, what, status):
        for guest in self.guests.values():
            if guest.state not in ("done", "gone") and not guest.expected_end:
                say(f"time-out: partition {guest.ident} (state: {guest.state}) did not {what}")
                self.dump_blocked(guest)
                sys.stderr.write(self.console_tail(guest))
        return status

    def dump_blocked(self, guest):
        """Ask the guest's kernel, by a serial break, who waits for what."""
        try:
            guest.command("cont")
            guest.command("chardev-send-break", id="con")
            guest.channels["console"].sendall(b"w")
            self.until(lambda: False, DUMP_TIME)
        except (Deadline, LabError, OSError):
            pass

    def verdict(self, status):
        for failure in self.failures:
            say(failure)
            status = status or EXIT_LAB
        for guest in self.guests.values():
            with open(guest.console_path, "rb") as f:
                lines = splat.report(f.read())
            if lines:
                say(f"partition {guest.ident}: kernel splat, console {guest.console_path}:")
                print("".join(f"  {line}\n" for line in lines), end="", file=sys.stderr,
                      flush=True)
                status = EXIT_SPLAT
        return status

    def tidy(self):
        """Leave consoles, logs and the share; the rest was only for the guests."""
        if self.control is not None:
            self.control.close()
        for name in os.listdir(self.config.directory):
            if name == "initramfs" or name.startswith("shell-"):
                os.unlink(os.path.join(self.config.directory, name))
