"""One program in one flavour: start, command, checkpoint, kill, restart, verdict."""

import json
import os
import random
import signal
import subprocess
import time

import outside


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


POLL_SECONDS = 0.004


class Trial:
    """Owns the directory of one trial and every process started for it."""

    def __init__(self, program, flavour, directory, cairn, timeout, seed):
        self.program = program
        self.flavour = flavour
        self.directory = directory
        self.cairn = cairn
        self.deadline = time.monotonic() + timeout
        self.random = random.Random(seed)
        self.images = os.path.join(directory, "images")
        self.process = None
        self.sessions = set()
        self.commands = 0
        self.terminals = []
        os.makedirs(directory)

    # ---- the program -------------------------------------------------------------------------

    def environment(self):
        env = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR",
                                                "XDG_CACHE_HOME") if key in os.environ}
        env["CHECK_DIR"] = self.directory
        if self.flavour in ("busy", "storm"):
            env["CHECK_BUSY"] = "1"
        return env

    def launch(self, arguments, directory):
        """In a session of its own, which tells the processes of the job from all others however fast
        they come and go; a shell leads it, so that the program may begin one of its own."""
        arguments = ["/bin/sh", "-c", '"$@"; exit $?', "sh", *arguments]
        with open(self.path("output"), "ab") as output:
            self.process = subprocess.Popen(arguments, cwd=directory, env=self.environment(),
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            start_new_session=True)
        self.sessions.add(self.process.pid)

    def start_native(self):
        self.launch([self.program.binary], self.directory)
        self.wait_for_file("ready")

    def start(self, mode=None):
        arguments = [self.cairn, "run", "--dir", self.images]
        if mode:
            arguments.append(f"--mode={mode}")
        self.launch(arguments + ["--", self.program.binary], self.directory)
        self.wait_for_file("ready")

    def guest(self):
        """The process to look at or to kill; in the middle of an exec there is none at all."""
        found = []

        def find():
            found[:] = [outside.guest_pid(self.process.pid)]
            return found[0] is not None

        self.wait_until(find, "a process with a guest in it at or below the one that was started")
        return found[0]

    # ---- waiting and commanding --------------------------------------------------------------

    def path(self, name):
        return os.path.join(self.directory, name)

    def wait_until(self, condition, what):
        while not condition():
            if self.process.poll() is not None and not condition():
                self.judge_early_end()
            if time.monotonic() > self.deadline:
                raise Failed(f"timed out waiting for {what}" + self.where_it_hangs())
            time.sleep(POLL_SECONDS)

    def wait_for_file(self, name):
        self.wait_until(lambda: os.path.exists(self.path(name)), f"{name}")

    def set_command(self, text):
        os.symlink(text, self.path("command.new"))
        os.rename(self.path("command.new"), self.path("command"))

    def command(self, word):
        """Gives a command and waits for the answer: the program is alive and waiting."""
        self.commands += 1
        text = f"{word}-{self.commands}"
        self.set_command(text)
        self.wait_for_file(f"done-{text}")

    def poke(self):
        self.command("poke")

    def run_on(self):
        self.command("run-on")
        time.sleep(self.random.uniform(0.02, 0.5))  # what it does meanwhile must not be seen later

    # ---- Cairn's verbs -----------------------------------------------------------------------

    def checkpoint(self):
        left = max(1.0, self.deadline - time.monotonic())
        arguments = [self.cairn, "checkpoint", "--dir", self.images, "--timeout", str(int(left))]
        try:
            done = subprocess.run(arguments, cwd=self.directory, env=self.environment(),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=left + 5, check=False)
        except subprocess.TimeoutExpired:
            raise Failed("cairn checkpoint does not end" + self.where_it_hangs()) from None
        if done.returncode != 0:
            if self.process.poll() is not None:
                self.judge_early_end()
            text = done.stdout.decode(errors="replace").strip().replace("\n", " / ")
            raise Failed(f"cairn checkpoint: exit code {done.returncode}: {text[-500:]}")

    def learn_sessions(self):
        """Those that processes of the job have begun."""
        known = outside.all_processes()
        self.sessions |= {known[pid][2] for pid in self.own_processes() if pid in known}
        self.sessions -= {os.getsid(0)} | {known[pid][2] for pid in self.agent() if pid in known}

    def groups(self):
        """The process groups of the job's sessions. Those who have just ended count: where each lives
        for a moment only, they are all that is met of their group."""
        return {group for pid, (_, group, session, _, _) in outside.all_processes().items()
                if session in self.sessions and (pid != self.process.pid or self.process.poll() is None)}

    def end_processes(self):
        """By whole groups: such a signal reaches whoever is being born, too. A process by itself may be
        gone, with another one in its place, before a signal for it can be sent."""
        while groups := self.groups():
            for group in groups:
                kill_group_quietly(group)
            if time.monotonic() > self.deadline:
                raise Failed("the job does not end after SIGKILL" + self.where_it_hangs())
            time.sleep(POLL_SECONDS)

    def kill(self):
        self.guest()
        self.learn_sessions()
        # As a machine that fails does: stopped first, so that none sees another one end.
        for group in self.groups():
            kill_group_quietly(group, signal.SIGSTOP)
        self.end_processes()
        while self.agent():  # it ends with the last process; one may have begun a session meanwhile
            self.learn_sessions()
            self.end_processes()
            if time.monotonic() > self.deadline:
                raise Failed("the agent does not end with its job" + self.where_it_hangs())
            time.sleep(POLL_SECONDS)
        left = max(0.1, self.deadline - time.monotonic())
        try:
            code = self.process.wait(left)
        except subprocess.TimeoutExpired:
            raise Failed("does not end after SIGKILL") from None
        if code not in (-signal.SIGKILL, 128 + signal.SIGKILL):
            raise Failed(f"killed by SIGKILL, but ended with {code}{self.result_or_output()}")
        self.set_command("idle")
        time.sleep(self.program.downtime)  # downtime is what such a program is about

    def restart(self, directory=None):
        self.launch([self.cairn, "restart", self.images], directory or self.directory)
        self.poke()

    def relocate(self):
        """Other process ids, another directory for the images, another working directory."""
        moved = self.path("moved") + str(self.commands)
        subprocess.run(["cp", "-a", self.images, moved], check=True)  # holes stay holes
        os.rename(self.images, self.images + f".away{self.commands}")
        self.images = moved
        for _ in range(self.random.randrange(1, 30)):
            pid = os.posix_spawn("/bin/true", ["true"], {})
            os.waitpid(pid, 0)

    def take_terminals(self):
        """So many that the numbers of the program's pseudo terminals are somebody else's."""
        self.terminals += [os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY) for _ in range(16)]

    def give_terminals_back(self):
        """The kernel gives their numbers to the next terminals that are opened."""
        while self.terminals:
            os.close(self.terminals.pop())

    # ---- from outside ------------------------------------------------------------------------

    def steady_snapshot(self):
        """Taken twice alike: a thread may be between two instructions of the host."""
        last = None
        if "everything" in self.program.unsteady:
            return {}
        while time.monotonic() < self.deadline:
            try:
                now = outside.snapshot(self.guest())
            except (FileNotFoundError, ProcessLookupError):
                self.wait_until(lambda: self.process.poll() is None, "the process")
                continue
            if last is not None and not outside.differences(last, now, self.program.unsteady):
                return now
            last = now
            time.sleep(POLL_SECONDS)
        raise Failed("what /proc shows never becomes steady")

    def compare(self, before):
        lines = outside.differences(before, self.steady_snapshot(), self.program.unsteady)
        if lines:
            raise Failed("seen from outside: " + "; ".join(lines))

    # ---- the verdict -------------------------------------------------------------------------

    def release(self):
        self.set_command("release")
        left = max(0.1, self.deadline - time.monotonic())
        try:
            code = self.process.wait(left)
        except subprocess.TimeoutExpired:
            raise Failed("does not end after its release" + self.where_it_hangs()) from None
        self.judge(code)
        if code != 0:
            raise Failed(f"exit code {code} although the result is PASS")

    def result(self):
        try:
            return outside.read(self.path("result"))
        except FileNotFoundError:
            return ""

    def result_or_output(self):
        text = self.result() or outside.read(self.path("output"))[-500:]
        return " (" + text.strip().replace("\n", " / ") + ")" if text.strip() else ""

    def judge(self, code):
        text = self.result()
        if text.startswith("SKIP ") and code == 77:
            raise Skipped(text[5:].strip())
        if text != "PASS\n":
            raise Failed(f"exit code {code}{self.result_or_output() or ', no result'}")

    def judge_early_end(self):
        """The process has ended where it should not have."""
        code = self.process.poll()
        self.judge(code)
        raise Failed(f"ended before its release with exit code {code} and PASS")

    def where_it_hangs(self):
        lines = []
        for pid in self.own_processes():
            try:
                for tid in os.listdir(f"/proc/{pid}/task"):
                    call = outside.optional(f"/proc/{pid}/task/{tid}/syscall").split(" ")
                    state = outside.status_fields(f"/proc/{pid}/task/{tid}/status", ("State",))
                    lines.append(f"{tid} {state['State'][:1]} {' '.join(call[:3] + call[-1:])}")
            except (OSError, KeyError):
                continue
        return "; threads: " + ", ".join(lines[:12]) if lines else ""

    # ---- cleaning up -------------------------------------------------------------------------

    def own_processes(self):
        """Every process that has this trial's directory in its arguments or environment."""
        mark = self.directory.encode()
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            words = outside.start_words(int(entry))
            if any(mark + b"/" in word + b"/" for word in words):
                found.append(int(entry))
        return found + self.agent()

    def agent(self):
        """The agent shows no directory in its arguments; the job's owner file names it."""
        try:
            pid = json.loads(outside.read(os.path.join(self.images, "owner")))["pid"]
        except (OSError, ValueError, KeyError):
            return []
        name = outside.optional(f"/proc/{pid}/cmdline").split("\0")[0]
        return [pid] if os.path.basename(name).startswith("cairn") else []

    def leftovers(self):
        """Processes that outlive the job for more than ten seconds (the agent needs a moment)."""
        end = time.monotonic() + 10
        while True:
            left = [pid for pid in self.own_processes() if not is_zombie(pid)]
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.02)

    def end(self):
        self.give_terminals_back()
        if self.process is not None:
            self.deadline = time.monotonic() + 20
            self.learn_sessions()
            self.end_processes()
            self.process.wait()

    def kill_leftovers(self):
        for pid in self.own_processes():
            kill_quietly(pid)


