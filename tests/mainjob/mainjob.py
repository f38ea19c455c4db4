#!/usr/bin/env python3
"""The main job: real programs are saved while they compute, killed, brought back, and end as natively.

Three trials per program:
  moments      N times: run, checkpoint at a random moment, kill by SIGKILL, restart, compare
  row          50 checkpoints in a row while the program goes on, compare
  generations  checkpoint, kill, restart, three times over in one run, compare
A moment is a line of the program's own output plus a little time; both come from the printed seed.
In half of the trials the program runs on after the commit before it is killed.
"""
import argparse
import ctypes
import dataclasses
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = HERE / "programs"
PR_SET_CHILD_SUBREAPER = 36


@dataclasses.dataclass
class Program:
    name: str
    argv: tuple  # {bin}, {src} and {steps} are replaced
    steps: int  # a few seconds of work
    build: str = ""
    needs: str = "cc"
    status: int = 3
    watch: str = "progress"  # the file whose lines are the program's progress
    outputs: tuple = ("stdout", "progress")
    # Lines that say how long something took; all others are compared byte by byte.
    timing: str = ""
    # The part of its lines that it writes while it computes; LAMMPS ends with a summary.
    computing: float = 0.8


TIMES = (r"^(Loop time|Performance:|  create_atoms CPU|.*CPU use|Total wall time|(Pair|Neigh|Comm|Output|Modify|Other) +\||"
         r"MPI task timing|Section +\||-+$|  Time unit|  using)")
PROGRAMS = [
    Program("python", ("/usr/bin/python3", "{src}/work.py", "{steps}"), 200, needs="/usr/bin/python3"),
    Program("files", ("/usr/bin/python3", "{src}/files.py", "{steps}"), 300, needs="/usr/bin/python3",
            outputs=("stdout", "progress", "log", "array", "mapped", "state")),
    Program("node", ("node", "{src}/work.js", "{steps}"), 60, needs="node"),
    Program("java", ("java", "-Xmx64m", "-cp", "{bin}/java", "Work", "{steps}"), 240, "javac -d {bin}/java Work.java", "javac"),
    Program("go", ("{bin}/go", "{steps}"), 100, "go build -o {bin}/go work.go", "go"),
    Program("openmp", ("{bin}/omp", "{steps}"), 150, "gcc -O2 -fopenmp -o {bin}/omp work_omp.c", "gcc"),
    Program("lammps", ("lmp", "-in", "{src}/melt.in", "-log", "log", "-var", "steps", "{steps}"), 300, needs="lmp", status=0,
            watch="log", outputs=("stdout", "log", "dump"), timing=TIMES, computing=0.55),
    Program("static", ("{bin}/static", "{steps}"), 60, "gcc -O2 -pthread -static -o {bin}/static work_threads.c", "gcc"),
    Program("raw", ("{bin}/raw", "{steps}"), 120, "gcc -O1 -nostdlib -static -fno-builtin -fno-stack-protector"
            " -fcf-protection=none -o {bin}/raw work_raw.c", "gcc"),
]


class Failure(Exception):
    pass


def tail(path, size=500):
    try:
        return pathlib.Path(path).read_bytes()[-size:].decode(errors="replace").strip()
    except OSError:
        return ""


def line_count(path):
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0


def children_of(pid):
    found = []
    for task in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = task.read_text()
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(task.parent.name))
    return found


