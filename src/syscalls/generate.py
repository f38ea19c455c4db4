#!/usr/bin/env python3
"""Turns table.def into the header the runtime includes and the page people read.

    generate.py header OUT.h      enums and kTable, kFast, kArmed
    generate.py handlers OUT.inc  X-macros over rows and handlers
    generate.py docs OUT.md       the table as a page
    generate.py names             number and name of every row, for checks

Anything wrong with the table ends the build with the line's number.
"""

import errno
import pathlib
import re
import sys
from dataclasses import dataclass, field

TABLE = pathlib.Path(__file__).with_name("table.def")
SLOTS = 512
NO_LENGTH = 7
GROUPS = ("process", "signal", "time", "memory", "file", "socket", "ipc", "path", "sched", "refuse", "other")
RESTARTS = ("never", "restart", "eintr", "restart_block", "noreturn")
POLICIES = ("pass", "armed", "track", "translate", "emulate", "refuse")
POLICY = re.compile(r"(?P<policy>[a-z]+)(?:@(?P<handler>[a-z_]+))?(?:\((?P<inner>[A-Za-z_,]+)\))?")
ARGUMENT = re.compile(r"(?P<name>[a-z_0-9]+):(?P<role>[a-z_]+)(?:\[(?P<length>[0-5])\])?")


class TableError(Exception):
    pass


@dataclass
class Argument:
    name: str
    role: str
    length: int = NO_LENGTH


@dataclass
class Row:
    number: int
    name: str
    group: str
    policy: str
    restart: str
    args: list[Argument]
    result: str
    reason: str
    handler: str = ""
    causes: list[str] = field(default_factory=list)
    errno_name: str = ""

    @property
    def fast(self):
        return self.policy in ("pass", "armed")


@dataclass
class Table:
    roles: dict[str, str] = field(default_factory=dict)
    handlers: dict[str, str] = field(default_factory=dict)
    causes: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)


def parse_row(text, reason, table):
    left, arrow, result = text.partition("->")
    if not arrow:
        raise TableError("no result")
    number, name, group, policy_text, restart, *arguments = left.split()
    match = POLICY.fullmatch(policy_text)
    if not match:
        raise TableError(f"policy {policy_text!r} is not understood")
    row = Row(int(number), name, group, match["policy"], restart, [], result.strip(), reason)
    inner = match["inner"].split(",") if match["inner"] else []
    if row.policy == "refuse":
        row.handler = "refuse"
        row.errno_name = inner[0] if len(inner) == 1 else ""
    else:
        row.causes = inner
        if row.policy != "pass":
            row.handler = match["handler"] or name
    for argument in arguments:
        found = ARGUMENT.fullmatch(argument)
        if not found:
            raise TableError(f"argument {argument!r} is not understood")
        length = int(found["length"]) if found["length"] else NO_LENGTH
        row.args.append(Argument(found["name"], found["role"], length))
    check_row(row, match["handler"], table)
    return row


def check_row(row, shared, table):
    def require(condition, message):
        if not condition:
            raise TableError(f"{row.name}: {message}")

    require(0 <= row.number < SLOTS, "number out of range")
    require(len(row.name) < 24, "name too long for Row::name")
    require(row.group in GROUPS, f"unknown group {row.group}")
    require(row.policy in POLICIES, f"unknown policy {row.policy}")
    require(row.restart in RESTARTS, f"unknown restart class {row.restart}")
    require(len(row.args) <= 6, "more than six arguments")
    require(row.result in table.roles, f"unknown result {row.result}")
    require(shared is None or shared in table.handlers, f"unknown shared handler {shared}")
    require(shared is None or row.policy in ("track", "translate", "emulate"), "a handler that is never called")
    require(row.policy != "refuse" or hasattr(errno, row.errno_name), "refuse needs an errno")
    require(row.policy != "refuse" or row.reason, "refuse needs a reason")
    require((row.policy == "armed") <= bool(row.causes), "armed needs a cause")
    require(not (row.policy == "pass" and row.causes), "pass has no cause")
    for cause in row.causes:
        require(cause in table.causes, f"unknown cause {cause}")
    for argument in row.args:
        require(argument.role in table.roles, f"unknown role {argument.role}")
        require(argument.length == NO_LENGTH or argument.length < len(row.args), "length of no argument")


