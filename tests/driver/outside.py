"""What the kernel shows of a process from outside, in a form that must be the same before a
checkpoint and after it (or after a restart, where pids, inodes and the host's own half differ)."""

import os
import re
import signal
import stat

ARENA_START = 0x7E9000000000
ARENA_END = ARENA_START + (256 << 30)

O_LARGEFILE = 0o100000

# Letters of smaps' VmFlags that say what a mapping is, not how it is used at the moment.
LASTING_FLAGS = {"sh", "gd", "lo", "io", "dc", "de", "wf", "dd", "hg", "nh", "mg"}

STATUS_KEYS = ("Name", "Umask", "Threads", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt",
               "NoNewPrivs", "Cpus_allowed_list", "THP_enabled", "VmLck")
THREAD_KEYS = ("Name", "SigPnd", "SigBlk", "Cpus_allowed_list")


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


SIGSYS_BIT = 1 << (signal.SIGSYS - 1)


def status_fields(path, keys):
    fields = dict(line.split(":", 1) for line in read(path).splitlines() if ":" in line)
    if "SigPnd" in fields:  # a trapped call is a pending SIGSYS for a moment
        fields["SigPnd"] = f"{int(fields['SigPnd'], 16) & ~SIGSYS_BIT:016x}"
    return {key: fields[key].strip() for key in keys if key in fields}


def children(pid):
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            text = read(f"/proc/{entry}/stat")
        except OSError:
            continue
        if int(text.rsplit(")", 1)[1].split()[1]) == pid:
            found.append(int(entry))
    return found


def all_processes():
    """{pid: (parent, group, session, state, name)} of this moment; the youngest, who may be gone soon,
    are looked at first."""
    found = {}
    for entry in reversed(os.listdir("/proc")):
        text = optional(f"/proc/{entry}/stat") if entry.isdigit() else ""
        head, _, tail = text.rpartition(")")
        words = tail.split()
        if words:
            found[int(entry)] = (int(words[1]), int(words[2]), int(words[3]), words[0],
                                 head.partition("(")[2])
    return found


def tree(pid):
    """One line for each process below: its depth, its name, whether it has ended, and which groups
    and sessions it leads or shares with its parent."""
    known = all_processes()
    lines = []

    def describe_below(parent, depth):
        for child, (above, group, session, state, name) in known.items():
            if above != parent or parent not in known:
                continue
            place = ["ended" if state == "Z" else "lives"]
            place.append("leads a group" if group == child else
                         "group of its parent" if group == known[parent][1] else "another group")
            place.append("leads a session" if session == child else
                         "session of its parent" if session == known[parent][2]
                         else "another session")
            lines.append(f"{depth} {name}: " + ", ".join(place))
            describe_below(child, depth + 1)

    describe_below(pid, 1)
    return sorted(lines)


def body(pid):
    """The /proc directory of a thread that is alive: after pthread_exit of the main thread the
    process's own shows neither memory nor descriptors."""
    for tid in sorted(os.listdir(f"/proc/{pid}/task"), key=lambda tid: (int(tid) != pid, int(tid))):
        if not status_fields(f"/proc/{pid}/task/{tid}/status", ("State",))["State"][:1] in "ZX":
            return f"/proc/{pid}/task/{tid}"
    raise ProcessLookupError(f"no thread of {pid} is alive")


def start_words(pid):
    """The arguments and the environment of a process, as far as they can be read."""
    words = []
    try:
        threads = body(pid)
    except OSError:
        return words
    for name in ("cmdline", "environ"):
        try:
            with open(f"{threads}/{name}", "rb") as file:
                words += file.read().split(b"\0")
        except OSError:
            continue
    return words


def has_arena(pid):
    try:
        text = read(f"{body(pid)}/maps")
    except PermissionError:
        return True  # what is not dumpable hides its memory from an ordinary user
    except OSError:
        return False
    return any(ARENA_START <= int(line.split("-", 1)[0], 16) < ARENA_END
               for line in text.splitlines())


def guest_pid(pid):
    """The process that holds the guest: `pid` itself, or one below it if `pid` is a proxy."""
    level = [pid]
    while level:
        for candidate in level:
            if has_arena(candidate):
                return candidate
        level = [child for parent in level for child in children(parent)]
    return None


def guest_maps(pid):
    """Mappings outside the arena, joined where neighbours do not differ in anything lasting."""
    joined = []
    current = None
    for line in read(f"{body(pid)}/smaps").splitlines():
        header = re.match(r"([0-9a-f]+)-([0-9a-f]+) (....) ([0-9a-f]+) \S+ (\d+) *(.*)", line)
        if header:
            start, end = int(header[1], 16), int(header[2], 16)
            current = {"start": start, "end": end, "perms": header[3], "offset": 0, "file": "",
                       "flags": ""}
            if header[3][3] == "s":  # what is shared must still be the same file
                current["offset"] = int(header[4], 16)
                deleted = header[6].endswith(" (deleted)")
                current["file"] = "a deleted file" if deleted else os.path.basename(header[6])
        elif line.startswith("VmFlags:") and current is not None:
            current["flags"] = " ".join(sorted(LASTING_FLAGS.intersection(line.split()[1:])))
            if not (ARENA_START <= current["start"] < ARENA_END
                    or current["start"] >= 0xFFFFFFFF00000000):
                join(joined, current)
            current = None
    return [describe(mapping) for mapping in joined]


