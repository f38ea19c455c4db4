"""Writes files in every usual way and knows at each step what must be in them: a database in WAL mode, one that is
opened and closed again, an array written in place, a mapped one, a log, a file that is replaced by renaming, many
output frames, temporary files. What a restart brings back wrongly ends it with status 1."""
import hashlib
import mmap
import os
import sqlite3
import sys

RECORD, RECORDS = 4096, 64


def block(step, slot):
    return hashlib.sha256(b"%d %d" % (step, slot)).digest() * (RECORD // 32)


def expect(what, got, want):
    if got != want:
        print(f"{what}: expected {want!r:.200}, got {got!r:.200}", file=sys.stderr)
        sys.exit(1)


class Database:
    def __init__(self, name, held):
        self.name, self.held, self.rows, self.total = name, held, 0, 0
        self.kept = self.connect()
        self.kept.execute("create table t (id integer primary key, step integer, text blob)")
        self.kept.commit()
        if not held:
            self.kept.close()

    def connect(self):
        made = sqlite3.connect(self.name)
        made.execute("pragma journal_mode=" + ("wal" if self.held else "delete"))
        return made

    def step(self, step):
        db = self.kept if self.held else self.connect()
        expect(self.name, db.execute("select count(*), coalesce(sum(step), 0) from t").fetchone(), (self.rows, self.total))
        expect(self.name, db.execute("pragma quick_check").fetchone(), ("ok",))
        db.execute("insert into t (step, text) values (?, ?)", (step, block(step, 0)[:700]))
        db.execute("update t set text = ? where id = ?", (block(step, 1)[:900], step // 2 + 1))
        db.commit()
        self.rows, self.total = self.rows + 1, self.total + step
        if not self.held:
            db.close()


class Array:
    def __init__(self, name, mapped):
        self.name, self.slots = name, [0] * RECORDS
        self.file = open(name, "w+b", buffering=0)
        self.file.write(b"".join(block(0, slot) for slot in range(RECORDS)))
        self.map = mmap.mmap(self.file.fileno(), RECORD * RECORDS) if mapped else None

    def step(self, step):
        for slot in (step % RECORDS, step * 7 % RECORDS):
            at = slot * RECORD
            got = self.map[at:at + RECORD] if self.map else os.pread(self.file.fileno(), RECORD, at)
            expect(f"{self.name} {slot}", got, block(self.slots[slot], slot))
            if self.map:
                self.map[at:at + RECORD] = block(step, slot)
            else:
                os.pwrite(self.file.fileno(), block(step, slot), at)
            self.slots[slot] = step


def main():
    steps = int(sys.argv[1])
    progress = open("progress", "a", buffering=1)
    log = open("log", "a", buffering=1)
    databases = [Database("held.db", True), Database("reopened.db", False)]
    arrays = [Array("array", False), Array("mapped", True)]
    os.mkdir("frames")
    length = 0
    frames = []
    for step in range(1, steps + 1):
        for part in databases + arrays:
            part.step(step)
        expect("log", os.path.getsize("log"), length)
        length += log.write(f"line {step}\n")
        with open("state.tmp", "x") as state:
            state.write(f"state {step}")
        if step > 1:
            expect("state", open("state").read(), f"state {step - 1}")
        os.rename("state.tmp", "state")
        expect("frames", sorted(os.listdir("frames")), frames)
        frame = f"{step:06}"
        with open("frames/" + frame, "x+b") as made:
            made.write(block(step, 9))
        frames.append(frame)
        if len(frames) > 20:
            expect("frame", open("frames/" + frames[0], "rb").read(), block(int(frames[0]), 9))
            os.unlink("frames/" + frames.pop(0))
        if step % 5 == 0:
            os.mkdir(f"dir.{step}")
            os.rename(f"dir.{step}", "dir.now")
            os.rmdir("dir.now")
        progress.write(f"step {step}\n")
    print("all as it should be,", hashlib.sha256(open("array", "rb").read()).hexdigest())
    sys.exit(3)


main()
