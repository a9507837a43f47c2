# SPDX-License-Identifier: GPL-2.0-only
"""One partition: its QEMU, the channels to it, and its QMP monitor."""
import ctypes
import json
import os
import signal
import socket
import subprocess

from common import LabError, unix_socket

# PCI slots: fixed, so that a guest can tell the links and windows apart
SERIAL, ROOT, SHARE, DISK, RNG = 2, 3, 4, 5, 6
WINDOW_SLOT = 7         # + peer's id
NET_SLOT = 16           # + peer's id
SWAP_SIZE = 2 << 30
QMP_DEADLINE = 30
QUIT_DEADLINE = 10
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def window_address(peer):
    return f"0000:00:{WINDOW_SLOT + peer:02x}.0"


def swap_disk(directory):
    """An unnamed sparse file with a swap header, as mkswap writes it."""
    fd = os.open(directory, os.O_RDWR | os.O_TMPFILE, 0o600)
    os.ftruncate(fd, SWAP_SIZE)
    pages = SWAP_SIZE // 4096
    os.pwrite(fd, (1).to_bytes(4, "little") + (pages - 1).to_bytes(4, "little"), 1024)
    os.pwrite(fd, b"SWAPSPACE2", 4086)
    return fd


def memory(ident, megabytes):
    """A partition's RAM: no name, so that nothing is left when the lab dies."""
    fd = os.memfd_create(f"xpmem-lab-p{ident}", os.MFD_CLOEXEC)
    os.ftruncate(fd, megabytes << 20)
    return fd


def tiers(config):
    """A node with the CPUs, and one without that is said to be slower: what is idle is
    demoted there. In ns and MB/s, which nothing holds to."""
    yield from ("-m", f"{2 * config.mem}M", "-machine", "hmat=on")
    yield from ("-numa", f"node,nodeid=0,memdev=ram,cpus=0-{config.cpus - 1}")
    yield from ("-object", f"memory-backend-ram,id=slow,size={config.mem}M",
                "-numa", "node,nodeid=1,memdev=slow,initiator=0")
    for node, latency, bandwidth in (0, 100, 10000), (1, 400, 2500):
        target = f"hmat-lb,initiator=0,target={node},hierarchy=memory"
        yield from ("-numa", f"{target},data-type=access-latency,latency={latency}",
                    "-numa", f"{target},data-type=access-bandwidth,bandwidth={bandwidth}M")


