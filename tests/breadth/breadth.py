#!/usr/bin/env python3
"""Real programs of many makings, each saved at random moments, killed, brought back, and compared with a native run.

    breadth.py --cairn BUILD/bin/cairn [--only NAME]... [--moments N] [--keep]

A moment is a share of the native run's time, from the printed seed. In half of the trials the program runs on after the
commit before it is killed. A program that is not installed counts as skipped.
"""

import argparse
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from programs import NATIVE, PROGRAMS

LIMIT = 300  # seconds for anything


class Failure(Exception):
    pass


class Trial:
    def __init__(self, options, program, directory):
        self.options, self.program, self.work, self.job = options, program, directory / "work", directory / "job"
        shutil.rmtree(directory, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.process = None
        for name, text in program.files.items():
            (self.work / name).write_text(text)
        self.environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/games", "HOME": str(self.work), "LC_ALL": "C.UTF-8", **NATIVE,
                            **program.environment}
        if program.prepare:
            subprocess.run(program.prepare, cwd=self.work, env=self.environment, check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)

    def start(self, argv):
        with open(self.work / "stdout", "ab") as out, open(self.work / "stderr", "ab") as err:
            self.process = subprocess.Popen(argv, cwd=self.work, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            start_new_session=True)

    def finish(self):
        try:
            status = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise Failure("does not end")
        finally:
            self.kill()
        errors = (self.work / "stderr").read_bytes().decode(errors="replace").strip()[-300:]
        result = {"status": status, "stdout": (self.work / "stdout").read_bytes()}
        if self.program.ignore:
            lines = result["stdout"].splitlines(True)
            result["stdout"] = b"".join(line for line in lines if not re.match(self.program.ignore, line))
        for name in self.program.outputs:
            path = self.work / name
            result[name] = path.read_bytes() if path.exists() else b"missing"
            if self.program.dates:
                result[name] = re.sub(self.program.dates, b"", result[name])
        return result, errors

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def cairn(self, *arguments):
        done = subprocess.run([self.options.cairn, *arguments], capture_output=True, timeout=LIMIT, check=False, cwd=self.work,
                              env=self.environment)
        return done.returncode, done.stderr.decode(errors="replace").strip()


def moment(options, program, directory, reference, seconds, rng):
    trial = Trial(options, program, directory)
    share, run_on = rng.uniform(0.05, 0.8), rng.random() < 0.5
    try:
        trial.start([options.cairn, "run", "--dir", str(trial.job), "--", *program.argv])
        time.sleep(share * seconds)
        if trial.process.poll() is None:
            code, said = trial.cairn("checkpoint", "--dir", str(trial.job))
            if code and trial.process.poll() is None:
                raise Failure(f"checkpoint at {share:.2f}: status {code}: {said[-300:]}")
            if not code:
                if run_on:
                    time.sleep(rng.uniform(0, 0.2) * seconds)
                trial.kill()
                trial.start([options.cairn, "restart", str(trial.job)])
        got, errors = trial.finish()
    finally:
        trial.kill()
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
    for name, wanted in reference.items():
        if got[name] != wanted:
            shown = f"{wanted!r} and {got[name]!r}" if name == "status" else f"{len(wanted)} and {len(got[name])} bytes"
            raise Failure(f"checkpoint at {share:.2f}{', ran on' if run_on else ''}: {name} differs: {shown}; stderr: {errors}")


def check(options, program, base, rng):
    """None, or the reason of a skip; a failure is raised."""
    if not shutil.which(program.needs or program.argv[0], path="/usr/local/bin:/usr/bin:/bin:/usr/games:/usr/lib/R/bin/exec"):
        return "not installed"
    if program.lacks:
        return program.lacks
    native = Trial(options, program, base / "native")
    begun = time.monotonic()
    native.start(list(program.argv))
    reference, errors = native.finish()
    seconds = time.monotonic() - begun
    if reference["status"]:
        raise Failure(f"the native run ended with {reference['status']}: {errors}")
    for number in range(options.moments):
        moment(options, program, base / f"moment{number}", reference, seconds, rng)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cairn", required=True)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--moments", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="keep the directories of the trials")
    options = parser.parse_args()
    options.cairn = os.path.abspath(options.cairn)
    seed = os.environ.get("CAIRN_CHECK_SEED") or str(random.randrange(1 << 32))
    base = pathlib.Path(tempfile.mkdtemp(prefix="cairn-breadth-"))
    print(f"seed {seed}, work in {base}", flush=True)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for program in PROGRAMS:
        if options.only and program.name not in options.only:
            continue
        begun = time.monotonic()
        try:
            reason = check(options, program, base / program.name, random.Random(f"{seed} {program.name}"))
            word, text = ("skipped", reason) if reason else ("passed", "")
        except (Failure, OSError, subprocess.SubprocessError) as error:
            word, text = "failed", str(error)
        counts[word] += 1
        print(f"{word:8}{program.name:14}{time.monotonic() - begun:7.1f} s  {text}", flush=True)
    if not options.keep:
        shutil.rmtree(base, ignore_errors=True)
    print(", ".join(f"{count} {word}" for word, count in counts.items()))
    sys.exit(1 if counts["failed"] else 0)


if __name__ == "__main__":
    main()
