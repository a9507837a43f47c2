# SPDX-License-Identifier: GPL-2.0-only
"""The directory of one run: consoles, the share, what the guests read; and who is alive."""
import os
import shutil

from common import STATE, LabError

KEEP = 5


def start_time(pid):
    """Start of a process in ticks since boot; with the pid it names a process for good."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def runs():
    """Paths of all run directories, oldest first."""
    if not os.path.isdir(STATE):
        return []
    found = [os.path.join(STATE, n) for n in os.listdir(STATE) if n.startswith("run-")]
    ages = {}
    for path in found:
        try:
            ages[path] = os.lstat(os.path.join(path, "pid")).st_mtime_ns
        except OSError:
            ages[path] = 0
    return sorted(found, key=ages.get)


def alive(path):
    try:
        with open(os.path.join(path, "pid"), encoding="ascii") as f:
            pid, started = f.read().split()
    except (OSError, ValueError):
        # being created at this moment, or of no use
        return os.path.basename(path) == f"run-{os.getpid()}"
    return start_time(pid) == started


def running(name=None):
    """The newest run that is alive, or the one that is named (run-PID)."""
    live = [path for path in runs()
            if alive(path) and name in (None, os.path.basename(path))]
    if not live:
        raise LabError(f"{name or 'no lab'} is {'not ' if name else ''}running")
    return live[-1]


def create():
    """A fresh directory for this process; `last` points to it, old ones go."""
    os.makedirs(STATE, exist_ok=True)
    path = os.path.join(STATE, f"run-{os.getpid()}")
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(os.path.join(path, "guest"))
    os.mkdir(os.path.join(path, "share"))
    os.chmod(os.path.join(path, "share"), 0o1777)
    temporary = os.path.join(path, ".pid")
    with open(temporary, "w", encoding="ascii") as f:
        f.write(f"{os.getpid()} {start_time(os.getpid())}\n")
    os.rename(temporary, os.path.join(path, "pid"))
    link = os.path.join(STATE, f".last-{os.getpid()}")
    if os.path.islink(link):
        os.unlink(link)
    os.symlink(os.path.basename(path), link)
    os.rename(link, os.path.join(STATE, "last"))
    prune(KEEP)
    return path


def prune(keep):
    """Remove dead runs but the newest ones; a dead lab leaves nothing else behind.

    Its QEMUs die with it, and their memory and disks never had a name."""
    dead = [path for path in runs() if not alive(path)]
    for path in dead[:max(0, len(dead) - keep)]:
        shutil.rmtree(path, ignore_errors=True)
    return len(dead)


def clean():
    count = prune(0)
    last = os.path.join(STATE, "last")
    if os.path.islink(last) and not os.path.exists(last):
        os.unlink(last)
    return count
