# SPDX-License-Identifier: GPL-2.0-only
"""What one run is asked to do, and the files that tell its guests."""
import os
import secrets
import shlex

from common import DEBIAN, LAB, MAX_NODES, REPO, LabError, UsageError
from links import netem
from partition import NET_SLOT, window_address

PORT = 7760
# xpmemd's own.  With KASAN on a busy host an importer needs 6 s for 4096 pages.
DEADLINE_MS = 10000


class Config:
    """Checked arguments of `lab run`; kdir, accelerator and paths are filled in later."""

    def __init__(self, args, command):
        self.nodes, self.flavour, self.fabric = args.nodes, args.kernel, args.fabric
        self.mem, self.cpus, self.timeout = args.mem, args.cpus, args.timeout
        self.icount, self.swap_rate = args.icount, args.swap_rate
        self.tiers = args.tiers
        self.on, self.module, self.netem = args.on, args.module, netem(args.net)
        self.command = command
        self.cwd = os.getcwd()
        self.kdir = self.accelerator = self.initramfs = None
        self.directory = self.share = None
        self.own_module = args.module is None
        self.trailer = "xpmem-lab-end-" + secrets.token_hex(8)
        self.munge_key = secrets.token_bytes(1024)
        self.check()

    def check(self):
        if not self.command:
            raise UsageError("run: no command after --")
        if not 1 <= self.nodes <= MAX_NODES:
            raise UsageError(f"--nodes: 1 to {MAX_NODES}, not {self.nodes}")
        if self.fabric != "window":
            raise UsageError(f"--fabric {self.fabric}: not built yet, only window")
        most = 2048 if self.nodes > 1 else 8192
        if self.mem < 128 or self.mem > most or self.mem & (self.mem - 1):
            raise UsageError("--mem: a window is a PCI BAR below the PCI hole: "
                             f"a power of two from 128 to {most}, not {self.mem}")
        if not 1 <= self.cpus <= 16:
            raise UsageError(f"--cpus: 1 to 16, not {self.cpus}")
        if self.icount and (self.cpus, self.nodes) != (1, 1):
            raise UsageError("--icount: instructions of one CPU are counted, and partitions' "
                             "clocks would run apart: needs --nodes 1 --cpus 1")
        if self.tiers and self.nodes != 1:
            raise UsageError("--tiers: the slower memory is outside of the windows: "
                             "needs --nodes 1")
        if not 0 <= self.swap_rate <= 100000:
            raise UsageError(f"--swap-rate: 0 to 100000 MB/s, not {self.swap_rate}")
        if self.timeout <= 0:
            raise UsageError(f"--timeout: more than 0, not {self.timeout:g}")
        if self.on is not None and not 1 <= self.on <= self.nodes:
            raise UsageError(f"--on: a partition from 1 to {self.nodes}, not {self.on}")
        if self.module not in (None, "none"):
            if not os.path.isfile(self.module):
                raise UsageError(f"--module: no file {self.module}")
            self.module = os.path.realpath(self.module)

    @property
    def patience(self):
        """How much slower this kernel is than the others."""
        if self.flavour == "debug":
            return 4
        if self.flavour == "coverage":
            return 2
        return 2 if self.flavour.startswith(DEBIAN) else 1

    def runs_on(self, ident):
        return self.on in (None, ident)

    def command_line(self, ident):
        words = ["console=ttyS0", "panic=-1", "oops=panic", "mitigations=off",
                 "tsc=reliable",    # a busy host is no reason to distrust it
                 "rcupdate.rcu_cpu_stall_timeout=120", f"LAB_ID={ident}",
                 f'LAB_DIR="{self.directory}"', f'LAB_INIT="{LAB}/guest-init"',
                 f'LAB_TMP="{" ".join(self.below_tmp())}"']
        if self.accelerator[1].startswith("tcg") and not self.icount:
            words += emulated_clock()
        if not self.tiers:
            words += ["numa=fake=2"]
        if self.mem >= 8192:
            # memory is in pieces by the time that anybody could ask for it
            words += ["hugepagesz=1G", "hugepages=1"]
        if self.flavour in ("debug", "coverage"):
            # with kmemleak ACPI's interrupt routing times out when emulated; MSI-X suffices
            words += ["acpi=noirq", "sysctl.kernel.hung_task_timeout_secs=120"]
        if self.flavour.startswith(DEBIAN):
            # as our own kernels are configured
            words += ["transparent_hugepage=madvise"]
        return " ".join(words)

    def below_tmp(self):
        """Directories that the guest's private /tmp would hide."""
        wanted = [REPO, self.cwd, os.path.dirname(self.command[0])]
        if self.module not in (None, "none"):
            wanted.append(os.path.dirname(self.module))
        return sorted({path for path in wanted if path.startswith("/tmp/")})

    def environment(self, ident):
        env = {k: v for k, v in os.environ.items() if k not in ("TMPDIR", "OLDPWD")}
        build = os.path.join(REPO, "build")
        path = env.get("PATH") or "/usr/bin:/bin"
        env["PATH"] = f"{build}/bin:{build}/sbin:{path}:/usr/sbin:/sbin"
        library = env.get("LD_LIBRARY_PATH")
        env["LD_LIBRARY_PATH"] = f"{build}/lib" + (f":{library}" if library else "")
        env.update(XPMEM_PARTID=str(ident), XPMEM_NODES=str(self.nodes),
                   XPMEM_SHARE=self.share, XPMEM_KDIR=self.kdir, PWD=self.cwd)
        return env

    def peers(self, ident):
        return [peer for peer in range(1, self.nodes + 1) if peer != ident]

    def daemon_config(self, ident):
        lines = ["# xpmemd configuration", f"partid {ident}", f"listen 10.77.0.{ident} {PORT}"]
        if self.patience > 1:
            lines.append(f"deadline {DEADLINE_MS * self.patience}")
        for peer in self.peers(ident):
            lines += [f"peer {peer} {{", f"    address 10.77.0.{peer} {PORT}",
                      f"    fabric {self.fabric}", f"    window pci {window_address(peer)}",
                      "    uids 1-65535", "    root-squash no", "}"]  # tests are root and nobody
        return "\n".join(lines) + "\n"

    def parameters(self, ident):
        values = {
            "REPO": REPO, "SHARE": self.share, "HOST": f"p{ident}", "CWD": self.cwd,
            "PEERS": " ".join(map(str, self.peers(ident))), "NODES": self.nodes,
            "NET_SLOT": NET_SLOT, "NETEM": self.netem, "MODULE": self.module or "none",
            "MODULE_OWN": int(self.own_module), "TRAILER": self.trailer,
            "MODULE_PARAM": f"partid={ident}" if self.own_module else "",
            "JOIN_TIMEOUT": 30 * self.patience,
        }
        return "".join(f"LAB_{k}={shlex.quote(str(v))}\n" for k, v in values.items())

    def write_guest(self, ident):
        """What guest-init of this partition reads."""
        base = os.path.join(self.directory, "guest", str(ident))
        os.mkdir(base, 0o700)
        hosts = ["127.0.0.1 localhost"]
        hosts += [f"10.77.0.{i} p{i}" for i in range(1, self.nodes + 1)]
        environment = b"".join(os.fsencode(k) + b"=" + os.fsencode(v) + b"\0"
                               for k, v in self.environment(ident).items())
        shell = ("setsid", "-cw", "env", f"PS1=p{ident}:\\w# ", "bash", "--norc", "-i")
        files = {
            "params": self.parameters(ident).encode(),
            "xpmemd.conf": self.daemon_config(ident).encode(),
            "hosts": ("\n".join(hosts) + "\n").encode(),
            "env": environment,
            "shell": nul_separated(shell),
            "munge.key": self.munge_key,
        }
        if self.runs_on(ident):
            files["argv"] = nul_separated(self.command)
        for name, content in files.items():
            with open(os.path.join(base, name), "wb") as f:
                f.write(content)

    def find_module(self, builder):
        """The module that is current for this kernel; builder is kernels.module."""
        if self.own_module:
            self.module = builder(self.flavour, self.kdir)
            for tool in ("build/sbin/xpmemd", "build/bin/xpmemctl"):
                if not os.path.exists(os.path.join(REPO, tool)):
                    raise LabError(f"{tool} is missing: run make")


def emulated_clock():
    """The rate of an emulated TSC, which is the host's.

    A guest measures it while it boots, against timers that a busy host delivers late, and
    may then have a clock that runs several times too fast: no lease is worth anything then.
    """
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        fields = dict(line.split(":", 1) for line in f if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    if "constant_tsc" not in fields.get("flags", "").split():
        return []
    # twice the MHz of the TSC, whatever the CPU's own frequency is
    return [f"tsc_early_khz={round(float(fields['bogomips']) * 500)}"]


def nul_separated(words):
    return b"".join(os.fsencode(word) + b"\0" for word in words)
