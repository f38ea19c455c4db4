#!/usr/bin/env python3
"""What a program finds when `cairn run` starts it, and that none starts where the agent cannot."""
import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

CAIRN = None
ALL_SIGNALS = set(signal.valid_signals())
REFUSED, INTERNAL = 121, 125


class Start(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="cairn-start.")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        self.job = self.scratch / "job"
        self.touched = self.scratch / "touched"

    def run_cairn(self, *arguments, job=None, **options):
        return subprocess.run([CAIRN, "run", "--dir", job or self.job, *arguments], capture_output=True, text=True, timeout=60,
                              **options)

    def expect_refused(self, done, code):
        self.assertEqual(done.returncode, code, done)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("cairn: "), done.stderr)
        self.assertFalse(self.touched.exists(), "the program ran all the same")

    def hold_directory(self):
        """A job that lives in the directory until its standard input ends."""
        holder = subprocess.Popen([CAIRN, "run", "--dir", self.job, "--", "sh", "-c", "echo up; cat"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(holder.communicate)
        self.assertEqual(holder.stdout.readline(), "up\n")

    def test_directory_of_a_running_job_is_refused(self):
        self.hold_directory()
        self.expect_refused(self.run_cairn("touch", self.touched), REFUSED)

    def test_the_refusal_as_json(self):
        self.hold_directory()
        done = self.run_cairn("--json", "touch", self.touched)
        self.expect_refused(done, REFUSED)
        answer = json.loads(done.stdout)
        self.assertEqual((answer["ok"], answer["exit"]), (False, REFUSED))
        self.assertEqual(f"cairn: {answer['error']}\n", done.stderr)

    def test_directory_that_cannot_be_made(self):
        self.expect_refused(self.run_cairn("touch", self.touched, job="/proc/no/such"), INTERNAL)

    def test_the_job_is_known_before_the_program_runs(self):
        done = self.run_cairn("sh", "-c", '"$0" ps --json; "$0" status --json --dir "$1"', CAIRN, self.job)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(str(self.job), done.stdout)

    def test_nothing_of_the_start_is_left(self):
        program = ("import os, sys\n"
                   "try: os.waitpid(-1, 0x40000000)\n"  # __WALL: children without an exit signal, too
                   "except ChildProcessError: print('no child')\n"
                   "print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:-1])\n")
        done = self.run_cairn("/usr/bin/python3", "-c", program)
        self.assertEqual(done.stdout, "no child\n[0, 1, 2]\n", done.stderr)

    def test_nothing_of_the_start_is_left_to_a_script(self):
        script = self.scratch / "script"
        script.write_text("#!/bin/sh\n\"$0\" ps --json\nexec ls /proc/self/fd\n".replace("$0", str(CAIRN)))
        script.chmod(0o755)
        done = self.run_cairn(script)
        self.assertIn(str(self.job), done.stdout, done.stderr)
        self.assertEqual(done.stdout.split()[-4:], ["0", "1", "2", "3"])  # 3 is the listing's own

    def test_no_signal_is_left_by_the_start(self):
        program = "import signal; print(signal.sigpending())"
        for number in range(10):
            done = self.run_cairn("python3", "-c", program, job=self.scratch / str(number),
                                  preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ALL_SIGNALS))
            self.assertEqual(done.stdout, "set()\n", done.stderr)

    def test_closed_standard_descriptors(self):
        for closed in ((0,), (1,), (0, 1), (0, 1, 2)):
            redirections = " ".join(f"{fd}>&-" for fd in closed)
            script = f'ls /proc/self/fd > "$0.$$" ; exec mv "$0.$$" "$0"'
            job = self.scratch / ("job" + "".join(map(str, closed)))
            done = subprocess.run(["sh", "-c", f'"$@" {redirections}', "sh", CAIRN, "run", "--dir", job, "--", "sh", "-c", script,
                                   self.touched], timeout=60)
            self.assertEqual(done.returncode, 0, closed)
            self.assertTrue(self.touched.exists())
            self.touched.unlink()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cairn", required=True)
    options, rest = parser.parse_known_args()
    CAIRN = os.path.abspath(options.cairn)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
