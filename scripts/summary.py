"""The last line of scripts/check: `N passed, N failed, N skipped` from the JUnit file that ctest wrote.

A test that runs many cases counts by its cases where its output says so: a GoogleTest program, or one whose
last such line is `N passed, N failed, N skipped` itself. A skip is never counted as a pass.
Ends with 1 if a test failed, or if none passed.
"""

import re
import sys
import xml.etree.ElementTree as xml

OWN_LINE = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped", re.MULTILINE)
GTEST_LINE = re.compile(r"^\[  (PASSED|FAILED|SKIPPED) *\] (\d+) tests?[.,]", re.MULTILINE)


def counts_of(case):
    """(passed, failed, skipped) of one test of ctest's."""
    skip = case.find("skipped")
    if case.get("status") == "disabled" or (skip is not None and skip.get("message", "").startswith("SKIP_")):
        return 0, 0, 1
    ran_well = case.get("status") == "run"
    output = case.findtext("system-out") or ""
    if own := OWN_LINE.findall(output):
        passed, failed, skipped = map(int, own[-1])
    elif gtest := dict(GTEST_LINE.findall(output)):
        passed, failed, skipped = (int(gtest.get(word, 0)) for word in ("PASSED", "FAILED", "SKIPPED"))
    else:
        passed, failed, skipped = int(ran_well), 0, 0
    if not ran_well:
        failed = max(failed, 1)  # whatever it printed: crashed, timed out, or not there
    return passed, failed, skipped


def main():
    total = [0, 0, 0]
    for case in xml.parse(sys.argv[1]).getroot().iter("testcase"):
        counts = counts_of(case)
        total = [a + b for a, b in zip(total, counts)]
        if counts[1] or counts[2]:
            print(f"{case.get('name')}: {counts[1]} failed, {counts[2]} skipped")
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if total[1] or not total[0] else 0


sys.exit(main())
