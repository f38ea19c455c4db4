"""The table of cases. Each is one command line or shell script; the runner compares what it does.

$BIN holds the built programs, $SRC their sources, $PORT a free port. A script marked `outer` runs
natively itself and starts guests with $RUN.
"""
import dataclasses
import re

ALL = ("auto", "dispatch", "seccomp", "patch")
# Patch plans cover libraries and programs that the planner has read in full. Where code is made at run
# time or has no function bounds, patching alone cannot catch every call.
NOT_PATCH = ("auto", "dispatch", "seccomp")
NO_PATCH = "patch-only cannot reach every call of this program"


@dataclasses.dataclass
class Case:
    name: str
    about: str
    sh: str = ""
    argv: tuple = ()
    builds: tuple = ()
    needs: tuple = ()
    labels: tuple = ("quick",)
    shell: str = "bash"
    modes: tuple = ALL
    mode_reason: str = ""
    users: tuple = ("root", "user")
    user_reason: str = ""
    env: dict = dataclasses.field(default_factory=dict)
    expect: tuple = (0,)  # the statuses that a native run may have
    timeout: float = 60
    outer: bool = False
    filters: dict = dataclasses.field(default_factory=dict)  # stream -> (function, why)


# What is known not to work yet, in all modes or in one; counted as skipped.
OPEN_DEFECTS = {
    "int80": "32-bit system calls are answered ENOSYS",
}


def replaced(pattern, text):
    compiled = re.compile(pattern.encode())
    return lambda data: compiled.sub(text.encode(), data)


BASH_PIDS = {"stderr": (replaced(r"(line \d+:|process) +\d+", r"\1 PID"), "bash names the process that was killed")}

C = "gcc -O1 -g -pthread -Wall -o {out} "
CXX = "g++ -O1 -g -pthread -Wall -fnon-call-exceptions -fasynchronous-unwind-tables -o {out} "
PLAIN_C = ("cancel", "mutexes", "spawn", "timers", "closing", "ids", "exec_thread", "signals_all", "jumps", "altstack",
           "faults", "nested", "restarts", "races", "seccomp_own", "execs", "procfs", "clocks", "int80",
           "limits", "stress", "hello_threads")
BUILDS = {name: f"{C}{name}.c" for name in PLAIN_C} | {
    "cancel_unwind": CXX + "cancel_unwind.cc",
    "throws": CXX + "throws.cc",
    "registers": "gcc -O1 -mavx -Wall -o {out} registers.c",
    "raw": "gcc -O2 -Wall -nostdlib -static -fno-builtin -fno-stack-protector -fcf-protection=none -o {out} raw.c",
    "hello_static_pie": "gcc -O1 -pthread -static-pie -o {out} hello_threads.c -lm # hello_threads.c",
    "hello_stripped": "gcc -O1 -pthread -s -static -o {out} hello_threads.c -lm"
                      " && objcopy --strip-section-headers {out} 2>/dev/null || strip {out} # hello_threads.c",
    "stress_static": "gcc -O1 -pthread -static -o {out} stress.c",
    "asan": "gcc -O1 -g -pthread -fsanitize=address -o {out} asan.c",
    "tsan": "gcc -O1 -g -pthread -fsanitize=thread -o {out} tsan.c",
    "omp": "gcc -O2 -fopenmp -o {out} omp.c",
    "omp_static": "gcc -O2 -fopenmp -static -o {out} omp.c",
    "ompf": "gfortran -O2 -fopenmp -J/tmp -o {out} omp.f90",
    "go": "go build -o {out} go.go",
    "java": "javac -d {out}.d Threads.java && touch {out} # Threads.java",
}
BUILDS["hello_threads"] = "gcc -O1 -pthread -o {out} hello_threads.c -lm # hello_threads.c"
BUILDS["hello_static"] = "gcc -O1 -pthread -static -o {out} hello_threads.c -lm # hello_threads.c"


def program(name, about, **more):
    more.setdefault("argv", ("/bin/sh", "-c", f"exec $BIN/{name}"))
    return Case(name, about, builds=(name,), **more)


