# SPDX-License-Identifier: GPL-2.0-only
"""Plots of benchmarks' results, by gnuplot: NAME.png, NAME.svg and NAME.gnuplot, which
draws them again."""
import os
import subprocess

from results import size_of, size_text

BLUE, SKY, ORANGE, GREEN, RED, PURPLE, GREY = (
    "#0072b2", "#56b4e9", "#e69f00", "#009e73", "#d55e00", "#aa4499", "#8a8f98")
VERDICTS = (("ok", GREEN, "within its budget"), ("missed", RED, "budget missed"),
            ("", BLUE, "no budget"))
WIDTH = 900
LOOK = """\
set encoding utf8
set border 3 lc rgb '#555555'
set tics nomirror textcolor rgb '#333333'
set grid lc rgb '#d8dce0' lt 1
set key outside top center horizontal samplen 2 textcolor rgb '#222222'"""


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


class Plot:
    """Data and settings, the plot command, and what a reader should know of it."""

    def __init__(self, name, title, caption, height, body, command):
        self.name, self.title, self.caption, self.height = name, title, caption, height
        self.body, self.command = body, command

    def script(self):
        terms = {
            "svg": f"svg noenhanced size {WIDTH},{self.height} font 'DejaVu Sans,13' "
                   "background '#ffffff'",
            "png": f"pngcairo noenhanced size {2 * WIDTH},{2 * self.height} fontscale 2 "
                   "linewidth 2 pointscale 2 font 'DejaVu Sans,10' background '#ffffff'"}
        lines = ["# gnuplot draws this plot again", LOOK, *self.body]
        for ending, term in terms.items():
            lines += [f"set terminal {term}", f"set output '{self.name}.{ending}'", self.command]
        return "\n".join(lines) + "\n"

    def draw(self, directory):
        path = os.path.join(directory, self.name + ".gnuplot")
        with open(path, "w", encoding="utf-8") as f:
            f.write(self.script())
        done = subprocess.run(["gnuplot", os.path.basename(path)], cwd=directory, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode or done.stderr.strip():
            raise RuntimeError(f"gnuplot {path}:\n{done.stderr}")


def drawable(part):
    """What was measured, but for what is 0 in a quarter of the samples: that has no rate, no
    ratio to it, and no place on a logarithmic axis."""
    return [row for row in part.measured()
            if all(row[key]["q1"] > 0 for key in ("figure", "reference", "ratio") if key in row)]


def find(part, measure):
    return next((row for row in drawable(part) if row["measure"] == measure), None)


def block(name, lines):
    return "\n".join([f"${name} << END", *lines, "END"])


def triple(spread, convert=lambda value: value):
    """Median, and the middle half of the samples from below, as gnuplot wants them."""
    low, middle, high = (convert(spread[key]) for key in ("q1", "median", "q3"))
    return f"{middle:.6g} {min(low, high):.6g} {max(low, high):.6g}"


def ticks(sizes):
    return ", ".join(f"'{size_text(size)}' {size}" for size in sizes)


# --- ratios of all measures

def ratios(name, title, rows):
    """Each measure's ratio, the middle half of its samples, and its budget."""
    body = [f"set yrange [{-len(rows)}:1]", "unset grid", "set grid x lc rgb '#d8dce0' lt 1",
            "set xlabel 'figure / reference: less is better'",
            "set ytics (" + ", ".join(f"'{row['measure']}' {-i}" for i, row in enumerate(rows))
            + ") scale 0", "set arrow from first 1, graph 0 to first 1, graph 1 nohead "
            "lc rgb '#333333' dt 2 lw 1"]
    values = [row["ratio"][key] for row in rows for key in ("q1", "q3")]
    values += [row["budget"] for row in rows if "budget" in row] + [1]
    if max(values) / max(min(values), 1e-9) > 5:
        body += ["set logscale x", "set format x '%g'",
                 f"set xrange [{min(values) / 1.4:.4g}:{max(values) * 1.4:.4g}]"]
        if max(values) / min(values) < 100:
            body += ["set xtics (" + ", ".join(f"{digit}e{power}" for power in range(-4, 4)
                                               for digit in (1, 2, 5)) + ")"]
    else:
        body += [f"set xrange [{min(values) - 0.05:.4g}:{max(values) + 0.05:.4g}]"]
    curves = []
    for i, (verdict, colour, label) in enumerate(VERDICTS):
        mine = [f"{triple(row['ratio'])} {-k}" for k, row in enumerate(rows)
                if row["verdict"] == verdict]
        if mine:
            body.append(block(f"v{i}", mine))
            curves.append(f"$v{i} using 1:4:2:3 with xerrorbars pt 7 ps 0.8 lw 1.6 "
                          f"lc rgb '{colour}' title '{label}'")
    budgets = [f"{row[key]} {-k}" for k, row in enumerate(rows) if "budget" in row
               for key in ("budget", "least") if key in row]
    if budgets:
        body.append(block("budgets", budgets))
        curves.append("$budgets using 1:($2-0.4):(0):(0.8) with vectors nohead lw 2.5 "
                      "lc rgb '#333333' title 'budget'")
    return Plot(name, title, "The median of figure / reference, and the middle half of the "
                "samples.", 110 + 21 * len(rows), body, "plot " + ", ".join(curves))


def all_ratios(part):
    """One plot; where topics differ by orders of magnitude, one for each."""
    rows = [row for row in drawable(part) if "ratio" in row]
    if part.key != "remote":
        topics = {None: rows}
    else:
        topics = {row["topic"]: [r for r in rows if r["topic"] == row["topic"]] for row in rows}
    for topic, mine in topics.items():
        if mine:
            yield ratios(f"ratios-{part.key}" + (f"-{topic}" if topic else ""),
                         "Ratios" + (f": {topic}" if topic else ""), mine)


# --- messages by size

def series_of(part, prefix):
    """{reference or None: {size: row}} of measures PREFIX-SIZE/REFERENCE."""
    found = {}
    for row in drawable(part):
        if row["measure"].startswith(prefix + "-"):
            reference = row["measure"].rsplit("/", 1)[1]
            size = size_of(row["measure"])
            found.setdefault(None, {}).setdefault(size, row)
            found.setdefault(reference, {})[size] = row
    return found


def by_size(name, title, caption, ylabel, curves, convert):
    """curves: label, colour, {size: (row, "figure" or "reference")}."""
    sizes = sorted({size for _, _, points in curves for size in points})
    body = ["set logscale x 2", "set logscale y", f"set ylabel '{ylabel}'",
            f"set xtics ({ticks(sizes)})", "set format y '%g'",
            f"set xrange [{sizes[0] / 1.5:g}:{sizes[-1] * 1.5:g}]", "set xlabel 'message'"]
    drawn = []
    for i, (label, colour, points) in enumerate(curves):
        lines = [f"{size} " + triple(row[side], lambda v, row=row, size=size:
                                     convert(v, row["unit"], size))
                 for size, (row, side) in sorted(points.items())]
        body.append(block(f"c{i}", lines))
        drawn.append(f"$c{i} using 1:2:3:4 with yerrorlines pt 7 ps 0.9 lw 2 "
                     f"lc rgb '{colour}' title {quoted(label)}")
    return Plot(name, title, caption, 430, body, "plot " + ", ".join(drawn))


def to_us(value, unit, size):
    return value / 1e3 if unit != "ns/KiB" else value * size / 1024 / 1e3


def to_rate(value, unit, size):
    """MiB/s."""
    each = value if unit != "ns/KiB" else value * size / 1024
    return size / 1024 ** 2 / each * 1e9


REFERENCES = (("mpi-tcp", "MPI over TCP", PURPLE), ("tcp", "TCP", ORANGE),
              ("local", "attachment within the partition", SKY), ("memcpy", "memcpy()", GREY))


def messages(part, mpi):
    for kind, title, ylabel, convert, caption in (
            ("latency", "Messages: latency", "half a round trip, µs", to_us,
             "Two processes, to and fro. Both axes are logarithmic."),
            ("bandwidth", "Messages: bandwidth", "MiB/s", to_rate,
             "In one direction, 16 before each reply. Both axes are logarithmic.")):
        found = series_of(part, "remote/" + kind)
        if not found:
            continue
        if mpi and kind == "latency":
            found["mpi-tcp"] = series_of(mpi, "mpi/latency").get("mpi-tcp", {})
            caption += " MPI over TCP with mpi_yield_when_idle."
        curves = [("attachment across partitions", BLUE,
                   {size: (row, "figure") for size, row in found[None].items()})]
        curves += [(label, colour, {size: (row, "reference")
                                    for size, row in found[reference].items()})
                   for reference, label, colour in REFERENCES if found.get(reference)]
        yield by_size(f"messages-{kind}", title, caption, ylabel, curves, convert)


def clients(part):
    for client, name, title, caption in (
            ("mpi/pingpong", "openmpi", "Open MPI", "Half a round trip between two ranks."),
            ("ucx/tag-lat", "ucx", "UCX", "Latency of ucx_perftest's tag_lat.")):
        found = series_of(part, client)
        if found:
            curves = [("xpmem", BLUE, {size: (row, "figure")
                                       for size, row in found[None].items()})]
            curves += [(label, colour, {size: (row, "reference")
                                        for size, row in found[reference].items()})
                       for reference, label, colour in (
                           ("cma", "cma (process_vm_readv)", ORANGE),
                           ("posix", "shared memory, copied in and out", GREY))
                       if reference in found]
            yield by_size(f"clients-{name}", title, caption + " Both axes are logarithmic.",
                          "half a round trip, µs", curves, to_us)


def ranks(part):
    """Two ranks of a job, on two partitions."""
    for kind, title, ylabel, convert in (
            ("latency", "Two ranks: latency", "half a round trip, µs", to_us),
            ("bandwidth", "Two ranks: bandwidth", "MiB/s", to_rate)):
        found = series_of(part, "mpi/" + kind)
        if found:
            curves = [("attachment across partitions", BLUE,
                       {size: (row, "figure") for size, row in found[None].items()}),
                      ("MPI over TCP", PURPLE,
                       {size: (row, "reference") for size, row in found["mpi-tcp"].items()})]
            yield by_size(f"mpi-{kind}", title, "Two ranks of one MPI job on two partitions, with "
                          "mpi_yield_when_idle. Both axes are logarithmic.", ylabel, curves, convert)


def collectives(part):
    """On as many ranks as were measured at most."""
    count = max((int(row["measure"].split("-")[1]) for row in drawable(part)
                 if row["topic"] == "collectives"), default=0)
    curves = []
    for name, ours, theirs in (("bcast", BLUE, SKY), ("allreduce", RED, ORANGE)):
        found = series_of(part, f"mpi/{name}-{count}")
        if found:
            rows = found[None].items()
            curves += [(f"{name} of mpi-examples", ours,
                        {size: (row, "figure") for size, row in rows}),
                       (f"{name} of Open MPI", theirs,
                        {size: (row, "reference") for size, row in rows})]
    if curves:
        yield by_size("clients-collectives", f"Collective operations, {count} ranks",
                      "On the rank that takes longest. Both axes are logarithmic.",
                      "µs each", curves, to_us)


# --- bars

def bars(name, title, caption, ylabel, groups, columns, convert):
    """groups: title and a spread for each column."""
    lines = [" ".join([f'"{group}"'] + [triple(spread, convert) for spread in spreads])
             for group, spreads in groups]
    body = ["set style data histogram", "set style histogram errorbars gap 1.5 lw 1.4",
            "set style fill solid 1 noborder", "set boxwidth 0.9", "set yrange [0:*]",
            f"set ylabel '{ylabel}'", "unset grid", "set grid y lc rgb '#d8dce0' lt 1",
            "set errorbars 0.6 lc rgb '#333333'", f"set xrange [-0.6:{len(groups) - 0.4}]",
            block("bars", lines)]
    drawn = [f"$bars using {3 * i + 2}:{3 * i + 3}:{3 * i + 4}:xtic(1) lc rgb '{colour}' "
             f"title {quoted(column)}" for i, (column, colour) in enumerate(columns)]
    return Plot(name, title, caption, 380, body, "plot " + ", ".join(drawn))


PLACES = (("own memory", GREY), ("attachment within the partition", SKY),
          ("attachment across partitions", BLUE))


SCALED = ("The attachment within the partition was measured beside other samples of the one "
          "across, and is scaled by what these differ.")


def beside_own(own, local):
    """The three places, as if all were measured at the same time; SCALED says how."""
    factor = own["figure"]["median"] / local["figure"]["median"]
    within = {key: value * factor for key, value in local["reference"].items()}
    return own["reference"], within, own["figure"]


def access(part):
    groups = []
    for name, title in (("load", "load"), ("store", "store"), ("copy-from", "copy from"),
                        ("copy-to", "copy to")):
        own, local = find(part, f"remote/{name}/own"), find(part, f"remote/{name}/local")
        if own and local:
            groups.append((title, beside_own(own, local)))
    if groups:
        yield bars("remote-bandwidth", "Bandwidth of memory", "Loads, stores and memcpy() in turn "
                   "through memory. Equal bars: it does not matter where the memory is. " + SCALED,
                   "MiB/s", groups, PLACES, lambda v: to_rate(v, "ns", 1024))
    groups = []
    for name, title in (("load-latency", "load"), ("atomic", "fetch and add"),
                        ("gups", "random update")):
        own, local = find(part, f"remote/{name}/own"), find(part, f"remote/{name}/local")
        if own and local:
            groups.append((title, beside_own(own, local)))
    if groups:
        yield bars("remote-latency", "Latency of memory", "Accesses at random places, one "
                   "after the other. Less is better. " + SCALED, "ns each", groups, PLACES,
                   lambda v: v)


def stream(part):
    groups = []
    for name in ("copy", "scale", "add", "triad"):
        own, here = (find(part, f"remote/stream-{name}{where}/own") for where in ("", "-local"))
        if own and here:
            groups.append((name, (own["reference"], here["figure"], own["figure"])))
    if groups:
        yield bars("stream", "STREAM", "The four loops of STREAM, all three arrays in one place.",
                   "MiB/s", groups, PLACES, lambda v: to_rate(v, "ns", 1024))


def plots(part, parts):
    """All that can be drawn of a part."""
    if part.key == "remote":
        mpi = next((other for other in parts if other.key == "mpi"), None)
        yield from access(part)
        yield from stream(part)
        yield from messages(part, mpi)
    if part.key == "mpi":
        yield from ranks(part)
    if part.key == "clients":
        yield from clients(part)
        yield from collectives(part)
    yield from all_ratios(part)
