# SPDX-License-Identifier: GPL-2.0-only
"""`lab shell`: this terminal, joined to a shell in a partition of a running lab."""
import os
import selectors
import sys
import termios
import tty

import rundir
from common import LabError, unix_socket

LEAVE = b"\x1d"     # ctrl-]


def main(ident, run):
    run = rundir.running(run)
    try:
        sock = unix_socket(run, f"shell-{ident}", connect=True)
    except OSError as error:
        raise LabError(f"no partition {ident} in {run}: {error}") from error
    with sock:
        if not sys.stdin.isatty():
            relay(sock)
            return 0
        print("ctrl-] leaves the shell", flush=True)
        size = os.get_terminal_size()
        sock.sendall(b"\rstty rows %d cols %d\r" % (size.lines, size.columns))
        saved = termios.tcgetattr(0)
        try:
            tty.setraw(0)
            relay(sock)
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
            print()
    return 0


def relay(sock):
    """Until ctrl-], the end of the input, or the end of the partition."""
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(sock, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == 0:
                    data = os.read(0, 4096)
                    if not data or LEAVE in data:
                        return
                    sock.sendall(data)
                else:
                    data = sock.recv(65536)
                    if not data:
                        return
                    os.write(1, data)
