# SPDX-License-Identifier: Apache-2.0
"""What tests/bench/plugin and tests/bench/fuse share: a place to work that is gone at the end, what is
built and served there, the repetitions of the cells, and the tables.
"""
import argparse
import json
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
AGE = 200 / 1024  # random overwrites of an aged volume, of its size


def run(command, **options):
    """Runs a command to its end; its output is shown where it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout.strip()[-2000:]}")
    return done.stdout.strip()


def note(text):
    print(f"# {text}", file=sys.stderr, flush=True)


def size_of(text):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmgt]?)(?:i?b)?", text.lower())
    if not match:
        raise argparse.ArgumentTypeError(f"not a size: {text}")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def size_text(size):
    for unit, name in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size / 1024:g} KiB"


# ---- where it works

class Workspace:
    """A directory that is removed at the end, with whatever was started, mounted or attached in it:
    also when the program is interrupted."""

    def __init__(self, parent, filesystem, size):
        self.undo = []
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, self.interrupted)
        os.makedirs(parent, exist_ok=True)
        self.top = tempfile.mkdtemp(prefix="storageos-bench.", dir=parent)
        self.at_end(shutil.rmtree, self.top, True)
        self.directory = self.top
        if filesystem:
            self.make_filesystem(filesystem, size)

    @staticmethod
    def interrupted(number, _frame):
        for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        while self.undo:
            function, arguments = self.undo.pop()
            try:
                function(*arguments)
            except (OSError, RuntimeError) as error:
                note(f"at the end: {error}")

    def at_end(self, function, *arguments):
        self.undo.append((function, arguments))

    def make_filesystem(self, filesystem, size):
        """A file system in a file, on a loop device with direct I/O."""
        image = self.path("filesystem")
        with open(image, "wb") as file:
            file.truncate(size)
        run([f"mkfs.{filesystem}", "-q", image])
        self.directory = self.path("mount")
        os.mkdir(self.directory)
        device = loop_attach(image)[0]
        self.at_end(loop_detach, device)
        run(["mount", device, self.directory])
        self.at_end(unmount, self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)


def loop_attach(file):
    """The loop device, and whether it does direct I/O."""
    device = run(["losetup", "--find", "--show", "--direct-io=on", file])
    with open(f"/sys/block/{os.path.basename(device)}/loop/dio", encoding="ascii") as dio:
        return device, dio.read().strip() == "1"


def loop_detach(device):
    repeat_until_done(["losetup", "--detach", device])
    while os.path.exists(f"/sys/block/{os.path.basename(device)}/loop/backing_file"):
        time.sleep(0.02)


def unmount(directory):
    repeat_until_done(["umount", directory])


def repeat_until_done(command):
    for _ in range(100):
        if not subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode:
            return
        time.sleep(0.1)
    run(command)


def build(workspace, targets):
    """Builds these, optimized, unless the variable BUILD names a build directory; returns it."""
    directory = os.environ.get("BUILD")
    if not directory:
        directory = os.path.join(workspace.top, "build")
        note("building, optimized; BUILD=DIRECTORY uses a build directory that there is")
        run(["meson", "setup", "--buildtype=release", directory, ROOT])
    run(["ninja", "-C", directory, *targets])
    return os.path.abspath(directory)


class Pool:
    """A configuration and a pool of our own, and the volumes in it."""

    def __init__(self, workspace, build_directory, node_cache=None):
        self.program = os.path.join(build_directory, "cli/storageos")
        self.directory = workspace.path(f"pool-{node_cache or 'default'}")
        self.config = self.directory + ".conf"
        with open(self.config, "w", encoding="ascii") as file:
            file.write("[storageos]\n" + "".join(f"{key}_directory={self.directory}.{key}\n"
                                                 for key in ("run", "state", "device")))
            if node_cache:
                file.write(f"node_cache={node_cache}\n")
        self.environment = {**os.environ, "STORAGEOS_CONFIG": self.config,
                            "STORAGEOS_FUSE": os.path.join(build_directory, "fuse-fallback/storageos-fuse")}
        for key in ("run", "state", "device"):
            os.mkdir(f"{self.directory}.{key}")
        self.command("pool", "create", "bench", self.directory)

    def command(self, *arguments):
        return run([self.program, *arguments], env=self.environment)

    def path(self, name):
        return os.path.join(self.directory, name + ".vol")

    def create(self, name, size):
        self.remove(name)
        self.command("create", f"bench/{name}", "--size", str(size))

    def remove(self, name):
        if os.path.exists(self.path(name)):
            os.unlink(self.path(name))


def make_flat(path, size):
    with open(path, "wb") as file:
        file.truncate(size)


def drop_cache(path):
    """What the page cache holds of a file goes to the disk, and out of memory."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


