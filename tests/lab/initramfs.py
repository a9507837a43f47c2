# SPDX-License-Identifier: GPL-2.0-only
"""The first stage: a cpio archive with busybox, guest-stage1 and the kernel's own drivers."""
import os
import shutil
import stat

import packages
from common import LAB

PROBE_TOKEN = "xpmem-lab: the kernel runs"


def entry(name, mode, data=b"", rdev=(0, 0)):
    """One file in the kernel's `newc` format: hexadecimal header, both parts padded to 4."""
    encoded = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(encoded), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def drivers(kdir):
    """Names and contents of modules to be loaded first, in order; our kernels need none."""
    directory = os.path.join(kdir, "modules")
    order = os.path.join(directory, "load")
    if not os.path.exists(order):
        return
    with open(order, encoding="ascii") as f:
        names = f.read().split()
    for name in names:
        with open(os.path.join(directory, name), "rb") as f:
            yield name, f.read()


def write_initramfs(path, kdir):
    busybox = shutil.which("busybox", path=packages.PATH)
    with open(busybox, "rb") as f:
        binary = f.read()
    with open(os.path.join(LAB, "guest-stage1"), "rb") as f:
        script = f.read()
    with open(path, "wb") as out:
        for directory in ("bin", "dev", "proc", "sys", "lower", "over", "root",
                          "drivers"):
            out.write(entry(directory, stat.S_IFDIR | 0o755))
        out.write(entry("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1)))
        out.write(entry("bin/busybox", stat.S_IFREG | 0o755, binary))
        out.write(entry("init", stat.S_IFREG | 0o755, script))
        order = []
        for name, content in drivers(kdir):
            order.append(name)
            out.write(entry(f"drivers/{name}", stat.S_IFREG | 0o644, content))
        out.write(entry("drivers/load", stat.S_IFREG | 0o644,
                        "".join(f"{name}\n" for name in order).encode()))
        out.write(entry("TRAILER!!!", 0))
