#!/usr/bin/env python3
"""Damage of every kind to every file that a restart needs: it is refused with its exit code, the file is named in one
line, and nothing was started or changed. Random places, by CAIRN_CHECK_SEED; the seed is printed.

Two generations, the newer of which needs the older one's pack. Most are tried with `cairn verify`, which reads
like a restart does, the others with `cairn restart` itself.
"""

import argparse
import concurrent.futures
import os
import pathlib
import random
import shutil
import sys
import tempfile

import bed
from bed import DAMAGED, need

NEEDED = ("1/node-0.pack", "2/node-0.pack", "2/node-0.meta", "2/manifest.json")


def flip(random_, path, content):
    at = random_.randrange(len(content))
    changed = bytearray(content)
    changed[at] ^= 1 << random_.randrange(8)
    path.write_bytes(changed)
    return f"bit flipped at {at} of {len(content)}"


def flip_at_an_end(random_, path, content):
    """Headers, footers and tables lie at the ends."""
    at = random_.choice((random_.randrange(min(256, len(content))), len(content) - 1 - random_.randrange(min(4096, len(content)))))
    changed = bytearray(content)
    changed[at] ^= 1 << random_.randrange(8)
    path.write_bytes(changed)
    return f"bit flipped at {at} of {len(content)}"


def truncate(random_, path, content):
    length = random_.choice((0, 1, len(content) - 1, random_.randrange(len(content))))
    os.truncate(path, length)
    return f"cut to {length} of {len(content)}"


def extend(random_, path, content):
    more = random_.choice((1, 16, 4096, random_.randrange(1, 100000)))
    with open(path, "ab") as file:
        file.write(random_.choice((bytes(more), random_.randbytes(more))))
    return f"{more} bytes longer"


def zero(random_, path, content):
    at = random_.randrange(len(content))
    length = min(random_.choice((1, 512, 4096)), len(content) - at)
    if not any(content[at:at + length]):
        return None
    path.write_bytes(content[:at] + bytes(length) + content[at + length:])
    return f"{length} bytes at {at} are zero"


def exchange(random_, path, content):
    """Two pieces of it in each other's places."""
    length = random_.choice((16, 64, 512))
    if len(content) < 2 * length + 2:
        return None
    first, second = sorted(random_.sample(range(len(content) - length), 2))
    if second - first < length or content[first:first + length] == content[second:second + length]:
        return None
    path.write_bytes(content[:first] + content[second:second + length] + content[first + length:second] +
                     content[first:first + length] + content[second + length:])
    return f"{length} bytes at {first} and {second} are exchanged"


def remove(_, path, content):
    path.unlink()
    return "missing"


def other_generation(_, path, content):
    other = path.parents[1] / ("1" if path.parent.name == "2" else "2") / path.name
    if not other.exists() or other.read_bytes() == content:
        return None
    shutil.copy(other, path)
    return "another generation's"


def garbage(random_, path, content):
    path.write_bytes(random_.randbytes(len(content)))
    return "other bytes"


KINDS = (flip, flip, flip, flip_at_an_end, flip_at_an_end, truncate, extend, zero, exchange, remove, other_generation, garbage)


def state_of(directory):
    """All that a refused restart must leave as it is; that it was tried may show in what is not of a generation."""
    files = {path.relative_to(directory): path.stat() for path in directory.rglob("*") if path.is_file()}
    return {str(path): (info.st_size, info.st_mtime_ns) for path, info in files.items() if path.parts[0].isdigit()}


def prepare(place):
    job = bed.Job(place).begin()
    for _ in range(2):
        job.must_step()
        job.checkpoint()
    job.must_step()
    job.kill()
    return job


def try_one(job, place, seed, verb):
    """One damage; None, or what is wrong with the answer."""
    random_ = random.Random(seed)
    directory = place / "damaged"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(job.directory, directory)
    what = None
    while what is None:
        path = directory / random_.choice(NEEDED)
        what = random_.choice(KINDS)(random_, path, path.read_bytes())
    before = state_of(directory), job.file.read_bytes()
    try:
        done = bed.call(*verb, directory / "2")
        need(done.returncode == DAMAGED, verb[0], "ended with", done.returncode, done.stdout, done.stderr)
        # Without its manifest it is no generation, but packs that others may need.
        bed.one_line(done, path if path.exists() or path.name != "manifest.json" else "there is no generation")
        need((state_of(directory), job.file.read_bytes()) == before, "something was changed")
        need(done.stdout == "" or verb[0] == "verify", "something was started:", done.stdout)
    except bed.Wrong as wrong:
        return f"{path.relative_to(directory)} {what} (case {seed}): {wrong}"
    return None


def main():
    parser = argparse.ArgumentParser()
    bed.programs(parser)
    parser.add_argument("--verify", type=int, default=0, help="so many by `cairn verify`")
    parser.add_argument("--restart", type=int, default=0, help="so many by `cairn restart`")
    parser.add_argument("--case", type=int, help="only this one, by `cairn restart`")
    options = parser.parse_args()
    bed.use(options)
    seed = int(os.environ.get("CAIRN_CHECK_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="cairn-damage.") as scratch:
        job = prepare(pathlib.Path(scratch))
        cases = [("verify",)] * options.verify + [("restart",)] * options.restart
        numbers = [seed * 1_000_000 + i for i in range(len(cases))]
        if options.case is not None:
            cases, numbers = [("restart",)], [options.case]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            places = {}

            def run(number, verb):
                import threading
                place = places.setdefault(threading.get_ident(), pathlib.Path(tempfile.mkdtemp(dir=scratch)))
                return try_one(job, place, number, verb)

            failures = [wrong for wrong in pool.map(run, numbers, cases) if wrong]
        whole = bed.Job(job.place, job.directory).restart(2)
        try:
            whole.must_step("from what was not damaged")
        except bed.Wrong as wrong:
            failures.append(str(wrong))
        whole.kill()
    for failure in failures:
        print("FAILED", failure)
    print(f"{len(cases) + 1 - len(failures)} passed, {len(failures)} failed, 0 skipped")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
