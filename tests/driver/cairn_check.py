#!/usr/bin/env python3
"""Runs the self-checking programs of tests/programs in the flavours of checkpoint and restart.

  cairn_check.py --programs BUILD/tests/programs --cairn BUILD/bin/cairn restart busy
  cairn_check.py ... --only 'pipe_*' all

A program's opening comment says what it needs:
  // flavours: all | control restart ...      `all` is all but storm
  // not: FLAVOUR[,FLAVOUR] because REASON       counted as skipped
  // unsteady: KIND[,KIND] because REASON        not compared from outside (maps, threads, fd, ...)
  // run-on: always                              runs on between commit and kill in every trial
  // downtime: SECONDS                           between kill and restart
"""

import argparse
import concurrent.futures
import dataclasses
import fnmatch
import os
import random
import re
import shutil
import sys
import tempfile
import time

from trial import FLAVOURS, Failed, Skipped, Trial


@dataclasses.dataclass
class Program:
    name: str
    binary: str
    flavours: set
    excluded: dict
    unsteady: set
    run_on: bool = False
    downtime: float = 0.0


def read_header(source):
    """The `// key: value` lines of the comment that opens a source."""
    pairs = []
    with open(source, encoding="utf-8") as file:
        for line in file:
            if not line.startswith("//"):
                break
            match = re.match(r"// ([a-z-]+): (.+)", line)
            if match:
                pairs.append((match[1], match[2].strip()))
    return pairs


def load_program(source, binary):
    program = Program(os.path.splitext(os.path.basename(source))[0], binary, set(), {}, set())
    for key, value in read_header(source):
        if key == "flavours":
            program.flavours = set(value.split())
            if "all" in program.flavours:
                program.flavours |= set(FLAVOURS) - {"storm"}
                program.flavours.remove("all")
        elif key in ("not", "unsteady"):
            names, because, reason = value.partition(" because ")
            if not because:
                sys.exit(f"{source}: '{key}:' without 'because'")
            for name in names.replace(",", " ").split():
                if key == "not":
                    program.excluded[name] = reason
                else:
                    program.unsteady.add(name)
        elif key == "run-on":
            program.run_on = True
        elif key == "downtime":
            program.downtime = float(value)
        else:
            sys.exit(f"{source}: unknown key '{key}:'")
    unknown = (program.flavours | set(program.excluded)) - set(FLAVOURS)
    if unknown or not program.flavours:
        sys.exit(f"{source}: flavours {sorted(unknown) or 'missing'}")
    return program


# One restart at rest, in another setting or several times: what fails in `restart` fails in these too.
RESTARTS = {"three", "relocated", "seccomp", "dispatch", "patchonly"}


def load_open_defects(sources):
    """{(program, flavour): reason}: what is known not to work yet. Each counts as skipped."""
    defects = {}
    with open(os.path.join(sources, "open_defects.txt"), encoding="utf-8") as file:
        for line in file:
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            head, because, reason = line.partition(" because ")
            words = head.split()
            if not because or len(words) < 2 or not set(words[1:]) <= set(FLAVOURS):
                sys.exit(f"open_defects.txt: {line!r} is not understood")
            flavours = set(words[1:])
            if "restart" in flavours:
                flavours |= RESTARTS
            for flavour in flavours:
                defects[words[0], flavour] = f"open defect: {reason}"
    return defects


def load_programs(sources, binaries, patterns, with_open_defects):
    found = []
    defects = {} if with_open_defects else load_open_defects(sources)
    for entry in sorted(os.listdir(sources)):
        name, extension = os.path.splitext(entry)
        if extension not in (".c", ".cc"):
            continue
        if patterns and not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            continue
        binary = os.path.join(binaries, name)
        if not os.access(binary, os.X_OK):
            sys.exit(f"{binary} is not built")
        program = load_program(os.path.join(sources, entry), binary)
        for (broken, flavour), reason in defects.items():
            if broken == name:
                program.excluded[flavour] = reason
        found.append(program)
    return found


