#!/usr/bin/env python3
"""Every named fault point (src/base/fault.h) times kill, EIO, ENOSPC, a short write and a hang, on the way of a job
that is restarted, checkpointed, checkpointed again and pruned.

Whatever fails: the program goes on with the right result unless nothing was started, a command that fails says why in
one line and has its exit code, and the newest generation that is listed is whole and comes back. After a fault the
same job is saved and restarted again without one.
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
import threading
import time
import traceback

import bed
from bed import DAMAGED, FAILED, INTERNAL, OK, REFUSED, TIMEOUT, need

ACTIONS = ("kill", "EIO", "ENOSPC", "short", "hang")
# Passed more than once on the way: each time is another moment.
MOMENTS = {"store_sync": 3, "owner_check": 4, "pack_read": 3, "record_write": 2, "prune_pack": 2}
# Only a job of many megabytes passes these (tests/unit/storage has them).
NOT_HERE = {"compact_rename", "pack_write"}
BASE_STEPS, LATER_STEPS = 2, 3  # before and after the base's commit


def points():
    text = pathlib.Path(__file__).resolve().parents[2].joinpath("src/base/fault.h").read_text()
    names = re.findall(r'std::string_view\("(\w+)"\)', text)
    need(len(names) > 30, "the list of fault points was not found")
    return [name for name in names if name != "none" and name not in NOT_HERE]


def cells():
    for point in points():
        for action in ACTIONS:
            for nth in range(1, MOMENTS.get(point, 1) + 1):
                yield point, action, nth


class Base:
    """A job that was killed some steps after its generation; each cell gets a copy of it."""

    def __init__(self, place):
        self.job = bed.Job(place).begin()
        for _ in range(BASE_STEPS):
            self.job.must_step()
        self.job.checkpoint()
        for _ in range(LATER_STEPS):
            self.job.must_step()
        self.job.kill()
        self.content = self.job.file.read_bytes()
        self.copies = 0

    def copy(self):
        with open(self.job.file, "r+b") as file:  # the same inode as ever
            file.truncate(0)
            file.write(self.content)
        self.copies += 1
        return self.job.copy(self.job.place / f"copy{self.copies}")


class Cell:
    def __init__(self, base, point, action, nth):
        self.point, self.action = point, action
        self.job = base.copy()
        self.report = self.job.place / "report"
        self.report.unlink(missing_ok=True)
        self.environment = {**os.environ, "CAIRN_FAULT": f"{point}:{action}:{nth}", "CAIRN_FAULT_REPORT": str(self.report)}
        self.saved = BASE_STEPS  # steps in the newest generation

    def fired(self):
        return self.report.exists()

    def wait_fired_or_up(self):
        """A restart that hangs says nothing: only then is there anything to wait for but its end."""
        deadline = time.monotonic() + bed.PATIENCE
        while not self.fired() and not self.job.agents() and self.job.process.poll() is None:
            need(time.monotonic() < deadline, "the restart neither begins nor fails")
            time.sleep(0.005)

    def run(self):
        """What was tried when the fault came; None if it never did."""
        with_fault = self.restart()
        if with_fault is not None:
            return with_fault
        for attempt in ("first checkpoint", "second checkpoint"):
            if self.checkpoint():
                return attempt
        return "prune" if self.prune() else None

    def restart(self):
        self.job.restart(BASE_STEPS, env=self.environment)
        if self.action == "hang":
            self.wait_fired_or_up()
            if not self.fired():
                self.hang_or_step()
        else:
            ran = self.job.step()
            if not ran:
                self.failed_restart()
        if not self.fired():
            return None
        if self.action == "short":
            need(self.job.process.poll() is None, "a short write is no failure")
        return "restart"

    def hang_or_step(self):
        """It steps, unless it hangs before it can."""
        done = threading.Event()
        outcome = []

        def step():
            try:
                outcome.append(self.job.step())
            except (bed.Wrong, ValueError, OSError) as error:
                outcome.append(error)
            done.set()

        threading.Thread(target=step, daemon=True).start()
        while not done.wait(0.01):
            if self.fired():
                return  # ended by the caller: that ends the thread, too
        if isinstance(outcome[0], bed.Wrong):
            raise outcome[0]
        need(outcome[0] is True or self.fired(), "it does not run although nothing hangs")

    def failed_restart(self):
        code = self.job.process.wait(bed.PATIENCE)
        errors = self.job.process.stderr.read()
        need(self.fired(), "a restart without a fault failed:", code, errors)
        if self.action == "kill":
            return  # of the command itself, or of the agent: then it said what it could
        need(code in (REFUSED, DAMAGED, FAILED, INTERNAL), "the restart ended with", code, errors)
        lines = errors.splitlines()
        need(len(lines) == 1 and lines[0].startswith("cairn: "), "not one clear line:", errors)

    def checkpoint(self):
        """Whether the fault came."""
        before = self.job.generations()
        options = ("--timeout", "3s") if self.action == "hang" else ()
        done = self.job.checkpoint(*options, code=None)
        if not self.fired():
            need(done.returncode == OK, "a checkpoint without a fault failed:", done.stderr)
            self.saved = self.job.steps
            self.job.must_step("after a checkpoint")
            return False
        after = self.job.generations()
        if self.action == "short" or (done.returncode == OK and self.point in ("pack_read",)):
            need(done.returncode == OK, "a short write or a cache that cannot be read is no failure:", done.stderr)
        else:
            expected = {"hang": TIMEOUT}.get(self.action, FAILED)
            need(done.returncode == expected, "the checkpoint ended with", done.returncode, done.stderr)
            bed.one_line(done, *(() if self.action == "kill" else ("the job goes on",)))
        need(after[:len(before)] == before, "a generation is gone:", before, after)
        if len(after) > len(before):
            self.saved = self.job.steps
        self.job.must_step("after the checkpoint failed")
        self.again(done.returncode)
        return True

    def again(self, code):
        """What the next checkpoint says to a job that a fault was in."""
        if self.action == "kill":
            return  # no agent is left
        if self.action == "hang":
            done = self.job.checkpoint(code=FAILED)
            bed.one_line(done, "does not answer")
            self.job.must_step("beside an agent that hangs")
            return
        before = self.job.generations()
        self.job.checkpoint()
        self.saved = self.job.steps
        need(len(self.job.generations()) == len(before) + 1, "no generation came after", code)
        self.job.must_step("after the next checkpoint")

    def prune(self):
        process = subprocess.Popen([bed.cairn, "prune", "--keep", "1", "--dir", self.job.directory], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        while process.poll() is None and not (self.action == "hang" and self.fired()):
            time.sleep(0.005)
        if process.poll() is None:  # nobody waits for it for ever: the user interrupts
            process.kill()
        errors = process.communicate()[1].splitlines()
        if not self.fired():
            need(process.returncode == OK, "prune failed without a fault:", errors)
            return False
        if self.action in ("EIO", "ENOSPC"):
            need(process.returncode == FAILED and len(errors) == 1, "prune ended with", process.returncode, errors)
        self.job.must_step("after prune")
        return True

    def agent_ends(self):
        """An agent that hangs ends with its job, unless it never came to serve it: then it is as good as running."""
        self.job.kill()
        if self.action != "hang":
            return
        if self.fired() and not self.point.startswith(("step_", "restart_", "undo_")):
            for agent in self.job.agents():
                os.kill(agent, 9)
        deadline = time.monotonic() + bed.PATIENCE
        while self.job.agents():
            need(time.monotonic() < deadline, "an agent without a job does not end")
            time.sleep(0.01)

    def clean(self):
        self.job.kill()
        mark = f"CAIRN_FAULT_REPORT={self.report}".encode()
        for process in pathlib.Path("/proc").glob("[0-9]*"):  # an agent that hangs before it owns anything is named nowhere
            try:
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), 9)
            except OSError:
                pass  # ended, or another user's
        shutil.rmtree(self.job.directory, ignore_errors=True)

    def comes_back(self):
        """Without a fault, from what is there."""
        self.agent_ends()
        self.job.expect_whole()
        back = bed.Job(self.job.place, self.job.directory).restart(self.saved)
        try:
            back.must_step("in the restart after the fault")
            back.checkpoint()
            back.must_step()
            back.kill()
            again = bed.Job(self.job.place, self.job.directory).restart(back.steps - 1)
            again.must_step("in the second restart after the fault")
            again.end()
        finally:
            back.kill()


class Lane(threading.Thread):
    """Cells one after another, with a base of its own."""

    def __init__(self, place, queue, verbose):
        super().__init__()
        place.mkdir()
        self.base, self.queue, self.verbose = Base(place), queue, verbose
        self.passed, self.failures, self.reached = 0, [], set()

    def run(self):
        while True:
            try:
                point, action, nth = self.queue.pop()
            except IndexError:
                return
            cell = None
            try:
                cell = Cell(self.base, point, action, nth)
                when = cell.run()
                cell.comes_back()
                if when is not None:
                    self.reached.add(point)
                self.passed += 1
                if self.verbose:
                    print(f"  {point}:{action}:{nth}: at {when}", flush=True)
            except (Exception,) as error:
                words = str(error) if isinstance(error, bed.Wrong) else traceback.format_exc()
                self.failures.append(f"{point}:{action}:{nth}: {words}")
                print(f"FAILED {self.failures[-1]}", flush=True)
            if cell is not None:
                cell.clean()


def main():
    parser = argparse.ArgumentParser()
    bed.programs(parser)
    parser.add_argument("--sample", type=int, help="so many cells by CAIRN_CHECK_SEED; CAIRN_CHECK_FULL: all")
    parser.add_argument("--only", default="", help="cells whose name holds this")
    parser.add_argument("-v", action="store_true")
    options = parser.parse_args()
    bed.use(options)
    chosen = [cell for cell in cells() if options.only in "{}:{}:{}".format(*cell)]
    seed = int(os.environ.get("CAIRN_CHECK_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    sampled = options.sample and not os.environ.get("CAIRN_CHECK_FULL")
    if sampled:
        print(f"seed {seed}: {options.sample} of {len(chosen)}")
        chosen = random.Random(seed).sample(chosen, min(options.sample, len(chosen)))
    wanted = {point for point, _, _ in chosen}
    with tempfile.TemporaryDirectory(prefix="cairn-faults.") as scratch:
        lanes = [Lane(pathlib.Path(scratch) / str(i), chosen, options.v) for i in range(2)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
    failures = [line for lane in lanes for line in lane.failures]
    reached = set().union(*(lane.reached for lane in lanes))
    if not sampled and not options.only:
        for point in sorted(wanted - reached):
            failures.append(f"{point} was never reached")
            print("FAILED", failures[-1])
    print(f"{sum(lane.passed for lane in lanes)} passed, {len(failures)} failed, 0 skipped")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