# ---- results

class Results:
    """Each run is a dictionary with its `cell`, `who`, `rep`, where it was made (`context`), and what was
    measured."""

    def __init__(self, path=None):
        self.runs, self.context = [], {}
        self.file = open(path, "a", encoding="utf-8") if path else None  # pylint: disable=consider-using-with

    def add(self, result):
        result = {**result, "context": self.context}
        self.runs.append(result)
        if self.file:
            self.file.write(json.dumps(result) + "\n")
            self.file.flush()

    def load(self, path):
        with open(path, encoding="utf-8") as file:
            self.runs += [json.loads(line) for line in file]

    def of(self, cell, who):
        return [r for r in self.runs if r["cell"] == cell and r["who"] == who]

    def names(self):
        return list(dict.fromkeys(r["who"] for r in self.runs))

    def median(self, cell, who, value):
        values = [v for v in map(value, self.of(cell, who)) if v is not None]
        return statistics.median(values) if values else None

    def spread(self, cell, who, value):
        """Half of what lies between the least and the most, in percent of the median."""
        values = [v for v in map(value, self.of(cell, who)) if v is not None]
        middle = statistics.median(values) if values else 0
        return (max(values) - min(values)) / 2 / middle * 100 if middle else None


def number(value):
    """With three digits at least."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 3 - len(str(int(abs(value)))))}f}"


def ratio(value, other):
    return f"{value / other:.2f}" if value is not None and other else "-"


class Printer:
    """Tables, for a terminal or in Markdown."""

    def __init__(self, markdown):
        self.markdown, self.text = markdown, []

    def heading(self, text):
        self.text += [("### " if self.markdown else "== ") + text] + ([""] if self.markdown else [])

    def line(self, text):
        self.text += [text, ""]

    def table(self, head, rows):
        widths = [max(len(row[i]) for row in [head] + rows) for i in range(len(head))]
        for row in [head] + rows:
            fields = [text.ljust(width) if not i else text.rjust(width)
                      for i, (text, width) in enumerate(zip(row, widths))]
            self.text.append(f"| {' | '.join(fields)} |" if self.markdown else "  ".join(fields).rstrip())
            if row is head and self.markdown:
                self.text.append("|" + "|".join("-" * (width + 1) + (":" if i else "-")
                                                for i, width in enumerate(widths)) + "|")
        self.text.append("")

    def finish(self, update, marker):
        """Prints everything, or puts it between two markers of a document."""
        text = "\n".join(self.text)
        if not update:
            print(text, flush=True)
            return
        begin, end = f"<!-- {marker}: begin -->\n", f"<!-- {marker}: end -->"
        with open(update, encoding="utf-8") as file:
            before, rest = file.read().split(begin)
        with open(update, "w", encoding="utf-8") as file:
            file.write(before + begin + text + end + rest.split(end)[1])


class Goal:
    """What `ours` is to be: `at_least` or `at_most` so many times the peer's value."""

    def __init__(self, factor, peer, lower=False):
        self.factor, self.peer, self.lower = factor, peer, lower

    def columns(self, ours, peer_value):
        text = f"{'<=' if self.lower else '>='} {self.factor:g}"
        if ours is None or not peer_value:
            return [text, "-"]
        met = ours / peer_value <= self.factor if self.lower else ours / peer_value >= self.factor
        return [text, "yes" if met else "no"]


def ratio_table(printer, results, names, rows):
    """`rows`: (name, cell, value, goal or None).  Each contender's median, ours over each peer's; the
    goal is over the peer that it names, in a column if any row has one."""
    peers = [name for name in names if name != "ours"] if "ours" in names else []
    goals = any(goal for _, _, _, goal in rows)
    head = ["cell"] + names + [f"ours/{name}" for name in peers] + (["goal", "met"] if goals else [])
    lines = []
    for name, cell, value, goal in rows:
        medians = {who: results.median(cell, who, value) for who in names}
        if all(v is None for v in medians.values()):
            continue
        line = [name] + [number(medians[who]) for who in names]
        line += [ratio(medians["ours"], medians[peer]) for peer in peers]
        if goals:
            line += goal.columns(medians["ours"], medians.get(goal.peer)) if goal and peers else ["", ""]
        lines.append(line)
    printer.table(head, lines)


