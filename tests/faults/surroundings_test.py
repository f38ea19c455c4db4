#!/usr/bin/env python3
"""What goes wrong around a checkpoint: no room, no right to write, no directory, no agent, another one at the same time,
a program that execs or ends. The program goes on with the right result, what was saved stays whole and comes back, and
the command that failed says why in one line.

A disk of its own for the full one needs a mount namespace: of root's, or of a user's where the kernel lets him.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import traceback

import bed
from bed import FAILED, OK, REFUSED, need

NOBODY = 65534
INSIDE = "CAIRN_TEST_IN_NAMESPACE"


class Skip(Exception):
    pass


def saved_job(place, *options, **keywords):
    """Two steps, a generation, one more step."""
    job = bed.Job(place, keywords.pop("directory", None)).begin(*options, **keywords)
    job.must_step()
    job.must_step()
    job.checkpoint()
    job.must_step()
    return job


def expect_failure_and_life(job, *words, code=FAILED, options=()):
    before = job.generations()
    done = job.checkpoint(*options, code=code)
    bed.one_line(done, "the job goes on", *words)
    need(job.generations() == before, "generations came or went:", before, job.generations())
    job.must_step("after the checkpoint failed")


def expect_well(job, generations=None):
    """It can be saved, killed and restarted."""
    job.checkpoint()
    saved = job.steps
    job.must_step()
    job.kill()
    job.expect_whole()
    if generations is not None:
        need(job.generations() == generations, "generations:", job.generations())
    again = bed.Job(job.place, job.directory).restart(saved)
    again.must_step("after the restart")
    again.end()


def small_disk(place, size):
    if INSIDE not in os.environ:
        raise Skip("no mount namespace")
    disk = place / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", disk], check=True)
    return disk


def fill(disk, leave):
    """All of it but `leave` bytes."""
    left = os.statvfs(disk)
    with open(disk / "filler", "wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, left.f_bavail * left.f_frsize - leave)
    return disk / "filler"


def test_a_full_disk(place):
    disk = small_disk(place, "8m")
    job = saved_job(place, directory=disk / "job")
    made = 1
    for leave in (0, 4096, 8192, 16 << 10, 32 << 10):
        filler = fill(disk, leave)
        before = job.generations()
        done = job.checkpoint(code=None)
        if done.returncode == OK and leave > 0:
            made += 1
        else:
            need(done.returncode == FAILED, "on a full disk it ended with", done.returncode)
            bed.one_line(done, "the job goes on", "No space left on device")
            need(job.generations() == before, "generations came or went:", before, job.generations())
        for _ in range(3):
            job.must_step("on a full disk")
        filler.unlink()
    expect_well(job, list(range(1, made + 2)))


def test_a_disk_that_is_full_from_the_beginning(place):
    disk = small_disk(place, "8m")
    filler = fill(disk, 64 << 10)
    job = bed.Job(place, disk / "job").begin()
    job.must_step()
    done = job.checkpoint(code=FAILED)
    bed.one_line(done, "No space left on device", "the job goes on")
    job.must_step()
    filler.unlink()
    expect_well(job, [1])


def test_a_full_disk_and_a_program_that_makes_files(place):
    """Its journal has no room to grow: whatever becomes of it, the program goes on."""
    disk = small_disk(place, "8m")
    script = ("i=0; while read x; do i=$((i+1)); j=0; while [ $j -lt 400 ]; do echo $j >%s/$j; mv %s/$j %s/m; j=$((j+1)); done; "
              "echo $i; done; exit 9") % ((place / "made",) * 3)
    (place / "made").mkdir()
    process = subprocess.Popen([bed.cairn, "run", "--dir", disk / "job", "--", "/bin/sh", "-c", script], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)

    def round_trip(number):
        process.stdin.write("\n")
        process.stdin.flush()
        line = process.stdout.readline()
        need(line == f"{number}\n", "round", number, "said", repr(line), process.poll())

    round_trip(1)
    bed.call("checkpoint", "--dir", disk / "job", code=OK)
    filler = fill(disk, 0)
    for number in range(2, 8):
        round_trip(number)
    filler.unlink()
    round_trip(8)
    bed.call("checkpoint", "--dir", disk / "job", code=OK)
    process.stdin.close()
    need(process.wait(bed.PATIENCE) == 9, "it ended with", process.returncode)


def test_a_limit_of_file_sizes(place):
    """As a quota: the kernel sends SIGXFSZ to whoever writes more."""
    job = saved_job(place)
    agent = str(job.owner()["pid"])
    for limit in (0, 10, 5000):
        subprocess.run(["prlimit", f"--fsize={limit}:unlimited", "--pid", agent], check=True)
        expect_failure_and_life(job, "File too large")
    subprocess.run(["prlimit", "--fsize=unlimited", "--pid", agent], check=True)
    expect_well(job, [1, 2])


def test_a_limit_of_file_sizes_from_the_beginning(place):
    """It runs with Cairn as without, or is refused in one line."""
    for limit in (0, 5000, 2_000_000, 100_000_000):
        job = bed.Job(place, place / f"job{limit}")
        process = subprocess.run(["prlimit", f"--fsize={limit}", bed.cairn, "run", "--dir", job.directory, "--", bed.worker],
                                 stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=bed.PATIENCE)
        if process.returncode != bed.END_CODE:
            need(process.returncode in (FAILED, bed.INTERNAL), "with a limit of", limit, "it ended with", process.returncode)
            bed.one_line(process, "File too large")
        else:
            need(process.stdout == "up\n" and process.stderr == "", process.stdout, process.stderr)


def test_a_directory_that_is_gone(place):
    job = saved_job(place)
    shutil.rmtree(job.directory)
    done = job.checkpoint(code=FAILED)
    bed.one_line(done, job.directory, "the job goes on")
    for _ in range(3):
        job.must_step("without a directory")
    job.end()


def test_a_directory_that_was_away(place):
    job = saved_job(place)
    away = place / "away"
    job.directory.rename(away)
    bed.one_line(job.checkpoint(code=FAILED), "the job goes on")
    job.must_step("while its directory is away")
    away.rename(job.directory)
    expect_well(job, [1, 2])


def test_a_directory_that_must_not_be_written(place):
    who = {}
    if os.geteuid() == 0:  # may write everywhere
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": "/"}
        os.chown(place, NOBODY, NOBODY)
        if subprocess.run([bed.cairn, "--version"], check=False, **who, stdout=subprocess.DEVNULL).returncode != OK:
            raise Skip("another user cannot run the program")
    job = bed.Job(place).begin(**who)
    job.must_step()
    job.checkpoint(**who)
    job.directory.chmod(0o500)
    done = job.checkpoint(code=FAILED, **who)
    bed.one_line(done, "Permission denied", "the job goes on")
    job.must_step()
    job.directory.chmod(0o700)
    job.checkpoint(**who)
    need(job.generations() == [1, 2], "generations:", job.generations())
    job.end()


def test_an_agent_that_is_killed(place):
    job = saved_job(place)
    os.kill(job.owner()["pid"], 9)
    while job.agents():
        pass
    bed.one_line(job.checkpoint(code=REFUSED), "no running job")
    for _ in range(3):
        job.must_step("without an agent")
    job.kill()
    again = bed.Job(place, job.directory).restart(2)
    again.must_step()
    expect_well(again, [1, 2])


def test_checkpoints_at_the_same_time(place):
    job = saved_job(place)
    words = [bed.cairn, "checkpoint", "--dir", str(job.directory)]
    several = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    for process in several:
        output, errors = process.communicate(timeout=bed.PATIENCE)
        need(process.returncode == OK, "one of several failed:", errors)
    need(job.generations() == list(range(1, 8)), "generations:", job.generations())
    job.must_step()
    expect_well(job)


def test_restarts_at_the_same_time(place):
    job = saved_job(place)
    job.kill()
    several = [bed.Job(place, job.directory).restart(2) for _ in range(4)]
    alive = [one for one in several if one.step()]
    need(len(alive) == 1, len(alive), "of several restarts run")
    for one in several:
        if one is alive[0]:
            continue
        code = one.process.wait(bed.PATIENCE)
        need(code in (REFUSED, FAILED), "the others end with", code)
        lines = one.process.stderr.read().splitlines()
        need(len(lines) == 1 and lines[0].startswith("cairn: "), "not one clear line:", lines)
    expect_well(alive[0])


def test_during_exec(place):
    """A program that execs itself again and again is saved as one or the other."""
    rounds = 300
    script = place / "script"
    script.write_text(f'#!/bin/sh\nn=$(($1+1))\necho $n >>{place}/file\n[ $n -lt {rounds} ] && exec "$0" $n\nexit 5\n')
    script.chmod(0o755)
    expected = "".join(f"{i}\n" for i in range(1, rounds + 1))
    process = subprocess.Popen([bed.cairn, "run", "--dir", place / "job", "--", script, "0"])
    made = 0
    while process.poll() is None:
        done = bed.call("checkpoint", "--dir", place / "job")
        if done.returncode == OK:
            made += 1
        else:
            need(process.poll() is not None or done.returncode in (FAILED, REFUSED), done.returncode, done.stderr)
            bed.one_line(done)
    need(process.returncode == 5, "it ended with", process.returncode)
    need((place / "file").read_text() == expected, "its file is not right")
    need(made > 0, "no checkpoint succeeded")
    middle = bed.Job(place).generations()[made // 2]
    again = subprocess.run([bed.cairn, "restart", place / "job" / str(middle)], timeout=bed.PATIENCE)
    need(again.returncode == 5, "restarted it ended with", again.returncode)
    need((place / "file").read_text() == expected, "its file is not right after the restart")


def test_during_exit(place):
    for number in range(12):
        job = bed.Job(place, place / f"job{number}").begin()
        job.must_step()
        asked = subprocess.Popen([bed.cairn, "checkpoint", "--dir", str(job.directory)], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        job.end()
        output, errors = asked.communicate(timeout=bed.PATIENCE)
        lines = errors.splitlines()
        if asked.returncode == OK:
            again = bed.Job(place, job.directory).restart(1)
            if again.step():  # it had not seen the end of its input yet
                again.end()
            need(again.process.wait(bed.PATIENCE) == bed.END_CODE, "restarted it ended with", again.process.returncode)
        else:
            need(asked.returncode in (REFUSED, FAILED) and len(lines) == 1, "at the end:", asked.returncode, errors)
        job.file.unlink()


def run_all(only):
    passed, failed, skipped = 0, 0, 0
    for name, test in list(globals().items()):
        if not name.startswith("test_") or only not in name:
            continue
        with tempfile.TemporaryDirectory(prefix="cairn-faults.") as scratch:
            os.chmod(scratch, 0o755)
            try:
                test(pathlib.Path(scratch))
                passed += 1
                print(f"  {name}: passed", flush=True)
            except Skip as why:
                skipped += 1
                print(f"  {name}: skipped, {why}", flush=True)
            except Exception as error:
                failed += 1
                words = error if isinstance(error, bed.Wrong) else traceback.format_exc()
                print(f"FAILED {name}: {words}", flush=True)
            finally:
                subprocess.run(["umount", "-q", "-l", f"{scratch}/disk"], check=False, stderr=subprocess.DEVNULL)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser()
    bed.programs(parser)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    bed.use(options)
    if INSIDE not in os.environ:
        flags = ("-m",) if os.geteuid() == 0 else ("-Urm",)
        if subprocess.run(["unshare", *flags, "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0:
            os.environ[INSIDE] = "1"
            os.execvp("unshare", ["unshare", *flags, sys.executable, "-B", *sys.argv])
    return run_all(options.only)


if __name__ == "__main__":
    sys.exit(main())
