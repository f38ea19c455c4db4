#!/usr/bin/env python3
"""The manual page and the completion have every verb and every flag, and are well formed."""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import jobs

page = None
completion = None


class Manual(jobs.Case):
    def verbs(self):
        text = self.cairn("--help").stdout
        return re.findall(r"^  ([a-z]+) ", text[text.index("Subcommands:"):], re.MULTILINE)

    def flags(self, verb):
        return set(re.findall(r"(?<=[ ,])--?[a-z][a-z-]*", self.cairn(verb, "--help").stdout.partition("Options:")[2]))

    def test_every_verb_and_flag_is_in_both(self):
        verbs = self.verbs()
        self.assertGreater(len(verbs), 10)
        manual = page.read_text().replace("\\-", "-")
        for verb in verbs:
            section = manual.partition(f".SH CAIRN {verb}\n")[2].partition("\n.SH ")[0]
            self.assertTrue(section, verb)
            flags = self.flags(verb)
            self.assertIn("--json", flags)
            offered = self.complete("cairn", verb, "-")
            for flag in flags:
                self.assertIn(f"\\fB{flag}\\fR", section, verb)
                self.assertIn(flag, offered, verb)
        self.assertLessEqual(set(verbs), self.complete("cairn", ""))

    def test_every_flag_has_its_variable(self):
        for verb in self.verbs():
            for line in self.cairn(verb, "--help").stdout.partition("Options:")[2].splitlines():
                flag = re.match(r"  (?:-[a-z],)?--([a-z-]+)", line)
                if flag and flag[1] != "help":
                    self.assertIn(f"Env:CAIRN_{flag[1].upper().replace('-', '_')}", line)

    def complete(self, *words):
        script = (f'source "{completion}"; COMP_WORDS=({" ".join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}; _cairn; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return set(done.stdout.split())

    def test_completion(self):
        self.assertEqual(self.complete("cairn", "che"), {"checkpoint"})
        self.assertEqual(self.complete("cairn", "checkpoint", "--ki"), {"--kill"})
        (self.scratch / "saved").mkdir()
        self.assertEqual(self.complete("cairn", "ls", "--dir", f"{self.scratch}/sa"), {f"{self.scratch}/saved"})

    @unittest.skipUnless(shutil.which("groff"), "needs groff")
    def test_the_page_renders_without_warnings(self):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--page", required=True)
    parser.add_argument("--completion", required=True)
    own, sys.argv[1:] = parser.parse_known_args()
    page, completion = pathlib.Path(own.page), own.completion
    jobs.main()