# Each line is its own command; its status is printed, so one line cannot hide another's.
def script(text):
    return "\n".join(f"{line}\necho \"-- $?\"" for line in text.strip().splitlines())


COREUTILS = script(r"""
echo plain; printf '%s %d %x\n' a 10 255
seq 1 5 | tac | nl | head -3 | tail -1
cat /etc/passwd | wc -c > n; [ $(cat n) -gt 100 ]
ls -la --time-style=+ /usr/bin/env | cut -c1-10
cp /bin/true copy && mv copy moved && ./moved
ln -s moved link; readlink link; readlink -f link | xargs basename
mkdir -p a/b/c && rmdir -p a/b/c; ls
touch -d 2001-02-03T04:05:06Z stamp && stat -c '%Y %s %A %n' stamp; date -u -r stamp +%F
dd if=/dev/zero bs=64K count=64 2>/dev/null | sha256sum
dd if=/dev/zero of=sparse bs=1 count=1 seek=1M status=none; stat -c %s sparse
seq 1 100000 | sort -rn --parallel=4 -S 1M | md5sum
seq 1 50000 | shuf --random-source=/bin/true | sort -n | uniq | wc -l
seq 1 1000 | split -l 100 - part. && cat part.* | cksum; rm part.*
printf 'b 2\na 1\n' > x; printf 'a 3\nb 4\n' > y; sort x | join - y; comm -3 <(sort x) y; paste x y
tr a-z A-Z < x; rev x; expand x; fold -w 2 x; fmt x; od -c x; base64 x; xxd x
tee copy1 copy2 < x | cmp - x && cmp copy1 copy2
env -i A=1 env; env -u PATH /usr/bin/env | grep -c ^PATH
timeout 0.1 sleep 10
timeout -s KILL 0.1 sleep 10
timeout --preserve-status -s INT 0.1 sleep 10
timeout 0.1 sh -c 'trap "" TERM; timeout 0.3 cat /dev/zero > /dev/null'
timeout 5 false; timeout 1 /no/such; timeout 1 /etc/passwd
nohup sh -c 'echo hup; kill -HUP $$; echo still' 2>&1 | cat
stdbuf -oL seq 1 3; stdbuf -i0 -o0 -e0 cat x
seq 1 20 | xargs -P 4 -n 1 sh -c 'exit $(($0 % 3))'
seq 1 40 | xargs -P 8 -n 2 echo | sort -n | sum
sleep 0.2 & tail --pid=$! -f /dev/null; wait $!
(sleep 0.1; echo more >> log) & touch log; timeout 5 tail -n +1 -f log | head -1
nice -n 5 nice; nice; chrt -p 0 >/dev/null; taskset -p 1 >/dev/null
factor 1234567890123; expr 6 \* 7; test 1 -lt 2; numfmt --to=iec 123456789; basename /a/b.c .c; dirname /a/b
id -u > n; whoami | wc -l; groups > /dev/null; pwd | xargs basename; uname -s; nproc > n; tty; logname 2>/dev/null > n
mkfifo pipe; (cat pipe &); echo through > pipe; sleep 0.1
mktemp -d -p . XXXX | wc -c; truncate -s 5000 t; du -b t; df . | wc -l; sync t; shred -n 1 t
chmod 640 t; chown $(id -u):$(id -g) t; chgrp $(id -g) t; install -m 700 t t2; stat -c %a t t2
kill -l; kill -0 $$; kill -TERM 999999999
yes | head -100000 | cksum; sha1sum /bin/true | wc -c; b2sum < /dev/null
find /usr/share/doc -name copyright | sort | head -20 | xargs cat | wc; grep -r root /etc/passwd | cut -d: -f1
diff x y; sed s/a/z/ x; awk '{print $2 + 1}' x; tar cf - x y | tar tvf - | awk '{print $NF}'
gzip -c x | zcat; xz -T2 -c x | xzcat; echo 'echo from stdin' | sh; flock lockfile -c 'echo locked'; setsid -w sh -c 'exit 4'
cat /no/such; ls /no/such; rm /no/such
sort /no/such; cat < /no/such
head -c 5 /dev/full | od; echo x > /dev/full
""")

