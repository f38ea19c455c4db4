#!/usr/bin/env python3
"""inspect: processes, threads, memory, descriptors and the environment of a generation."""

import os

import jobs

PROGRAM = """
import os, sys, threading
held = open("/etc/passwd")
held.readline()
pipe = os.pipe()
threading.Thread(target=sys.stdin.read, daemon=True, name="second").start()
print("up", flush=True)
threading.Event().wait()
"""


class Inspect(jobs.Case):
    def save(self):
        environment = {**os.environ, "CAIRN_TEST_PLAIN": "seen by all", "CAIRN_TEST_TOKEN": "hidden-4711"}
        process = self.start("/usr/bin/python3", "-c", PROGRAM, "an argument", env=environment)
        self.cairn("checkpoint", "--dir", self.job)
        return process

    def test_as_json(self):
        process = self.save()
        whole = self.json("inspect", self.job)
        self.assertEqual((whole["generation"], len(whole["processes"])), (1, 1))
        self.assertGreater(whole["memory_bytes"], 0)
        saved = whole["processes"][0]
        self.assertEqual(saved["pid"], process.pid)
        self.assertEqual(saved["arguments"], ["/usr/bin/python3", "-c", PROGRAM, "an argument"])
        self.assertIn("CAIRN_TEST_TOKEN=hidden-4711", saved["environment"])
        self.assertEqual(len(saved["threads"]), 2)
        self.assertEqual({d["number"] for d in saved["descriptors"]}, {0, 1, 2, 3, 4, 5})
        self.assertGreater(sum(region["saved_bytes"] for region in saved["regions"]), 1 << 20)
        self.assertEqual(sum(region["saved_bytes"] for region in saved["regions"]), whole["memory_bytes"])

    def test_for_people(self):
        process = self.save()
        text = self.cairn("inspect", self.job / "1").stdout
        for words in ("generation 1 of job python3", f"process {process.pid}", "an argument", "threads", "memory", "descriptors",
                      "/etc/passwd", "pipe end", "environment", "CAIRN_TEST_PLAIN=seen by all", "CAIRN_TEST_TOKEN=hidden-4711",
                      "private anonymous", "saved on"):
            self.assertIn(words, text)

    def test_secrets_are_masked_where_that_is_wanted(self):
        self.save()
        for flags in ((), ("--json",)):
            text = self.cairn("inspect", "--mask-secrets", self.job, *flags).stdout
            self.assertNotIn("hidden-4711", text)
            self.assertIn("CAIRN_TEST_TOKEN=***", text)
            self.assertIn("CAIRN_TEST_PLAIN=seen by all", text)


if __name__ == "__main__":
    jobs.main()
