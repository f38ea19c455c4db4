#!/usr/bin/env python3
"""Benchmarks, paired with native in one run: each figure alternates native and Cairn, round by round.

Prints Markdown tables; --write also puts them, with what the peers take, into docs/benchmarks.md.
A target that is met is `met`; up to its ceiling, twice the value, it is `reported`; beyond, `OVER`,
and the command ends with 1.

Small costs are medians over the rounds. A checkpoint, a restart and their floors are the least of
--repeats, each floor taken next to what it is compared with: a busy device only ever adds to them.
Patch plans come from a cache of this run's own, which is warm before anything is measured.
"""
import argparse
import ctypes
import dataclasses
import datetime
import os
import pathlib
import platform
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib

HERE = pathlib.Path(__file__).resolve().parent
GIB = 1 << 30


@dataclasses.dataclass
class Target:
    """At most `ratio` times native, `percent` more than native, or `added` ms more; else only reported.

    The ceiling is twice the value in all three.
    """
    ratio: float = 0
    percent: float = 0
    added: float = 0

    def text(self):
        for value, form in ((self.ratio, "{:g}x"), (self.percent, "+{:g} %"), (self.added, "+{:g} ms")):
            if value:
                return form.format(value), form.format(2 * value)
        return "", ""

    def verdict(self, native, cairn):
        if self.ratio:
            got, allowed = cairn / native, self.ratio
        elif self.percent:
            got, allowed = (cairn / native - 1) * 100, self.percent
        elif self.added:
            got, allowed = cairn - native, self.added
        else:
            return ""
        return "met" if got <= allowed else "reported" if got <= 2 * allowed else "OVER"


# What bench_micro measures, in the order of the table.
MICRO = {
    "compute": Target(percent=1), "read": Target(ratio=1.4), "write": Target(), "pipe": Target(),
    "clock_gettime": Target(ratio=1.2), "getpid": Target(), "getppid": Target(), "malloc": Target(), "open+close": Target(),
    "mmap+munmap": Target(), "futex": Target(), "signal": Target(), "sigprocmask": Target(),
    "thread": Target(ratio=1.3), "fork": Target(), "fork+exec": Target(added=1.5), "unix-ping-pong": Target(),
    "unix-throughput": Target(percent=3), "tcp-ping-pong": Target(), "tcp-throughput": Target(percent=3)}
TITLES = {"compute": "computing program", "read": "read of 1 byte", "write": "write of 1 byte", "pipe": "pipe, write and read",
          "malloc": "malloc + free of 64 bytes", "futex": "futex wake", "signal": "signal to itself, handled",
          "thread": "pthread create + join", "fork": "fork + exit + wait", "fork+exec": "fork + exec of /bin/true + wait",
          "unix-ping-pong": "unix socket, one byte there and back", "unix-throughput": "unix socket, 16 MiB",
          "tcp-ping-pong": "TCP over loopback, one byte there and back", "tcp-throughput": "TCP over loopback, 16 MiB"}
STARTS = {"start of /bin/true": (("/bin/true",), Target(added=2)),
          "start of python3": (("/usr/bin/python3", "-c", "pass"), Target(added=5))}
KINDS = ("random", "half-zero", "doubles")

PEERS = """## Peers on the same kind of machine

Measured beforehand on two cores, Debian 12, kernel 6.18: DMTCP 5.0-dev and CRIU 4.2+ (as root).

| what | native | DMTCP |
|---|---|---|
| read / write of 1 byte | 0.30-0.39 / 0.27-0.36 us | 0.35 / 0.31-0.37 us |
| pipe, write and read | 1.0-1.2 us | 2.5-3.1 us |
| clock_gettime | 30 ns | 147-198 ns |
| malloc + free of 64 bytes | 13 ns | 84-99 ns |
| open + close | 2.7-3.4 us | 22-26 us |
| thread create + join | 54-81 us | 63-141 us |
| fork + exec of true | 1.0 ms | 35 ms |
| start of true / of python3 | 0.9 / 12 ms | 39 / 44 ms |
| checkpoint of 4 GiB random, raw to disk / gzip (its default) | | 15-17 s / 154 s |
| the same, forked: stall | | 0.6 s |
| checkpoint of 4 GiB of doubles, gzip | | 158 s, 3.3 GB |
| restart of 4 GiB to the first tick, raw / gzip | | 3.3-4.5 s / 29-51 s |

CRIU needs 2.0-4.8 s to dump 2 GiB of random memory and 1.35 s to restore it.
"""


