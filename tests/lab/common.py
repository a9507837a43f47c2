# SPDX-License-Identifier: GPL-2.0-only
"""What every part of the lab needs: paths, messages, the two kinds of error."""
import os
import socket
import sys

LAB = os.path.dirname(os.path.realpath(__file__))
REPO = os.path.dirname(os.path.dirname(LAB))
STATE = os.path.join(REPO, "build", "lab")
MAX_NODES = 8
FLAVOURS = ("rmap", "stock", "debug", "coverage", "debian-6.1", "debian-6.12")
DEBIAN = "debian-"
BUILD_ONLY = ("debian-sid",)     # headers without a kernel to boot

EXIT_USAGE = 2
EXIT_SPLAT = 99
EXIT_TIMEOUT = 124
EXIT_LAB = 125


class LabError(Exception):
    """The lab cannot do its part; the text is for the user."""

    status = EXIT_LAB


class UsageError(LabError):
    """The caller asked for something that does not exist."""

    status = EXIT_USAGE


def say(text):
    print(f"lab: {text}", file=sys.stderr, flush=True)


def cache_dir():
    default = os.path.join(os.path.expanduser("~"), ".cache", "xpmem")
    path = os.environ.get("XPMEM_CACHE") or default
    os.makedirs(path, exist_ok=True)
    return path


def unix_socket(directory, name, connect=False):
    """A listening or connected socket; by way of a descriptor, since sun_path is short."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dirfd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        path = f"/proc/self/fd/{dirfd}/{name}"
        if connect:
            sock.connect(path)
        else:
            sock.bind(path)
            sock.listen(8)
    except OSError:
        sock.close()
        raise
    finally:
        os.close(dirfd)
    return sock
