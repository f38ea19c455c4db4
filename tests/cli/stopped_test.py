#!/usr/bin/env python3
"""A job whose first process is stopped, as by Ctrl-Z in a shell: checkpoint, checkpoint --kill, restart."""

import concurrent.futures
import os
import random
import signal
import subprocess
import threading
import time
import unittest

import jobs


def state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


class Stopped(jobs.Case):
    """The test stands for a shell with job control: the job leads a group of its own."""

    def stopped_by(self, process):
        pid, status = os.waitpid(process.pid, os.WUNTRACED)
        self.assertEqual(pid, process.pid)
        self.assertTrue(os.WIFSTOPPED(status), status)
        return os.WSTOPSIG(status)

    def assert_no_news(self, process):
        self.assertEqual(os.waitpid(process.pid, os.WUNTRACED | os.WCONTINUED | os.WNOHANG), (0, 0))
        self.assertEqual(state(process.pid), "T")

    def start_stopped(self, number=signal.SIGTSTP):
        process = self.start_worker(process_group=0)
        self.assertEqual(self.step(process)[0], "0")
        os.kill(process.pid, number)
        self.assertEqual(self.stopped_by(process), number)
        return process

    def restart_in(self, **options):
        process = subprocess.Popen([jobs.cairn, "restart", self.job], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        self.addCleanup(self.end, process)
        return process

    def goes_on(self, process, count):
        os.kill(process.pid, signal.SIGCONT)
        self.assertEqual(self.step(process)[0], str(count))

    def test_it_stays_stopped_and_goes_on(self):
        process = self.start_stopped()
        for _ in range(5):
            self.cairn("checkpoint", "--dir", self.job)
            self.assert_no_news(process)
        self.goes_on(process, 1)
        self.assertIn("stopped    by SIGTSTP", self.cairn("inspect", self.job).stdout)
        self.cairn("checkpoint", "--dir", self.job)
        self.assertNotIn("stopped    by", self.cairn("inspect", self.job).stdout)

    def test_it_comes_back_stopped_by_the_same_signal(self):
        for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGSTOP):
            with self.subTest(number):
                process = self.start_stopped(number)
                self.cairn("checkpoint", "--dir", self.job, "--kill")
                self.assertEqual(process.wait(20), -signal.SIGKILL)
                process = self.restart_in(process_group=0)
                self.assertEqual(self.stopped_by(process), number)
                time.sleep(0.2)
                self.assert_no_news(process)
                self.cairn("checkpoint", "--dir", self.job)  # stopped in its restart still
                self.assert_no_news(process)
                self.kill(process)
                process = self.restart_in(process_group=0)
                self.assertEqual(self.stopped_by(process), number)
                self.goes_on(process, 1)
                self.kill(process)

    def test_where_nobody_could_continue_it_it_is_stopped_by_sigstop(self):
        process = self.start_stopped()
        self.cairn("checkpoint", "--dir", self.job, "--kill")
        process.wait(20)
        process = self.restart_in(start_new_session=True)
        self.assertEqual(self.stopped_by(process), signal.SIGSTOP)
        self.assert_no_news(process)
        self.goes_on(process, 1)

    def test_checkpoints_while_somebody_stops_and_continues_it(self):
        process = self.start_worker(process_group=0)
        over = threading.Event()

        def storm():
            random_pause = random.Random(4711)
            while not over.is_set():
                os.kill(process.pid, signal.SIGSTOP)
                self.assertEqual(self.stopped_by(process), signal.SIGSTOP)
                self.assertEqual(os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG), (0, 0))
                time.sleep(random_pause.uniform(0, 0.03))
                os.kill(process.pid, signal.SIGCONT)
                self.assertTrue(os.WIFCONTINUED(os.waitpid(process.pid, os.WCONTINUED)[1]))
                time.sleep(random_pause.uniform(0, 0.03))

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            storming = pool.submit(storm)
            try:
                for count in range(50):
                    self.cairn("checkpoint", "--dir", self.job)
                    self.assertEqual(self.step(process)[0], str(count))
            finally:
                over.set()
            storming.result(timeout=20)
        self.assertEqual(self.step(process)[0], "50")

    @unittest.skipIf(os.geteuid() == 0, "root may trace everybody")
    def test_what_may_not_be_traced_is_refused_and_stays_stopped(self):
        process = self.start("/usr/bin/python3", "-c", "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n" + jobs.WORKER,
                             process_group=0)
        os.kill(process.pid, signal.SIGSTOP)
        self.assertEqual(self.stopped_by(process), signal.SIGSTOP)
        self.expect_line(jobs.FAILED, "is stopped (SIGSTOP or Ctrl-Z) and may not be traced", "checkpoint", "--dir", self.job)
        self.assert_no_news(process)
        self.goes_on(process, 0)

    def test_the_agent_is_killed_while_it_is_parked(self):
        process = self.start_stopped()
        agent = self.json("status", "--dir", self.job)["agent_pid"]
        checkpoint = subprocess.Popen([jobs.cairn, "checkpoint", "--dir", self.job], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while state(process.pid) == "T" and checkpoint.poll() is None and time.monotonic() < end:
            pass
        os.kill(agent, signal.SIGKILL)
        checkpoint.wait()
        while state(process.pid) != "T" and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(0.1)
        self.assert_no_news(process)
        self.goes_on(process, 1)

    def test_a_shell_sees_its_job(self):
        """With job control: the job that is stopped is listed as such, before and after."""
        script = f"""
        {jobs.cairn} run --dir {self.job} -- sleep 1000 &
        until {jobs.cairn} status --dir {self.job} >/dev/null 2>&1; do sleep 0.05; done
        kill -TSTP %1
        until jobs %1 | grep -q Stopped; do sleep 0.05; done
        {jobs.cairn} checkpoint --dir {self.job} --kill > /dev/null || echo refused
        kill -0 $! 2>/dev/null || echo gone
        {jobs.cairn} restart {self.job} &
        until jobs %% | grep -q Stopped; do sleep 0.05; done
        {jobs.cairn} checkpoint --dir {self.job} > /dev/null || echo refused
        jobs %% | grep -o Stopped
        kill %%; bg %% > /dev/null; wait %%; echo ended $?
        """
        done = subprocess.run(["bash", "-c", "set -m\n" + script], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stdout.split("\n"), ["gone", "Stopped", "ended 143", ""], done.stderr)


if __name__ == "__main__":
    jobs.main()