SHELL = r"""
trap 'echo exit trap $?' EXIT
trap 'echo usr1' USR1; kill -USR1 $$; echo after
trap 'echo quit' QUIT; kill -QUIT $$
[ "$(sh -c 'echo $PPID')" = $$ ] && echo parent is me
sh -c '[ $PPID = '$$' ] && echo child agrees'
(exit 3) || echo subshell $?
sh -c 'kill -9 $$'; echo killed $?
sh -c 'kill -SEGV $$' 2>/dev/null; echo killed $?
sleep 100 & pid=$!; until [ "$(cat /proc/$pid/comm)" = sleep ]; do :; done; kill $pid; wait $pid; echo waited $?
(trap 'echo caught; exit 7' TERM; kill -TERM $(sh -c 'echo $PPID'); sleep 1); echo $?
(trap '' INT; sh -c 'kill -INT $$; echo ignored stays ignored')
for n in 1 2 3 4 5; do (sleep 0.0$n; exit $n) & done; wait; echo all
cat <<END | while read line; do echo "<$line>"; done
here $((6*7)) $(echo document)
END
exec 5>file; echo five >&5; exec 5>&-; cat file
exec 3<<END
descriptor three
END
read line <&3; echo "$line"
set -- $(ulimit -n) $(ulimit -s); echo $#
(ulimit -n 20; ulimit -n); (ulimit -c 0; ulimit -c); (ulimit -f 1; trap '' XFSZ; head -c 10000 /dev/zero > big; stat -c %s big) 2>/dev/null
umask 077; touch private; stat -c %a private
echo a | cat | cat | cat | tr a b
! false; echo $?; false | true; echo $?
i=0; while [ $i -lt 200 ]; do i=$((i+1)); /bin/true || echo broken; done; echo $i
x=$(for n in 1 2 3; do echo $n & done | sort; wait); echo $x
sh -c 'exec sh -c "exec sh -c \"exit 9\""'; echo $?
command -v ls; type cd | head -1; eval 'echo eval'; . /dev/null
times > /dev/null; cd /usr; pwd; cd - > /dev/null
(exec -a other sleep 0.01) 2>/dev/null
exit 5
"""
BASH_ONLY = r"""
set -m; sleep 100 & jobs; kill -STOP %1; while ! jobs | grep -q Stopped; do sleep 0.01; done; jobs; kill -CONT %1; kill %1; wait %1; echo $?
coproc { tr a-z A-Z; }; echo words >&${COPROC[1]}; exec {COPROC[1]}>&-; cat <&${COPROC[0]}
diff <(seq 3) <(seq 4) | wc -l; echo x > >(cat); wait; set -o pipefail; false | true; echo $? ${PIPESTATUS[@]}
[ $BASHPID = $$ ] && (echo $((BASHPID != $$)))
mapfile -t lines < <(seq 5); echo ${#lines[@]}; wait -n <(exit 3) 2>/dev/null; read -t 0.05 < <(sleep 1); echo $?
trap 'echo child $?' CHLD; /bin/true; (exit 3); trap - CHLD; trap 'echo err' ERR; false; trap - ERR; ulimit -S -n 100; ulimit -H -n > /dev/null
suspend 2>&1 | head -1 | wc -l; kill -l | head -1; printf '%(%Y)T\n' 0; echo {a..e} $'\x41'; time -p true 2>/dev/null; disown -a
""".replace("time -p true 2>/dev/null; ", "")

