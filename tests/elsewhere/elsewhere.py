#!/usr/bin/env python3
"""Saved on one computer, brought back on another: other kernels, CPUs and userlands (beds.py) on this machine.

    elsewhere.py --build BUILD --cairn BUILD/bin/cairn [--only NAME] [--full]

A journey is two beds, a user and the flags of `cairn run`. What travels is self-checking programs of tests/programs
(station.py): a sample by the seed in CAIRN_CHECK_SEED, all that can travel with --full or CAIRN_CHECK_FULL.
The last line is `N passed, N failed, N skipped`.
"""

import argparse
import dataclasses
import os
import pathlib
import random
import sys
import tempfile

import beds

HERE = pathlib.Path(__file__).resolve().parent
SAMPLE = 8
# The programs' own language, and what the beds' packages need to run the station.
PACKAGES = ("python3",)
# What each computer decides for itself: these programs look at their own machine's devices or network.
STAY = {"file_10000_descriptors": "a bed's hard limit of open files is lower",
        "mem_hugetlb": "the beds have no huge pages",
        "thread_500": "too slow under emulation"}


@dataclasses.dataclass
class Journey:
    name: str
    start: str
    end: str
    user: str = "user"
    flags: str = ""
    refused: str = ""  # part of the line with which the restart is refused


JOURNEYS = (
    Journey("lesser-cpu", "here", "bookworm/Nehalem", flags="--cpu=x86-64-v2"),
    Journey("lesser-cpu-refused", "here", "bookworm/Nehalem", refused="the CPU lacks what the program may use"),
    Journey("no-dispatch-to-newer", "bullseye/max", "trixie/max"),
    Journey("newer-to-no-dispatch", "trixie/max", "bullseye/max", user="root"),
    Journey("unfaulted-cpuid", "trixie/max", "bookworm/qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16", flags="--cpu=x86-64-v2"),
    Journey("home", "bookworm/Haswell-noTSX", "here", flags="--cpu=x86-64-v3"),
)


def make_bed(name, options, share):
    visible = [str(options.build), str(HERE.parents[1]), str(share)]
    if name == "here":
        return beds.Here()
    if "/" in name:
        release, _, cpu = name.partition("/")
        return beds.Kernel(release, cpu, options.cache, share, PACKAGES, visible)
    return beds.Userland(name, options.cache, PACKAGES, visible)


def station(bed, action, journey, options, share, binaries):
    """{program: (verdict, reason)}"""
    argv = ["python3", "-B", str(HERE / "station.py"), action, "--share", str(share), "--cairn", str(options.cairn),
            "--timeout", str(options.timeout), f"--run-flags={journey.flags}", *binaries]
    code, text = bed.run(argv, journey.user)
    verdicts = {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word in ("PASS", "SKIP", "FAIL"):
            name, _, reason = rest.partition(" ")
            verdicts[name] = (word, f"{bed.name}: {reason}")
    if code != 0 or len(verdicts) != len(binaries):
        for binary in binaries:
            verdicts.setdefault(os.path.basename(binary), ("FAIL", f"{bed.name}: exit code {code}: {text[-400:]}"))
    return verdicts


def travel(journey, options, binaries):
    with tempfile.TemporaryDirectory(prefix="cairn-elsewhere-", dir="/var/tmp") as place:
        share = pathlib.Path(place)
        share.chmod(0o777)
        verdicts = station(make_bed(journey.start, options, share), "save", journey, options, share, binaries)
        arrived = [binary for binary in binaries if verdicts[os.path.basename(binary)][0] == "PASS"]
        if arrived:
            verdicts |= station(make_bed(journey.end, options, share), "restore", journey, options, share, arrived)
    if not journey.refused:
        return verdicts
    return {name: expect_refusal(journey, verdict) for name, verdict in verdicts.items()}


def expect_refusal(journey, verdict):
    word, reason = verdict
    if word == "FAIL" and journey.refused in reason:
        return "PASS", ""
    return ("FAIL", f"was not refused: {word} {reason}") if word != "SKIP" else verdict


def choose(options, seed):
    names = sorted(path.name for path in (options.build / "tests/programs").iterdir()
                   if path.is_file() and os.access(path, os.X_OK))
    names = [name for name in names if name not in STAY and not name.startswith("wait_storm")]
    if options.programs:
        names = options.programs
    elif not options.full:
        names = sorted(random.Random(seed).sample(names, SAMPLE))
    return [str(options.build / "tests/programs" / name) for name in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--cairn", type=pathlib.Path, required=True)
    parser.add_argument("--cache", type=pathlib.Path, help="what is made once (default: BUILD/tests/elsewhere)")
    parser.add_argument("--only", action="append", help="only the journey of this name")
    parser.add_argument("--full", action="store_true", default=bool(os.environ.get("CAIRN_CHECK_FULL")))
    parser.add_argument("--timeout", type=float, default=240, help="seconds for one program on one computer")
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help="instead of the sample")
    options = parser.parse_args()
    options.build = options.build.resolve()
    options.cache = options.cache or options.build / "tests/elsewhere"
    options.cache.mkdir(parents=True, exist_ok=True)
    if os.getuid() != 0:
        print("skipped: only root can make root directories and read the kernel's")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    seed = os.environ.get("CAIRN_CHECK_SEED", "1")
    print("seed", seed)
    binaries = choose(options, seed)
    counts = {"PASS": 0, "FAIL": 0, "SKIP": 0}
    for journey in JOURNEYS:
        if options.only and journey.name not in options.only:
            continue
        try:
            verdicts = travel(journey, options, binaries)
        except beds.Missing as missing:
            verdicts = {"-": ("SKIP", str(missing))}
        for name, (word, reason) in sorted(verdicts.items()):
            counts[word] += 1
            if word != "PASS":
                print(word, journey.name, name, reason, flush=True)
        print(f"{journey.name}: {journey.start} -> {journey.end}: {len(verdicts)} programs", flush=True)
    print(f"{counts['PASS']} passed, {counts['FAIL']} failed, {counts['SKIP']} skipped")
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
