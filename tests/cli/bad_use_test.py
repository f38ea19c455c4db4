#!/usr/bin/env python3
"""Bad use gets one clear line and its exit code, and nothing runs or changes for it. --interval saves by itself."""

import json
import os
import shutil
import signal
import struct
import subprocess

import jobs

NOBODY = 65534


def elf(bits, machine):
    return b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9) + struct.pack("<HHI", 2, machine, 1) + bytes(44)


class BadUse(jobs.Case):
    def file(self, name, content, mode=0o755):
        path = self.scratch / name
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def test_programs_that_cannot_be_run(self):
        table = (
            (jobs.USAGE, "which program?", ()),
            (jobs.NOT_FOUND, "No such file", ("no-such-program-anywhere",)),
            (jobs.NOT_FOUND, "No such file", (self.scratch / "nothing",)),
            (jobs.NOT_EXECUTABLE, "Permission denied", (self.file("plain", b"#!/bin/sh\n", 0o644),)),
            (jobs.NOT_EXECUTABLE, "Permission denied", (self.scratch,)),
            (jobs.NOT_EXECUTABLE, "32-bit", (self.file("i386", elf(1, 3)),)),
            (jobs.NOT_EXECUTABLE, "not an x86-64 program", (self.file("arm", elf(2, 183)),)),
            (jobs.NOT_EXECUTABLE, "unknown format", (self.file("binary", b"\1\2\0\3"),)),
        )
        for code, words, command in table:
            with self.subTest(command):
                self.expect_line(code, words, "run", "--dir", self.job, "--", *command)
                self.assertFalse(self.job.exists())

    def test_a_set_uid_program(self):
        program = self.scratch / "setuid"
        shutil.copy("/bin/true", program)
        program.chmod(0o4755)
        self.scratch.chmod(0o755)
        if os.geteuid() != 0:
            self.skipTest("only root can make one of another user's")
        self.expect_line(jobs.NOT_EXECUTABLE, "set-uid", "run", "--dir", "/tmp/never-made", program, user=NOBODY)

    def test_wrong_options(self):
        for words in (("run", "--intervall", "3s", "true"), ("run", "--interval", "often", "true"), ("run", "--mode", "magic", "true"),
                      ("run", "--files", "all", "true"), ("run", "--name", "a/b", "true"), ("run", "--keep", "few", "true"),
                      ("checkpoint", "--timeout", "soon"), ("prune",), ("frobnicate",), (), ("ls", "a", "b"), ("core", "--pid", "x")):
            with self.subTest(words):
                done = self.cairn(*words, code=jobs.USAGE, cwd=self.scratch)
                self.assertTrue(done.stderr)
                self.assertEqual(done.stdout, "")
                self.assertEqual(list(self.scratch.iterdir()), [])

    def test_jobs_and_directories_that_are_not_there(self):
        empty = self.scratch / "empty"
        empty.mkdir()
        table = (
            (jobs.REFUSED, "no running job is called", ("checkpoint", "no-such-job-4711")),
            (jobs.REFUSED, "no running job uses the directory", ("checkpoint", "--dir", empty)),
            (jobs.REFUSED, "no running job", ("status", "no-such-job-4711")),
            (jobs.REFUSED, "No such file", ("restart", self.scratch / "nothing")),
            (jobs.REFUSED, "No such file", ("ls", self.scratch / "nothing")),
            (jobs.REFUSED, "no ./cairn-NAME here", ("verify",)),
            (jobs.DAMAGED, "no generation", ("restart", empty)),
            (jobs.DAMAGED, "no generation", ("inspect", empty)),
            (jobs.DAMAGED, "no generation 3", ("verify", "--dir", empty, "3")),
        )
        for code, words, command in table:
            with self.subTest(command):
                self.expect_line(code, words, *command, cwd=self.scratch)
                answer = self.cairn(command[0], "--json", *command[1:], code=code, cwd=self.scratch)
                self.assertEqual((json.loads(answer.stdout)["ok"], json.loads(answer.stdout)["exit"]), (False, code))

    def test_an_unreadable_directory(self):
        if os.geteuid() != 0:
            self.skipTest("needs another user")
        self.scratch.chmod(0o755)
        self.job.mkdir(mode=0o700)
        for verb in ("ls", "restart", "verify", "inspect", "core", "prune"):
            with self.subTest(verb):
                keep = ("--keep", 1) if verb == "prune" else ()
                self.expect_line(jobs.REFUSED, "Permission denied", verb, *keep, self.job, user=NOBODY, cwd="/")

    def test_a_job_that_still_runs_is_not_restarted(self):
        process = self.start_worker()
        self.cairn("checkpoint", "--dir", self.job)
        self.expect_line(jobs.REFUSED, "still running", "restart", self.job)
        self.expect_line(jobs.REFUSED, "still running", "restart", self.job / "1")
        self.expect_line(jobs.REFUSED, "another job runs in", "run", "--dir", self.job, "true")
        self.assertEqual(self.step(process)[0], "0")

    def test_a_job_that_runs_without_its_agent_is_not_restarted(self):
        process = self.start_worker()
        self.cairn("checkpoint", "--dir", self.job)
        agent = json.loads((self.job / "owner").read_text())["pid"]
        os.kill(agent, signal.SIGKILL)
        while os.path.exists(f"/proc/{agent}"):
            pass
        self.expect_line(jobs.REFUSED, "no running job", "checkpoint", "--dir", self.job)  # looks at what is left behind, too
        self.expect_line(jobs.REFUSED, "still running", "restart", self.job)
        self.expect_line(jobs.REFUSED, "another job runs in", "run", "--dir", self.job, "true")
        self.assertEqual(self.step(process)[0], "0")
        self.kill(process)
        self.assertEqual(self.step(self.restart(self.job))[0], "0")

    def test_a_job_that_still_runs_on_another_host(self):
        """It cannot be asked there. The restart supersedes it: it never commits again, and ends when it notices."""
        if subprocess.run(["unshare", "-m", "-u", "true"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("another host takes a namespace with another boot id")
        process = self.start_worker(options=("--interval", "200ms"))
        while not self.json("ls", self.job):
            pass
        boot_id = self.scratch / "boot_id"
        boot_id.write_text("01234567-89ab-cdef-0123-456789abcdef\n")
        host = ("unshare", "-m", "-u", "sh", "-c", 'mount --bind "$0" /proc/sys/kernel/random/boot_id && hostname elsewhere && exec "$@"',
                boot_id)
        again = subprocess.Popen([*map(str, host), jobs.cairn, "restart", str(self.job)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 text=True)
        self.addCleanup(self.end, again)
        self.assertEqual(self.step(again)[0], "0")
        self.assertEqual(process.wait(60), -signal.SIGKILL)
        before = len(self.json("ls", self.job))
        self.cairn("checkpoint", "--dir", self.job)
        self.assertEqual(len(self.json("ls", self.job)), before + 1)
        self.assertEqual(self.step(again)[0], "1")

    def test_a_damaged_image_is_named(self):
        process = self.start_worker()
        self.cairn("checkpoint", "--dir", self.job)
        self.kill(process)
        pack = self.job / "1" / "node-0.pack"
        content = bytearray(pack.read_bytes())
        content[len(content) // 2] ^= 1
        pack.write_bytes(content)
        self.expect_line(jobs.DAMAGED, str(pack), "verify", self.job)
        (self.job / "1" / "node-0.meta").unlink()
        for verb in ("restart", "inspect", "core"):
            self.expect_line(jobs.DAMAGED, "node-0.meta", verb, self.job)
        (self.job / "1" / "manifest.json").write_text("{}")
        self.expect_line(jobs.DAMAGED, "manifest", "restart", self.job)

    def test_every_verb_has_help_and_json(self):
        verbs = [line.split()[0] for line in self.cairn("--help").stdout.partition("Subcommands:")[2].splitlines()
                 if line.startswith("  ") and line[2].isalpha() and not line.startswith("  0")]
        self.assertIn("prune", verbs)
        for verb in verbs:
            if verb.isalpha():
                self.assertIn("--json", self.cairn(verb, "--help").stdout)


class Interval(jobs.Case):
    def generations(self):
        return self.json("status", "--dir", self.job)["generations"]

    def test_it_saves_by_itself(self):
        process = self.start_worker(options=("--interval", "100ms", "--keep", "2"))
        while len(self.generations()) == 0 or self.generations()[-1] < 4:
            pass
        self.assertLessEqual(len(self.generations()), 3)  # the oldest goes a moment after the newest came
        self.assertEqual(self.step(process), ["0", "1"])
        self.kill(process)
        again = self.restart(self.job)
        self.assertIn(self.step(again)[0], ("0", "1"))

    def test_by_the_environment(self):
        environment = {**os.environ, "CAIRN_INTERVAL": "100ms"}
        self.start_worker(env=environment)
        while not self.generations():
            pass


if __name__ == "__main__":
    jobs.main()