def load(path=TABLE):
    table = Table()
    section = None
    for line_number, line in enumerate(path.read_text().splitlines(), 1):
        text, _, reason = line.partition("//")
        text, reason = text.strip(), reason.strip()
        if not text or text.startswith("#"):
            continue
        try:
            if text.startswith("["):
                section = text.strip("[]")
            elif section == "calls":
                table.rows.append(parse_row(text, reason, table))
            else:
                words = getattr(table, section)
                if text in words:
                    raise TableError(f"{text} is there twice")
                words[text] = reason
        except (TableError, ValueError, AttributeError, TypeError) as error:
            raise SystemExit(f"{path}:{line_number}: {error}") from None
    check_table(table, path)
    return table


def check_table(table, path):
    for what in ("number", "name"):
        seen = set()
        for row in table.rows:
            value = getattr(row, what)
            if value in seen:
                raise SystemExit(f"{path}: {what} {value} is there twice")
            seen.add(value)
    used_roles = {a.role for r in table.rows for a in r.args} | {r.result for r in table.rows}
    used_handlers = {r.handler for r in table.rows}
    for kind, declared, used in (("role", table.roles, used_roles | {"none"}),
                                 ("handler", table.handlers, used_handlers),
                                 ("cause", table.causes, {c for r in table.rows for c in r.causes})):
        for name in declared:
            if name not in used:
                raise SystemExit(f"{path}: {kind} {name} is declared and never used")


def camel(name):
    return "k" + "".join(part.capitalize() for part in name.split("_"))


def enum(name, items, comments=None):
    lines = [f"enum class {name} : std::uint8_t {{"]
    for item in items:
        comment = f"  // {comments[item]}" if comments and comments.get(item) else ""
        lines.append(f"  {camel(item)},{comment}")
    return "\n".join(lines + ["};"])


def own_handlers(table, wanted):
    """Handlers of the rows for which wanted(row), each once, in the order of the table."""
    return list(dict.fromkeys(row.handler for row in table.rows if row.handler and wanted(row)))


def cpp_row(row):
    args = row.args + [Argument("", "none")] * (6 - len(row.args))
    roles = ", ".join(f"Role::{camel(a.role)}" for a in args)
    lengths = ", ".join(str(a.length) for a in args)
    causes = " | ".join(camel(c) for c in row.causes) or "0"
    number = getattr(errno, row.errno_name) if row.errno_name else 0
    handler = f"Handler::{camel(row.handler)}" if row.handler else "Handler::kNone"
    return (f'    {{"{row.name}", {{{roles}}}, {{{lengths}}}, Role::{camel(row.result)}, Policy::{camel(row.policy)}, '
            f"Restart::{camel(row.restart)}, Group::{camel(row.group)}, {handler}, {causes}, {number}}},")


def header(table):
    rows = {row.number: row for row in table.rows}
    count = max(rows) + 1
    unknown = ('    {"", {}, {7, 7, 7, 7, 7, 7}, Role::kStatus, Policy::kRefuse, Restart::kNever, Group::kRefuse, '
               f"Handler::kRefuse, 0, {errno.ENOSYS}}},")
    causes = "\n".join(f"inline constexpr std::uint8_t {camel(name)} = 1 << {bit};  // {why}"
                       for bit, (name, why) in enumerate(table.causes.items()))
    fast = [1 if n in rows and rows[n].fast else 0 for n in range(SLOTS)]
    armed = [" | ".join(camel(c) for c in rows[n].causes) or "0" if n in rows and rows[n].policy == "armed" else "0"
             for n in range(SLOTS)]

    def block(values, per_line):
        return "\n".join("    " + ", ".join(map(str, values[i:i + per_line])) + ","
                         for i in range(0, len(values), per_line))

    return f"""#pragma once
// Generated by src/syscalls/generate.py from src/syscalls/table.def, which explains every word.
// Freestanding: no pointer, no relocation, no constructor.

#include <cstdint>

namespace cairn::syscalls {{

{enum("Role", table.roles, table.roles)}

{enum("Policy", POLICIES)}

{enum("Restart", RESTARTS)}

{enum("Group", GROUPS)}

{enum("Handler", ["none"] + own_handlers(table, lambda row: True))}

// Causes that the runtime may arm; while one is armed, rows that name it are not fast.
{causes}

inline constexpr std::uint8_t kNoLength = {NO_LENGTH};

struct Row {{
  char name[24];                // "" for a number without a row
  Role args[6];
  std::uint8_t length_of[6];    // the argument that holds this one's length or count, or kNoLength
  Role result;
  Policy policy;
  Restart restart;
  Group group;
  Handler handler;              // kNone where policy is kPass
  std::uint8_t causes;
  std::int16_t refusal;         // errno where policy is kRefuse, else 0
}};

inline constexpr unsigned kSyscalls = {count};  // greater numbers are answered ENOSYS
inline constexpr unsigned kFastSlots = {SLOTS};

inline constexpr Row kTable[kSyscalls] = {{
{chr(10).join(cpp_row(rows[n]) if n in rows else unknown for n in range(count))}
}};

// 1: goes to the kernel from the assembly path. A runtime that arms a cause works on a copy in which
// the rows of kArmed that name the cause are 0.
inline constexpr std::uint8_t kFast[kFastSlots] = {{
{block(fast, 32)}
}};

inline constexpr std::uint8_t kArmed[kFastSlots] = {{
{block(armed, 16)}
}};

}}  // namespace cairn::syscalls
"""