def join(joined, mapping):
    if joined:
        last = joined[-1]
        same = all(last[key] == mapping[key] for key in ("perms", "file", "flags"))
        if same and last["end"] == mapping["start"] and last["perms"][3] == "p":
            last["end"] = mapping["end"]
            return
    joined.append(mapping)


def describe(mapping):
    # A stack grows when it is used, also by a signal frame: its lower end is not compared.
    start = "grows" if "gd" in mapping["flags"] else f"{mapping['start']:x}"
    text = f"{start}-{mapping['end']:x} {mapping['perms']} {mapping['flags']}"
    if mapping["perms"][3] == "s":
        text += f" {mapping['file']}+{mapping['offset']:x}"
    return text


def descriptor_target(place, number):
    target = os.readlink(f"{place}/fd/{number}")
    if target.endswith(" (deleted)"):
        return "a deleted file"  # whose name of old nobody can open
    target = re.sub(r"^/proc/\d+(/task/\d+)?", "/proc/ID", target)
    target = re.sub(r"^/dev/pts/\d+", "/dev/pts/N", target)
    return re.sub(r"\[\d+\]$", "", target)


def fdinfo(place, number):
    kept = []
    for line in read(f"{place}/fdinfo/{number}").splitlines():
        key, _, value = line.partition(":")
        if key == "flags":
            # Set by every open of a path on x86-64 and by no pipe2: it means nothing there.
            kept.append(f"flags: {int(value, 8) & ~O_LARGEFILE:o}")
        elif key in ("pos", "eventfd-count", "sigmask", "clockid", "settime flags",
                   "it_interval"):
            kept.append(f"{key}: {value.strip()}")
        elif key == "tfd":
            words = line.split()
            kept.append(" ".join(words[:6]))  # tfd: N events: E data: D
    return sorted(kept)


def descriptors(pid):
    found = {}
    place = body(pid)
    for entry in os.listdir(f"{place}/fd"):
        number = int(entry)
        try:
            mode = os.stat(f"{place}/fd/{number}").st_mode
            kind = "socket" if stat.S_ISSOCK(mode) else descriptor_target(place, number)
            found[f"fd {number}"] = [kind] + fdinfo(place, number)
        except FileNotFoundError:
            continue  # closed since it was listed
    return found


def threads(pid):
    seen = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        fields = status_fields(f"/proc/{pid}/task/{tid}/status", THREAD_KEYS)
        # Priority, nice, real-time priority and policy, counted from the state field.
        numbers = read(f"/proc/{pid}/task/{tid}/stat").rsplit(")", 1)[1].split()
        scheduling = [numbers[15], numbers[16], numbers[37], numbers[38]]
        seen.append(" ".join([f"{key}={value}" for key, value in fields.items()] + scheduling))
    return sorted(seen)


def timers(pid):
    try:
        text = read(f"/proc/{pid}/timers")
    except OSError:
        return []
    text = re.sub(r"ClockID: -\d+", "ClockID: of a process or thread", text)  # the id is part of it
    return re.sub(r"(notify: \w+/\w+)\.\d+", r"\1", text).splitlines()


def optional(path):
    try:
        return read(path).strip()
    except OSError:
        return ""


def snapshot(pid):
    place = body(pid)
    seen = {"maps": guest_maps(pid), "threads": threads(pid), "timers": timers(pid)}
    seen.update(descriptors(pid))
    seen["status"] = [f"{key}: {value}"
                      for key, value in status_fields(f"{place}/status", STATUS_KEYS).items()]
    seen["limits"] = read(f"{place}/limits").splitlines()
    seen["cwd"] = [os.readlink(f"{place}/cwd")]
    seen["timerslack"] = [optional(f"/proc/{pid}/timerslack_ns")]
    seen["tree"] = tree(pid)
    for name in ("personality", "cmdline", "environ"):
        seen[name] = [optional(f"{place}/{name}")]
    return seen


def differences(before, after, unsteady):
    """One line for each thing that differs. The host may hold one descriptor, a socket, at any
    number: one on each side has no partner."""
    lines = []
    spare_before = spare_after = 1
    for key in sorted(before.keys() | after.keys()):
        kind = key.split()[0]
        if kind in unsteady or before.get(key) == after.get(key):
            continue
        if kind == "fd":
            if key not in after and before[key][0] == "socket" and spare_before:
                spare_before = 0
                continue
            if key not in before and after[key][0] == "socket" and spare_after:
                spare_after = 0
                continue
        lost = [line for line in before.get(key, []) if line not in after.get(key, [])]
        new = [line for line in after.get(key, []) if line not in before.get(key, [])]
        shown = [f"-{line[:100]}" for line in lost[:4]] + [f"+{line[:100]}" for line in new[:4]]
        lines.append(f"{key}: " + " | ".join(shown or ["order or number differs"]))
    return lines
