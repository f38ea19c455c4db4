"""Jobs for the tests of the verbs: started, checkpointed and ended through the command line alone."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

OK, USAGE, REFUSED, DAMAGED, FAILED, TIMEOUT, INTERNAL, NOT_EXECUTABLE, NOT_FOUND = 0, *range(120, 128)

# Changes a page of its memory for each line that it reads, and says so.
WORKER = """
import sys
block = bytearray(1 << 20)
print("up", flush=True)
for count, line in enumerate(sys.stdin):
    block[4096 * (count % 256)] = count % 251 + 1
    print(count, sum(block), flush=True)
"""

cairn = None  # path of the program


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="cairn-cli.")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)
        self.job = self.scratch / "job"

    def cairn(self, *arguments, code=OK, **options):
        done = subprocess.run([cairn, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done

    def json(self, verb, *arguments, **options):
        return json.loads(self.cairn(verb, "--json", *arguments, **options).stdout)

    def expect_line(self, code, words, *arguments, **options):
        """Fails with this code, and with one line that holds the words."""
        done = self.cairn(*arguments, code=code, **options)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("cairn: "), lines)
        self.assertIn(words, lines[0])
        return done

    def start(self, *command, options=(), **keywords):
        """The job runs until its standard input ends; its first line is waited for."""
        process = subprocess.Popen([cairn, "run", "--dir", self.job, *options, "--", *map(str, command)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **keywords)
        self.addCleanup(self.end, process)
        self.assertEqual(process.stdout.readline(), "up\n")
        return process

    def start_worker(self, **keywords):
        return self.start("/usr/bin/python3", "-c", WORKER, **keywords)

    def restart(self, *arguments):
        process = subprocess.Popen([cairn, "restart", *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True)
        self.addCleanup(self.end, process)
        return process

    def step(self, process):
        process.stdin.write("\n")
        process.stdin.flush()
        return process.stdout.readline().split()

    def kill(self, process):
        process.kill()
        process.wait()

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.communicate()


def main():
    global cairn
    parser = argparse.ArgumentParser()
    parser.add_argument("--cairn", required=True)
    options, rest = parser.parse_known_args()
    cairn = os.path.abspath(options.cairn)
    unittest.main(module="__main__", argv=[sys.argv[0], *rest], verbosity=2)
