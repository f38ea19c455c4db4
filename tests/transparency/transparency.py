#!/usr/bin/env python3
"""Runs each case of cases.py natively and under Cairn and compares what a user would see.

Compared are stdout, stderr and the exit code or signal, byte by byte. A case may name a filter for
text that differs between two native runs as well; it then says why. Pseudo-mode "native" compares two
native runs, which shows whether a case is deterministic at all.
"""
import argparse
import concurrent.futures
import ctypes
import dataclasses
import difflib
import fnmatch
import os
import pathlib
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
NOBODY = 65534  # has a passwd entry everywhere, and owns nothing
MODES = ("auto", "dispatch", "seccomp", "patch")
PR_SET_CHILD_SUBREAPER = 36

sys.path.insert(0, str(HERE))
import real_programs  # noqa: E402
from cases import BUILDS, CASES, OPEN_DEFECTS  # noqa: E402

CASES = CASES + real_programs.CASES


@dataclasses.dataclass
class Outcome:
    status: int  # as waitpid of subprocess gives it: negative for a signal
    stdout: bytes
    stderr: bytes
    timed_out: bool
    leftover: list  # command lines of processes that outlived the case
    seconds: float

    def status_text(self):
        if self.timed_out:
            return "timed out"
        if self.status < 0:
            return f"killed by {signal.Signals(-self.status).name}"
        return f"exit {self.status}"


@dataclasses.dataclass
class Verdict:
    name: str
    result: str  # passed, failed, skipped
    detail: str = ""
    seconds: float = 0.0


class Workshop:
    """Where things lie: built programs, a work directory per worker, how Cairn is called."""

    def __init__(self, options):
        self.options = options
        self.bin = pathlib.Path(options.build).resolve()
        self.bin.mkdir(parents=True, exist_ok=True)

    def wrapper(self, mode, directory):
        if mode == "native":
            return []
        text = self.options.wrap or (
            f"{shlex.quote(self.options.cairn)} run --mode={{mode}} --dir {{dir}} --")
        return shlex.split(text.format(mode=mode, dir=shlex.quote(str(directory))))

    def build(self, names):
        """Compiles the named programs that are older than their source; returns what failed."""
        failed = {}

        def one(name):
            command = BUILDS[name]
            if not shutil.which(command.split()[0]):
                return  # its case says which package it needs
            source = HERE / "programs" / shlex.split(command)[-1]
            target = self.bin / name
            if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
                return
            line = command.replace("{out}", str(target))
            done = subprocess.run(["/bin/sh", "-c", line], cwd=HERE / "programs", capture_output=True,
                                  env=dict(os.environ, GOCACHE=str(self.bin / "gocache"),
                                           HOME=str(self.bin)))
            if done.returncode:
                failed[name] = done.stderr.decode(errors="replace")

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(one, names))
        return failed


