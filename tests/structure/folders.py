"""Files are short, folders explain themselves, and nothing names the machine it was written on."""

import re
import unittest

import check

MAX_LINES = 600
MAX_TEST_LINES = 700  # a table of small tests reads well a little longer
MAY_BE_LONGER = {
    "docs/syscalls.md": "generated",
    "src/syscalls/table.def": "one line a system call",
}
CODE = (".h", ".cc", ".c", ".S", ".py", ".proto", ".def")
FOLDERS = ("src", "tests", "bench", "scripts", "cmake", "include", "docs", ".ci")
MACHINE = re.compile(r"/work/|/home/[a-z]|/root/|/Users/")


class Folders(unittest.TestCase):
    maxDiff = None

    def test_files_are_short(self):
        long = {}
        for path in check.files(*FOLDERS, suffixes=CODE):
            lines = len(path.read_text().splitlines())
            limit = MAX_TEST_LINES if check.short(path).startswith("tests/unit/") else MAX_LINES
            if lines > limit and check.short(path) not in MAY_BE_LONGER:
                long[check.short(path)] = lines
        self.assertEqual(long, {})

    def test_folders_of_src_have_a_readme(self):
        folders = {path.relative_to(check.arguments.source).parts[1] for path in check.files("src", suffixes=CODE)}
        self.assertGreater(len(folders), 3)
        missing = [folder for folder in sorted(folders)
                   if not (check.arguments.source / "src" / folder / "README.md").is_file()]
        self.assertEqual(missing, [])

    def test_no_path_of_some_machine(self):
        wrong = []
        for path in check.files(*FOLDERS):
            if path.name == "folders.py":
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if MACHINE.search(line):
                    wrong.append(f"{check.short(path)}:{number}: {line.strip()}")
        self.assertEqual(wrong, [])

    def test_headers_are_included_once(self):
        wrong = [check.short(path) for path in check.files("src", "include", suffixes=(".h",))
                 if "#pragma once" not in path.read_text()]
        self.assertEqual(wrong, [])

    def test_text_is_clean(self):
        wrong = []
        for path in check.files(*FOLDERS, suffixes=CODE + (".md", ".txt", "")):
            text = path.read_text()
            for number, line in enumerate(text.splitlines(), 1):
                if line != line.rstrip() or ("\t" in line and path.suffix in (".h", ".cc", ".py")):
                    wrong.append(f"{check.short(path)}:{number}: trailing blank or tab")
            if text and not text.endswith("\n"):
                wrong.append(f"{check.short(path)}: no newline at the end")
        self.assertEqual(wrong, [])


check.run("source")