def is_zombie(pid):
    return outside.optional(f"/proc/{pid}/stat").rpartition(")")[2][1:2] in ("Z", "X", "")


def kill_group_quietly(group, order=signal.SIGKILL):
    try:
        os.killpg(group, order)
    except ProcessLookupError:
        pass


def kill_quietly(pid, order=signal.SIGKILL):
    try:
        if pid is not None:
            os.kill(pid, order)
    except ProcessLookupError:
        pass


# ---- flavours ------------------------------------------------------------------------------------


def control(trial):
    trial.start_native()
    trial.poke()
    trial.release()


def resume(trial):
    trial.start()
    trial.poke()
    before = trial.steady_snapshot()
    trial.checkpoint()
    trial.poke()
    trial.compare(before)
    trial.release()


def generations(trial, count, mode=None, relocated=False):
    trial.start(mode)
    trial.poke()
    before = trial.steady_snapshot()
    for _ in range(count):
        trial.checkpoint()
        if trial.program.run_on or trial.random.random() < 0.5:
            trial.run_on()
        trial.kill()
        if relocated:
            trial.relocate()
        if relocated or trial.random.random() < 0.5:
            trial.take_terminals()
        trial.restart("/" if relocated else None)
        trial.give_terminals_back()
        trial.compare(before)
    trial.release()