def spread_line(results, cells, names, value):
    """How far repetitions lie apart, in a sentence."""
    spreads = [s for cell in cells for who in names if (s := results.spread(cell, who, value)) is not None]
    if not spreads:
        return ""
    return (f"Repetitions differ from their median by {statistics.median(spreads):.0f} % "
            f"(median of all cells; {max(spreads):.0f} % at most).")


def context(directory, options):
    """Where and how runs are made."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "?")
    kind = run(["findmnt", "--noheadings", "--output=FSTYPE", f"--target={directory}"])
    return {"machine": f"{os.cpu_count()} processors ({model}), Linux {os.uname().release}, {kind}",
            "size": options.size, "seconds": options.seconds}


def context_line(results):
    """That in a sentence."""
    found = results.runs[-1]["context"]
    reps = max(len(results.of(r["cell"], r["who"])) for r in results.runs)
    times = f"medians of {reps} measurements" if reps > 1 else "one measurement"
    return f"{found['machine']}; volumes of {size_text(found['size'])}, {times} of {found['seconds']:g} s."


def command_line(program):
    """The command, without what only says where results come from and go to."""
    words, skip = [], False
    for word in sys.argv[1:]:
        if not skip and word != "--md" and not word.startswith(("--update", "--json", "--from-json", "--directory")):
            words.append(word)
        skip = not skip and word in ("--update", "--json", "--from-json", "--directory")
    return " ".join([program, *map(shlex.quote, words)])


def quiet(measure, retries):
    """Measures again while other processes used more than a twentieth of a processor."""
    for attempt in range(retries + 1):
        result = measure()
        result["noisy"] = result["foreign"] > 0.05 + 0.02 / max(result["seconds"], 1e-3)
        if not result["noisy"] or attempt == retries:
            return result
        time.sleep(0.5)
    return None


# ---- options

def common_options(parser, quick_size, full_size):
    parser.add_argument("--quick", action="store_true", help="the most important cells, smaller and shorter")
    parser.add_argument("--cells", metavar="TEXT", nargs="+", help="only cells whose names contain one of these")
    parser.add_argument("--list", action="store_true", help="names the cells and runs none")
    parser.add_argument("--size", type=size_of, metavar="SIZE",
                        help=f"of each volume (default: {full_size}; with --quick {quick_size})")
    parser.add_argument("--reps", type=int, default=5, metavar="N", help="repetitions (default: 5)")
    parser.add_argument("--seconds", type=float, metavar="S", help="of each measurement")
    parser.add_argument("--retries", type=int, default=2, metavar="N",
                        help="repeats a measurement that other processes disturbed at most N times (default: 2)")
    parser.add_argument("--directory", default=os.environ.get("TMPDIR", "/var/tmp"), metavar="DIRECTORY",
                        help="on the file system to be measured (default: $TMPDIR or /var/tmp)")
    parser.add_argument("--filesystem", metavar="TYPE",
                        help="makes a file system of this type (xfs, ext4) in DIRECTORY, on a loop device, and "
                        "measures there")
    parser.add_argument("--goals", action="store_true", help="columns with the goal of a cell, and whether it is met")
    parser.add_argument("--json", metavar="FILE", help="adds every run to FILE, as a line of JSON")
    parser.add_argument("--from-json", metavar="FILE", action="append", help="runs nothing: prints the tables of FILE")
    parser.add_argument("--md", action="store_true", help="Markdown, as in docs/performance.md")
    parser.add_argument("--update", metavar="FILE", help="puts the Markdown between its two markers in FILE")


def choose_cells(cells, options, quick_names):
    if options.cells:
        chosen = [c for c in cells if any(word in c.name for word in options.cells)]
    elif options.quick:
        chosen = [c for c in cells if c.name in quick_names]
    else:
        chosen = cells
    if options.list:
        print("\n".join(c.name for c in chosen))
        sys.exit()
    if not chosen:
        sys.exit(f"no cell's name contains {' or '.join(options.cells)}; --list names all")
    return chosen
