"""table.def against the kernel's headers and against the page made from it."""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ARGUMENTS = None


def generate(*words):
    script = ARGUMENTS.source / "src/syscalls/generate.py"
    return subprocess.run([sys.executable, script, *words], check=True, capture_output=True, text=True).stdout


def header_calls():
    """Number -> name of the x86-64 calls that the compiler's <asm/unistd.h> knows."""
    text = subprocess.run([ARGUMENTS.compiler, "-E", "-dM", "-x", "c", "-include", "asm/unistd.h", "/dev/null"],
                          check=True, capture_output=True, text=True).stdout
    return {int(number): name for name, number in re.findall(r"#define __NR_(\w+) (\d+)$", text, re.MULTILINE)}


class TableSource(unittest.TestCase):
    def setUp(self):
        lines = [line.split() for line in generate("names").splitlines()]
        self.table = {int(number): name for number, name in lines}

    def test_every_call_of_the_headers_has_its_row(self):
        calls = header_calls()
        self.assertGreater(len(calls), 300)
        self.assertEqual({n: (name, self.table.get(n)) for n, name in calls.items() if self.table.get(n) != name}, {})

    def test_numbers_ascend(self):
        self.assertEqual(list(self.table), sorted(self.table))

    def test_newest_calls_are_there(self):
        self.assertEqual(self.table[462], "mseal")
        self.assertGreaterEqual(max(self.table), 467)

    def test_the_page_is_up_to_date(self):
        with tempfile.NamedTemporaryFile(suffix=".md") as page:
            generate("docs", page.name)
            fresh = pathlib.Path(page.name).read_text()
        kept = (ARGUMENTS.source / "docs/syscalls.md").read_text()
        self.assertTrue(fresh == kept, "run: src/syscalls/generate.py docs docs/syscalls.md")


class GeneratorRefuses(unittest.TestCase):
    """A wrong line ends the build and names the line."""

    def check(self, line, expected):
        sys.path.insert(0, str(ARGUMENTS.source / "src/syscalls"))
        import generate as generator
        text = generator.TABLE.read_text() + line + "\n"
        with tempfile.NamedTemporaryFile("w", suffix=".def") as table:
            table.write(text)
            table.flush()
            with self.assertRaisesRegex(SystemExit, expected):
                generator.load(pathlib.Path(table.name))

    def test_a_second_row_for_a_number(self):
        self.check("0 again file pass never -> status", "number 0 is there twice")

    def test_an_unknown_role(self):
        self.check("500 new file pass never fd:filedes -> status", "unknown role filedes")

    def test_an_unknown_result(self):
        self.check("500 new file pass never fd:fd -> nothing", "unknown result nothing")

    def test_a_refusal_without_an_error(self):
        self.check("500 new file refuse never -> status // why", "refuse needs an errno")

    def test_a_cause_on_a_pass_row(self):
        self.check("500 new file pass(undo) never -> status", "pass has no cause")

    def test_an_armed_row_without_a_cause(self):
        self.check("500 new file armed never -> status", "armed needs a cause")

    def test_an_unknown_shared_handler(self):
        self.check("500 new file translate@nobody never -> status", "unknown shared handler nobody")

    def test_a_length_that_points_nowhere(self):
        self.check("500 new file pass never buf:buffer_in[1] -> status", "length of no argument")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    ARGUMENTS, rest = parser.parse_known_args()
    sys.dont_write_bytecode = True
    unittest.main(argv=[sys.argv[0], *rest])
