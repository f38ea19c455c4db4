#!/usr/bin/env python3
"""A corpus for reader_fuzz from real generations, and a run over it.

    corpus.py --into DIR GENERATION...              writes the corpus
    corpus.py --program reader_fuzz --rounds N GENERATION...   and changes it N times at random (seed: CAIRN_CHECK_SEED)
"""

import argparse
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

MANIFEST, RECORDS, PACK, PROCESS, OBJECT, REFERENCE = range(6)  # as in reader_fuzz.cc
RECORDS_HEAD, RECORD_HEAD = 48, struct.Struct("<IIQQ32x")


def records(meta):
    place = RECORDS_HEAD
    while place < len(meta):
        kind, _, _, length = RECORD_HEAD.unpack_from(meta, place)
        place += RECORD_HEAD.size
        yield kind, meta[place:place + length]
        place += length


def parts(generation):
    yield MANIFEST, (generation / "manifest.json").read_bytes()
    for meta in generation.glob("node-*.meta"):
        yield RECORDS, meta.read_bytes()
        for kind, payload in records(meta.read_bytes()):
            yield {1: PROCESS, 2: OBJECT}.get(kind, REFERENCE), payload
    for pack in generation.glob("node-*.pack"):
        yield PACK, pack.read_bytes()


def write(into, generations):
    files = []
    for generation in generations:
        for kind, content in parts(pathlib.Path(generation)):
            files.append(into / f"{len(files):04}-{kind}")
            files[-1].write_bytes(bytes([kind]) + content)
    return files


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--into", type=pathlib.Path)
    parser.add_argument("--program")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("generations", nargs="+")
    options = parser.parse_args()
    if options.into:
        options.into.mkdir(parents=True, exist_ok=True)
        print(len(write(options.into, options.generations)), "files")
        return 0
    seed = int(os.environ.get("CAIRN_CHECK_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    with tempfile.TemporaryDirectory(prefix="cairn-fuzz.") as scratch:
        files = write(pathlib.Path(scratch), options.generations)
        print(f"seed {seed}", flush=True)
        return subprocess.run([options.program, str(seed), str(options.rounds), *map(str, files)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
