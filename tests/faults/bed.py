"""A job that knows what must be in its memory and in its file, and what a user does with it."""

import json
import os
import pathlib
import shutil
import subprocess

OK, USAGE, REFUSED, DAMAGED, FAILED, TIMEOUT, INTERNAL = 0, *range(120, 126)
THREADS, PAGES, PAGE = 3, 64, 4096
END_CODE = 7  # of the worker, at the end of its input
PATIENCE = 60  # seconds; reached only where a test has failed

cairn = None  # paths of the programs
worker = None


def programs(parser):
    parser.add_argument("--cairn", required=True)
    parser.add_argument("--worker", required=True)


def use(options):
    global cairn, worker
    cairn, worker = os.path.abspath(options.cairn), os.path.abspath(options.worker)


def lines_after(steps):
    """What the worker has written after so many steps."""
    memory, lines = {}, []
    for step in range(steps):
        for thread in range(THREADS):
            memory[thread, step % PAGES] = ((step * THREADS + thread) % 251 + 1) * PAGE
        lines.append(f"{step} {sum(memory.values())}\n")
    return lines


class Wrong(Exception):
    pass


def need(condition, *words):
    if not condition:
        raise Wrong(" ".join(map(str, words)))


def call(*arguments, code=None, **options):
    done = subprocess.run([cairn, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE, **options)
    if code is not None:
        need(done.returncode == code, arguments[0], "ended with", done.returncode, "and not", code, done.stderr)
    return done


def one_line(done, *words):
    """A command that failed says why in one line."""
    lines = done.stderr.splitlines()
    need(len(lines) == 1 and lines[0].startswith("cairn: "), "not one clear line:", repr(done.stderr))
    for word in words:
        need(str(word) in lines[0], repr(str(word)), "is not in", repr(lines[0]))
    return lines[0]


class Job:
    """The worker in a directory of its own; `steps` is how many it has done."""

    def __init__(self, place, directory=None):
        self.place = pathlib.Path(place)
        self.directory = pathlib.Path(directory or self.place / "job")
        self.file = self.place / "file"
        self.steps = 0
        self.process = None

    def begin(self, *options, **keywords):
        self.process = self._start("run", "--dir", self.directory, *options, "--", worker, self.file, **keywords)
        line = self.process.stdout.readline()
        need(line == "up\n", "it did not start:", repr(line))
        return self

    def restart(self, steps, generation=None, **keywords):
        """Not known to have succeeded before a step has."""
        where = self.directory if generation is None else self.directory / str(generation)
        self.process = self._start("restart", where, **keywords)
        self.steps = steps
        return self

    @staticmethod
    def _start(*arguments, wrapper=(), **keywords):
        return subprocess.Popen([*wrapper, cairn, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, start_new_session=True, **keywords)

    def step(self):
        """One more, with the right result; false if there is nobody any more."""
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return False
        line = self.process.stdout.readline()
        if line == "":
            return False
        self.steps += 1
        expected = lines_after(self.steps)
        need(line == expected[-1], "wrong result after", self.steps, "steps:", repr(line), "and not", repr(expected[-1]))
        need(self.file.read_text() == "".join(expected), "wrong file after", self.steps, "steps")
        return True

    def must_step(self, *words):
        if not self.step():
            raise Wrong(f"the program is gone {' '.join(map(str, words))}: {self.errors()!r}, {self.process.poll()}")

    def errors(self):
        """What it said on its standard error; it has ended or is ended now."""
        self.kill()
        return self.process.stderr.read()

    def checkpoint(self, *options, code=OK, **keywords):
        return call("checkpoint", "--dir", self.directory, *options, code=code, **keywords)

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)

    def end(self):
        """By the end of its input: its own code, and no word of Cairn's."""
        self.process.stdin.close()
        code = self.process.wait(PATIENCE)
        errors = self.process.stderr.read()
        need(code == END_CODE and errors == "", "it ended with", code, repr(errors))

    def generations(self):
        return [entry["generation"] for entry in json.loads(call("ls", "--json", self.directory, code=OK).stdout)]

    def agents(self):
        """Pids of agents that serve this directory."""
        owner = self.owner()
        pid = owner.get("pid", 0)
        return [pid] if pid and pathlib.Path(f"/proc/{pid}").exists() else []

    def owner(self):
        """The newest claim counts, published as `owner` or not yet."""
        claims = {int(path.suffix[1:]): path for path in self.directory.glob("owner.*") if path.suffix[1:].isdigit()}
        return json.loads(claims[max(claims)].read_text()) if claims else {}

    def expect_whole(self):
        """Every generation that is listed is whole."""
        for entry in json.loads(call("verify", "--json", self.directory, code=OK).stdout):
            need(entry["ok"], "a generation is damaged:", entry)

    def copy(self, place):
        """The same job elsewhere; its file stays where the program has it open."""
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.directory, place, symlinks=True)
        other = Job(self.place, place)
        return other
