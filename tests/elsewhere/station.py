#!/usr/bin/env python3
"""Runs on one computer: saves programs there into the share, or brings those back that another computer saved.

    station.py save|restore --share DIR --cairn FILE [--run-flags FLAGS] BINARY ...

A self-checking program of tests/programs is at rest when it is saved; what it finds after its restart it judges
itself. Everything but the share is local, as a user's directories on another computer would be: the images and the
program's files travel as one archive. Each program's verdict is a line: PASS, SKIP or FAIL, its name, a reason.
"""

import argparse
import os
import pathlib
import shutil
import sys
import tarfile
import types

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "driver"))
import trial  # noqa: E402  (after the path)

LOCAL = pathlib.Path("/var/tmp/cairn-elsewhere")


class Traveller(trial.Trial):
    """A trial whose first half is on one computer and whose second is on another."""

    def __init__(self, name, binary, options, resumed):
        self.resumed = resumed
        directory = LOCAL / name
        program = types.SimpleNamespace(name=name, binary=binary, unsteady={"everything"}, run_on=False, downtime=0.0)
        if resumed:
            with tarfile.open(pathlib.Path(options.share) / f"{name}.tar") as archive:
                archive.extractall(LOCAL)
            os.rename(directory, f"{directory}.arrived")
        super().__init__(program, "restart", str(directory), options.cairn, options.timeout, name)
        if resumed:
            os.rmdir(directory)
            os.rename(f"{directory}.arrived", directory)
            self.commands = 1

    def launch(self, arguments, directory):
        flags = os.environ.get("STATION_RUN_FLAGS", "").split()
        if flags and arguments[1:2] == ["run"]:
            arguments = arguments[:2] + flags + arguments[2:]
        super().launch(arguments, directory)


def save(traveller, options):
    traveller.start()
    traveller.poke()
    traveller.checkpoint()
    traveller.kill()
    with tarfile.open(pathlib.Path(options.share) / f"{traveller.program.name}.tar", "w") as archive:
        archive.add(traveller.directory, traveller.program.name)


def restore(traveller, _options):
    traveller.restart()
    traveller.release()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("save", "restore"))
    parser.add_argument("--share", required=True)
    parser.add_argument("--cairn", required=True)
    parser.add_argument("--run-flags", default="")
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("binaries", nargs="+", metavar="BINARY")
    options = parser.parse_args()
    os.environ["STATION_RUN_FLAGS"] = options.run_flags
    os.environ["XDG_RUNTIME_DIR"] = os.environ["TMPDIR"] = os.environ["HOME"] = str(LOCAL)
    os.umask(0o022)
    shutil.rmtree(LOCAL, ignore_errors=True)
    LOCAL.mkdir(parents=True)
    for binary in options.binaries:
        name = os.path.basename(binary)
        one = None
        try:
            one = Traveller(name, binary, options, options.action == "restore")
            (save if options.action == "save" else restore)(one, options)
            print("PASS", name, flush=True)
        except trial.Skipped as skipped:
            print("SKIP", name, skipped, flush=True)
        except (trial.Failed, OSError) as failed:
            print("FAIL", name, str(failed).replace("\n", " / "), flush=True)
        finally:
            if one is not None:
                one.end()
                one.kill_leftovers()
    shutil.rmtree(LOCAL, ignore_errors=True)


if __name__ == "__main__":
    main()
