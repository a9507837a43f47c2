# SPDX-License-Identifier: GPL-2.0-only
"""The command line."""
import argparse
import os
import signal
import sys

import control
import kernels
import rundir
import shell
from common import BUILD_ONLY, FLAVOURS, LabError, UsageError, say
from config import Config
from run import Run

EPILOG = """\
inside a partition: XPMEM_PARTID, XPMEM_NODES, XPMEM_SHARE (a directory that all
partitions and the host can write), XPMEM_KDIR (the directory of its kernel), host
names p1...pN, `lab ctl` as well; the host's files read-only under a private layer,
/tmp private, root.

exit status: the worst of the commands' (77, skipped, counts as better than any
failure); 99 when a kernel printed a splat, 124 on time-out, 125 when the lab
itself failed, 2 for wrong arguments. Consoles: build/lab/last/console-ID.log.

kernels: rmap, our small configuration with the mm series; debug, the same with
every check; coverage, the same without KASAN, and it counts which lines of the
series were run; stock, without the series; debian-6.1 and debian-6.12, Debian's
own. Built or fetched on first use, and kept.

lab ctl makes faults on a running lab, from the host or from inside a partition:
  lab ctl pause|resume|poweroff|reset ID
  lab ctl cut|heal ID|A-B|A:B        all links of ID; one link; from A to B only
  lab ctl net ID|A-B|A:B delay=20ms,loss=1%|none
  lab ctl status                     `lab ctl --help` has more
"""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UsageError(f"{self.prog}: {message}")


def parser():
    top = Parser(prog="lab", description=__import__("__main__").__doc__, epilog=EPILOG,
                 formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    subs = top.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)
    run = subs.add_parser("run", help="boot partitions and run a command on them",
                          usage="lab run [options] -- COMMAND...", allow_abbrev=False)
    run.add_argument("--nodes", type=int, default=2, metavar="N", help="partitions (2)")
    run.add_argument("--kernel", choices=FLAVOURS, default="rmap", help="flavour (rmap)")
    run.add_argument("--fabric", choices=("window", "stream"), default="window")
    run.add_argument("--mem", type=int, default=1024, metavar="MB",
                     help="memory of each, a power of two up to 2048, or to 8192 of a "
                     "single one, which then has a huge page of 1 GiB (1024)")
    run.add_argument("--cpus", type=int, default=2, metavar="N", help="of each (2)")
    run.add_argument("--icount", action="store_true",
                     help="emulate, and let the clock advance 1 ns an instruction: time then "
                          "counts instructions (needs --nodes 1 --cpus 1)")
    run.add_argument("--tiers", action="store_true",
                     help="as much memory once more, on a node that is said to be slower, "
                          "so that reclaim may demote (needs --nodes 1)")
    run.add_argument("--on", type=int, metavar="ID", help="only this partition runs the command")
    run.add_argument("--timeout", type=float, default=300, metavar="S",
                     help="for the command (300)")
    run.add_argument("--module", metavar="none|PATH", help="no module, or another xpmem.ko")
    run.add_argument("--net", default="", metavar="delay=20ms,loss=1%",
                     help="what each link does to packets (tc netem)")
    run.add_argument("--swap-rate", type=int, default=0, metavar="MB",
                     help="MB that each partition's swap disk does in a second, after a burst "
                          "of a tenth of that (0: what the host can do)")
    which = Parser(add_help=False)
    which.add_argument("--run", metavar="run-PID", help="which run, if not the newest")
    sub = subs.add_parser("shell", parents=[which],
                          help="a shell on a partition of the running lab")
    sub.add_argument("id", type=int)
    sub = subs.add_parser("ctl", parents=[which], description=control.HELP,
                          formatter_class=argparse.RawDescriptionHelpFormatter,
                          help="make faults on the running lab: pause, cut, delay …")
    sub.add_argument("action", metavar="|".join(control.VERBS))
    sub.add_argument("words", nargs="*", metavar="WORD")
    subs.add_parser("kernels", help="what is cached")
    sub = subs.add_parser("kernel", help="build or fetch if need be; print the build directory")
    sub.add_argument("flavour", choices=FLAVOURS + BUILD_ONLY)
    subs.add_parser("clean", help="remove what dead runs left")
    return top


def listing():
    for flavour, size, state, path in kernels.listing():
        print(f"{flavour:11} {size:>8} {state:8} {path}")
    return 0


def clean():
    say(f"removed {rundir.clean()} runs")
    return 0


def dispatch(argv):
    command = []
    if "--" in argv:
        cut = argv.index("--")
        argv, command = argv[:cut], argv[cut + 1:]
    args = parser().parse_args(argv)
    if args.verb == "run":
        return Run(Config(args, command)).execute()
    if command:
        raise UsageError(f"{args.verb} takes no command")
    if args.verb == "kernel":
        print(kernels.build_directory(kernels.kernel(args.flavour)))
        return 0
    return {"shell": lambda: shell.main(args.id, args.run),
            "ctl": lambda: control.main([args.action, *args.words], args.run),
            "kernels": listing, "clean": clean}[args.verb]()


def interrupted(number, _frame):
    raise SystemExit(128 + number)


def main(argv):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        return dispatch(argv)
    except LabError as error:
        say(str(error))
        return error.status
    except BrokenPipeError:
        # the reader of our output left; the partitions are already gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