class Bench:
    def __init__(self, options):
        self.options = options
        self.programs = pathlib.Path(options.programs).resolve()
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="cairn-bench.", dir=options.scratch))
        self.over = 0
        self.jobs = 0

    def warm(self):
        """Makes the patch plans of everything that is measured below."""
        os.environ["CAIRN_PLAN_CACHE"] = str(self.scratch / "plans")
        for argv in ((str(self.programs / "bench_micro"), "fork+exec"), *(argv for argv, _ in STARTS.values())):
            subprocess.run(self.wrapped(argv), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for_agents()

    def wrapped(self, argv):
        self.jobs += 1
        prefix = self.options.wrap.split() if self.options.wrap else [
            shutil.which(self.options.cairn), "run", "--mode", self.options.mode, "--dir", str(self.scratch / f"job{self.jobs}"), "--"]
        return [*prefix, *argv]

    def row(self, title, native, cairn, target, unit):
        verdict = target.verdict(native, cairn)
        self.over += verdict == "OVER"
        goal, ceiling = target.text()
        difference = f"{cairn / native:.3g}x" if not target.added else f"+{cairn - native:.2f} ms"
        return f"| {title} | {native:.4g} {unit} | {cairn:.4g} {unit} | {difference} | {goal} | {ceiling} | {verdict} |"

    def micro(self):
        names = [n for n in MICRO if not self.options.only or n in self.options.only]
        samples = {(n, side): [] for n in names for side in (0, 1)}
        for _ in range(self.options.rounds):
            for name in names:
                program = [str(self.programs / "bench_micro"), name]
                for side, argv in enumerate((program, self.wrapped(program))):
                    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
                    if done.returncode:
                        sys.exit(f"{' '.join(argv)}: status {done.returncode}: {done.stderr}")
                    samples[name, side].append(float(done.stdout))
        for name in names:
            native, cairn = (statistics.median(samples[name, side]) for side in (0, 1))
            scale, unit = (1e6, "ms") if native > 1e5 or MICRO[name].added else (1e3, "us") if native > 1e3 else (1, "ns")
            yield self.row(TITLES.get(name, name), native / scale, cairn / scale, MICRO[name], unit)

    def starts(self):
        for title, (argv, target) in STARTS.items():
            if self.options.only and title not in self.options.only:
                continue
            times, cpu = ([], []), ([], [])
            for number in range(self.options.rounds * 8 + 1):
                for side, line in enumerate((argv, self.wrapped(argv))):
                    taken = spawn_and_wait(line)
                    if number:  # the first one warms the page cache
                        times[side].append(taken[0])
                        cpu[side].append(taken[1])
                    wait_for_agents()
            yield self.row(title, statistics.median(times[0]), statistics.median(times[1]), target, "ms")
            yield (f"| {title}: least {min(times[0]):.2f} / {min(times[1]):.2f} ms; CPU time of the process itself, without the agent,"
                   f" {statistics.median(cpu[0]):.2f} / {statistics.median(cpu[1]):.2f} ms | | | | | | |")

    def floor(self, *arguments):
        done = subprocess.run([self.programs / "bench_floors", *map(str, arguments)], capture_output=True, text=True, check=True)
        return float(done.stdout)

    def checkpoint(self, kind):
        """Programs with much memory: saved, killed, brought back, beside what the machine can do."""
        runs = [self.save_and_restart(kind) for _ in range(self.options.repeats)]
        floors = {name: min(run["floors"][name] for run in runs) for name in runs[0]["floors"]}
        slowest = max(floors, key=floors.get)
        target = Target(ratio=1.3)
        title = f"{self.options.gib:g} GiB {kind}"
        yield self.row(f"checkpoint of {title} (floor: {slowest})", floors[slowest], min(run["saved"] for run in runs), target, "s")
        yield self.row(f"restart of {title} to the first tick (floor: reading the files)", min(min(run["reading"]) for run in runs),
                       min(min(run["back"]) for run in runs), target, "s")
        yield (f"| {title}: program stood still {min(run['stall'] for run in runs):.2f} s; stored {runs[0]['stored'] / GIB:.2f} GiB"
               f" (gzip: {runs[0]['gzip'] / GIB:.2f} GiB);"
               f" CPU time of the agent: checkpoint {min(run['saved_cpu'] for run in runs):.2f} s,"
               f" restart {min(min(run['back_cpu']) for run in runs):.2f} s; floors: "
               + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in floors.items()) + " | | | | | | |")

    def incremental(self):
        """Later generations of a program, beside the first: time, and bytes that the directory grew by."""
        size = int(self.options.gib * GIB)
        job, ticks = self.scratch / "memory.again", self.scratch / "ticks.again"
        run = self.start_memory(size, "random", ticks, job)
        changes = (("nothing changed", None, 0.01), ("5 % of the pages changed, side by side", signal.SIGUSR1, 0.07),
                   ("5 % of the pages changed, at random", signal.SIGUSR2, 0.07))
        try:
            run.stdout.readline()
            first_time, first_bytes = self.save(job)
            for title, change, share in changes:
                times, grown = [], []
                for _ in range(self.options.repeats):
                    if change:
                        os.kill(run.pid, change)
                        run.stdout.readline()
                    taken, stored = self.save(job)
                    times.append(taken)
                    grown.append(stored)
                title = f"{self.options.gib:g} GiB random, {title}"
                yield self.row(f"next checkpoint of {title}: time (beside the first)", first_time, min(times), Target(ratio=0.25), "s")
                yield self.row(f"next checkpoint of {title}: bytes", first_bytes / 2**20, max(grown) / 2**20, Target(ratio=share), "MiB")
        finally:
            run.kill()
            run.wait()
            wait_for_agents()
            shutil.rmtree(job, ignore_errors=True)

    def save(self, job):
        """(seconds, bytes that the job's directory grew by)"""
        before = stored_bytes(job)
        began = time.perf_counter()
        subprocess.run([self.options.cairn, "checkpoint", "--dir", job], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began, stored_bytes(job) - before

    def start_memory(self, size, kind, ticks, job):
        program = [str(self.programs / "bench_memory"), str(size), kind, str(ticks)]
        return subprocess.Popen([self.options.cairn, "run", "--dir", job, "--", *program], stdout=subprocess.PIPE, text=True)

    def save_and_restart(self, kind):
        size = int(self.options.gib * GIB)
        result = {"reading": [], "back": [], "back_cpu": []}
        ticks = self.scratch / f"ticks.{kind}"
        job = self.scratch / f"memory.{kind}"
        run = self.start_memory(size, kind, ticks, job)
        restarted = None
        try:
            address = run.stdout.readline().strip()
            before = time.time_ns()
            began = time.perf_counter()
            subprocess.run([self.options.cairn, "checkpoint", "--dir", job], check=True, stdout=subprocess.DEVNULL)
            saved = result["saved"] = time.perf_counter() - began
            wait_until(lambda: last_tick(ticks) > before + saved * 1e9)
            result["stall"] = longest_gap(ticks, before)
            files = [p for p in job.rglob("*") if p.is_file() and p.stat().st_size > 4096]
            stored = result["stored"] = stored_bytes(job)
            os.kill(run.pid, signal.SIGSTOP)  # it shall not tick while the floors are measured
            result["floors"] = {"process_vm_readv": self.floor("read-process", run.pid, address, size),
                                "zstd on two threads": self.floor("codec", run.pid, address, size),
                                "device, write and fsync": self.floor("write", job / "floor", stored)}
            result["gzip"] = gzip_ratio(run.pid, int(address, 16), size) * size
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
            result["saved_cpu"] = wait_for_agents()
            for _ in range(self.options.repeats):
                result["reading"].append(self.floor("read-files", *files))
                for path in files:
                    with open(path) as file:
                        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                before, began = time.time_ns(), time.perf_counter()
                restarted = subprocess.Popen([self.options.cairn, "restart", job])
                wait_until(lambda: last_tick(ticks) > before, restarted)
                result["back"].append(time.perf_counter() - began)
                restarted.kill()
                restarted.wait()
                result["back_cpu"].append(wait_for_agents())
        finally:
            for process in (run, restarted):
                if process and process.poll() is None:
                    process.kill()
                    process.wait()
            wait_for_agents()
            shutil.rmtree(job, ignore_errors=True)
        return result


def spawn_and_wait(argv):
    """(wall, CPU) in ms; the CPU time is that of the process itself, not of the agent."""
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1)]
    began = time.perf_counter()
    _, status, usage = os.wait4(os.posix_spawn(argv[0], argv, os.environ, file_actions=null), 0)
    wall = time.perf_counter() - began
    if status:
        sys.exit(f"{' '.join(map(str, argv))}: status {status}")
    return wall * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3


