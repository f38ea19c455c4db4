"""Talks to a program over a pseudo-terminal: sends a text, waits for what must appear, prints it all.

usage: dialogue.py NAME PROGRAM [ARGUMENT ...]
"""
import os, pty, re, select, signal, sys, time

PROMPT = "%> "
SHELL = [
    ("", PROMPT), ("echo $-; tty >/dev/null && echo terminal\n", PROMPT),
    ("sleep 100 &\n", PROMPT), ("jobs\n", PROMPT),
    ("fg\n", "sleep 100\r\n"), ("", "WAIT"), ("\x1a", PROMPT), ("jobs\n", PROMPT), ("bg\n", PROMPT), ("jobs\n", PROMPT),
    ("kill %1; wait %1; echo status $?\n", r"status 143\r\n(.*\r\n)?" + PROMPT),
    ("sleep 100\n", "WAIT"), ("\x03", PROMPT), ("echo status $?\n", r"status 130\r\n" + PROMPT),
    ("cat\n", "WAIT"), ("line\n", "line\r\n"), ("\x04", PROMPT),
    ("sleep 100 | cat\n", "WAIT"), ("\x1a", PROMPT), ("fg\n", r"cat\r\n"), ("", "WAIT"), ("\x03", PROMPT),
    ("(trap 'echo interrupted; exit 5' INT; echo armed; while :; do sleep 0.05; done)\n", "armed\r\n"), ("\x03", PROMPT),
    ("echo status $?\n", PROMPT), ("stty size; stty -a | grep -c intr\n", PROMPT),
    ("ps -o stat= -p $$ | grep -o '[s+]*'\n", PROMPT), ("exit 21\n", "END")]
DIALOGUES = {
    "bash": SHELL,
    "dash": SHELL,
    "python": [("", ">>> "), ("6*7\n", "42\r\n>>> "), ("input('name? ')\n", r"name\? "), ("x\n", ">>> "),
               ("import time; time.sleep(100)\n", "WAIT"), ("\x03", ">>> "), ("raise SystemExit(4)\n", "END")],
    "resize": [("", "ready\r\n"), ("RESIZE", "resized 33 111\r\n"), ("\x03", "END")],
    "once": [("", "END")],
}


class Terminal:
    def __init__(self, argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(PS1=PROMPT, TERM="dumb")  # no escape sequences of line editors
            os.execvp(argv[0], argv)
        self.seen, self.open = "", True

    def read(self, seconds):
        if not self.open or not select.select([self.fd], [], [], seconds)[0]:
            return
        try:
            data = os.read(self.fd, 4096)
        except OSError:  # EIO: nobody has the other side open any more
            data = b""
        self.open = bool(data)
        self.seen += data.decode(errors="replace")

    def foreground_waits(self):
        """The foreground job is another group than the shell's, and sleeps."""
        group = os.tcgetpgrp(self.fd)
        try:
            with open(f"/proc/{group}/stat") as stat:
                text = stat.read()
        except OSError:
            return False
        return text.rpartition(")")[2].split()[0] == "S" and (group != self.pid or "python" in text)

    def wait_for(self, wanted, limit=40):
        deadline = time.monotonic() + limit
        calm = 0
        while time.monotonic() < deadline:
            self.read(0.02)
            if wanted == "END" and not self.open:
                return True
            if wanted == "WAIT":
                calm = calm + 1 if self.foreground_waits() else 0
                if calm == 5:
                    return True
            elif wanted != "END" and re.search(wanted + r"\Z", self.seen):
                return True
        return False


def main():
    name, argv = sys.argv[1], sys.argv[2:]
    terminal = Terminal(argv)
    for send, wanted in DIALOGUES[name]:
        terminal.seen = ""
        if send == "RESIZE":
            import fcntl, struct, termios
            fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
        elif send:
            os.write(terminal.fd, send.encode())
        good = terminal.wait_for(wanted)
        # Process numbers differ from run to run, and so does whether a shell sees its job's end before
        # or after it prints the next prompt.
        text = re.sub(r"(\[\d+\]) \d+", r"\1 PID", terminal.seen).replace("\r", "")
        print(re.sub(r"(?m)^(\[\d\] ?\+ *)?Terminated.*\n", "", text), end="")
        if not good:
            print(f"\nTIMEOUT waiting for {wanted!r} after {send!r}")
            os.kill(terminal.pid, signal.SIGKILL)
            break
    print("\nended:", os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]))


main()
