# SPDX-License-Identifier: GPL-2.0-only
"""Results of benchmarks as tests/bench/run leaves them in a directory: PART.json with
an object for each measure (`table --help`), PART.machine with lines `key: value`."""
import json
import os
import re

# parts in the order in which they are shown: key, heading, what they are
PARTS = (
    ("remote", "Another partition's memory",
     "p1 loads from, stores into and sends messages through memory of p2. The references are "
     "taken in the same run, each sample beside one of the figure."),
    ("mpi", "MPI between partitions",
     "Two ranks of one job, each on a partition of its own: messages by MPI over TCP, and "
     "through an attachment. Open MPI is told mpi_yield_when_idle: a rank that waits yields to "
     "what else its partition runs, but still keeps an emulated CPU busy."),
    ("clients", "Open MPI and UCX within a partition",
     "Messages over this module, beside the same over cma (process_vm_readv) and over shared "
     "memory that is copied in and out. Collective operations of mpi-examples, beside Open "
     "MPI's own."),
    ("hpcc", "HPC Challenge within a partition",
     "The program as Debian has it; Open MPI below it with and without xpmem."),
    ("time", "Attachments within a partition, in time", "What attachments cost by the clock."),
    ("instructions", "Attachments within a partition, in instructions",
     "The same programs where the clock counts instructions; repeats to one per cent."),
)
SIZES = {"k": 1024, "m": 1024 ** 2}


def size_of(name):
    """64k in remote/latency-64k/tcp as bytes."""
    found = re.search(r"-(\d+)([km]?)(/|$)", name)
    return int(found[1]) * SIZES.get(found[2], 1)


def size_text(size):
    for unit, factor in (("MiB", 1024 ** 2), ("KiB", 1024)):
        if size >= factor:
            return f"{size // factor} {unit}"
    return f"{size} B"


def number(value):
    """Three digits, or whole numbers with thousands set apart."""
    if value >= 10000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 4}f}"


class Part:
    """What one part of `make bench` measured."""

    def __init__(self, directory, key, heading, about):
        self.key, self.heading, self.about = key, heading, about
        self.rows, self.machine = [], {}
        path = os.path.join(directory, key)
        if os.path.exists(path + ".json"):
            with open(path + ".json", encoding="utf-8") as f:
                self.rows = json.load(f)
        if os.path.exists(path + ".machine"):
            with open(path + ".machine", encoding="utf-8") as f:
                self.machine = dict(line.rstrip("\n").split(": ", 1) for line in f if ": " in line)

    def measured(self):
        return [row for row in self.rows if row["samples"]]

    def find(self, measure):
        """The row of a measure, if it was measured."""
        return next((row for row in self.measured() if row["measure"] == measure), None)


def load(directory):
    parts = [Part(directory, *part) for part in PARTS]
    return [part for part in parts if part.rows]
