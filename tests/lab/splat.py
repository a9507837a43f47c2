# SPDX-License-Identifier: GPL-2.0-only
"""Find in a console what a healthy kernel never prints."""
import re

BAD = re.compile(rb"""
    \bWARNING: | \bBUG: | \bBUG\ at\b | \bKASAN: | possible\ recursive\ locking |
    possible\ circular\ locking | inconsistent\ lock\ state | suspicious\ RCU |
    INFO:\ task\ .*\ blocked | hung_task: | \bOops\b | general\ protection | Kernel\ panic |
    kmemleak:\ [1-9]\d*\ new\ suspected | UBSAN: | soft\ lockup | rcu_\w+.*\bstall |
    sleeping\ function\ called\ from\ invalid\ context | refcount_t: | Bad\ page |
    scheduling\ while\ atomic | kernel\ BUG | unable\ to\ handle | ODEBUG: |
    list_(add|del)\ corruption |
    held\ lock\ freed | workqueue\ lockup | Invalid\ wait\ context
""", re.VERBOSE)
# messages of every healthy boot of this machine
HARMLESS = re.compile(rb"""
    Spectre | mitigations | check\ for\ stalls | rcu_cpu_stall | Command\ line: | command\ line:
""", re.VERBOSE)
BEFORE, AFTER, REPORTS = 3, 45, 4


def is_splat(line):
    return BAD.search(line) is not None and HARMLESS.search(line) is None


def report(console):
    """The splats in a console's text with what surrounds them, as lines."""
    lines = console.replace(b"\r", b"").split(b"\n")
    out, end, found = [], 0, 0
    for number, line in enumerate(lines):
        if number < end or not is_splat(line):
            continue
        found += 1
        if found > REPORTS:
            out.append("… and more; see the console")
            break
        end = min(len(lines), number + AFTER)
        for later in range(number + 1, end):
            if b"---[ end trace" in lines[later]:
                end = later + 1
                break
        out += [text.decode(errors="replace") for text in lines[max(0, number - BEFORE):end]]
        out.append("----")
    return out
