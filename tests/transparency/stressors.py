#!/usr/bin/env python3
"""Runs the stressors of stress-ng under Cairn, each for a moment, with their own checks switched on.

    stressors.py --cairn BUILD/bin/cairn [--mode auto] [--seconds 1] [--list] [NAME ...]

A stressor that fails, hangs or does nothing under Cairn is run natively too: only what does better there counts as
failed. As root they run as nobody, unless --root is given. Not run are those that fill memory or disk, change the
machine, or are refused by policy (REFUSED says why).
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

NOBODY = 65534
GREEDY = """bigheap brk stack stackmmap oom-pipe forkheavy fork vforkmany zombie hdd pageswap swap resources rlimit vm-segv
physpage mlockmany msyncmany mmaphuge mincore revio iomix tmpfs ramfs sync-file sync-load syncload race-sched lockbus""".split()
MACHINE = """reboot cpu-online memhotplug netdev quota apparmor smi watchdog rtc klog binderfs bind-mount umount efivar pci gpu
loop softlockup flushcache""".split()
REFUSED = {
    "io-uring": "answered ENOSYS, so that programs fall back",
    "secretmem": "memory that nobody may read cannot be saved",
    "usersyscall": "Syscall User Dispatch is what Cairn itself stands on",
}
OPEN_DEFECTS = {"ptrace/dispatch": "a tracer inside sees a SIGSYS for each call of the one it traces"}
LIMITS = {"vm": "64M", "mmap": "64M", "mremap": "32M", "vm-rw": "16M", "memrate": "32M"}


def below(pid):
    """The processes under `pid`, from /proc."""
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [number for child in children for number in (int(child), *below(int(child)))]


class Run:
    def __init__(self, options, name, native):
        place = pathlib.Path(tempfile.mkdtemp(prefix="cairn-stressor-"))
        (place / "work").mkdir()
        account = {}
        if os.getuid() == 0 and not options.root:
            for path in (place, place / "work"):
                os.chown(path, NOBODY, NOBODY)
            account = dict(user=NOBODY, group=NOBODY, extra_groups=[])
        command = ["stress-ng", f"--{name}", "1", "-t", str(options.seconds), "--verify", "--metrics-brief", "--no-rand-seed",
                   "--temp-path", str(place / "work")]
        if name in LIMITS:
            command += [f"--{name}-bytes", LIMITS[name]]
        if not native:
            command = [options.cairn, "run", f"--mode={options.mode}", "--dir", str(place / "job"), "--", *command]
        with open(place / "output", "w+b") as output:
            child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=place / "work",
                                     start_new_session=True, env=dict(os.environ, HOME=str(place)), **account)
            try:
                self.status = child.wait(60 + 20 * options.seconds)
            except subprocess.TimeoutExpired:
                self.status = "hangs"
                for pid in [child.pid, *below(child.pid)]:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                child.wait()
            output.seek(0)
            self.text = output.read().decode(errors="replace")
        shutil.rmtree(place, ignore_errors=True)
        found = re.search(rf"metrc:.*? {re.escape(name)} +(\d+) ", self.text)
        self.works = bool(found and int(found.group(1)))
        self.complains = "fail:" in self.text

    def good(self):
        return self.status == 0 and self.works and not self.complains

    def shown(self):
        lines = [line for line in self.text.splitlines() if not re.search(r"metrc:|info:|^\s*$", line)]
        return f"status {self.status}, {'work' if self.works else 'no work'} done" + "".join(f"\n    {line}" for line in lines[:6])


def check(options, name):
    """passed, skipped or failed, with the reason."""
    if f"{name}/{options.mode}" in OPEN_DEFECTS and not options.with_open_defects:
        return "skipped", f"open defect: {OPEN_DEFECTS[f'{name}/{options.mode}']}"
    under = Run(options, name, native=False)
    if under.good():
        return "passed", ""
    native = Run(options, name, native=True)
    if native.good() or (native.status, native.works, native.complains) != (under.status, under.works, under.complains):
        return "failed", f"under Cairn {under.shown()}\n  natively {native.shown()}"
    return "skipped", "does not run natively either"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--cairn", required=True)
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--root", action="store_true", help="stay root")
    parser.add_argument("--with-open-defects", action="store_true", help="run what OPEN_DEFECTS lists, too")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    options.cairn = os.path.abspath(options.cairn)
    if not shutil.which("stress-ng"):
        print("needs stress-ng (packages-real.txt)")
        return 77
    known = subprocess.run(["stress-ng", "--stressors"], capture_output=True, text=True, check=False).stdout.split()
    names = options.names or [name for name in known if name not in (*GREEDY, *MACHINE, *REFUSED)]
    if options.list:
        print(*names)
        return 0
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name in names:
        word, text = check(options, name)
        counts[word] += 1
        print(f"{word:8}{name}{': ' if text else ''}{text}", flush=True)
    print(", ".join(f"{count} {word}" for word, count in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
