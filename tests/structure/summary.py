"""scripts/summary.py counts what ctest ran, and never a skip or a missing test as a pass."""

import subprocess
import sys
import tempfile
import unittest

import check


def summarize(*cases):
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as junit:
        junit.write("<testsuite>" + "".join(cases) + "</testsuite>")
        junit.flush()
        done = subprocess.run([sys.executable, check.arguments.source / "scripts/summary.py", junit.name],
                              capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()[-1]


def case(status, inner="", output=""):
    return f'<testcase name="t" status="{status}">{inner}<system-out>{output}</system-out></testcase>'


class Summary(unittest.TestCase):
    def test_a_good_run(self):
        self.assertEqual(summarize(case("run"), case("run")), (0, "2 passed, 0 failed, 0 skipped"))

    def test_a_failure(self):
        self.assertEqual(summarize(case("run"), case("fail")), (1, "1 passed, 1 failed, 0 skipped"))

    def test_a_skip_is_no_pass(self):
        skipped = case("notrun", '<skipped message="SKIP_RETURN_CODE=77"/>')
        self.assertEqual(summarize(case("run"), skipped), (0, "1 passed, 0 failed, 1 skipped"))
        self.assertEqual(summarize(skipped)[0], 1)

    def test_a_missing_program_is_a_failure(self):
        missing = case("notrun", '<skipped message="Unable to find executable"/>')
        self.assertEqual(summarize(case("run"), missing), (1, "1 passed, 1 failed, 0 skipped"))

    def test_nothing_run_is_a_failure(self):
        self.assertEqual(summarize(), (1, "0 passed, 0 failed, 0 skipped"))

    def test_drivers_count_by_their_cases(self):
        self.assertEqual(summarize(case("run", output="x\n20 passed, 0 failed, 3 skipped\n")),
                         (0, "20 passed, 0 failed, 3 skipped"))

    def test_googletest_counts_by_its_tests(self):
        output = "[  PASSED  ] 11 tests.\n[  SKIPPED ] 1 test, listed below:\n"
        self.assertEqual(summarize(case("run", output=output)), (0, "11 passed, 0 failed, 1 skipped"))

    def test_a_crash_after_good_cases_is_a_failure(self):
        self.assertEqual(summarize(case("fail", output="5 passed, 0 failed, 0 skipped\n")),
                         (1, "5 passed, 1 failed, 0 skipped"))


check.run("source")