def descendants(root):
    """Pids of all processes below `root`, from /proc."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path("/proc", entry, "stat").read_text()
            except OSError:
                continue
            fields = stat.rpartition(")")[2].split()
            if fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(entry))
    found, queue = [], [root]
    while queue:
        for child in children.get(queue.pop(), ()):
            found.append(child)
            queue.append(child)
    return found


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def end_leftovers(grace):
    """Processes that outlived their case: given a moment to end, then killed one by one."""
    deadline = time.monotonic() + grace
    while (alive := descendants(os.getpid())) and time.monotonic() < deadline:
        reap()
        time.sleep(0.02)
    lines = []
    for pid in alive:
        try:
            text = pathlib.Path("/proc", str(pid), "cmdline").read_bytes()
            os.kill(pid, signal.SIGKILL)
        except (OSError, ProcessLookupError):
            continue
        lines.append(text.replace(b"\0", b" ").decode(errors="replace").strip())
    while descendants(os.getpid()):
        reap()
        time.sleep(0.01)
    reap()
    return lines


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def first_bytes(file):
    file.seek(0)
    return file.read(16 << 20)  # a case that runs wild must not take the runner's memory too


def run_once(shop, case, mode, user):
    # The same path every time: it may appear in the output.
    place = pathlib.Path(tempfile.gettempdir()) / f"cairn-transparency.{os.getpid()}"
    shutil.rmtree(place, ignore_errors=True)
    work = place / "work"
    (work / "tmp").mkdir(parents=True)
    wrapper = shop.wrapper(mode, place / "job")
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TERM": "xterm",
        "SHELL": "/bin/sh",
        "HOME": str(work), "TMPDIR": str(work / "tmp"), "BIN": str(shop.bin),
        "SRC": str(HERE / "programs"), "PORT": str(free_port()), **case.env}
    if case.outer:  # the script itself runs natively and starts guests with $RUN
        environment["RUN"] = shlex.join(wrapper)
        wrapper = []
    argv = wrapper + (list(case.argv) or [f"/bin/{case.shell}", "-c", case.sh])

    def settle():
        os.umask(0o022)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    account = {}
    if user == "user" and os.getuid() == 0:
        for path in (place, work, work / "tmp"):
            os.chown(path, NOBODY, NOBODY)
        account = dict(user=NOBODY, group=NOBODY, extra_groups=[])
    started = time.monotonic()
    with open(place / "stdout", "w+b") as out, open(place / "stderr", "w+b") as err:
        child = subprocess.Popen(argv, cwd=work, env=environment, stdin=subprocess.DEVNULL,
                                 stdout=out, stderr=err, start_new_session=True, preexec_fn=settle,
                                 **account)
        timed_out = False
        try:
            child.wait(case.timeout * shop.options.patience)
        except subprocess.TimeoutExpired:
            timed_out = True
            report_stuck(shop, case, mode)
        # An agent leaves a quarter of a second after its last process, which may be a daemon's child.
        leftover = end_leftovers(0 if timed_out else 5)
        child.wait()
        seconds = time.monotonic() - started
        stdout, stderr = first_bytes(out), first_bytes(err)
    shutil.rmtree(place, ignore_errors=True)
    return Outcome(child.returncode, stdout, stderr, timed_out, leftover, seconds)


def report_stuck(shop, case, mode):
    """What the processes of a case that ran out of time were doing, for the one who looks into it."""
    if not shop.options.keep:
        return
    lines = []
    for pid in descendants(os.getpid()):
        for task in sorted(pathlib.Path("/proc", str(pid), "task").glob("*")):
            try:
                state = task.joinpath("stat").read_text().rpartition(")")[2].split()[0]
                lines.append(f"{pid}/{task.name} {state} {task.joinpath('comm').read_text().strip()} "
                             f"wchan={task.joinpath('wchan').read_text()} "
                             f"syscall={task.joinpath('syscall').read_text().strip()}")
            except OSError:
                continue
    target = pathlib.Path(shop.options.keep) / f"{case.name}.{mode}.stuck"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(lines) + "\n")


def filtered(case, stream, data):
    return case.filters[stream][0](data) if stream in case.filters else data


def compare(case, native, other):
    """Text that says where the two runs differ; empty if they do not."""
    parts = []
    if native.status_text() != other.status_text():
        parts.append(f"status: native {native.status_text()}, Cairn {other.status_text()}")
    for stream in ("stdout", "stderr"):
        left = filtered(case, stream, getattr(native, stream))
        right = filtered(case, stream, getattr(other, stream))
        if left != right:
            text = [d.decode(errors="backslashreplace").splitlines() for d in (left, right)]
            lines = list(difflib.unified_diff(*text, f"native {stream}", f"Cairn {stream}", "", "", 1, ""))
            parts += lines[:24] + ([f"... {len(lines) - 24} more lines"] if len(lines) > 24 else [])
    if sorted(native.leftover) != sorted(other.leftover):
        parts.append(f"left behind: native {native.leftover}, Cairn {other.leftover}")
    return "\n".join(parts)


def unmet(shop, case, mode, user, broken):
    """Why this combination cannot run here, or nothing."""
    defect = OPEN_DEFECTS.get(case.name) or OPEN_DEFECTS.get(f"{case.name}/{mode}")
    if defect and mode != "native" and not shop.options.with_open_defects:
        return f"open defect: {defect}"
    if mode not in case.modes and mode != "native":
        return case.mode_reason or f"not in mode {mode}"
    if user not in case.users:
        return case.user_reason
    search = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    missing = [n for n in case.needs if not (shutil.which(n, path=search) or os.path.exists(n))]
    if missing:
        return f"needs {', '.join(missing)} (packages.txt)"
    unbuilt = [name for name in case.builds if name in broken]
    return f"not built: {', '.join(unbuilt)}" if unbuilt else ""


def run_case(shop, index, user, modes, broken):
    case = CASES[index]  # by number: a case's filters cannot be sent to another process
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    verdicts, native = [], None
    for mode in modes:
        name = f"{case.name}/{user}/{mode}"
        reason = unmet(shop, case, mode, user, broken)
        if reason:
            verdicts.append(Verdict(name, "skipped", reason))
            continue
        native = native or run_once(shop, case, "native", user)
        if native.timed_out or native.status not in case.expect:
            text = native.stderr.decode(errors="replace")[-600:]
            verdicts.append(Verdict(name, "failed", f"natively: {native.status_text()}\n{text}"))
            continue
        other = run_once(shop, case, mode, user)
        detail = compare(case, native, other)
        if detail and shop.options.keep:
            base = pathlib.Path(shop.options.keep) / name.replace("/", ".")
            base.parent.mkdir(parents=True, exist_ok=True)
            for label, run in (("native", native), ("cairn", other)):
                for stream in ("stdout", "stderr"):
                    base.with_suffix(f".{mode}.{label}.{stream}").write_bytes(getattr(run, stream))
        verdicts.append(Verdict(name, "failed" if detail else "passed", detail, other.seconds))
    return verdicts


def chosen(options):
    names = options.cases or ["*"]
    labels = set(options.label or ())
    for pattern in names:
        if not any(fnmatch.fnmatch(case.name, pattern) for case in CASES):
            sys.exit(f"no case is called {pattern}")
    return [case for case in CASES
            if any(fnmatch.fnmatch(case.name, p) for p in names)
            and (not labels or labels & set(case.labels))]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cases", nargs="*", help="names or patterns; all without any")
    parser.add_argument("--cairn", default="cairn", help="the cairn program")
    parser.add_argument("--wrap", help="another prefix than `cairn run`; {mode} and {dir} are replaced")
    parser.add_argument("--build", default=str(HERE.parents[1] / "build/transparency"),
                        help="where the programs of the cases are built")
    parser.add_argument("--modes", default=",".join(MODES), help="also: native")
    parser.add_argument("--users", default="root,user" if os.getuid() == 0 else "user")
    parser.add_argument("--label", action="append", help="only cases with this label (quick, heavy ...)")
    parser.add_argument("-j", "--jobs", type=int, default=1)
    parser.add_argument("--patience", type=float, default=1.0, help="factor on every time limit")
    parser.add_argument("--keep", help="directory for the outputs of failed cases")
    parser.add_argument("--with-open-defects", action="store_true", help="run what OPEN_DEFECTS lists, too")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each passed case too")
    options = parser.parse_args()
    options.cairn = shutil.which(options.cairn) or parser.error(f"no such program: {options.cairn}")
    options.cairn = os.path.abspath(options.cairn)
    return options


def main():
    options = parse_arguments()
    selection = chosen(options)
    if options.list:
        for case in selection:
            print(f"{case.name:24} {','.join(case.labels):16} {case.about}")
        return 0
    shop = Workshop(options)
    broken = shop.build(sorted({name for case in selection for name in case.builds}))
    for name, text in broken.items():
        print(f"cannot build {name}:\n{text}")
    modes = options.modes.split(",")
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        waiting = [pool.submit(run_case, shop, CASES.index(case), user, modes, broken)
                   for case in selection for user in options.users.split(",")]
        for future in waiting:
            for verdict in future.result():
                counts[verdict.result] += 1
                if verdict.result == "passed" and options.verbose:
                    print(f"passed  {verdict.name} ({verdict.seconds:.1f} s)", flush=True)
                elif verdict.result == "skipped":
                    print(f"skipped {verdict.name}: {verdict.detail}", flush=True)
                elif verdict.result == "failed":
                    detail = verdict.detail.replace("\n", "\n    ")
                    print(f"FAILED  {verdict.name}\n    {detail}", flush=True)
    # A program that cannot be built is a failure of this test, not an absent package.
    counts["failed"] += len(broken)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
