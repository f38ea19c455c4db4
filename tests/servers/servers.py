#!/usr/bin/env python3
"""Real servers and the clients that load them, as one job: saved at random moments, killed, and brought back.

    servers.py --cairn BUILD/bin/cairn [--moments N] [--seed S] [--keep] [SERVER ...]

A session (programs/NAME.py) starts the server, loads it, counts what the server has acknowledged, and looks at the end
whether all of it is there; what it prints must be as natively. In half of the trials the job runs on after the commit for
as long as its session takes for some rounds; then all of it is stopped and killed by SIGKILL, the agent last, and restarted.
`outside` is redis alone, with a client that does not belong to the job.
"""
import argparse
import ctypes
import dataclasses
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"  # the modules are Debian's
PR_SET_CHILD_SUBREAPER = 36
NOBODY = 65534
LIMIT = 300  # seconds for anything


@dataclasses.dataclass
class Server:
    name: str
    rounds: int  # some seconds of work
    needs: tuple
    prepare: bool = False  # the session has a first part that is run natively
    root: bool = True  # runs as root too; not those that refuse it


SERVERS = [
    Server("redis", 60, ("redis-server", "redis-benchmark")),
    # As root its workers change their user, and cannot reach the agent then (an open defect).
    Server("nginx", 40, ("nginx", "wrk"), root=False),
    Server("postgres", 6, ("/usr/lib/postgresql/*/bin/postgres", "/usr/lib/postgresql/*/bin/pgbench"), prepare=True, root=False),
    Server("kernel", 40, ("/usr/lib/python3/dist-packages/ipykernel", "/usr/lib/python3/dist-packages/zmq")),
]


class Failure(Exception):
    pass


