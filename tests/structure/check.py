"""What the structure tests share: arguments, the list of source files, and running under unittest."""

import argparse
import pathlib
import sys
import unittest

SOURCES = (".h", ".cc", ".c", ".S", ".py", ".proto", ".def", ".sh", ".cmake", ".md", ".txt", ".json", "")
arguments = argparse.Namespace()


def files(*folders, suffixes=SOURCES):
    """Files of these folders of the source tree, without what a build or an editor made."""
    for folder in folders:
        for path in sorted((arguments.source / folder).rglob("*")):
            parts = path.relative_to(arguments.source).parts
            if path.is_file() and path.suffix in suffixes and not {"build", "__pycache__", ".git"} & set(parts):
                yield path


def short(path):
    return str(path.relative_to(arguments.source))


def run(*wanted):
    parser = argparse.ArgumentParser()
    for name in wanted:
        parser.add_argument(f"--{name}", required=True,
                            type=pathlib.Path if name in ("source", "runtime") else str)
    known, rest = parser.parse_known_args()
    vars(arguments).update(vars(known))
    unittest.main(module="__main__", argv=[sys.argv[0], *rest])
