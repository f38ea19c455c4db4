"""The scripts, the package lists and the pages hang together."""

import os
import re
import shutil
import subprocess
import unittest

import check


def packages(name):
    lines = (check.arguments.source / "scripts" / name).read_text().splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


class Packages(unittest.TestCase):
    def test_lists_name_each_package_once(self):
        every = packages("packages-build.txt") + packages("packages-tests.txt")
        self.assertEqual(sorted(every), sorted(set(every)))
        self.assertTrue(all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name) for name in every), every)

    @unittest.skipUnless(shutil.which("dpkg-query"), "not a Debian system")
    def test_what_the_build_needs_is_installed(self):
        """This build exists, so a listed package that is not installed is not needed, or is misspelt."""
        for name in packages("packages-build.txt"):
            state = subprocess.run(["dpkg-query", "-W", "-f=${db:Status-Status}", name], capture_output=True, text=True)
            self.assertEqual(state.stdout, "installed", name)


class Scripts(unittest.TestCase):
    NAMES = ("scripts/setup", "scripts/demo", "scripts/check", ".ci/run")

    def test_they_can_be_run(self):
        for name in self.NAMES:
            self.assertTrue(os.access(check.arguments.source / name, os.X_OK), name)
            subprocess.run(["bash", "-n", check.arguments.source / name], check=True)

    def test_help_is_the_leading_comment(self):
        for name in self.NAMES[:3]:
            done = subprocess.run([check.arguments.source / name, "--help"], check=True, capture_output=True, text=True)
            self.assertGreater(len(done.stdout.splitlines()), 2, name)
            self.assertNotIn("set -euo", done.stdout)

    def test_unknown_arguments_are_refused(self):
        for name in self.NAMES[:2]:
            done = subprocess.run([check.arguments.source / name, "--nonsense"], capture_output=True, text=True)
            self.assertNotEqual(done.returncode, 0, name)
            self.assertIn("--help", done.stderr, name)


class Pages(unittest.TestCase):
    def test_links_lead_somewhere(self):
        broken = []
        pages = [check.arguments.source / "README.md", *check.files("docs", "src", "tests", suffixes=(".md",))]
        for page in pages:
            for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
                if "://" not in target and not (page.parent / target).exists():
                    broken.append(f"{check.short(page)} -> {target}")
        self.assertEqual(broken, [])

    def test_the_licence_is_there(self):
        self.assertIn("Apache License", (check.arguments.source / "LICENSE").read_text()[:200])


check.run("source")
