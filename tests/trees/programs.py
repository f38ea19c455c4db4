"""Real programs that are trees of processes. Each does the same natively every time."""

import dataclasses


@dataclasses.dataclass
class Program:
    name: str
    argv: tuple
    needs: tuple = ()
    files: dict = dataclasses.field(default_factory=dict)
    prepare: tuple = ()  # beforehand, natively
    outputs: tuple = ()  # files, beside the standard output
    status: int = 0


UNIT = "unsigned part_{n}(unsigned x) {{ for (unsigned i = 0; i < {n}000; ++i) x = x * 2654435761u + {n}; return x; }}\n"
UNITS = range(1, 25)
MAKEFILE = "objects := $(patsubst %.c,%.o,$(wildcard part_*.c))\nprogram: main.c $(objects)\n\tcc -O1 -o $@ $^\n%.o: %.c\n\tcc -O2 -c -o $@ $<\n"
MAIN = ("#include <stdio.h>\n" + "".join(f"unsigned part_{n}(unsigned);\n" for n in UNITS) +
        "int main(void) {\n  unsigned x = 1;\n" + "".join(f"  x = part_{n}(x);\n" for n in UNITS) + "  printf(\"%u\\n\", x);\n}\n")

POOL = """import hashlib, multiprocessing, time

def work(n):
    digest = hashlib.sha256(str(n).encode())
    for _ in range(3000):
        digest.update(digest.digest())
    time.sleep(0.02)
    return n, digest.hexdigest()

def listen(queue, answers):
    total = 0
    for item in iter(queue.get, None):
        total += item
    answers.put(total)

if __name__ == '__main__':
    queue, answers = multiprocessing.Queue(), multiprocessing.Queue()
    listener = multiprocessing.Process(target=listen, args=(queue, answers))
    listener.start()
    with multiprocessing.Pool(4) as pool:
        for n, text in pool.imap(work, range(400)):
            queue.put(n)
            print(n, text, flush=True)
    queue.put(None)
    print(answers.get())
    listener.join()
"""

FUTURES = """import concurrent.futures, time

def work(n):
    x = n
    for _ in range(20000):
        x = (x * 6364136223846793005 + 1442695040888963407) % (1 << 64)
    time.sleep(0.01)
    return x

if __name__ == '__main__':
    with concurrent.futures.ProcessPoolExecutor(4) as pool:
        for n, x in enumerate(pool.map(work, range(300))):
            print(n, x, flush=True)
"""

JAVA = """import java.io.*;

public class Trees {
    public static void main(String[] words) throws Exception {
        for (int i = 0; i < 60; ++i) {
            Process child = new ProcessBuilder("sh", "-c", "read x; sleep 0.03; echo $((x * x))").start();
            try (var out = new PrintWriter(child.getOutputStream())) { out.println(i); }
            String line = new BufferedReader(new InputStreamReader(child.getInputStream())).readLine();
            System.out.println(i + " " + line + " " + child.waitFor());
        }
    }
}
"""

EXPECT = r"""log_user 0
set timeout 60
spawn bash --norc --noprofile --noediting
expect -re {[$#] $}
send "PS1='ready> '; stty -echo\r"
expect -re {ready> $}
for {set i 0} {$i < 80} {incr i} {
  send "sleep 0.03; echo answer \$(($i * 7)); tty -s && echo terminal\r"
  expect -re {answer (\d+)\r\nterminal\r\nready> $} { puts "$i $expect_out(1,string)" } timeout { puts "$i nothing"; exit 1 }
}
send "exit 5\r"
expect eof
puts [lindex [wait] 3]
"""

PERL = r"""use strict; $| = 1;
for my $i (1 .. 60) {
  my $pid = open(my $child, '-|') // die;
  if (!$pid) { select(undef, undef, undef, 0.02); print $_ * $i, "\n" for 1 .. 5; exit $i % 7; }
  my $sum = 0; $sum += $_ while <$child>;
  close $child;
  print "$i $sum ", $? >> 8, "\n";
}
"""

PROGRAMS = [
    Program("forks", ("bash", "-c", "i=0; while [ $i -lt 1500 ]; do /bin/true; i=$((i + 1)); echo $i; done")),
    Program("pipeline", ("bash", "-c", "for i in $(seq 60); do seq $i 3000 | sort -rn | sed s/7/seven/ | (sleep 0.02; md5sum); done")),
    Program("jobs", ("bash", "-c", "for i in $(seq 25); do (sleep 0.0$((i % 9 + 1)); exit $((i % 5))) & p=$!; (sleep 0.02; echo $i >> log) & "
                     "wait $p; echo $i $?; wait; done"), outputs=("log",)),
    Program("make", ("sh", "-c", "make -s -j4 && ./program"), ("make", "cc"),
            {"Makefile": MAKEFILE, "main.c": MAIN, **{f"part_{n}.c": UNIT.format(n=n) for n in UNITS}}),
    Program("multiprocessing", ("python3", "pool.py"), ("python3",), {"pool.py": POOL}),
    Program("futures", ("python3", "futures.py"), ("python3",), {"futures.py": FUTURES}),
    Program("parallel", ("parallel", "--will-cite", "-k", "-j4", "sleep 0.05; echo {} $(({} * {}))", ":::", *map(str, range(60))), ("parallel",)),
    Program("java", ("java", "-Xmx64m", "Trees"), ("javac",), {"Trees.java": JAVA}, ("javac", "Trees.java")),
    Program("perl", ("perl", "children.pl"), ("perl",), {"children.pl": PERL}),
    Program("expect", ("expect", "talk"), ("expect",), {"talk": EXPECT}),
    Program("script", ("script", "-qec", "bash -c 'for i in $(seq 80); do echo line $i; sleep 0.02; done; tty -s; exit 4'", "typescript"),
            ("script",), status=4),
]
