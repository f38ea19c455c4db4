#!/usr/bin/env python3
"""doctor and support: what is found on this machine, and that nothing secret leaves it."""

import os
import shutil
import subprocess
import sys
import tarfile
import unittest

import jobs

SECRETS = {name: f"{name}-4711-secret" for name in ("variable", "argument", "memory", "pipe", "register", "plain")}
PROGRAM = """
import os, sys
held = bytearray(b"memory-4711" + b"-secret")
ends = os.pipe()
os.write(ends[1], b"pipe-4711" + b"-secret")
print("up", flush=True)
sys.stdin.read()
"""


class Doctor(jobs.Case):
    def findings(self, *arguments, code=jobs.OK, **options):
        answer = self.json("doctor", "--dir", self.scratch, *arguments, code=code, **options)
        self.assertEqual(answer["ok"], code == jobs.OK)
        for check in answer["checks"]:
            self.assertIn(check["finding"], ("good", "less", "fails"))
            self.assertEqual(bool(check["advice"]), check["finding"] != "good", check)
        return {check["name"]: check for check in answer["checks"]}

    def expect_failure(self, words, *program):
        check = self.findings("--", *program, code=jobs.REFUSED)["program"]
        self.assertEqual(check["finding"], "fails")
        self.assertIn(words, check["detail"])

    def test_this_machine(self):
        found = self.findings()
        for name in ("kernel", "system calls", "memory", "pidfd", "kcmp", "processor", "fsgsbase", "runtime", "planner",
                     "run directory", "directory", "space", "links", "direct I/O", "file size", "address space"):
            self.assertIn(name, found)
        self.assertEqual(list(self.scratch.iterdir()), [])
        lines = self.cairn("doctor", "--dir", self.scratch).stdout.splitlines()
        self.assertEqual(len(lines), len(found))

    def test_programs(self):
        self.assertEqual(self.findings("--", "/usr/bin/python3", "-c", "x")["program"]["finding"], "good")
        self.expect_failure("cannot run", "no-such-program-anywhere")
        plain = self.scratch / "plain"
        plain.write_text("#!/bin/sh\n")
        self.expect_failure("Permission denied", plain)
        plain.chmod(0o755)
        self.assertIn("script", self.findings("--", plain)["program"]["detail"])
        self.assertEqual(self.findings("--", jobs.cairn)["program"]["finding"], "less")  # it is static

    @unittest.skipUnless(shutil.which("gcc"), "needs gcc")
    def test_a_library_that_is_missing(self):
        library, program = self.scratch / "libgone.so", self.scratch / "program"
        subprocess.run(["gcc", "-shared", "-x", "c", "-o", library, "-"], input="int f(void) { return 1; }", text=True, check=True)
        subprocess.run(["gcc", "-x", "c", "-o", program, "-", "-L", self.scratch, "-lgone"], text=True, check=True,
                       input="int f(void); int main(void) { return f(); }")
        library.unlink()
        self.expect_failure("libgone.so", program)

    def test_a_directory_that_cannot_be_written(self):
        answer = self.json("doctor", "--dir", "/proc/no/such", code=jobs.REFUSED)
        self.assertIn("fails", {check["finding"] for check in answer["checks"] if check["name"] == "directory"})


class Support(jobs.Case):
    def unpack(self, path):
        with tarfile.open(path) as archive:
            return {member.name.rpartition("/")[2]: archive.extractfile(member).read() for member in archive if member.isfile()}

    def test_what_is_gathered_and_what_is_not(self):
        environment = {**os.environ, "MY_PASSWORD": SECRETS["variable"], "PLAIN": SECRETS["plain"]}
        process = self.start(sys.executable, "-c", PROGRAM, SECRETS["argument"], env=environment)
        self.cairn("checkpoint", "--dir", self.job)
        with (self.job / "agent.log").open("a") as log:
            log.write(f"by hand MY_TOKEN={SECRETS['register']} end\n")
        output = self.scratch / "out.tar.gz"
        self.assertEqual(self.json("support", self.job, "-o", output), {"ok": True, "file": str(output)})
        self.assertEqual(output.stat().st_mode & 0o777, 0o600)
        files = self.unpack(output)
        self.assertEqual(set(files), {"version.json", "doctor.json", "jobs.json", "store.json", "manifest-1.json", "agent.log",
                                      "records.json"})
        for name, content in files.items():
            self.assertTrue(content, name)
            for secret in SECRETS.values():
                self.assertNotIn(secret.encode(), content, name)
            self.assertNotIn(b"4711-secret", content, name)
        self.assertIn(b"MY_TOKEN=*** end", files["agent.log"])
        self.assertIn(b'"descriptors"', files["records.json"])
        self.assertIn(str(process.pid).encode(), files["jobs.json"])

    def test_a_damaged_store_is_gathered_all_the_same(self):
        self.start_worker()
        self.cairn("checkpoint", "--dir", self.job)
        (self.job / "1" / "manifest.json").write_text("{")
        output = self.scratch / "out.tar.gz"
        self.cairn("support", self.job, "--output", output)
        files = self.unpack(output)
        self.assertIn(b"damaged", files["store.json"])
        self.assertIn(b"error", files["records.json"])

    def test_bad_use(self):
        self.expect_line(jobs.FAILED, "tar ended with", "support", "-o", self.scratch / "no" / "file")


if __name__ == "__main__":
    jobs.main()