class Run:
    """One program in its own directory, first started, later restarted; killed at the end of the block."""

    def __init__(self, options, program, directory, steps, native=False):
        self.options, self.program, self.native = options, program, native
        self.work = directory / "work"
        self.job = directory / "job"
        shutil.rmtree(directory, ignore_errors=True)
        self.work.mkdir(parents=True)
        argv = [part.format(bin=options.build, src=SOURCES, steps=steps) for part in program.argv]
        prefix = [] if native else [options.cairn, "run", "--mode", options.mode, "--dir", str(self.job), "--"]
        self.start(prefix + argv, "stdout")

    def start(self, argv, output):
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.work), "LC_ALL": "C",
                       "OMPI_MCA_ess_singleton_isolated": "1", "OMPI_MCA_btl": "self"}
        with open(self.work / output, "ab") as out, open(self.work / "stderr", "ab") as err:
            self.process = subprocess.Popen(argv, cwd=self.work, env=environment, stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=err, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.kill()
        end_agents()
        # A failed trial is kept for the one who looks into it.
        if not self.options.keep or error[0] is None:
            shutil.rmtree(self.work.parent, ignore_errors=True)

    def progress(self):
        return line_count(self.work / self.program.watch)

    def wait_for_progress(self, lines, limit=120):
        deadline = time.monotonic() + limit * self.options.patience
        while self.progress() < lines:
            if self.process.poll() is not None:
                raise Failure(f"ended early at line {self.progress()} of {lines}: {self.ending()}")
            if time.monotonic() > deadline:
                raise Failure(f"no progress: at line {self.progress()}, waited for {lines}")
            time.sleep(0.001)

    def ending(self):
        status = self.process.returncode
        text = f"status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
        return f"{text}; stderr: {tail(self.work / 'stderr') or 'empty'}"

    def checkpoint(self, *more):
        try:
            done = subprocess.run([self.options.cairn, "checkpoint", "--dir", self.job, *more], capture_output=True,
                                  timeout=120 * self.options.patience)
        except subprocess.TimeoutExpired:
            raise Failure("cairn checkpoint did not return")
        if done.returncode:
            raise Failure(f"cairn checkpoint: status {done.returncode}: {done.stderr.decode(errors='replace').strip()[-300:]};"
                          f" program {'runs' if self.process.poll() is None else self.ending()}")

    def kill(self):
        """As a power cut would: the program, and a moment later whatever of Cairn served it."""
        self.process.kill()
        self.process.wait()

    def restart(self):
        end_agents()
        self.start([self.options.cairn, "restart", str(self.job)], "restart-stdout")
        # Lines that were written before the kill are no sign of life: the new agent must answer.
        deadline = time.monotonic() + 60 * self.options.patience
        while subprocess.run([self.options.cairn, "status", "--dir", self.job], capture_output=True).returncode:
            if self.process.poll() is not None:
                raise Failure(f"restart ended: {self.ending()}")
            if time.monotonic() > deadline:
                raise Failure("no agent answers after the restart")

    def finish(self):
        try:
            self.process.wait(180 * self.options.patience)
        except subprocess.TimeoutExpired:
            raise Failure(f"did not end; at line {self.progress()}")
        if self.process.returncode != self.program.status:
            raise Failure(self.ending())
        if extra := tail(self.work / "restart-stdout"):
            raise Failure(f"restart printed: {extra}")
        return {name: self.comparable(name) for name in self.program.outputs}

    def comparable(self, name):
        data = (self.work / name).read_bytes()
        if not self.program.timing:
            return data
        pattern = re.compile(self.program.timing.encode())
        return b"".join(line for line in data.splitlines(True) if not pattern.match(line))


def end_agents():
    """Cairn's agents are our adopted children: they end by themselves once their job is gone."""
    deadline = time.monotonic() + 10
    while True:
        left = children_of(os.getpid())
        try:  # the dead ones are taken from the process table too
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        if not left:
            return
        if time.monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise Failure(f"processes outlived the job by 10 s: {left}")
        time.sleep(0.005)


def expect_same(reference, got):
    for name, wanted in reference.items():
        if got[name] != wanted:
            left, right = wanted.splitlines(), got[name].splitlines()
            at = next((n for n, pair in enumerate(zip(left, right)) if pair[0] != pair[1]), min(len(left), len(right)))
            raise Failure(f"{name} differs at line {at + 1} ({len(left)} lines natively, {len(right)} now):"
                          f" {left[at:at + 1]} became {right[at:at + 1]}")


def one_moment(run, moment, delay, run_on):
    run.wait_for_progress(moment)
    time.sleep(delay)
    run.checkpoint()
    if run_on and run.process.poll() is None:
        wanted = run.progress() + run_on
        while run.progress() < wanted and run.process.poll() is None:
            time.sleep(0.001)
    if run.process.poll() is not None and not run_on:
        raise Failure(f"ended during the checkpoint: {run.ending()}")
    run.kill()
    run.restart()


def natively(options, program, place, steps):
    with Run(options, program, place, steps, native=True) as run:
        return run.finish(), run.progress()


def try_moments(options, program, place, dice):
    reference, lines = natively(options, program, place, program.steps)
    for number in range(options.moments):
        moment, delay = dice.randrange(1, max(2, int(lines * program.computing))), dice.random() * 0.03
        run_on = dice.choice((0, dice.randrange(1, max(2, lines // 8))))
        try:
            with Run(options, program, place, program.steps) as run:
                one_moment(run, moment, delay, run_on)
                expect_same(reference, run.finish())
        except Failure as failure:
            raise Failure(f"trial {number + 1} of {options.moments} (line {moment} + {delay * 1000:.1f} ms,"
                          f" ran on {run_on}): {failure}")


def try_row(options, program, place, dice):
    steps = program.steps * (1 + options.row // 8)  # long enough for all of them
    reference, lines = natively(options, program, place, steps)
    with Run(options, program, place, steps) as run:
        run.wait_for_progress(1)
        for made in range(options.row):
            try:
                run.checkpoint("--timeout", "60s")
            except Failure as failure:
                raise Failure(f"checkpoint {made + 1} of {options.row} at line {run.progress()} of {lines}: {failure}")
            time.sleep(dice.random() * 0.02)
        expect_same(reference, run.finish())


def try_generations(options, program, place, dice):
    reference, lines = natively(options, program, place, program.steps)
    with Run(options, program, place, program.steps) as run:
        for generation in range(3):
            try:
                one_moment(run, lines * (generation + 1) // 5 + 1, dice.random() * 0.03, 0)
            except Failure as failure:
                raise Failure(f"generation {generation + 1}: {failure}")
        expect_same(reference, run.finish())


TRIALS = {"moments": try_moments, "row": try_row, "generations": try_generations}


def build(options, program):
    if not (shutil.which(program.needs) or os.path.exists(program.needs)):
        return f"needs {program.needs}"
    if program.build:
        os.makedirs(options.build, exist_ok=True)
        subprocess.run(["/bin/sh", "-c", program.build.replace("{bin}", options.build)], cwd=SOURCES, check=True,
                       env=dict(os.environ, HOME=options.build, GOCACHE=f"{options.build}/gocache"))
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("programs", nargs="*", help="of: " + ", ".join(p.name for p in PROGRAMS))
    parser.add_argument("--cairn", default="cairn")
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--build", default=str(HERE.parents[1] / "build/mainjob"))
    parser.add_argument("--trials", default=",".join(TRIALS))
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--row", type=int, default=50)
    parser.add_argument("--seed", default=os.environ.get("CAIRN_CHECK_SEED") or random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--patience", type=float, default=1.0, help="factor on every time limit")
    parser.add_argument("--keep", action="store_true", help="keep the directory of a failed trial")
    options = parser.parse_args()
    options.build = str(pathlib.Path(options.build).resolve())
    if "/" in options.cairn:
        options.cairn = str(pathlib.Path(options.cairn).resolve())  # the programs have directories of their own
    # The agents of our jobs become our children, so that we can see whether they end.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    print(f"seed {options.seed}", flush=True)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    unknown = set(options.programs) - {p.name for p in PROGRAMS}
    if unknown:
        sys.exit(f"no such program: {', '.join(sorted(unknown))}")
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="cairn-mainjob."))
    for program in PROGRAMS:
        if options.programs and program.name not in options.programs:
            continue
        if reason := build(options, program):
            counts["skipped"] += 1
            print(f"skipped {program.name}: {reason}")
            continue
        place = scratch / program.name  # one place for all runs: paths may appear in outputs
        for trial in options.trials.split(","):
            # Each trial draws from its own dice, so that one can be repeated alone.
            dice = random.Random(f"{options.seed} {program.name} {trial}")
            started = time.monotonic()
            try:
                TRIALS[trial](options, program, place, dice)
                counts["passed"] += 1
                print(f"passed  {program.name}/{trial} ({time.monotonic() - started:.1f} s)", flush=True)
            except Failure as failure:
                counts["failed"] += 1
                print(f"FAILED  {program.name}/{trial}: {failure}", flush=True)
                if options.keep and place.exists():
                    kept = scratch / f"{program.name}.{trial}.failed"
                    shutil.rmtree(kept, ignore_errors=True)
                    place.rename(kept)
                    print(f"        kept in {kept}")
    if not options.keep:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
