#!/usr/bin/env python3
"""Real programs that are trees of processes: saved at random moments, all killed by SIGKILL, brought back, compared with a native run.

    trees.py --cairn BUILD/bin/cairn [--only NAME]... [--moments N] [--keep]

A moment is a share of the native run's time, from the printed seed. In half of the trials the program runs on for a while after the
commit before it is killed. A program that is not installed counts as skipped.
"""

import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "driver")]
import outside
from programs import PROGRAMS, Program

LIMIT = 240  # seconds for anything
PATH = "/usr/local/bin:/usr/bin:/bin"


class Failure(Exception):
    pass


class Run:
    """A program in a directory of its own; the session tells its processes from all others."""

    def __init__(self, options, program, directory):
        self.options, self.program, self.work, self.job = options, program, directory / "work", directory / "job"
        shutil.rmtree(directory, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.process, self.sessions = None, set()
        self.environment = {"PATH": PATH, "HOME": str(self.work), "LC_ALL": "C.UTF-8", "TERM": "xterm", "TREES_TRIAL": str(directory)}
        for name, text in program.files.items():
            (self.work / name).write_text(text)
        if program.prepare:
            subprocess.run(program.prepare, cwd=self.work, env=self.environment, check=True)

    def start(self, argv):
        with open(self.work / "stdout", "ab") as out, open(self.work / "stderr", "ab") as err:
            self.process = subprocess.Popen(argv, cwd=self.work, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            start_new_session=True)
        self.sessions.add(self.process.pid)

    def start_under_cairn(self):
        self.start([self.options.cairn, "run", "--dir", str(self.job), "--", *self.program.argv])

    def cairn(self, *arguments):
        return subprocess.run([self.options.cairn, *arguments], capture_output=True, text=True, timeout=LIMIT, check=False, cwd=self.work,
                              env=self.environment)

    def checkpoint(self):
        done = self.cairn("checkpoint", "--dir", str(self.job))
        if done.returncode and self.process.poll() is None:
            raise Failure(f"checkpoint: status {done.returncode}: {done.stderr.strip()[-400:]}")
        return done.returncode == 0

    def groups(self):
        """By their groups, which are known also of those who have just ended; with the sessions that the program has begun."""
        known = outside.all_processes()
        mark = b"TREES_TRIAL=" + self.environment["TREES_TRIAL"].encode()
        for pid, (_, _, session, _, _) in known.items():
            if session not in self.sessions and outside.has_arena(pid) and mark in outside.start_words(pid):
                self.sessions.add(session)
        return {group for pid, (_, group, session, _, _) in known.items()
                if session in self.sessions and (pid != self.process.pid or self.process.poll() is None)}

    def kill(self):
        deadline = time.monotonic() + LIMIT
        while self.process and (groups := self.groups()):
            for group in groups:
                try:
                    os.killpg(group, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if time.monotonic() > deadline:
                raise Failure("does not end after SIGKILL")
            time.sleep(0.004)
        if self.process:
            self.process.wait()
        while self.cairn("status", "--dir", str(self.job)).returncode == 0:  # the agent ends with the job
            if time.monotonic() > deadline:
                raise Failure("the agent does not end with its job")
            time.sleep(0.02)

    def restart(self):
        self.start([self.options.cairn, "restart", str(self.job)])

    def finish(self):
        try:
            status = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise Failure(f"does not end; it wrote {(self.work / 'stdout').read_bytes()[-200:]!r}") from None
        result = {"status": status}
        for name in ("stdout", *self.program.outputs):
            path = self.work / name
            result[name] = path.read_bytes() if path.exists() else b"missing"
        return result


def compare(reference, got, run):
    errors = (run.work / "stderr").read_bytes().decode(errors="replace").strip()[-300:]
    for name, wanted in reference.items():
        if got[name] == wanted:
            continue
        if name == "status":
            raise Failure(f"status {got[name]}, natively {wanted}; stderr: {errors}")
        left, right = wanted.splitlines(), got[name].splitlines()
        at = next((n for n, pair in enumerate(zip(left, right)) if pair[0] != pair[1]), min(len(left), len(right)))
        raise Failure(f"{name} differs at line {at + 1} ({len(left)} lines natively, {len(right)} now): "
                      f"{left[at:at + 1]} became {right[at:at + 1]}; stderr: {errors}")


def moment(options, program, directory, reference, seconds, rng):
    run = Run(options, program, directory)
    share, run_on = rng.uniform(0.05, 0.8), rng.random() < 0.5
    try:
        run.start_under_cairn()
        time.sleep(share * seconds)
        if run.process.poll() is None and run.checkpoint():
            if run_on:
                time.sleep(rng.uniform(0, min(3.0, 0.3 * seconds)))
            run.kill()
            run.restart()
        compare(reference, run.finish(), run)
    except Failure as failure:
        raise Failure(f"checkpoint at {share:.2f}{', ran on' if run_on else ''}: {failure}") from None
    finally:
        run.kill()
    if not options.keep:
        shutil.rmtree(directory, ignore_errors=True)


def check(options, program, base, rng):
    """None, or the reason of a skip; a failure is raised."""
    lacking = [name for name in (program.argv[0], *program.needs) if not shutil.which(name, path=PATH)]
    if lacking:
        return f"{lacking[0]} is not installed"
    native = Run(options, program, base / program.name)  # all in one place: paths may appear in outputs
    begun = time.monotonic()
    native.start(list(program.argv))
    reference = native.finish()
    seconds = time.monotonic() - begun
    native.kill()
    if reference["status"] != program.status:
        raise Failure(f"the native run ended with {reference['status']}: {reference['stdout'][-300:]!r}")
    for _ in range(options.moments):
        moment(options, program, base / program.name, reference, seconds, rng)
    return None


# ---- tmux ---------------------------------------------------------------------------------------


def tmux(run, *arguments):
    return subprocess.run(["tmux", "-S", str(run.work / "tmux"), *arguments], capture_output=True, text=True, timeout=LIMIT, check=False,
                          env=run.environment, cwd=run.work)


def wait_for_screen(run, pane, text):
    deadline = time.monotonic() + LIMIT
    while text not in (shown := tmux(run, "capture-pane", "-p", "-t", pane).stdout):
        if time.monotonic() > deadline:
            raise Failure(f"pane {pane} never shows {text!r}: {shown!r}")
        time.sleep(0.02)
    return shown


def screens(run):
    return [tmux(run, "capture-pane", "-p", "-e", "-t", f"t:0.{pane}").stdout for pane in (0, 1)]


def check_tmux(options, base, rng):
    """A server with vim in one pane and a shell in another shows the same after a restart, and both go on."""
    for name in ("tmux", "vim"):
        if not shutil.which(name, path=PATH):
            return f"{name} is not installed"
    start = ("tmux -S tmux -f /dev/null new-session -d -s t -x 80 -y 24 'vim -u NONE -N notes'; "
             "tmux -S tmux split-window -d -t t:0 'PS1=\"shell> \" bash --norc --noprofile'; exec sleep 1000000")
    program = Program("tmux", ("sh", "-c", start), files={"notes": "".join(f"note {n}\n" for n in range(40))})
    for _ in range(options.moments):
        run = Run(options, program, base / "tmux")
        try:
            run.start_under_cairn()
            wait_for_screen(run, "t:0.0", "note 1")
            wait_for_screen(run, "t:0.1", "shell>")
            tmux(run, "send-keys", "-t", "t:0.0", "5Gisome text", "Escape")
            tmux(run, "send-keys", "-t", "t:0.1", "x=6; seq 5", "Enter")
            wait_for_screen(run, "t:0.0", "some text")
            wait_for_screen(run, "t:0.1", "5\nshell>")
            before = screens(run)
            run.checkpoint()
            if rng.random() < 0.5:
                tmux(run, "send-keys", "-t", "t:0.1", "x=7; clear", "Enter")
                time.sleep(rng.uniform(0, 1))
            run.kill()
            run.restart()
            wait_for_screen(run, "t:0.1", "shell>")
            if screens(run) != before:
                raise Failure(f"the screen differs: {before!r} became {screens(run)!r}")
            tmux(run, "send-keys", "-t", "t:0.1", "echo $((x * 7))", "Enter")
            wait_for_screen(run, "t:0.1", "\n42\n")
            tmux(run, "send-keys", "-t", "t:0.0", ":wq", "Enter")
            deadline = time.monotonic() + LIMIT
            while "some text" not in (run.work / "notes").read_text():
                if time.monotonic() > deadline:
                    raise Failure("vim does not write")
                time.sleep(0.02)
        except Failure as failure:
            errors = (run.work / "stderr").read_bytes().decode(errors="replace").strip()[-300:]
            raise Failure(f"{failure}; stderr: {errors}") from None
        finally:
            run.kill()
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cairn", required=True)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--keep", action="store_true", help="keep the directories of the trials")
    options = parser.parse_args()
    options.cairn = os.path.abspath(options.cairn)
    seed = os.environ.get("CAIRN_CHECK_SEED") or str(random.randrange(1 << 32))
    base = pathlib.Path(tempfile.mkdtemp(prefix="cairn-trees-"))
    print(f"seed {seed}, work in {base}", flush=True)
    checks = {program.name: lambda dice, program=program: check(options, program, base, dice) for program in PROGRAMS}
    checks["tmux"] = lambda dice: check_tmux(options, base, dice)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name, run in checks.items():
        if options.only and name not in options.only:
            continue
        begun = time.monotonic()
        try:
            reason = run(random.Random(f"{seed} {name}"))
            word, text = ("skipped", reason) if reason else ("passed", "")
        except (Failure, OSError, subprocess.SubprocessError) as error:
            word, text = "failed", str(error)
        counts[word] += 1
        print(f"{word:8}{name:16}{time.monotonic() - begun:7.1f} s  {text}", flush=True)
    if not options.keep and not counts["failed"]:
        shutil.rmtree(base, ignore_errors=True)
    print(", ".join(f"{count} {word}" for word, count in counts.items()))
    sys.exit(1 if counts["failed"] else 0)


if __name__ == "__main__":
    main()
