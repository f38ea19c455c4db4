#!/usr/bin/env python3
"""restart --map and --env, what a restart says is missing, and run --secret-env."""

import os

import jobs

# Answers each line of its standard input: what the C library sees of the environment, where it is, and
# what it has written so far.
WORKER = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
os.chdir(sys.argv[1])
log = open("log", "a")
data = open("data", "r+")
if len(sys.argv) > 2:
    libc.setenv(b"RENEWED_BY_PROGRAM", b"first", 1)
print("up", flush=True)
for line in sys.stdin:
    word = line.strip()
    if word == "where":
        log.write("here" + chr(10)); log.flush()
        print(os.getcwd(), os.readlink(f"/proc/self/fd/{log.fileno()}"), data.read(), flush=True)
    elif word.startswith("child "):
        libc.system(b"echo ${" + word[6:].encode() + b"-unset}")
    else:
        value = libc.getenv(word.encode())
        print("unset" if value is None else value.decode(), flush=True)
"""


class Renewed(jobs.Case):
    def start_here(self, *words, options=(), **variables):
        place = self.scratch / "place"
        place.mkdir()
        (place / "data").write_text("old")
        return self.start("/usr/bin/python3", "-c", WORKER, place, *words, options=options,
                          env={**os.environ, **variables})

    def ask(self, process, word):
        process.stdin.write(word + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    def save_and_kill(self, process):
        self.cairn("checkpoint", "--dir", self.job)
        self.kill(process)

    def test_files_that_are_elsewhere(self):
        process = self.start_here()
        self.save_and_kill(process)
        old, new = self.scratch / "place", self.scratch / "new place"
        old.rename(new)
        refused = self.expect_line(jobs.REFUSED, f"the working directory {old} is missing", "restart", self.job)
        self.assertIn(f"the open file {old}/log is missing", refused.stderr)
        self.assertIn(f"the directory of the open file {old}/data is missing", refused.stderr)
        self.assertFalse(old.exists())
        process = self.restart("--map", f"{old}={new}", self.job)
        self.assertEqual(self.ask(process, "where"), f"{new} {new}/log old")
        self.assertEqual((new / "log").read_text(), "here\n")
        self.save_and_kill(process)
        process = self.restart(self.job)  # it is there now
        self.assertEqual(self.ask(process, "where"), f"{new} {new}/log")
        self.assertEqual((new / "log").read_text(), "here\nhere\n")

    def test_environment(self):
        process = self.start_here(SAME="same", LONGER="x", SHORTER="a long value", GONE="there")
        self.save_and_kill(process)
        long = "y" * 300
        process = self.restart("--env", f"LONGER={long}", "--env", "SHORTER=b", "--env", "GONE", "--env", "NEW=new",
                               "--env", "EMPTY=", self.job)
        for name, value in (("SAME", "same"), ("LONGER", long), ("SHORTER", "b"), ("GONE", "unset"), ("NEW", "new"),
                            ("EMPTY", "")):
            self.assertEqual(self.ask(process, name), value)
            self.assertEqual(self.ask(process, f"child {name}"), value)
        self.save_and_kill(process)
        process = self.restart("--env", "NEW=newer still", self.job)
        self.assertEqual(self.ask(process, "NEW"), "newer still")
        self.assertEqual(self.ask(process, "LONGER"), long)

    def test_environment_that_the_program_has_changed(self):
        process = self.start_here("setenv", SAME="same", OTHER="one")
        self.save_and_kill(process)
        process = self.restart("--env", "RENEWED_BY_PROGRAM=the second value", "--env", "OTHER=another",
                               "--env", "NEW=new", self.job)
        for name, value in (("RENEWED_BY_PROGRAM", "the second value"), ("OTHER", "another"), ("NEW", "new"),
                            ("SAME", "same")):
            self.assertEqual(self.ask(process, name), value)

    def test_secrets(self):
        secret = "s3cret-" + os.urandom(8).hex()
        process = self.start_here(options=("--secret-env", "TOKEN"), TOKEN=secret)
        self.assertEqual(self.ask(process, "TOKEN"), secret)
        self.cairn("checkpoint", "--dir", self.job)
        self.assertEqual(self.ask(process, "TOKEN"), secret)
        self.kill(process)
        core = self.scratch / "core"
        self.cairn("core", self.job, "-o", core)
        memory = core.read_bytes()
        self.assertEqual(memory.count(secret.encode()), 0)
        self.assertGreater(memory.count(b"TOKEN=****"), 0)
        self.expect_line(jobs.REFUSED, "TOKEN", "restart", self.job)
        process = self.restart("--env", "TOKEN=another one", self.job)
        self.assertEqual(self.ask(process, "TOKEN"), "another one")

    def test_bad_use(self):
        self.expect_line(jobs.USAGE, "--map", "restart", "--map", "relative=/x", self.job)
        self.expect_line(jobs.USAGE, "--secret-env", "run", "--secret-env", "NOT_SET_AT_ALL", "--dir", self.job, "--",
                         "/bin/true")


if __name__ == "__main__":
    jobs.main()
