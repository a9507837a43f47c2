# SPDX-License-Identifier: GPL-2.0-only
"""Debian packages the lab needs, installed when missing and announced before."""
import os
import shutil
import subprocess

from common import LabError, say

# package, what shows that it is there, why
RUN = (
    ("qemu-system-x86", "qemu-system-x86_64", "runs the partitions"),
    ("busybox-static", "busybox", "first stage of the partitions' start"),
    ("munge", "munged", "authenticates partitions to each other"),
    ("iproute2", "ip", "the partitions' network"),
    ("iputils-ping", "ping", "checks of the partitions' network"),
    ("kmod", "insmod", "loads the module"),
    ("make", "make", "builds the module"),
    ("gcc", "gcc", "builds the module"),
)
BUILD = (
    ("linux-source-6.12", "/usr/src/linux-source-6.12.tar.xz", "kernel source"),
    ("xz-utils", "xz", "unpacks the kernel source"),
    ("patch", "patch", "applies the mm series"),
    ("flex", "flex", "kernel build"),
    ("bison", "bison", "kernel build"),
    ("bc", "bc", "kernel build"),
    ("libelf-dev", "/usr/include/libelf.h", "kernel build (objtool)"),
    ("libssl-dev", "/usr/include/openssl/ssl.h", "kernel build"),
    ("cpio", "cpio", "kernel build"),
    ("rsync", "rsync", "kernel build"),
)
FETCH = (
    ("apt", "apt-get", "fetches Debian's kernels"),
    ("xz-utils", "xz", "unpacks kernel modules"),
    ("kmod", "depmod", "finds the kernel modules that a partition needs"),
    ("patchelf", "patchelf", "runs a newer release's build tools"),
)
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"


def present(sign):
    if sign.startswith("/"):
        return os.path.exists(sign)
    return shutil.which(sign, path=PATH) is not None


def ensure(wanted):
    missing = [(package, why) for package, sign, why in wanted if not present(sign)]
    if not missing:
        return
    say("installing missing Debian packages:")
    for package, why in missing:
        say(f"  {package} ({why})")
    install([package for package, _ in missing])
    still = [package for package, sign, _ in wanted if not present(sign)]
    if still:
        raise LabError(f"installed, but still not usable: {' '.join(still)}")


def install(names):
    if shutil.which("apt-get") is None:
        raise LabError(f"no apt-get here; install by hand: {' '.join(names)}")
    prefix = []
    if os.geteuid() != 0:
        if shutil.which("sudo") is None:
            raise LabError(f"neither root nor sudo; install by hand: {' '.join(names)}")
        prefix = ["sudo"]
    apt = prefix + ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    if subprocess.run(apt + ["update"], stdout=2, check=False).returncode:
        say("apt-get update failed; trying with the lists as they are")
    command = apt + ["install", "-y", "--no-install-recommends", *names]
    if subprocess.run(command, stdout=2, check=False).returncode:
        raise LabError(f"apt-get could not install: {' '.join(names)}")
