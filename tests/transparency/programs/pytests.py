"""Runs one of CPython's own test modules and prints each test's outcome, sorted; nothing that varies."""
import importlib, os, sys, unittest

os.environ.setdefault("PYTHONHASHSEED", "0")
from test import support

support.use_resources = ["subprocess", "cpu"]  # not: network, largefile, walltime, gui
support.verbose = 0


class Outcomes(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.lines = {}

    def startTest(self, test):
        # A virtual machine without a vsock peer lets these wait for ever, natively too.
        if "VSOCK" in test.id():
            test.setUp = lambda: test.skipTest("vsock")
        super().startTest(test)

    def note(self, test, word):
        # A test keeps its worst outcome; a failed sub-test counts for its test.
        if self.lines.get(test.id(), "ok") == "ok":
            self.lines[test.id()] = word

    def addSuccess(self, test): self.note(test, "ok")
    def addSkip(self, test, reason): self.note(test, "skipped")
    def addExpectedFailure(self, test, error): self.note(test, "failed as expected")
    def addUnexpectedSuccess(self, test): self.note(test, "unexpected success")

    def explain(self, test, error, word):
        self.note(test, word)
        text = self._exc_info_to_string(error, test) if hasattr(test, "failureException") else str(error)
        with open(os.environ.get("EXPLAIN", "/dev/null"), "a") as file:
            file.write(f"{test.id()} {word}\n{text}\n")

    def addFailure(self, test, error): self.explain(test, error, "FAILED")
    def addError(self, test, error): self.explain(test, error, "ERROR")

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.explain(test, error, "FAILED")


def load(name):
    module = importlib.import_module("test." + name)
    if hasattr(module, "load_tests") or name != "test_asyncio":
        return unittest.defaultTestLoader.loadTestsFromModule(module)
    return unittest.defaultTestLoader.discover(os.path.dirname(module.__file__), top_level_dir=None)


outcomes = Outcomes()
null = os.open(os.devnull, os.O_WRONLY)
report = os.fdopen(os.dup(1), "w")
os.dup2(null, 1)  # what the tests themselves print names addresses and times
os.dup2(null, 2)
load(sys.argv[1]).run(outcomes)
for name in sorted(outcomes.lines):
    print(f"{name}: {outcomes.lines[name]}", file=report)
report.close()
