#!/usr/bin/env python3
"""Checkpoint, SIGKILL and restart of a threaded program, again and again: after every restart its memory, its threads and
its file are what they were at the commit, and `--keep` or `cairn prune` bounds the store."""

import argparse
import os
import pathlib
import random
import sys
import tempfile

import bed
from bed import OK, need

KEEP = 3


def store_bytes(job):
    return sum(path.stat().st_size for path in job.directory.rglob("*") if path.is_file() and path.name != "agent.log")


def main():
    parser = argparse.ArgumentParser()
    bed.programs(parser)
    parser.add_argument("--cycles", type=int, default=100)
    options = parser.parse_args()
    bed.use(options)
    seed = int(os.environ.get("CAIRN_CHECK_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    choose = random.Random(seed)
    done, most, settled = 0, 0, None
    with tempfile.TemporaryDirectory(prefix="cairn-cycles.") as scratch:
        job = bed.Job(pathlib.Path(scratch)).begin()
        try:
            while done < options.cycles:
                for _ in range(choose.randrange(1, 4)):
                    job.must_step("in cycle", done)
                job.checkpoint()
                saved = job.steps
                for _ in range(choose.randrange(3)):  # what is lost
                    job.must_step("behind the commit in cycle", done)
                if done % 5 == 4:
                    bed.call("prune", "--keep", KEEP, "--dir", job.directory, code=OK)
                job.kill()
                most = max(most, store_bytes(job))
                if done == 30:
                    settled = most
                job.restart(saved)
                done += 1
            job.must_step("at the end")
            need(len(job.generations()) <= KEEP + 5, "generations:", job.generations())
            need(settled is None or most < 2 * settled, "the store grew from", settled, "to", most)
            job.expect_whole()
            job.end()
            failed = 0
        except bed.Wrong as wrong:
            print(f"FAILED in cycle {done}: {wrong}")
            failed = 1
        finally:
            job.kill()
    print(f"store: at most {most} bytes, {settled} in the first cycles")
    print(f"{done} passed, {failed} failed, 0 skipped")
    return failed


if __name__ == "__main__":
    sys.exit(main())
