#!/usr/bin/env python3
"""An image of every format version that ever was is kept here, one folder each, and every one of them is whole,
comes back with what it held, and can be saved and restarted again.

    formats_test.py --make NAME     makes the image of today's version: when a version number is raised
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "src"
STEPS = 5  # before the commit
END_CODE = 9
PATIENCE = 60


def lines(first, last):
    return [f"{count} {sum(i * i for i in range(count + 1))}\n" for count in range(first, last)]


def today():
    """The version numbers of what this Cairn writes."""
    text = "".join((SOURCE / name).read_text() for name in ("storage/format.h", "storage/manifest.h", "image/image.h"))
    return {name: int(re.search(rf"k{name}Version = (\d+)", text).group(1)) for name in ("Pack", "Records", "Store", "Format")}


class Program:
    def __init__(self, *words):
        self.process = subprocess.Popen(list(map(str, words)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, cwd="/")

    def expect(self, first, last):
        for line in lines(first, last):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
            if answer != line:
                self.process.kill()
                sys.exit(f"{answer!r} and not {line!r}: {self.process.stderr.read()}")

    def end(self):
        self.process.stdin.close()
        code, errors = self.process.wait(PATIENCE), self.process.stderr.read()
        if code != END_CODE or errors:
            sys.exit(f"it ended with {code}: {errors}")

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)


def cairn(*words):
    done = subprocess.run([options.cairn, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode != 0:
        sys.exit(f"{words} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def make(name):
    """As small as can be, for any x86-64, with nothing of this machine in it but the path of the program."""
    with tempfile.TemporaryDirectory(prefix="cairn-formats.") as scratch:
        job = pathlib.Path(scratch) / "job"
        environment = {"PATH": "/usr/bin:/bin"}
        program = Program("/usr/bin/env", "-i", *(f"{k}={v}" for k, v in environment.items()), options.cairn, "run", "--dir", job,
                          "--files", "none", "--cpu", "x86-64-v2", "--name", "kept", "--", options.program)
        program.process.stdout.readline()
        program.expect(0, STEPS)
        cairn("checkpoint", "--dir", job)
        program.kill()
        kept = HERE / name
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(job / "1", kept / "1")
        (kept / "versions.json").write_text(json.dumps(today(), indent=2) + "\n")
    print(kept, sum(path.stat().st_size for path in kept.rglob("*") if path.is_file()), "bytes")


def check(kept):
    with tempfile.TemporaryDirectory(prefix="cairn-formats.") as scratch:
        job = pathlib.Path(scratch) / "job"
        job.mkdir(mode=0o700)
        shutil.copytree(kept / "1", job / "1")
        answers = json.loads(cairn("verify", "--json", job))
        if [answer["ok"] for answer in answers] != [True]:
            sys.exit(f"{kept.name}: {answers}")
        cairn("inspect", "--json", job)
        program = Program(options.cairn, "restart", job)
        program.expect(STEPS, STEPS + 3)
        cairn("checkpoint", "--dir", job)  # in today's format, beside the old one
        program.expect(STEPS + 3, STEPS + 4)
        program.kill()
        for generation, done in ((2, STEPS + 3), (1, STEPS)):
            again = Program(options.cairn, "restart", job / str(generation))
            again.expect(done, done + 2)
            again.end()


def main():
    global options
    parser = argparse.ArgumentParser()
    parser.add_argument("--cairn", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--make")
    options = parser.parse_args()
    options.cairn, options.program = os.path.abspath(options.cairn), os.path.abspath(options.program)
    if options.make:
        return make(options.make)
    kept = sorted(path.parent for path in HERE.glob("*/versions.json"))
    versions = [json.loads((folder / "versions.json").read_text()) for folder in kept]
    if today() not in versions:
        sys.exit(f"no image of today's versions {today()} is kept: formats_test.py --make NAME")
    for folder in kept:
        check(folder)
    print(f"{len(kept)} passed, 0 failed, 0 skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