def busy(trial):
    """Checkpoints at random moments of the program's own work, then a kill at another one."""
    trial.start()
    for _ in range(5):
        time.sleep(trial.random.uniform(0, 0.03))
        trial.checkpoint()
    time.sleep(trial.random.uniform(0, 0.05))
    trial.kill()
    trial.restart()
    for _ in range(2):
        time.sleep(trial.random.uniform(0, 0.03))
        trial.checkpoint()
    trial.release()


def fifty(trial):
    trial.start()
    trial.poke()
    before = trial.steady_snapshot()
    for _ in range(50):
        trial.checkpoint()
    trial.poke()
    trial.compare(before)
    trial.release()


def storm(trial):
    """Checkpoints every 50 ms: for a minute in a full run, else for ten seconds."""
    seconds = 60 if os.environ.get("CAIRN_CHECK_FULL") else 10
    trial.deadline += seconds
    trial.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        trial.checkpoint()
        time.sleep(0.05)
    trial.release()


FLAVOURS = {
    "control": control,
    "resume": resume,
    "restart": lambda trial: generations(trial, 1),
    "three": lambda trial: generations(trial, 3),
    "relocated": lambda trial: generations(trial, 1, relocated=True),
    "busy": busy,
    "fifty": fifty,
    "storm": storm,  # only for programs that name it
    "seccomp": lambda trial: generations(trial, 1, mode="seccomp"),
    "dispatch": lambda trial: generations(trial, 1, mode="dispatch"),
    "patchonly": lambda trial: generations(trial, 1, mode="patch"),
}