def descendants():
    """All processes below this one, those of no parent included: it is their reaper."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            parents[int(stat.parent.name)] = int(fields[1])
    found, layer = [], {os.getpid()}
    while layer:
        layer = {pid for pid, parent in parents.items() if parent in layer}
        found += sorted(layer)
    return found


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def signal_all(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def kill_everything():
    """As a machine that fails: stopped first, so that none sees another one end."""
    while left := descendants():
        signal_all(left, signal.SIGSTOP)
        if descendants() == left:  # nobody was made meanwhile
            signal_all(left, signal.SIGKILL)
            while set(descendants()) & set(left):
                reap()
                time.sleep(0.002)
    reap()


def wait_until(condition, what, process=None):
    deadline = time.monotonic() + LIMIT
    while not (result := condition()):
        if process is not None and process.poll() is not None:
            raise Failure(f"ended with {process.returncode} in the wait for {what}")
        if time.monotonic() > deadline:
            raise Failure(f"no {what}")
        time.sleep(0.002)
    return result


def free_port():
    """A port that is free for both families now."""
    while True:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::", 0))
            port = probe.getsockname()[1]
        if port < 32000 or port > 61000 or os.environ.get("CAIRN_CHECK_ANY_PORT"):
            return port
        # Out of the range from which clients get theirs, so that nobody takes it between a kill and a restart.
        port = random.SystemRandom().randrange(10000, 32000)
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind(("::", port))
                return port
            except OSError:
                continue


class Job:
    """The session of one server in a directory of its own; everything is killed at the end of the block."""

    def __init__(self, options, user, directory):
        self.options, self.user, self.process = options, user, None
        shutil.rmtree(directory, ignore_errors=True)
        self.directory, self.work, self.images = directory, directory / "work", directory / "job"
        self.work.mkdir(parents=True)
        for path in (directory, self.work):
            path.chmod(0o755)
            if user is not None:
                os.chown(path, user, user)

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        kill_everything()
        if not (self.options.keep and kind is not None):
            shutil.rmtree(self.directory, ignore_errors=True)

    def settings(self):
        account = {} if self.user is None else dict(user=self.user, group=self.user, extra_groups=[])
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self.work), "LC_ALL": "C.UTF-8",
                       "TMPDIR": str(self.work), "JUPYTER_PLATFORM_DIRS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return dict(cwd=self.work, env=environment, stdin=subprocess.DEVNULL, **account)

    def start(self, argv, output="stdout"):
        with open(self.work / output, "ab") as out, open(self.work / "stderr", "ab") as err:
            for file in (out, err):
                if self.user is not None:
                    os.fchown(file.fileno(), self.user, self.user)
            self.process = subprocess.Popen(argv, stdout=out, stderr=err, start_new_session=True, **self.settings())

    def run(self, argv):
        self.start([self.options.cairn, "run", "--dir", str(self.images), "--", *argv])

    def said(self, name="stderr", size=600):
        try:
            return (self.work / name).read_bytes()[-size:].decode(errors="replace").strip()
        except OSError:
            return ""

    def rounds(self):
        try:
            return (self.work / "progress").read_bytes().count(b"\n")
        except OSError:
            return 0

    def checkpoint(self):
        done = subprocess.run([self.options.cairn, "checkpoint", "--dir", str(self.images)], capture_output=True, timeout=LIMIT,
                              **self.settings())
        if done.returncode:
            raise Failure(f"cairn checkpoint: status {done.returncode}: {done.stderr.decode(errors='replace').strip()[-400:]}")

    def restart(self):
        self.start([self.options.cairn, "restart", str(self.images)], "restart-stdout")

        def answers():
            done = subprocess.run([self.options.cairn, "status", "--dir", str(self.images)], capture_output=True, **self.settings())
            return done.returncode == 0
        try:
            wait_until(answers, "agent that answers after the restart", self.process)
        except Failure as failure:
            raise Failure(f"restart: {failure}: {self.said()}") from None

    def finish(self):
        try:
            status = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise Failure(f"did not end; at round {self.rounds()}; {self.said()}") from None
        if status != 0:
            raise Failure(f"ended with {status}: {self.said('stdout')} {self.said()}")
        return self.said("stdout", 1 << 20)


def session(server, port, rounds):
    return [PYTHON, str(HERE / "programs" / f"{server.name}.py"), str(port), str(rounds)]


def begin(options, server, user, place):
    job = Job(options, user, place)
    if server.prepare:
        job.start([*session(server, 0, 0), "prepare"], "prepared")
        job.finish()
    return job


def try_server(options, server, user, place, dice):
    with begin(options, server, user, place) as job:
        job.start(session(server, free_port(), server.rounds))
        reference = job.finish()
    for number in range(options.moments):
        moment, delay = dice.randrange(1, server.rounds * 3 // 4), dice.random() * 0.1
        run_on = dice.choice((0, dice.randrange(1, max(2, server.rounds // 4))))
        try:
            with begin(options, server, user, place) as job:
                job.run(session(server, free_port(), server.rounds))
                wait_until(lambda: job.rounds() >= moment, f"round {moment}", job.process)
                time.sleep(delay)
                job.checkpoint()
                wanted = job.rounds() + run_on
                wait_until(lambda: job.rounds() >= min(wanted, server.rounds) or job.process.poll() is not None, f"round {wanted}")
                kill_everything()
                job.restart()
                if (got := job.finish()) != reference:
                    raise Failure(f"ended with {got!r}, natively with {reference!r}; {job.said()}")
        except Failure as failure:
            raise Failure(f"trial {number + 1} of {options.moments} (round {moment} + {delay * 1000:.0f} ms, ran on for {run_on}):"
                          f" {failure}") from None


class Redis:
    """A client that does not belong to the job."""

    def __init__(self, port):
        self.connection = socket.create_connection(("127.0.0.1", port), LIMIT)
        self.replies = self.connection.makefile("rb")

    def call(self, *words):
        self.connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        line = self.replies.readline()
        if not line:
            raise ConnectionResetError
        return self.replies.read(int(line[1:]) + 2)[:-2] if line[:1] == b"$" and line[1:2] != b"-" else line[:-2]


def can_connect(port):
    try:
        Redis(port).connection.close()
        return True
    except ConnectionRefusedError:
        return False


def try_outside(options, server, user, place, dice):
    for _ in range(options.moments):
        port, before, after = free_port(), dice.randrange(1, 2000), dice.randrange(1, 2000)
        with begin(options, server, user, place) as job:
            job.run(["redis-server", "--port", str(port), "--save", "", "--daemonize", "no"])
            wait_until(lambda: can_connect(port), "server", job.process)
            client = Redis(port)
            for i in range(before):
                client.call(b"SET", b"key%d" % i, b"value%d" % i)
            job.checkpoint()
            for i in range(after):  # the connection goes on as if nothing had been
                if client.call(b"INCR", b"later") != b":%d" % (i + 1):
                    raise Failure("the connection is not what it was after a checkpoint")
            kill_everything()
            job.restart()
            wait_until(lambda: can_connect(port), "port that is listened at again", job.process)
            try:
                client.call(b"PING")
                raise Failure("the connection of a client outside of the job is there after a restart")
            except OSError:
                pass
            again = Redis(port)
            for i in range(before):
                if again.call(b"GET", b"key%d" % i) != b"value%d" % i:
                    raise Failure(f"key {i} of {before} is lost")
            if (size := again.call(b"DBSIZE")) != b":%d" % before:
                raise Failure(f"{size} keys instead of {before}")
            try:
                again.call(b"SHUTDOWN", b"NOSAVE")
            except ConnectionResetError:
                pass
            job.finish()


def is_there(command):
    return any(pathlib.Path("/").glob(command[1:])) if command.startswith("/") else shutil.which(command, path="/usr/bin:/bin:/usr/sbin")


def trials():
    outside = dataclasses.replace(SERVERS[0], name="outside")
    return [(server, try_server) for server in SERVERS] + [(outside, try_outside)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", help="of: " + ", ".join(server.name for server, _ in trials()))
    parser.add_argument("--cairn", required=True)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--users", default="root,user", help="as root, if we are that, and as an ordinary user")
    parser.add_argument("--seed", default=os.environ.get("CAIRN_CHECK_SEED") or random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--keep", action="store_true", help="keep the directory of a failed trial")
    options = parser.parse_args()
    options.cairn = os.path.abspath(options.cairn)
    if unknown := set(options.servers) - {server.name for server, _ in trials()}:
        sys.exit(f"no such server: {', '.join(sorted(unknown))}")
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    print(f"seed {options.seed}", flush=True)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="cairn-servers."))
    scratch.chmod(0o755)
    accounts = {"root": None, "user": NOBODY} if os.getuid() == 0 else {"user": None}
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for server, attempt in trials():
        if options.servers and server.name not in options.servers:
            continue
        for account, user in accounts.items():
            if account not in options.users.split(",") or (account == "root" and not server.root):
                continue
            name = f"{server.name}/{account}"
            if missing := [command for command in server.needs if not is_there(command)]:
                counts["skipped"] += 1
                print(f"skipped {name}: needs {', '.join(missing)}", flush=True)
                continue
            started = time.monotonic()
            try:
                attempt(options, server, user, scratch / f"{server.name}-{account}", random.Random(f"{options.seed} {name}"))
                counts["passed"] += 1
                print(f"passed  {name} ({time.monotonic() - started:.1f} s)", flush=True)
            except Failure as failure:
                counts["failed"] += 1
                print(f"FAILED  {name}: {failure}", flush=True)
    if options.keep and counts["failed"]:
        print(f"kept in {scratch}")
    else:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