def stored_bytes(job):
    return sum(path.stat().st_size for path in job.rglob("*") if path.is_file())


def gzip_ratio(pid, address, size, piece=1 << 20, pieces=96):
    """What gzip makes of the memory, by a sample: all of it would take minutes."""
    step = max(size // pieces // 4096 * 4096, piece)
    before = after = 0
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for at in range(0, size - piece + 1, step):
            data = os.pread(memory.fileno(), piece, address + at)
            before += len(data)
            after += len(zlib.compress(data, 6))
    return after / before


def ticks_of(path):
    data = path.read_bytes() if path.exists() else b""
    return [when for _, when in struct.iter_unpack("QQ", data[:len(data) // 16 * 16])]


def last_tick(path):
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size // 16 * 16
            return struct.unpack("QQ", os.pread(file.fileno(), 16, size - 16))[1] if size else 0
    except FileNotFoundError:
        return 0


def longest_gap(path, since):
    times = [t for t in ticks_of(path) if t >= since - 10**9]
    return max((b - a for a, b in zip(times, times[1:])), default=0) / 1e9


def wait_until(condition, process=None, limit=600):
    deadline = time.monotonic() + limit
    while not condition():
        if process and process.poll() is not None:
            sys.exit(f"cairn restart ended with {process.returncode}")
        if time.monotonic() > deadline:
            sys.exit("waited too long for the program's tick")
        time.sleep(0.002)


def wait_for_agents():
    """Agents are our adopted children; a new measurement starts when the last one's is gone. Returns their CPU time."""
    seconds = 0
    try:
        while True:
            usage = os.wait4(-1, 0)[2]
            seconds = max(seconds, usage.ru_utime + usage.ru_stime)  # helpers that they wait for count in theirs
    except ChildProcessError:
        return seconds


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown processor")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    return f"{os.cpu_count()} x {model}, {memory:.0f} GiB, Linux {platform.release()}"


HEAD = "| what | native or floor | Cairn | difference | target | ceiling | verdict |\n|---|---|---|---|---|---|---|"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("only", nargs="*", help="rows to measure (micro names, start titles); all without any")
    parser.add_argument("--cairn", default="cairn")
    parser.add_argument("--wrap", help="another prefix than `cairn run`, for the micro benchmarks and starts")
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--programs", default=str(HERE.parent / "build/release/bench"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=3, help="checkpoints of each kind, and restarts of each checkpoint")
    parser.add_argument("--gib", type=float, default=4, help="memory of the checkpoint benchmark; 0 leaves it out")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--scratch", help="directory on the device that is measured (default: the temporary one)")
    parser.add_argument("--write", help="the page to write, docs/benchmarks.md")
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
    bench = Bench(options)
    page = []

    def out(line):
        print(line, flush=True)
        page.append(line)

    try:
        out(f"{datetime.date.today()}, {machine()}, load {os.getloadavg()[0]:.1f} at the start; medians of {options.rounds} rounds.\n")
        out(HEAD)
        bench.warm()
        for line in bench.micro():
            out(line)
        for line in bench.starts():
            out(line)
        if options.gib:
            for kind in options.kinds.split(","):
                for line in bench.checkpoint(kind):
                    out(line)
            for line in bench.incremental():
                out(line)
        out(f"\nLoad at the end: {os.getloadavg()[0]:.1f}.")
    finally:
        shutil.rmtree(bench.scratch, ignore_errors=True)
    if options.write:
        command = f"bench/run.py --rounds {options.rounds} --repeats {options.repeats} --gib {options.gib:g} --mode {options.mode}"
        pathlib.Path(options.write).write_text(
            f"# Benchmarks\n\nWritten by `{command}`; rows alternate native and Cairn in one run. A target is `met`, or `reported` up to"
            f" its ceiling (twice the value), else OVER.\n\n" + "\n".join(page) + "\n\n" + PEERS)
    return 1 if bench.over else 0


if __name__ == "__main__":
    sys.exit(main())