def handlers(table):
    slow = [row for row in table.rows if not row.fast]
    armed = [row for row in table.rows if row.policy == "armed"]
    lines = ["""// Generated by src/syscalls/generate.py. Define what is wanted before the include; all are undefined
// at the end, so the file may be included again.
//   CAIRN_HANDLER(number, name, handler)        each row that is not fast
//   CAIRN_ARMED_HANDLER(number, name, handler)  each row that is fast until a cause is armed
//   CAIRN_HANDLER_SYMBOL(handler)               each handler of CAIRN_HANDLER once
//   CAIRN_ARMED_HANDLER_SYMBOL(handler)         each handler of CAIRN_ARMED_HANDLER once"""]
    macros = ("CAIRN_HANDLER", "CAIRN_ARMED_HANDLER", "CAIRN_HANDLER_SYMBOL", "CAIRN_ARMED_HANDLER_SYMBOL")
    for macro in macros:
        parameter = "handler" if macro.endswith("SYMBOL") else "number, name, handler"
        lines.append(f"#ifndef {macro}\n#define {macro}({parameter})\n#endif")
    lines += [f"CAIRN_HANDLER({row.number}, {row.name}, handle_{row.handler})" for row in slow]
    lines += [f"CAIRN_ARMED_HANDLER({row.number}, {row.name}, handle_{row.handler})" for row in armed]
    lines += [f"CAIRN_HANDLER_SYMBOL(handle_{name})" for name in own_handlers(table, lambda row: not row.fast)]
    lines += [f"CAIRN_ARMED_HANDLER_SYMBOL(handle_{name})"
              for name in own_handlers(table, lambda row: row.policy == "armed")]
    lines += [f"#undef {macro}" for macro in macros]
    return "\n".join(lines) + "\n"


def docs(table):
    def words(title, items):
        return [f"| {title} | meaning |", "|---|---|"] + [f"| `{k}` | {v} |" for k, v in items.items()] + [""]

    count = {policy: sum(row.policy == policy for row in table.rows) for policy in POLICIES}
    lines = ["# System calls", "",
             "Generated by `src/syscalls/generate.py docs` from `src/syscalls/table.def`; change that file, not this page.",
             "",
             f"{len(table.rows)} calls: " + ", ".join(f"{n} {policy}" for policy, n in count.items()) + ".", "",
             "**Policy.** `pass`: straight to the kernel. `armed`: as pass, until the process has something that only",
             "the runtime can serve (causes below). `track`: the kernel does it, the runtime remembers it. `translate`:",
             "arguments or results are converted. `emulate`: the runtime answers. `refuse`: answered with an error number,",
             "so that programs fall back.", "",
             "**Restart.** What the kernel does when a signal handler has run while the call waited: `restart` begins anew",
             "under SA_RESTART, `eintr` and `restart_block` return EINTR, `never` does not wait interruptibly. A call that was",
             "interrupted only by a checkpoint is issued anew whatever its class.", ""]
    lines += words("cause", table.causes) + words("shared handler", table.handlers) + words("role", table.roles)
    for group in GROUPS:
        lines += [f"## {group}", "", "| nr | call | policy | restart | why |", "|---|---|---|---|---|"]
        for row in (r for r in table.rows if r.group == group):
            args = ", ".join(a.name if a.name == a.role else f"{a.name}: {a.role}" for a in row.args)
            policy = row.policy
            if row.errno_name:
                policy += f" {row.errno_name}"
            elif row.handler and row.handler != row.name:
                policy += f" by {row.handler}"
            if row.causes:
                policy += f" ({', '.join(row.causes)})"
            lines.append(f"| {row.number} | `{row.name}({args}) -> {row.result}` | {policy} | {row.restart} | {row.reason} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main(argv):
    writers = {"header": header, "handlers": handlers, "docs": docs}
    if argv[1:] == ["names"]:
        for row in load().rows:
            print(row.number, row.name)
    elif len(argv) == 3 and argv[1] in writers:
        pathlib.Path(argv[2]).write_text(writers[argv[1]](load()))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv)
