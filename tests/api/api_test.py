#!/usr/bin/env python3
"""include/cairn/cairn.h and python/cairn.py: natively, under Cairn, and in a restarted program."""

import argparse
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))

import jobs

program = None
module = None
NATIVE = "Function not implemented"


class Api(jobs.Case):
    def start_program(self, mode="auto"):
        process = subprocess.Popen([jobs.cairn, "run", "--mode", mode, "--dir", self.job, "--", program], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        self.assertEqual(process.stdout.readline(), "up: 0\n")
        return process

    def tell(self, process, command):
        process.stdin.write(command + "\n")
        process.stdin.flush()
        return self.hear(process)

    @staticmethod
    def hear(process):
        return process.stdout.readline().strip().partition(": ")[2]

    def test_natively(self):
        process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        process.stdout.readline()
        self.assertEqual(self.tell(process, "version"), "0")
        for command in ("incarnation", "generation", "checkpoint", "defer", "undefer", "leave out", "take in", "poll"):
            self.assertEqual(self.tell(process, command), NATIVE, command)

    def test_a_checkpoint_from_inside_returns_twice(self):
        for number, mode in enumerate(("auto", "dispatch", "seccomp", "patch")):
            self.job = self.scratch / mode
            process = self.start_program(mode)
            self.assertEqual(self.tell(process, "version"), "256")  # 0.1.0
            self.assertEqual((self.tell(process, "incarnation"), self.tell(process, "generation")), ("1", "0"))
            self.assertEqual(self.tell(process, "checkpoint"), "0", mode)
            self.assertEqual(self.tell(process, "generation"), "1")
            self.kill(process)
            again = self.restart(self.job)
            self.assertEqual(self.hear(again), "1", mode)
            self.assertEqual((self.tell(again, "incarnation"), self.tell(again, "generation")), ("2", "1"))
            self.assertEqual(self.tell(again, "checkpoint"), "0")
            self.kill(again)
            third = self.restart(self.job)
            self.assertEqual((self.hear(third), self.tell(third, "incarnation"), self.tell(third, "generation")), ("1", "3", "2"))
            self.kill(third)

    def test_several_threads_ask_at_once(self):
        process = self.start_program()
        self.assertEqual(self.tell(process, "threads"), "0")
        generations = int(self.tell(process, "generation"))
        self.assertIn(generations, range(1, 5))
        self.kill(process)
        for number in range(1, generations + 1):
            again = self.restart(self.job / str(number))
            self.assertIn(int(self.hear(again)), range(1, 5))
            self.kill(again)

    def test_signals_interrupt_nothing(self):
        process = self.start_program()
        self.assertEqual(self.tell(process, "signals"), "0")
        self.kill(process)
        self.assertEqual(self.hear(self.restart(self.job)), "1")

    def test_a_failure_is_told(self):
        process = self.start_program()
        self.assertEqual(self.tell(process, "defer"), "0")
        self.assertEqual(self.tell(process, "checkpoint"), "Resource deadlock avoided")
        self.assertEqual(self.tell(process, "undefer"), "0")
        self.assertEqual(self.tell(process, "undefer"), "Operation not permitted")
        self.assertEqual(self.tell(process, "checkpoint"), "0")

    def test_a_checkpoint_waits_while_it_is_put_off(self):
        process = self.start_program()
        self.assertEqual((self.tell(process, "defer"), self.tell(process, "defer")), ("0", "0"))
        self.expect_line(jobs.TIMEOUT, "puts checkpoints off", "checkpoint", "--dir", self.job, "--timeout", "100ms")
        waiting = subprocess.Popen([jobs.cairn, "checkpoint", "--dir", self.job], stdout=subprocess.PIPE, text=True)
        while not self.json("status", "--dir", self.job)["checkpointing"]:
            pass
        self.assertEqual(self.tell(process, "undefer"), "0")
        self.assertEqual(self.json("status", "--dir", self.job)["generations"], [])
        self.assertEqual(self.tell(process, "undefer"), "0")
        self.assertIn("generation 1", waiting.communicate()[0])
        self.assertEqual(waiting.returncode, 0)

    def test_what_is_left_out_is_zero_after_a_restart(self):
        process = self.start_program()
        self.assertEqual(self.tell(process, "half a page"), "Invalid argument")
        self.assertEqual((self.tell(process, "leave out"), self.tell(process, "take in")), ("0", "0"))
        self.assertEqual(self.tell(process, "checkpoint"), "0")
        self.assertEqual(self.tell(process, "full"), "64")
        self.kill(process)
        again = self.restart(self.job)
        self.assertEqual((self.hear(again), self.tell(again, "full")), ("1", "24"))
        self.assertEqual(self.tell(again, "remap"), "0")
        self.assertEqual(self.tell(again, "checkpoint"), "0")
        self.kill(again)
        third = self.restart(self.job)
        self.assertEqual((self.hear(third), self.tell(third, "full")), ("1", "64"))
        self.assertEqual(self.tell(third, "many"), "No space left on device")

    def test_hooks_by_polling(self):
        process = self.start_program()
        self.assertEqual((self.tell(process, "poll"), self.tell(process, "poll")), ("0", "0"))
        self.cairn("checkpoint", "--dir", self.job)
        self.assertEqual((self.tell(process, "poll"), self.tell(process, "poll")), ("1", "0"))
        self.cairn("checkpoint", "--dir", self.job, "--kill")
        process.wait()
        again = self.restart(self.job)
        self.assertEqual((self.tell(again, "poll"), self.tell(again, "poll")), ("2", "0"))


PYTHON = """
import sys
sys.path.insert(0, sys.argv[1])
import cairn, errno, mmap
try:
    print(cairn.version(), cairn.incarnation(), flush=True)
except OSError as error:
    print(error.errno == errno.ENOSYS, error.errno == errno.EDEADLK, flush=True)
with cairn.deferred():
    try:
        cairn.checkpoint()
    except OSError as error:
        print(error.errno == errno.ENOSYS, error.errno == errno.EDEADLK, flush=True)
if cairn.version():
    block = mmap.mmap(-1, 8192, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block[:] = b"x" * 8192
    cairn.leave_out(block)
    watch = cairn.Watch()
    result = cairn.checkpoint()
    print(result == cairn.RESTARTED, watch.poll(), block[0], cairn.generation(), flush=True)
sys.stdin.read()
"""


class Python(jobs.Case):
    def lines(self, process, count):
        return [process.stdout.readline().strip() for _ in range(count)]

    def test_natively(self):
        done = subprocess.run([sys.executable, "-c", PYTHON, module], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(done.stdout, "True False\n" * 2, done.stderr)

    def test_under_cairn_and_restarted(self):
        process = subprocess.Popen([jobs.cairn, "run", "--dir", self.job, "--", sys.executable, "-c", PYTHON, module],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        self.assertEqual(self.lines(process, 3), ["256 1", "False True", "False saved 120 1"])
        self.kill(process)
        self.assertEqual(self.lines(self.restart(self.job), 1), ["True restarted 0 1"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--module", required=True)
    own, sys.argv[1:] = parser.parse_known_args()
    program, module = own.program, own.module
    jobs.main()