CASES = [
    Case("coreutils", "some sixty commands with their statuses", sh=COREUTILS, timeout=90, filters=BASH_PIDS),
    Case("bash", "traps, waits, here-documents, limits", sh=SHELL, expect=(5,), filters=BASH_PIDS),
    Case("dash", "the same in dash", sh=SHELL, shell="dash", expect=(5,)),
    Case("bash-jobs", "job control, coprocesses, process substitution", sh=BASH_ONLY, filters=BASH_PIDS),
    *(Case(f"exit-{n}", "the program's own end is the command's", sh=text, expect=(status,)) for n, text, status in [
        ("status", "exit 77", 77), ("kill", "kill -KILL $$", -9), ("segv", "kill -SEGV $$", -11),
        ("term", "kill -TERM $$", -15), ("pipe", "kill -PIPE $$", -13), ("sys", "kill -SYS $$", -31)]),
    Case("exec-errors", "a program that does not exist or may not run", outer=True, sh=(
        "$RUN /no/such/program 2>/dev/null; echo $? > n; $RUN /etc/passwd 2>/dev/null; $RUN true; echo $?; $RUN false; echo $?"),
        ),
    Case("stop-continue", "SIGSTOP and SIGCONT from outside", outer=True, sh=(
        "$RUN sh -c 'echo up; while [ ! -e go ]; do sleep 0.01; done; exit 8' & p=$!\n"
        "kill -STOP $p; until grep -q '^State:.T' /proc/$p/status; do sleep 0.01; done; echo stopped\n"
        "kill -CONT $p; touch go; wait $p; echo $?")),
    Case("same-pid", "the program has the pid that was started", outer=True, sh=(
        "$RUN sh -c 'echo $$ > pid' & p=$!; wait $p; [ $(cat pid) = $p ] && echo same")),
    Case("terminal-bash", "job control in bash on a terminal", argv=(
        "/bin/sh", "-c", "exec /usr/bin/python3 $SRC/dialogue.py bash bash --norc --noprofile -i"), labels=("quick", "terminal")),
    Case("terminal-dash", "job control in dash on a terminal", argv=(
        "/bin/sh", "-c", "exec /usr/bin/python3 $SRC/dialogue.py dash dash -i"), labels=("quick", "terminal")),
    Case("terminal-outer", "the command itself under a terminal", outer=True, sh=(
        "/usr/bin/python3 $SRC/dialogue.py bash $RUN bash --norc --noprofile -i"), labels=("quick", "terminal")),
    Case("terminal-python", "python at a terminal, interrupted", outer=True, sh=(
        "/usr/bin/python3 $SRC/dialogue.py python $RUN /usr/bin/python3 -q"), env={"TERM": "dumb"}, labels=("quick", "terminal")),
    Case("terminal-resize", "SIGWINCH and SIGINT from the terminal", outer=True, sh=(
        "/usr/bin/python3 $SRC/dialogue.py resize $RUN bash $SRC/resize.sh"), labels=("quick", "terminal")),
    Case("script", "script(1) makes the terminal", sh="script -qec 'tty > n; stty size; exit 3' /dev/null | cat; echo ${PIPESTATUS[0]}",
         labels=("quick", "terminal")),

    program("cancel", "pthread_cancel in every sort of blocking call"),
    program("cancel_unwind", "cancellation runs destructors"),
    program("mutexes", "robust, PI, error-checking and timed mutexes"),
    program("spawn", "posix_spawn, vfork and exec errors", timeout=90),
    program("timers", "POSIX timers, interval timers, timerfd"),
    program("closing", "closefrom, close_range, every descriptor number"),
    program("ids", "pid and tid from every angle"),
    program("exec_thread", "exec from a thread"),
    program("signals_all", "every signal, every disposition", labels=("slow",), timeout=120),
    program("jumps", "longjmp and setcontext out of handlers at 5 kHz", labels=("slow",), timeout=240),
    program("throws", "C++ exceptions out of handlers at 5 kHz"),
    program("altstack", "stack overflow recovery, sigaltstack states"),
    program("faults", "fault handlers that repair and go on"),
    program("nested", "masks, nesting, queues, SIGSYS as a common signal"),
    program("restarts", "SA_RESTART and EINTR for each blocking call"),
    program("races", "sigsuspend, ppoll, pselect, epoll_pwait lose nothing", labels=("slow",), timeout=240),
    program("seccomp_own", "a seccomp filter of the program's own"),
    program("execs", "what exec keeps, drops and refuses"),
    program("procfs", "what a process sees of itself", argv=("/bin/sh", "-c", "env -i A=b $BIN/procfs hello")),
    program("registers", "a system call keeps every register"),
    program("clocks", "clocks agree and never run backwards"),
    program("int80", "the 32-bit gate", modes=NOT_PATCH, mode_reason=NO_PATCH),
    program("limits", "resource limits", expect=(0,)),
    Case("limit-as", "an address space of 8 GiB", builds=("limits",), sh="ulimit -v 8388608; $BIN/limits; ls / > /dev/null && /usr/bin/python3 -c 'print(1)'"),
    Case("limit-as-outer", "Cairn itself started under it", builds=("limits",), outer=True, sh="ulimit -v 8388608; $RUN $BIN/limits"),
    Case("limit-stack", "an unlimited stack", builds=("limits",), outer=True, sh="ulimit -s unlimited; $RUN $BIN/limits; $RUN bash -c 'echo ok'"),
    Case("limit-lock", "nothing may be locked", builds=("limits",), outer=True, sh="ulimit -l 0; $RUN $BIN/limits"),
    program("stress", "threads, memory, files and children at once"),
    program("hello_threads", "a dynamic program with threads", expect=(3,)),
    program("hello_static", "static glibc", expect=(3,), modes=NOT_PATCH, mode_reason=NO_PATCH),
    program("hello_static_pie", "static position-independent", expect=(3,), modes=NOT_PATCH, mode_reason=NO_PATCH),
    program("hello_stripped", "static, stripped", expect=(3,), modes=NOT_PATCH, mode_reason=NO_PATCH),
    program("stress_static", "threads and children, static", modes=NOT_PATCH, mode_reason=NO_PATCH),
    program("raw", "no libc, inline system calls", expect=(7,), modes=NOT_PATCH, mode_reason=NO_PATCH),
    program("omp", "OpenMP in C"),
    program("omp_static", "OpenMP, static", modes=NOT_PATCH, mode_reason=NO_PATCH),
    program("ompf", "OpenMP in Fortran", needs=("gfortran",), expect=(3,)),
    program("asan", "AddressSanitizer, clean"),
    Case("asan-overflow", "AddressSanitizer reports", builds=("asan",), sh="$BIN/asan overflow 2> e; echo $?; sed -n 's/^==[0-9]*==\\(ERROR: [^ ]* [^ ]*\\).*/\\1/p; s/.* \\(in main\\).*/\\1/p' e | head -2"),
    Case("asan-leak", "its tracer thread finds a leak", builds=("asan",), sh="$BIN/asan leak 2> e; echo $?; grep -c 'Direct leak of 123' e",
         modes=("auto", "dispatch", "patch"), mode_reason="its tracer runs on the seccomp filter's far side"),
    program("tsan", "ThreadSanitizer, clean"),
    Case("tsan-race", "ThreadSanitizer reports", builds=("tsan",), sh="$BIN/tsan race > o 2> e; echo $?; cat o; sed -n 's/.*\\(SUMMARY: [^:]*: data race\\).*/\\1/p' e | head -1"),

    Case("perl", "fork, signals, sockets", needs=("perl",), argv=("/bin/sh", "-c", "exec perl $SRC/perl.pl"), expect=(7,)),
    Case("python", "threads, processes, asyncio, signals", needs=("/usr/bin/python3",),
         argv=("/bin/sh", "-c", "exec /usr/bin/python3 $SRC/threads.py"), expect=(12,)),
    Case("node", "workers, timers, children", needs=("node",), argv=("/bin/sh", "-c", "exec node $SRC/node.js"), expect=(9,),
         modes=NOT_PATCH, mode_reason=NO_PATCH),
    Case("java", "20 threads, garbage collection", needs=("java", "javac"), builds=("java",), expect=(6,),
         argv=("/bin/sh", "-c", "exec java -Xmx64m -cp $BIN/java.d Threads"), timeout=120),
    Case("java-signal", "java ended by SIGTERM", needs=("java", "javac"), builds=("java",), expect=(143,),
         argv=("/bin/sh", "-c", "exec java -Xmx64m -XX:+UseParallelGC -cp $BIN/java.d Threads term"), timeout=120),
    program("go", "goroutines, timers, sockets", needs=("go",), expect=(5,), modes=NOT_PATCH, mode_reason=NO_PATCH),
    Case("go-build", "the Go tool builds and runs", needs=("go",), labels=("heavy",), timeout=300, modes=NOT_PATCH, mode_reason=NO_PATCH,
         sh="printf 'package main\\nfunc main() { println(42) }\\n' > m.go; go run m.go"),

    Case("make", "gcc by make -j4", needs=("gcc", "make"), labels=("heavy",), timeout=120, sh=r"""
for n in $(seq 12); do printf '#include <stdio.h>\n#include <math.h>\nint f%d(int x) { return x * %d; }\n' $n $n > f$n.c; done
{ for n in $(seq 12); do echo "int f$n(int);"; done; echo '#include <stdio.h>'; echo 'int main(void) { int s = 0;'
  for n in $(seq 12); do echo "s += f$n(1);"; done; echo 'printf("%d\n", s); return s; }'; } > main.c
printf 'all: app\n%%.o: %%.c\n\tgcc -O2 -g -c $< -o $@\napp: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tgcc -o $@ $(sort $^)\n' > Makefile
make -s -j4 && ./app; echo $?; make -j4; strip app; sha256sum app main.o; make -k -j4 none; echo $?"""),
    Case("git", "init, commit, branch, merge, gc, clone", needs=("git",), env={
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
        "GIT_AUTHOR_DATE": "2001-02-03T04:05:06Z", "GIT_COMMITTER_DATE": "2001-02-03T04:05:06Z", "GIT_CONFIG_NOSYSTEM": "1"}, sh=r"""
git init -q -b main r && cd r && seq 1000 > f && git add f && git commit -qm one && git checkout -qb side && echo x >> f && git commit -qam two
git checkout -q main && echo g > g && git add g && git commit -qm three && git merge -q side -m merge && git log --oneline --graph
git gc -q --no-detach 2>&1; git fsck 2>&1; git clone -q . ../c 2>&1; cd ../c && git log -1 --format=%H && git status --short && git grep -c 99 && git bundle create -q ../b main && git bundle verify -q ../b; git show no-such; git stash list; git diff HEAD~1 --stat"""),
    Case("sqlite", "write-ahead log, several writers", needs=("sqlite3",), sh=r"""
sqlite3 d 'pragma journal_mode=wal; create table t(a integer primary key, b text);'
for n in 1 2 3 4; do (for k in $(seq 5); do sqlite3 -cmd '.timeout 20000' d "begin immediate; insert into t(b) select 'w$n' from generate_series(1,50); commit;" || sqlite3 -cmd '.timeout 20000' d "begin immediate; with recursive c(x) as (select 1 union all select x+1 from c where x<50) insert into t(b) select 'w$n' from c; commit;"; done) 2>/dev/null & done; wait
sqlite3 d 'select b, count(*) from t group by b; pragma integrity_check; pragma wal_checkpoint(truncate); pragma mmap_size=1000000; select sum(a) from t;'"""),
    Case("redis", "server, benchmark, background save", needs=("redis-server", "redis-benchmark"), labels=("heavy",), timeout=120, sh=r"""
redis-server --port 0 --unixsocket s --save '' --daemonize no --logfile log --io-threads 2 & p=$!
until redis-cli -s s ping 2>/dev/null; do sleep 0.05; done
redis-benchmark -s s -q -n 5000 -c 20 -P 4 -t set,get,incr,lpush,lrange_100 > b 2> e; echo $? $(tr '\r' '\n' < b | grep -c 'per second')
redis-cli -s s bgsave; until [ "$(redis-cli -s s lastsave)" -gt 0 ] && redis-cli -s s info persistence | grep -q 'bgsave_in_progress:0'; do sleep 0.05; done
redis-cli -s s get counter:__rand_int__; redis-cli -s s dbsize; redis-cli -s s info persistence | grep last_bgsave_status; redis-cli -s s shutdown nosave; wait $p; echo $?"""),
    Case("nginx", "two workers under wrk", needs=("nginx", "wrk"), labels=("heavy",), timeout=60, sh=r"""
[ $(id -u) = 0 ] && user='user root;'
mkdir t; echo "daemon off; $user pid $PWD/pid; error_log $PWD/log; worker_processes 2; events { worker_connections 200; } http { access_log off; client_body_temp_path $PWD/t; proxy_temp_path $PWD/t/p; fastcgi_temp_path $PWD/t/f; uwsgi_temp_path $PWD/t/u; scgi_temp_path $PWD/t/s; server { listen 127.0.0.1:$PORT; root $PWD; sendfile on; aio threads; } }" > conf
seq 2000 > page; nginx -e log -c $PWD/conf & p=$!
until (exec 3<> /dev/tcp/127.0.0.1/$PORT) 2>/dev/null; do sleep 0.05; done
wrk -t2 -c20 -d1s http://127.0.0.1:$PORT/page > out; echo $? $(grep -c 'Requests/sec' out); grep -E 'Non-2xx|Socket errors' out
kill -HUP $p; exec 3<> /dev/tcp/127.0.0.1/$PORT; printf 'GET /page HTTP/1.0\r\n\r\n' >&3; tail -n +1 <&3 | grep -v -E '^(Date|Last-Mod|ETag)' | cksum
kill -QUIT $p; wait $p; echo $?"""),
    Case("postgres", "initdb, pgbench, crash recovery", needs=("pgbench", "/usr/lib/postgresql/15/bin/postgres"), labels=("heavy",),
         users=("user",), user_reason="PostgreSQL refuses to run as root", timeout=180, sh=r"""
export PATH=/usr/lib/postgresql/15/bin:$PATH PGHOST=$PWD PGDATABASE=postgres PGUSER=p
initdb -U p -D d --no-sync -A trust > i 2>&1; echo $?
postgres -D d -k $PWD -h '' -c fsync=off -c log_destination=stderr 2> log & p=$!
until psql -qtc 'select 1' 2>/dev/null; do sleep 0.1; done
pgbench -i -q -s 1 2>/dev/null; echo $?; pgbench -n -c 4 -j 2 -t 100 > b 2>&1; echo $?; grep 'transactions actually' b
psql -qtc 'select count(*), count(distinct aid) from pgbench_accounts' -c 'set max_parallel_workers_per_gather=2; set parallel_setup_cost=0; set min_parallel_table_scan_size=0; select sum(aid) from pgbench_accounts'
kill -INT $p; wait $p; echo $?
postgres -D d -k $PWD -h '' 2>> log & p=$!
until psql -qtc 'select sum(delta) is not null from pgbench_history' 2>/dev/null; do sleep 0.1; done
kill -TERM $p; wait $p; echo $?"""),
    Case("tmux", "a server, a session, vim inside", needs=("tmux", "vim"), labels=("heavy", "terminal"), sh=r"""
tmux -S s -f /dev/null new-session -d -x 80 -y 24 'vim -u NONE -N file'
until tmux -S s capture-pane -p | grep -q '^~'; do sleep 0.05; done
tmux -S s send-keys 'ihello from vim' Escape ':r !echo filtered' Enter; until tmux -S s capture-pane -p | grep -q '^filtered'; do sleep 0.05; done
tmux -S s send-keys ':wq' Enter; while tmux -S s has-session 2>/dev/null; do sleep 0.05; done; cat file
tmux -S s new-session -d -x 60 -y 10 sh; tmux -S s split-window; tmux -S s list-panes | wc -l; tmux -S s kill-server; echo $?"""),

    Case("gdb-guest", "gdb inside, on a program inside", needs=("gdb",), builds=("hello_threads",), labels=("heavy", "debugger"), timeout=90, sh=(
        "gdb -nx -q -batch -ex 'set debuginfod enabled off' -ex 'break puts' -ex run -ex 'bt 1' -ex 'info threads' -ex continue $BIN/hello_threads 2>&1 < /dev/null"
        " | grep -o -E '^Breakpoint 1, |exit handler|exited with code .*' | sort -u")),
    Case("gdb-attach", "gdb outside attaches to a program inside", needs=("gdb",), outer=True, users=("root", "user"), labels=("heavy", "debugger"), timeout=90, sh=r"""
$RUN /usr/bin/python3 -c 'import os, time; print("up", flush=True); t = time.time()
while not os.path.exists("go"): time.sleep(0.01)
print("ended"); raise SystemExit(4)' > out & p=$!
until grep -qs up out; do sleep 0.02; done
gdb -nx -q -batch -ex 'set debuginfod enabled off' -p $p -ex 'p 6*7' -ex detach 2>&1 < /dev/null | grep -o -E '= 42|detached'
touch go; wait $p; echo $?; cat out"""),
    Case("strace-guest", "strace inside", needs=("strace",), labels=("debugger",), sh=(
        "strace -f -o t sh -c 'echo traced; /bin/true; exit 3'; echo $?; grep -c 'exited with 3' t; strace -c -o u true; echo $?")),
    Case("strace-attach", "strace outside, on a program inside", needs=("strace",), outer=True, labels=("debugger",), sh=r"""
$RUN sh -c 'echo up; while [ ! -e go ]; do sleep 0.01; done; exit 6' > out & p=$!
until grep -qs up out; do sleep 0.02; done
strace -f -o trace -p $p 2> e & s=$!
until [ -s trace ]; do sleep 0.02; done; touch go; wait $p; echo $?; wait $s; echo $?"""),

    Case("lammps", "a Lennard-Jones melt, serial", needs=("lmp",), labels=("heavy",), timeout=120, sh=(
        "lmp -in $SRC/melt.in -log log -var steps 100 > out; echo $?; grep -E '^ +[0-9]' log; cksum < dump")),
    Case("lammps-mpi", "the same under mpirun", needs=("lmp", "mpirun"), labels=("heavy",), timeout=180,
         env={"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
              "OMPI_MCA_btl_base_warn_component_unused": "0"}, sh=(
        "mpirun --oversubscribe -np 2 lmp -in $SRC/melt.in -log log -var steps 50 > out; echo $?; grep -E '^ +[0-9]' log")),

    Case("setuid", "a set-uid program runs, and runs privileged where Cairn allows", outer=True, labels=("quick",), users=("user",),
         user_reason="root is privileged anyway", modes=("auto", "dispatch", "patch"),
         mode_reason="a seccomp filter without privilege forbids set-uid programs",
         sh="$RUN sh -c 'chsh -h > /dev/null; echo $?; su -c true nobody < /dev/null 2>&1 | tail -1'",
         filters={"stderr": (lambda data: b"", "Cairn reports the set-uid program in one line")}),

    *(Case(f"py-{module[5:]}", f"CPython's {module}", needs=("/usr/lib/python3.11/test/test_signal.py",), labels=("python-tests", "heavy"),
           timeout=limit, argv=("/bin/sh", "-c", f"exec /usr/bin/python3 $SRC/pytests.py {module}"))
      for module, limit in [("test_signal", 240), ("test_threading", 240), ("test_subprocess", 300), ("test_os", 240),
                            ("test_socket", 300), ("test_select", 120), ("test_asyncio", 400), ("test_multiprocessing_fork", 600),
                            ("test_multiprocessing_spawn", 900), ("test_multiprocessing_forkserver", 900),
                            ("test_posix", 120), ("test_fcntl", 60), ("test_mmap", 60), ("test_pty", 60), ("test_time", 90),
                            ("test_faulthandler", 240), ("test_resource", 60), ("test_selectors", 120), ("test_queue", 60)]),
]