class Partition:
    """A virtual machine; `channels` are our ends of what QEMU was given."""

    def __init__(self, ident, run_directory):
        self.ident = ident
        self.directory = run_directory
        self.process = None
        self.pidfd = -1
        self.events = []
        self.channels = {}
        self.given = []
        self.buffer = b""
        self.console_path = os.path.join(run_directory, f"console-{ident}.log")

    def channel(self, name):
        ours, theirs = socket.socketpair()
        self.channels[name] = ours
        self.given.append(theirs)
        return theirs.fileno()

    def options(self, config, ram, links):
        """QEMU's command line; ram: descriptors by id, links: sockets by peer."""
        size = f"{config.mem}M"
        yield from ("-name", f"xpmem-p{self.ident}", *config.accelerator)
        yield from ("-nodefaults", "-no-user-config", "-display", "none", "-rtc", "base=utc")
        yield from ("-smp", str(config.cpus), "-action", "reboot=shutdown")
        yield from ("-object", "memory-backend-file,id=ram,share=on,size=" + size +
                    f",mem-path=/proc/self/fd/{ram[self.ident]}")
        yield from (tiers(config) if config.tiers else
                    ("-m", size, "-machine", "memory-backend=ram"))
        yield from ("-machine", "pc,usb=off,vmport=off,hpet=off")
        yield from ("-kernel", os.path.join(config.kdir, "bzImage"), "-initrd", config.initramfs)
        yield from ("-append", config.command_line(self.ident))
        yield from ("-chardev", f"socket,id=qmp,fd={self.channel('qmp')}",
                    "-mon", "chardev=qmp,mode=control")
        yield from ("-chardev", f"socket,id=con,fd={self.channel('console')}"
                    f",logfile={self.console_path}", "-serial", "chardev:con")
        yield from self.ports()
        yield from self.files(config)
        yield from ("-device", f"virtio-rng-pci,addr={RNG:#x}")
        for peer, sock in links.items():
            yield from self.peer(config, peer, sock, ram, size)

    def ports(self):
        yield from ("-device", f"virtio-serial-pci,id=ports,addr={SERIAL:#x}")
        shell = unix_socket(self.directory, f"shell-{self.ident}")
        self.given.append(shell)
        yield from ("-chardev", f"socket,id=shell,server=on,wait=off,fd={shell.fileno()}",
                    "-device", "virtconsole,bus=ports.0,chardev=shell")
        for name in ("control", "output", "ctl", "net"):
            yield from ("-chardev", f"socket,id={name},fd={self.channel(name)}", "-device",
                        f"virtserialport,bus=ports.0,chardev={name},name=xpmem.{name}")

    def files(self, config):
        yield from ("-fsdev", "local,id=root,path=/,security_model=none,readonly=on,"
                    "multidevs=remap", "-device",
                    f"virtio-9p-pci,fsdev=root,mount_tag=root,addr={ROOT:#x}")
        yield from ("-fsdev", f"local,id=share,path={config.share},security_model=none,"
                    "multidevs=remap", "-device",
                    f"virtio-9p-pci,fsdev=share,mount_tag=share,addr={SHARE:#x}")
        swap = swap_disk(self.directory)
        self.given.append(swap)
        rate = f",throttling.bps-total={config.swap_rate * 10**6}" if config.swap_rate else ""
        yield from ("-drive", f"if=none,id=swap,file=/proc/self/fd/{swap},format=raw,"
                    "file.locking=off,cache=unsafe,discard=unmap" + rate, "-device",
                    f"virtio-blk-pci,drive=swap,addr={DISK:#x}")

    def peer(self, config, peer, sock, ram, size):
        self.given.append(sock)
        yield from ("-netdev", f"stream,id=lan{peer},server=off,addr.type=fd,"
                    f"addr.str={sock.fileno()}", "-device",
                    f"virtio-net-pci,netdev=lan{peer},addr={NET_SLOT + peer:#x},romfile=,"
                    f"mac=52:54:00:77:{self.ident:02x}:{peer:02x}",
                    # where a cut sends frames
                    "-chardev", f"null,id=void{peer}")
        if config.fabric == "window":
            yield from ("-object", f"memory-backend-file,id=ram{peer},share=on,size={size},"
                        f"mem-path=/proc/self/fd/{ram[peer]}", "-device",
                        f"ivshmem-plain,memdev=ram{peer},addr={WINDOW_SLOT + peer:#x}")

    def start(self, config, ram, links):
        command = ["qemu-system-x86_64", *self.options(config, ram, links)]
        parent = os.getpid()

        def follow_parent():
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        keep = [fd if isinstance(fd, int) else fd.fileno() for fd in self.given]
        with open(os.path.join(self.directory, f"qemu-{self.ident}.log"), "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=(*keep, *ram.values()), preexec_fn=follow_parent,
                start_new_session=True)
        self.pidfd = os.pidfd_open(self.process.pid)
        for end in self.given:
            if isinstance(end, int):
                os.close(end)
            else:
                end.close()
        self.given = []

    def handshake(self):
        """After this QEMU has opened everything it was given."""
        self.channels["qmp"].settimeout(QMP_DEADLINE)
        try:
            self.read_message()
            self.command("qmp_capabilities")
            self.command("query-status")
        except OSError as error:
            raise LabError(f"QEMU of partition {self.ident} did not start:\n"
                           + self.qemu_log()) from error

    def qemu_log(self):
        with open(os.path.join(self.directory, f"qemu-{self.ident}.log"), "rb") as f:
            return f.read().decode(errors="replace").strip()

    def read_message(self):
        while b"\n" not in self.buffer:
            data = self.channels["qmp"].recv(65536)
            if not data:
                raise ConnectionError("QMP closed")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def command(self, name, /, **arguments):
        """One QMP command; events that come in between are kept."""
        request = {"execute": name, "arguments": arguments}
        self.channels["qmp"].sendall(json.dumps(request).encode() + b"\n")
        while True:
            message = self.read_message()
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise LabError(f"partition {self.ident}: {message['error']['desc']}")
            else:
                return message.get("return")

    def read_events(self):
        """QMP has something: only events, without waiting for more than is there."""
        while True:
            self.events.append(self.read_message())
            if b"\n" not in self.buffer:
                return

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def condition(self):
        """In one word; `off` only when its QEMU has ended, and reaches nothing."""
        if not self.running:
            return "off"
        return "running" if self.command("query-status")["running"] else "paused"

    def ended(self):
        """Wait, since it was told to end, until it has."""
        try:
            self.process.wait(QUIT_DEADLINE)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"partition {self.ident} did not end") from error

    def kill(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
        for end in self.channels.values():
            end.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
