# SPDX-License-Identifier: GPL-2.0-only
"""Benchmarks of programs that print their own figures: running them on a partition of the
lab over xpmem and without, and the rows that tests/bench/table describes."""
import glob
import os
import platform
import statistics
import subprocess
import sys

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILT = os.path.join(REPO, "build", "clients")
COUNTER = "/sys/class/misc/xpmem/xpmem/attaches"
LIMIT = 400


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def attaches():
    with open(COUNTER, encoding="ascii") as f:
        return int(f.read())


def run(command, env, cwd=None):
    done = subprocess.run(command, env={**os.environ, **env}, stdin=subprocess.DEVNULL, cwd=cwd,
                          capture_output=True, text=True, timeout=LIMIT, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n"
                           + done.stdout + done.stderr)
    return done.stdout


class OpenMPI:
    """mpirun within a partition, told which way messages take: over cma or posix with
    Debian's binary alone, over xpmem with the part that tests/clients/build made."""
    ENV = {"OMPI_MCA_pml": "ob1", "OMPI_MCA_oob_tcp_if_include": "lo",
           "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

    def __init__(self):
        # Open MPI 4 has its parts as files, and one of them is vader
        vader = glob.glob("/usr/lib/*/openmpi/lib/openmpi3/mca_btl_vader.so")
        self.vader = bool(vader)
        part = os.path.join(BUILT, "openmpi",
                            "mca_btl_vader.so" if vader else "mca_smsc_xpmem.so")
        self.missing = not os.path.exists(part)
        # the first of a name is the one that is taken
        self.path = ":".join(os.path.dirname(name) for name in (part, *vader))

    def way(self, way):
        if self.vader:
            env = {"OMPI_MCA_btl": "vader,self",
                   "OMPI_MCA_btl_vader_single_copy_mechanism": "none" if way == "posix" else way}
        else:
            env = {"OMPI_MCA_btl": "sm,self",
                   "OMPI_MCA_smsc": "^xpmem,cma" if way == "posix" else way}
        if way == "xpmem":
            env["OMPI_MCA_mca_base_component_path"] = self.path
        return env

    def run(self, way, ranks, command, cwd=None):
        """What the command's ranks print."""
        return run(["mpirun", "-np", str(ranks), "--oversubscribe", "--bind-to", "none",
                    *command], {**self.ENV, **self.way(way)}, cwd)


def spread(values):
    values = sorted(values)
    q1, median, q3 = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return {"min": values[0], "q1": q1, "median": median, "q3": q3, "max": values[-1]}


def row(topic, measure, figure_is, reference_is, unit, figure, reference, budget=None):
    """figure and reference: samples, one of each taken side by side."""
    got = {"measure": measure, "topic": topic, "clock": "time", "kernel": platform.release(),
           "figure_is": figure_is, "reference_is": reference_is, "unit": unit, "verdict": "",
           "note": "", "samples": len(figure), "figure": spread(figure),
           "reference": spread(reference),
           "ratio": spread([f / r for f, r in zip(figure, reference)])}
    if budget is not None:
        got["budget"] = budget
        got["verdict"] = "ok" if got["ratio"]["median"] <= budget else "missed"
    return got


def absent(topic, measure, figure_is, unit, why):
    return {"measure": measure, "topic": topic, "clock": "time", "kernel": platform.release(),
            "figure_is": figure_is, "unit": unit, "verdict": "not there", "note": why,
            "samples": 0}


def repeats(argv, default, usage):
    """The number after --repeat, which is all that may be said."""
    if not argv:
        return default
    if len(argv) != 2 or argv[0] != "--repeat" or not argv[1].isdigit() or not int(argv[1]):
        print(usage, file=sys.stderr)
        sys.exit(2)
    return int(argv[1])
