# SPDX-License-Identifier: GPL-2.0-only
"""Kernels from the cache or newly built, and the accelerator that can run them."""
import fcntl
import json
import os
import subprocess
import tempfile

import packages
from common import DEBIAN, FLAVOURS, LAB, REPO, LabError, cache_dir, say
from initramfs import PROBE_TOKEN, write_initramfs

BUILDER = os.path.join(LAB, "kernel-build")
FETCHER = os.path.join(LAB, "debian-kernel")
PROBE_DEADLINE = 15
# An interrupt while the kernel identifies its CPU finds no flag of five-level page
# tables, and KASAN takes the kernel's own addresses for wild: none of them.
TCG = ["-accel", "tcg,thread=multi", "-cpu", "max,-erms,-fsrm,-la57"]
# The guest's clock advances 1 ns an instruction, and with the host's while it is
# idle: with sleep=off it would run from timer to timer, past every time-out, while
# the host reads a file.
ICOUNT = ["-accel", "tcg,thread=single", "-icount", "shift=0", "-cpu", "max,-erms,-fsrm"]
# These patch their code while they run (static keys, ftrace); emulated by several
# threads, a CPU may still meet the breakpoint after the others are done with it.
TCG_PATCHING = ["-accel", "tcg,thread=single", "-cpu", "max,-erms,-fsrm"]
KVM = ["-accel", "kvm", "-cpu", "host"]


def provider(flavour):
    """The script that has a flavour, and what it calls it."""
    if flavour.startswith(DEBIAN):
        return FETCHER, flavour.removeprefix(DEBIAN)
    return BUILDER, flavour


def build_directory(kdir):
    """KDIR of a cache entry: our own kernels are their build directory themselves."""
    headers = os.path.join(kdir, "build")
    return headers if os.path.exists(headers) else kdir


def kernel(flavour):
    """The cache entry of a flavour, built or fetched now if there is none."""
    tool, name = provider(flavour)
    packages.ensure((("gcc", "gcc", "builds kernels"),))
    if tool == BUILDER:
        packages.ensure(packages.BUILD[:1])
    found = subprocess.run([tool, "--print", name], capture_output=True, text=True,
                           check=False)
    if found.returncode == 0:
        return found.stdout.strip()
    if not found.stdout.strip():
        raise LabError(found.stderr.strip())
    packages.ensure(packages.BUILD if tool == BUILDER else packages.FETCH)
    with subprocess.Popen([tool, name], stdout=subprocess.PIPE, text=True) as builder:
        try:
            path = builder.communicate()[0].strip()
        except BaseException:
            builder.terminate()     # so that it can stop its make
            raise
    if builder.returncode:
        raise LabError(f"no {flavour} kernel")
    return path


def flavour_of(name):
    """The flavour of a cache entry's name."""
    return max((f for f in FLAVOURS if name.startswith(f + "-")), key=len, default=name)


def listing():
    """One row for each complete entry of the cache: flavour, size, path, current or old."""
    base = os.path.join(cache_dir(), "kernel")
    current = set()
    for flavour in FLAVOURS:
        tool, name = provider(flavour)
        found = subprocess.run([tool, "--print", name], capture_output=True, text=True,
                               check=False)
        current.add(found.stdout.strip())
    rows = []
    for name in sorted(os.listdir(base)) if os.path.isdir(base) else []:
        path = os.path.join(base, name)
        if name.startswith(".") or not os.path.exists(os.path.join(path, "bzImage")):
            continue
        size = subprocess.run(["du", "-sm", path], capture_output=True, text=True, check=False)
        rows.append((flavour_of(name), size.stdout.split("\t")[0] + " MB",
                     "current" if path in current else "old", path))
    return rows


def module(flavour, kdir):
    """The project's module for this kernel, brought up to date by make."""
    path = os.path.join(REPO, "build", "kernel", flavour, "xpmem.ko")
    if os.path.exists(os.path.join(REPO, "Makefile")):
        os.makedirs(os.path.join(REPO, "build"), exist_ok=True)
        with open(os.path.join(REPO, "build", ".module-lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made = subprocess.run(["make", "-C", REPO, "--no-print-directory", "module",
                                   f"KDIR={build_directory(kdir)}", f"FLAVOUR={flavour}"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if made.returncode:
            raise LabError("make module failed:\n" + made.stdout.decode(errors="replace"))
    if not os.path.exists(path):
        raise LabError(f"{path} is missing: run make module "
                       f"KDIR={build_directory(kdir)} FLAVOUR={flavour}")
    return path


def emulator(kdir):
    """QEMU's options to emulate this kernel."""
    return TCG_PATCHING if build_directory(kdir) != kdir else TCG


def accelerator(kdir, icount=False):
    """QEMU's options for the accelerator that boots this kernel on this host.

    /dev/kvm can exist and hang the guest, so a boot decides; the verdict
    holds until the host reboots."""
    if icount:
        return ICOUNT
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return emulator(kdir)
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
        key = f.read().strip()
    verdict = os.path.join(cache_dir(), f"accel-{os.path.basename(kdir)}.json")
    try:
        with open(verdict, encoding="ascii") as f:
            known = json.load(f)
        if known["boot"] == key:
            return KVM if known["kvm"] else emulator(kdir)
    except (OSError, ValueError, KeyError):
        pass
    say("probing whether KVM can boot this kernel")
    usable = probe(kdir)
    say("KVM is usable" if usable else "KVM is not usable here: emulating (tcg)")
    with open(verdict + f".{os.getpid()}", "w", encoding="ascii") as f:
        json.dump({"boot": key, "kvm": usable}, f)
    os.rename(verdict + f".{os.getpid()}", verdict)
    return KVM if usable else emulator(kdir)


def probe(kdir):
    with tempfile.NamedTemporaryFile() as image:
        write_initramfs(image.name, kdir)
        command = ["qemu-system-x86_64", *KVM, "-m", "256", "-nodefaults", "-display", "none",
                   "-no-reboot", "-serial", "stdio", "-kernel", os.path.join(kdir, "bzImage"),
                   "-initrd", image.name, "-append", "console=ttyS0 panic=-1 LAB_PROBE=1"]
        try:
            out = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, timeout=PROBE_DEADLINE, check=False)
        except subprocess.TimeoutExpired:
            return False
    return PROBE_TOKEN.encode() in out.stdout