def run_trial(program, flavour, options):
    """(verdict, reason, seconds)."""
    if flavour in program.excluded:
        return "SKIP", program.excluded[flavour], 0.0
    begun = time.monotonic()
    # A place of its own for every trial, so that a failed one can be looked at.
    directory = os.path.join(options.work, f"{program.name}.{flavour}.{options.round}")
    trial = Trial(program, flavour, directory, options.cairn, options.timeout,
                  f"{options.seed} {program.name} {flavour} {options.round}")
    try:
        FLAVOURS[flavour](trial)
        left = trial.leftovers()
        if left:
            raise Failed(f"processes {left} outlive the job")
        verdict, reason = "PASS", ""
    except Skipped as skipped:
        verdict, reason = "SKIP", str(skipped)
    except Failed as failed:
        verdict, reason = "FAIL", str(failed)
    except Exception as error:  # a trial that cannot be driven is a failed one
        verdict, reason = "FAIL", f"driver: {type(error).__name__}: {error}"
    finally:
        trial.end()
        trial.kill_leftovers()
    if verdict != "FAIL" and not options.keep:
        shutil.rmtree(directory, ignore_errors=True)
    return verdict, reason, time.monotonic() - begun


def choose(programs, options):
    """The (program, flavour) pairs to run; a sample per flavour if asked for."""
    names = list(FLAVOURS) if "all" in options.flavours else options.flavours
    pairs = []
    for flavour in names:
        chosen = [program for program in programs if flavour in program.flavours]
        sampled = options.sample and not os.environ.get("CAIRN_CHECK_FULL")
        if sampled and options.sample < len(chosen):
            chosen = random.Random(f"{options.seed} {flavour}").sample(chosen, options.sample)
        pairs += [(program, flavour) for program in chosen]
    return pairs


def parse_arguments():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flavours", nargs="+", choices=[*FLAVOURS, "all"], metavar="FLAVOUR",
                        help=", ".join([*FLAVOURS, "all"]))
    parser.add_argument("--cairn", help="the cairn program (not needed for control)")
    parser.add_argument("--programs", required=True, help="directory of the built programs")
    parser.add_argument("--sources", default=os.path.join(here, "..", "programs"))
    parser.add_argument("--with-open-defects", action="store_true",
                        help="run what open_defects.txt lists, too")
    parser.add_argument("--only", action="append", metavar="PATTERN", help="programs by name")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=60, help="seconds for one trial")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("CAIRN_CHECK_SEED", 0))
                        or random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--sample", type=int, default=0, help="so many programs of each flavour")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep directories of good trials, too")
    parser.add_argument("--quiet", action="store_true", help="no line for what passed")
    options = parser.parse_args()
    if options.flavours != ["control"]:
        if not options.cairn or not os.access(options.cairn, os.X_OK):
            sys.exit(f"--cairn {options.cairn}: no such program")
        options.cairn = os.path.abspath(options.cairn)
    return options


def main():
    options = parse_arguments()
    programs = load_programs(options.sources, os.path.abspath(options.programs), options.only,
                             options.with_open_defects)
    options.work = tempfile.mkdtemp(prefix="cairn-check-")
    print(f"seed {options.seed}, work in {options.work}", flush=True)
    counts = {"PASS": 0, "FAIL": 0, "SKIP": 0}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for options.round in range(options.repeat):
            pairs = choose(programs, options)
            jobs = {pool.submit(run_trial, program, flavour, options): (program, flavour)
                    for program, flavour in pairs}
            for job in concurrent.futures.as_completed(jobs):
                program, flavour = jobs[job]
                verdict, reason, seconds = job.result()
                counts[verdict] += 1
                if verdict != "PASS" or not options.quiet:
                    print(f"{verdict} {flavour:9} {program.name:32} {seconds:6.2f} s  {reason}",
                          flush=True)
    if counts["FAIL"] == 0 and not options.keep:
        shutil.rmtree(options.work, ignore_errors=True)
    print(f"{counts['PASS']} passed, {counts['FAIL']} failed, {counts['SKIP']} skipped")
    return 1 if counts["FAIL"] or not counts["PASS"] else 0


if __name__ == "__main__":
    sys.exit(main())
