"""What is shipped is one folder that runs on old systems and wherever it is copied to (docs/rules.md, 23)."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import check

OLDEST_GLIBC = (2, 31)
PROGRAMS = ("cairn", "cairn-engine", "cairn-plan", "cairn-runtime")


def tool(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def folder():
    return pathlib.Path(check.arguments.programs)


class Files(unittest.TestCase):
    def test_nothing_is_loaded_at_run_time(self):
        for name in PROGRAMS:
            headers = tool("readelf", "-lW", folder() / name)
            self.assertNotIn("INTERP", headers, name)
            self.assertNotIn("NEEDED", tool("readelf", "-dW", folder() / name), name)

    def test_no_symbol_is_newer_than_the_oldest_libc(self):
        for name in PROGRAMS:
            versions = re.findall(r"GLIBC_(\d+)\.(\d+)", tool("readelf", "-VW", folder() / name))
            newer = [v for v in versions if tuple(map(int, v)) > OLDEST_GLIBC]
            self.assertEqual(newer, [], name)

    def test_what_a_start_waits_for_knows_no_image(self):
        """Registering the image's schema takes longer than all the rest of a start."""
        symbols = tool("nm", "-C", folder() / "cairn")
        for word in ("google::protobuf", "ZSTD_", "cairn::image::"):
            self.assertEqual([line for line in symbols.splitlines() if word in line][:3], [])


class Folder(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="cairn-portable.")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def cairn(self, program, *words):
        # Nothing of this build or of the caller's settings may be needed.
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.scratch), "CAIRN_PLAN_CACHE": str(self.scratch / "plans")}
        done = subprocess.run([program, *words], env=environment, capture_output=True, text=True, timeout=120, cwd=self.scratch)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def use(self, program):
        """Each of the programs is found by another one: the runtime, the engine, and the planner (the cache is empty)."""
        self.assertEqual(self.cairn(program, "run", "--dir", "job", "--", "/bin/echo", "it runs"), "it runs\n")
        self.assertIn("checkpoint", self.cairn(program, "--help"))
        self.assertEqual(self.cairn(program, "run", "--dir", "other", "--", "sh", "-c", '"$0" status --json --dir other >/dev/null && echo known',
                                    program), "known\n")
        self.assertTrue(list((self.scratch / "plans").iterdir()), "no plan was made")

    def test_a_copy_of_the_folder_works(self):
        copy = self.scratch / "somewhere" / "else"
        copy.mkdir(parents=True)
        for name in PROGRAMS:
            shutil.copy2(folder() / name, copy / name)
        self.use(copy / "cairn")

    def test_a_link_to_the_program_works(self):
        link = self.scratch / "cairn"
        link.symlink_to(folder() / "cairn")
        self.use(link)

    def test_an_installation_works_and_can_be_moved(self):
        prefix = self.scratch / "prefix"
        subprocess.run(["cmake", "--install", check.arguments.build, "--prefix", prefix], check=True, capture_output=True)
        moved = self.scratch / "moved"
        os.rename(prefix, moved)
        self.assertEqual([path.name for path in (moved / "bin").iterdir()], ["cairn"])
        self.use(moved / "bin" / "cairn")


check.run("programs", "build")
