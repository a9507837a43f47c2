# SPDX-License-Identifier: GPL-2.0-only
"""The links between partitions of a running lab: cut, healed, delayed, lossy, slow.

A link is two directions, (from, to). A cut is made in the sender's QEMU, which throws
the frames away: neither side is told, as on a network that breaks somewhere. Delay and
the like are made by the sender's kernel, which is asked over a channel of its own."""
import collections
import re

from common import LabError, UsageError

NETEM = ("delay", "jitter", "loss", "rate", "duplicate", "corrupt", "reorder")
VALUE = re.compile(r"[0-9]+(\.[0-9]+)?(us|ms|s|%|[kmg]?bit)?")
NONE = "none"


def netem(text, what="--net"):
    """`delay=20ms,loss=1%` as arguments of tc's netem; `none` or nothing as none."""
    given = {}
    for part in text.split(",") if text not in ("", NONE) else []:
        key, _, value = part.partition("=")
        if key not in NETEM or not VALUE.fullmatch(value):
            raise UsageError(f"{what}: not understood: {part!r} (keys: {', '.join(NETEM)})")
        given[key] = value
    if "jitter" in given and "delay" not in given:
        raise UsageError(f"{what}: jitter needs delay")
    words = []
    for key in NETEM:
        if key in given:
            words += [given[key]] if key == "jitter" else [key, given[key]]
    return " ".join(words)


class Waiting:
    """One request that several guests must carry out; reply(ok, text) is called once."""

    def __init__(self, reply):
        self.reply = reply
        self.tokens = set()
        self.errors = []

    def answered(self, token, error):
        self.tokens.discard(token)
        if error:
            self.errors.append(error)
        if not self.tokens:
            self.reply(not self.errors, "; ".join(self.errors))


class Links:
    def __init__(self, run):
        self.run = run
        self.cuts = set()
        self.nets = collections.defaultdict(lambda: run.config.netem)
        self.waiting = {}       # by token
        self.tokens = 0

    # --- which are meant

    def directions(self, target):
        """`2`: both of all its links; `1-2`: both of one; `1:2`: from 1 to 2 only."""
        first, sign, second = re.fullmatch(r"([^-:]*)([-:]?)(.*)", target).groups()
        one = self.run.guest(first)
        if not sign:
            others = [g for g in self.run.guests.values() if g is not one and g.up]
            return [way for other in others for way in self.both(one, other)]
        other = self.run.guest(second)
        if other is one:
            raise LabError(f"{target} is no link: two partitions make one")
        return [(one.ident, other.ident)] if sign == ":" else self.both(one, other)

    @staticmethod
    def both(one, other):
        return [(one.ident, other.ident), (other.ident, one.ident)]

    # --- what is done to them

    def cut(self, target):
        for way in self.directions(target):
            if way not in self.cuts:
                sender, receiver = way
                self.run.guests[sender].command(
                    "object-add", **{"qom-type": "filter-redirector", "id": f"cut{receiver}",
                                     "netdev": f"lan{receiver}", "queue": "rx",
                                     "outdev": f"void{receiver}"})
                self.cuts.add(way)

    def heal(self, target):
        for way in self.directions(target):
            if way in self.cuts:
                sender, receiver = way
                self.run.guests[sender].command("object-del", id=f"cut{receiver}")
                self.cuts.discard(way)

    def net(self, targets, text, reply):
        """Delay, loss, rate … of some links, from now on."""
        ways = [way for target in targets for way in self.directions(target)]
        for sender in {sender for sender, _ in ways}:
            self.run.guests[sender].awake()
        waiting = Waiting(reply)
        for way in ways:
            self.nets[way] = netem(text, "net")
            self.tell(way, waiting)
        if not ways:
            reply(False, "no other partition is running")

    def tell(self, way, waiting):
        sender, receiver = way
        self.tokens += 1
        token = f"{self.tokens}"
        waiting.tokens.add(token)
        self.waiting[token] = sender, waiting
        line = f"{token} lan{receiver} {self.nets[way]}\n"
        self.run.guests[sender].channels["net"].sendall(line.encode())

    # --- what comes back

    def answer(self, line):
        """A guest has carried out one change, or says why not."""
        token, _, text = line.decode(errors="replace").partition(" ")
        sender, waiting = self.waiting.pop(token, (None, None))
        if waiting is not None:
            waiting.answered(token, "" if text == "ok" else f"partition {sender}: {text}")

    def forget(self, guest):
        """It was reset or is gone: it will answer nothing any more."""
        for token in [t for t, (sender, _) in self.waiting.items() if sender == guest.ident]:
            sender, waiting = self.waiting.pop(token)
            waiting.answered(token, f"partition {sender} went away meanwhile")

    def restore(self, guest):
        """It was reset and is up again: its kernel knows only what --net said."""
        for way, words in self.nets.items():
            if way[0] == guest.ident and words != self.run.config.netem:
                self.tell(way, Waiting(lambda ok, text: None))

    def status(self):
        """A line for each direction that is not as it was at the start of a plain run."""
        idents = list(self.run.guests)
        for way in [(one, two) for one in idents for two in idents if one != two]:
            words = (["cut"] if way in self.cuts else []) + [self.nets[way]]
            if any(words):
                yield f"link {way[0]}:{way[1]} " + " ".join(filter(None, words))
