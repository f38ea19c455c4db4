"""What the table says needs work has a handler in the runtime, and nothing else has one."""

import re
import sys
import unittest

import check

ARRAY = re.compile(r"HandlerRow k\w+\[\] = \{(.*?)\{0, nullptr\}\};", re.DOTALL)
ENTRY = re.compile(r"\{(?:__NR_(?P<name>\w+)|(?P<number>\d+))\s*(?:/\*.*?\*/)?\s*,")


def gaps():
    """Name -> what goes wrong, for rows that are known to have no handler yet."""
    found = {}
    for line in (check.arguments.source / "tests/structure/handler_gaps.txt").read_text().splitlines():
        names, colon, effect = line.partition(":")
        if line and not line.startswith("#"):
            assert colon and effect.strip(), line
            found.update({name: effect.strip() for name in names.split()})
    return found


def table():
    sys.path.insert(0, str(check.arguments.source / "src/syscalls"))
    import generate
    return generate.load().rows


def handled():
    names = {row.number: row.name for row in table()}
    for path in check.files("src/runtime/handlers", suffixes=(".cc",)):
        for array in ARRAY.findall(path.read_text()):
            for entry in ENTRY.finditer(array):
                yield entry["name"] or names[int(entry["number"])]


class Handlers(unittest.TestCase):
    maxDiff = None

    def test_every_row_that_needs_work_has_a_handler(self):
        wanted = {row.name for row in table() if row.policy in ("track", "translate", "emulate")}
        self.assertEqual(sorted(wanted - set(handled()) - set(gaps())), [])

    def test_every_handler_is_for_a_row_that_needs_work(self):
        wanted = {row.name for row in table() if row.policy in ("track", "translate", "emulate", "armed")}
        found = set(handled())
        self.assertTrue(found)
        self.assertEqual(sorted(found - wanted), [])

    def test_exceptions_are_still_needed(self):
        exceptions = set(gaps())
        self.assertEqual(sorted(exceptions & set(handled())), [])
        self.assertEqual(sorted(exceptions - {row.name for row in table()}), [])


check.run("source")
