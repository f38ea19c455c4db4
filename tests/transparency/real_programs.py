"""Further real programs of many makings, compared in the same way: servers, interpreters, compilers, tools.

A separate table, since these are whole programs that somebody uses, not single promises; label "real".
"""
from cases import Case, NO_PATCH, NOT_PATCH, replaced

PYTHON = "/usr/bin/python3"


def real(name, about, sh, **more):
    more.setdefault("labels", ("real",))
    more.setdefault("timeout", 120)
    more.setdefault("needs", (name,))
    return Case(name, about, sh=sh, **more)


def untilport(port="$PORT"):
    return f"until (exec 3<> /dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.05; done\n"


PERL_THREADS = r"""use threads; use Thread::Queue; my $q = Thread::Queue->new(1 .. 50); $q->end;
my @t = map { threads->create(sub { my $s = 0; while (defined(my $n = $q->dequeue)) { $s += $n } $s }) } 1 .. 4;
my $s = 0; $s += $_->join for @t; print "$s\n"; $| = 1;
for my $n (1 .. 5) { my $p = open(my $f, "-|") // die; if (!$p) { print "child $n\n"; exit $n } print <$f>; close $f; print $? >> 8, "\n" }
$SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; select undef, undef, undef, 10 }; print $@; print `echo quoted`; exec "sh", "-c", "exit 6";
"""
ASYNCIO = r"""import asyncio, signal, sys, os
async def main():
    server = await asyncio.start_server(lambda r, w: echo(r, w), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async def client(n):
        r, w = await asyncio.open_connection("127.0.0.1", port)
        w.write(b"x" * n + b"\n"); await w.drain(); line = await r.readline(); w.close(); return len(line)
    print(sum(await asyncio.gather(*(client(n * 100) for n in range(40)))))
    p = await asyncio.create_subprocess_exec("sh", "-c", "cat; exit 3", stdin=-1, stdout=-1)
    print(await p.communicate(b"through"), p.returncode)
    done = asyncio.Event(); asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, done.set)
    os.kill(os.getpid(), signal.SIGUSR1); await done.wait(); print("signal")
    print(await asyncio.to_thread(sum, range(1000)))
    try: await asyncio.wait_for(asyncio.sleep(10), 0.05)
    except asyncio.TimeoutError: print("timeout")
    server.close()
async def echo(r, w):
    w.write(await r.readline()); await w.drain(); w.close()
if len(sys.argv) > 1: import uvloop; uvloop.install()
asyncio.run(main())
"""
NUMPY = r"""import numpy as np, threading, concurrent.futures as cf, multiprocessing as mp
a = np.arange(250000.0).reshape(500, 500) / 1e5
print(float(np.round((a @ a).trace(), 3)))
def work(n): return float(np.round(np.linalg.norm(a[n::7] @ a), 6))
with cf.ThreadPoolExecutor(4) as pool: print(list(pool.map(work, range(7))))
if __name__ == "__main__":
    with cf.ProcessPoolExecutor(2) as pool: print(list(pool.map(work, range(7))))
    with mp.Manager() as m:
        d = m.dict(); ps = [mp.Process(target=d.__setitem__, args=(n, n * n)) for n in range(3)]
        [p.start() for p in ps]; [p.join() for p in ps]; print(sorted(d.items()))
    s = __import__("multiprocessing.shared_memory").shared_memory.SharedMemory(create=True, size=100); s.buf[0] = 7; print(s.buf[0]); s.close(); s.unlink()
"""
RUBY = r"""q = Queue.new; t = 8.times.map { |n| Thread.new { 500.times { |k| q << n * k } } }; t.each(&:join); s = 0; s += q.pop until q.empty?; puts s
puts `echo back`; pid = fork { exit 4 }; Process.wait(pid); puts $?.exitstatus; r, w = IO.pipe; spawn("echo spawned", out: w); w.close; puts r.read; Process.waitall
Signal.trap("USR1") { puts "usr1" }; Process.kill("USR1", $$); sleep 0.05; require "socket"; s = TCPServer.new("127.0.0.1", 0); Thread.new { c = s.accept; c.puts "served"; c.close }
puts TCPSocket.new("127.0.0.1", s.addr[1]).gets; f = Fiber.new { Fiber.yield 1; 2 }; p f.resume, f.resume; require "timeout"; begin; Timeout.timeout(0.1) { sleep }; rescue Timeout::Error; puts "late"; end; exit 5
"""
PHP = r"""<?php $a = []; for ($i = 0; $i < 200000; $i++) $a[] = md5((string)$i); sort($a); echo $a[77], "\n"; echo shell_exec("echo shell"); $p = proc_open("cat; exit 3", [["pipe", "r"], ["pipe", "w"]], $f);
fwrite($f[0], "x\n"); fclose($f[0]); echo stream_get_contents($f[1]); echo proc_close($p), "\n"; if (function_exists("pcntl_fork")) { $c = pcntl_fork(); if (!$c) exit(2); pcntl_waitpid($c, $s); echo pcntl_wexitstatus($s), "\n"; }
register_shutdown_function(function () { echo "end\n"; }); exit(9);"""
SBCL = r"""(defun junk (n) (loop repeat n collect (make-array 100))) (dotimes (i 300) (junk 1000)) (gc :full t)
(defvar *n* 0) (let ((ts (loop repeat 4 collect (sb-thread:make-thread (lambda () (dotimes (i 1000) (junk 10) (sb-ext:atomic-incf (car (load-time-value (list 0))))) 7))))) (print (mapcar #'sb-thread:join-thread ts)))
(print (handler-case (labels ((f (n) (1+ (f (1+ n))))) (f 0)) (storage-condition () :exhausted))) (print (handler-case (sb-sys:with-pinned-objects () (sb-sys:sap-ref-8 (sb-sys:int-sap 16) 0)) (error () :fault)))
(print (with-output-to-string (s) (sb-ext:run-program "/bin/echo" '("run") :output s))) (terpri) (sb-ext:exit :code 3)
"""
JAVA = r"""import java.util.*; import java.util.concurrent.*; import java.util.stream.*; import java.nio.file.*; import java.net.*; import java.io.*;
public class Mix { interface S { int f(int x); } static class A implements S { public int f(int x) { return x + 1; } } static class B implements S { public int f(int x) { return x * 3; } }
 static int run(S s, int n) { int r = 0; for (int i = 0; i < n; i++) r += s.f(i); return r; }
 public static void main(String[] a) throws Exception { int r = 0; for (int k = 0; k < 200; k++) r += run(new A(), 2000); for (int k = 0; k < 200; k++) r += run(new B(), 2000); System.out.println(r);
  System.out.println(IntStream.range(0, 3000000).parallel().mapToLong(x -> x % 7).sum()); try { int[] z = null; System.out.println(z[0]); } catch (NullPointerException e) { System.out.println("npe"); }
  try { deep(0); } catch (StackOverflowError e) { System.out.println("deep"); } List<byte[]> l = new ArrayList<>(); for (int i = 0; i < 3000; i++) { l.add(new byte[20000]); if (l.size() > 200) l.clear(); }
  Process p = new ProcessBuilder("sh", "-c", "cat; exit 5").start(); p.getOutputStream().write("child\n".getBytes()); p.getOutputStream().close(); System.out.print(new String(p.getInputStream().readAllBytes())); System.out.println(p.waitFor());
  ServerSocket s = new ServerSocket(0, 5, InetAddress.getLoopbackAddress()); Thread t = new Thread(() -> { try (Socket c = s.accept()) { c.getOutputStream().write("socket\n".getBytes()); } catch (IOException e) { } }); t.start();
  System.out.print(new String(new Socket(s.getInetAddress(), s.getLocalPort()).getInputStream().readAllBytes())); System.out.println(ProcessHandle.current().isAlive()); Files.writeString(Path.of("f"), "x"); System.out.println(Files.size(Path.of("f")));
  Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("hook"))); System.exit(11); } static int deep(int n) { return deep(n + 1) + 1; } }
"""
RUST = r"""use std::{thread, process::Command, sync::mpsc, panic, net::*, io::*};
fn main() { let (s, r) = mpsc::channel(); let t: Vec<_> = (0..8).map(|n| { let s = s.clone(); thread::spawn(move || for k in 0..100 { s.send(n * k).unwrap() }) }).collect(); drop(s);
 println!("{}", r.iter().sum::<u64>()); for h in t { h.join().unwrap() } println!("{:?}", Command::new("sh").args(["-c", "exit 4"]).status().unwrap().code());
 println!("{}", panic::catch_unwind(|| { let v: Vec<u8> = vec![]; v[3] }).is_err()); let l = TcpListener::bind("127.0.0.1:0").unwrap(); let a = l.local_addr().unwrap();
 let h = thread::spawn(move || { l.accept().unwrap().0.write_all(b"tcp").unwrap() }); let mut x = String::new(); TcpStream::connect(a).unwrap().read_to_string(&mut x).unwrap(); h.join().unwrap(); println!("{}", x);
 fn deep(n: u64) -> u64 { let a = [n; 100]; if n > 3000 { 0 } else { deep(n + 1) + a[(n % 100) as usize] } } println!("{}", deep(0)); std::process::exit(8) }
"""
HASKELL = r"""import Control.Concurrent; import Control.Exception; import System.Process; import System.Exit; import Data.List
main :: IO ()
main = do { vs <- mapM (\n -> do { v <- newEmptyMVar; _ <- forkIO (evaluate (foldl' (+) 0 [n .. 200000]) >>= putMVar v); return v }) [1 .. 8 :: Int]; xs <- mapM takeMVar vs; print (sum xs);
 r <- try (evaluate (1 `div` (0 :: Int))) :: IO (Either ArithException Int); print r; threadDelay 20000; (c, o, _) <- readProcessWithExitCode "sh" ["-c", "cat; exit 3"] "in"; print (c, o); exitWith (ExitFailure 6) }
"""

CASES = [
    real("perl-threads", "interpreter threads, pipes, alarm", "printenv W > w.pl; exec perl w.pl", needs=("perl",), expect=(6,), env={"W": PERL_THREADS}),
    real("asyncio", "python's event loop", f"printenv W > w.py; exec {PYTHON} w.py", needs=(PYTHON,), env={"W": ASYNCIO}),
    real("uvloop", "the same over libuv", f"printenv W > w.py; exec {PYTHON} w.py uv", needs=("/usr/lib/python3/dist-packages/uvloop",), env={"W": ASYNCIO}),
    real("numpy", "BLAS threads, pools of threads and processes", f"printenv W > w.py; exec {PYTHON} w.py", needs=("/usr/lib/python3/dist-packages/numpy",), env={"W": NUMPY}),
    real("ruby", "threads, fibers, processes", "printenv W > w.rb; exec ruby w.rb", expect=(5,), env={"W": RUBY}),
    real("php", "arrays, processes", "printenv W > w.php; exec php w.php", expect=(9,), env={"W": PHP}),
    real("sbcl", "its own collector, guard pages, run-program", "printenv W > w.lisp; exec sbcl --noinform --no-sysinit --no-userinit --disable-debugger --load w.lisp", expect=(3,), env={"W": SBCL},
         filters={"stderr": (replaced(r"0x[0-9a-f]+|[pt]id \d+", ""), "it names addresses and ids")}),
    *(real(f"java-{gc}", "JIT, deoptimising, traps, processes", f"printenv W > Mix.java; javac Mix.java; exec java -Xmx96m -XX:+{flag} Mix", needs=("javac",), expect=(11,),
           env={"W": JAVA}, timeout=240) for gc, flag in [("g1", "UseG1GC"), ("parallel", "UseParallelGC"), ("serial", "UseSerialGC"), ("z", "UseZGC"), ("shenandoah", "UseShenandoahGC")]),
    real("rust", "rustc builds, the program runs", "printenv W > w.rs; rustc -O w.rs && ./w; echo $?", needs=("rustc",), env={"W": RUST}, timeout=240),
    real("haskell", "ghc builds, its run time runs", "printenv W > w.hs; ghc -v0 -threaded -rtsopts w.hs && ./w +RTS -N2; echo $?", needs=("ghc",), env={"W": HASKELL}, timeout=400),

    real("tar-zstd", "archives through pipelines", r"""
mkdir d; for n in $(seq 200); do seq $n > d/$n; done; ln -s 5 d/link; ln d/6 d/hard
tar cf - --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner d | zstd -q -T2 | zstd -dq | tar xf - -C . --one-top-level=e; diff -r d e/d && echo equal
tar cf - --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner d | xz -T2 -1 | sha256sum; tar c d | pigz -p 2 | zcat | tar t | wc -l; tar c d | pbzip2 -p2 -c | bzip2 -dc | tar t | wc -l
find d -name '1*' | cpio -o --quiet 2>/dev/null | cpio -t --quiet | sort | head -3; tar czf a.tgz d && tar tzf a.tgz | wc -l; zip -qr a.zip d && unzip -qo a.zip -d z && diff -r d z/d && echo zip
find d -type f -print0 | xargs -0 -P 4 -n 7 sha1sum | sort | sha1sum""", needs=("zstd", "pigz", "xz", "pbzip2", "cpio", "zip", "unzip")),
    real("rsync", "a local copy by two processes", "mkdir a; for n in $(seq 100); do seq $n > a/$n; done; touch -d 2001-01-01 a/*; rsync -a a/ b/; echo $?; diff -r a b && echo equal; echo x >> a/7; rm a/9; rsync -ai --delete a/ b/ | grep -v '^\\.d'; rsync -a none c; echo $?",
         filters={"stderr": (replaced(r"\[[^]]*\]|\(code.*", ""), "rsync's version")}),
    real("ssh", "sshd, ssh, scp, sftp on a loopback port", rf"""
mkdir -p /run/sshd; ssh-keygen -q -t ed25519 -N '' -f key; ssh-keygen -q -t ed25519 -N '' -f host; cp key.pub auth; chmod 600 auth; me=$(id -un)
/usr/sbin/sshd -D -e -f /dev/null -p $PORT -h $PWD/host -o PidFile=$PWD/pid -o AuthorizedKeysFile=$PWD/auth -o StrictModes=no -o UsePAM=no -o ListenAddress=127.0.0.1 -o Subsystem='sftp internal-sftp' 2> log & p=$!
{untilport()}opt="-F /dev/null -i key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes"
ssh $opt -p $PORT $me@127.0.0.1 'echo remote; exit 7' < /dev/null; echo $?; seq 1000 | ssh $opt -p $PORT $me@127.0.0.1 'sort -rn | head -2'; echo data > f; scp -q $opt -P $PORT f $me@127.0.0.1:$PWD/g; cat g
ssh -tt $opt -p $PORT $me@127.0.0.1 'test -t 0 && echo terminal' < /dev/null; printf 'ls f\nget f h\n' | sftp -q -b - $opt -P $PORT $me@127.0.0.1:$PWD > /dev/null; cat h; kill $p; wait $p; echo $?""",
         needs=("/usr/sbin/sshd", "ssh"), users=("root",), user_reason="the account of the tests has no shell"),
    real("curl-wget", "a python server, two clients", rf"""
mkdir w; seq 5000 > w/page; {PYTHON} -c 'import http.server as h, socketserver, sys, os; os.chdir("w"); h.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), h.SimpleHTTPRequestHandler).serve_forever()' $PORT 2> log & p=$!
{untilport()}curl -s http://127.0.0.1:$PORT/page | cksum; curl -s -Z -o a1 -o a2 http://127.0.0.1:$PORT/page http://127.0.0.1:$PORT/page 2>/dev/null; cat a1 a2 | cksum; curl -sf http://127.0.0.1:$PORT/none; echo $?
wget -q -O - http://127.0.0.1:$PORT/page | cksum; wget -q -r -nH -P m http://127.0.0.1:$PORT/; ls m; kill $p; wait $p; echo $?; curl -s http://127.0.0.1:$PORT/; echo $?; curl -s file://$PWD/w/page | wc -l""", needs=("curl", "wget", PYTHON)),
    real("openssl", "s_server, s_client, speed on two processes", rf"""
openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out c -subj /CN=x -days 2 2> /dev/null; openssl s_server -accept 127.0.0.1:$PORT -key k -cert c -quiet -www > /dev/null 2>&1 & p=$!
{untilport()}printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -connect 127.0.0.1:$PORT -quiet -ign_eof 2>/dev/null | grep -c HTTP; kill $p; wait $p; echo $?; openssl speed -seconds 1 -multi 2 sha256 2>/dev/null | grep -c '^sha256'
echo text | openssl enc -aes-256-cbc -pbkdf2 -pass pass:x | openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:x; openssl dgst -sha3-256 /bin/true | wc -c""", needs=("openssl",)),
    real("memcached", "threads over libevent", rf"""
memcached -l 127.0.0.1 -p $PORT -t 4 -u $(id -un) & p=$!
{untilport()}exec 3<> /dev/tcp/127.0.0.1/$PORT; printf 'set a 0 0 5\r\nhello\r\nget a\r\nincr a 1\r\nquit\r\n' >&3; cat <&3; kill -INT $p; wait $p; echo $?"""),
    real("apache", "worker processes with threads", rf"""
m=/usr/lib/apache2/modules; mkdir l; seq 3000 > page; [ $(id -u) = 0 ] && u='User nobody
Group nogroup'; printf "ServerRoot $PWD\nServerName x\nListen 127.0.0.1:$PORT\nPidFile $PWD/pid\nErrorLog $PWD/log\nMutex file:$PWD/l\nDefaultRuntimeDir $PWD/l\nLoadModule mpm_event_module $m/mod_mpm_event.so\nLoadModule authz_core_module $m/mod_authz_core.so\n$u\nDocumentRoot /usr/share/doc/bash\nStartServers 2\n" > conf
apache2 -f $PWD/conf -DFOREGROUND & p=$!
{untilport()}ab -q -n 500 -c 10 http://127.0.0.1:$PORT/copyright | grep -E 'Complete|Failed|Non-2xx'; kill -WINCH $p; wait $p; echo $?""", needs=("apache2", "ab")),
    real("haproxy", "in front of a python server", rf"""
{PYTHON} -c 'import socket, threading; s = socket.socket(socket.AF_UNIX); s.bind("back"); s.listen(9)
def one(c):
    c.recv(999); c.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nback\n"); c.close()
while 1: threading.Thread(target=one, args=(s.accept()[0],)).start()' & b=$!
until [ -S back ]; do sleep 0.05; done; printf "global\n nbthread 2\ndefaults\n mode http\n timeout connect 5s\n timeout client 5s\n timeout server 5s\nlisten x\n bind 127.0.0.1:$PORT\n server s unix@$PWD/back\n" > conf; haproxy -f conf -q & p=$!
{untilport()}for n in 1 2 3; do curl -s http://127.0.0.1:$PORT/; done; kill -USR1 $p; wait $p; echo $?; kill $b; wait $b; echo $?""", needs=("haproxy", "curl", PYTHON)),
    real("mariadb", "a server, a client, crash recovery", r"""
mariadb-install-db --no-defaults --datadir=$PWD/d --auth-root-authentication-method=normal --skip-test-db > i 2>&1; echo $?; [ $(id -u) = 0 ] && u=--user=root
up() { mariadbd --no-defaults $u --datadir=$PWD/d --socket=$PWD/s --skip-networking --pid-file=$PWD/pid --innodb-use-native-aio=0 2> log & p=$!; until mariadb --no-defaults -u root -S s -e 'select 1' > /dev/null 2>&1; do sleep 0.2; done; }
up; mariadb --no-defaults -u root -S s -e 'create database x; use x; create table t(a int primary key auto_increment, b varchar(50)) engine=innodb; insert into t(b) select seq from seq_1_to_5000; select count(*), sum(b) from t; begin; update t set b=b+1; commit; select sum(b) from t'
kill -9 $p; wait $p 2>/dev/null; up; mariadb --no-defaults -u root -S s x -e 'select count(*), sum(b) from t'; kill $p; wait $p; echo $?""", needs=("mariadbd", "mariadb", "mariadb-install-db"), timeout=240,
         filters={"stderr": (replaced(r".*Killed.*", ""), "bash names the process")}),
    real("make-ninja", "a C project by make -j4, ninja, ccache, LTO, clang", r"""
for n in $(seq 8); do echo "#include <stdlib.h>
int f$n(int x) { return x * $n + (int)labs(-x); }" > f$n.c; done
{ for n in $(seq 8); do echo "int f$n(int);"; done; echo '#include <stdio.h>'; echo 'int main(void) { int s = 0;'; for n in $(seq 8); do echo "s += f$n(1);"; done; echo 'printf("%d\n", s); }'; } > main.c
{ printf 'rule cc\n command = ccache gcc -O1 -c $in -o $out\nrule ld\n command = gcc $in -o $out\n'; for f in *.c; do echo "build ${f%.c}.o: cc $f"; done; echo "build app: ld $(ls *.c | sed s/c\$/o/ | tr '\n' ' ')"; } > build.ninja
export CCACHE_DIR=$PWD/cc; ninja -j4 | tail -1; ./app; rm *.o; ninja -j4 | tail -1; ./app; gcc -flto=2 -O2 *.c -o lto && ./lto; clang -O2 *.c -o cl && ./cl; clang -flto -fuse-ld=lld *.c -o x 2>/dev/null; g++ -x c++ -O0 -fsyntax-only main.c; gcc -c none.c; echo $?""", needs=("ninja", "ccache", "clang")),
    real("shells", "the same script in six shells", r"""
for s in 'busybox ash' mksh ksh zsh yash posh; do command -v ${s%% *} > /dev/null || continue; echo "$s"; $s -c 'trap "echo trap" USR1; kill -USR1 $$; x=$(echo a | tr a b | cat); echo $x; (exit 3); echo $?; sleep 0.05 & wait $!; echo $?; sh -c "kill -9 \$\$"; echo $?; echo here | while read l; do echo "<$l>"; done; exec sh -c "exit 4"' 2>&1; echo $?; done
fish -c 'echo (seq 3 | sort -r); sleep 0.05 &; wait; false; echo $status; sh -c "exit 5"; exit $status' 2>&1; echo $?; tcsh -f -c 'set x = `echo a`; echo $x; sleep 0.05 & ; wait; sh -c "exit 6"; echo $status' 2>&1 | grep -v '^\['; echo $?""", needs=("busybox",),
         filters={"stdout": (replaced(r"ksh: \d+", "ksh"), "ksh names the process that was killed")}),
    real("editors", "vim, neovim, emacs, ed in batch", r"""
printf 'one\ntwo\n' > f; vim -u NONE -es -c '%s/one/1/' -c 'r !echo filtered' -c wq f; cat f; command -v nvim > /dev/null && { nvim -u NONE --headless -c '%s/two/2/' -c 'lua vim.fn.system("echo x")' -c wq f 2>&1; cat f; }
command -v emacs > /dev/null && emacs -Q -batch --eval '(progn (princ (shell-command-to-string "echo from emacs")) (princ (+ 1 2)) (dotimes (i 20) (garbage-collect)) (princ (let ((p (start-process "x" nil "sh" "-c" "exit 3"))) (while (process-live-p p) (accept-process-output p 0.1)) (process-exit-status p))) (kill-emacs 4))'; echo $?""", needs=("vim",)),
    real("expect", "expect, a shell on its terminal", r"""expect -c 'set timeout 30; spawn -noecho sh; expect -re {[$#] $}; send "stty -echo; echo a-\$((6*7))\r"; expect "a-42"; send "exit 5\r"; expect eof; lassign [wait] a b c d; puts "end $d"' | tr -d '\r' | grep -E '^(a-42|end)'"""),
    real("screen", "a detached session", r"""export SCREENDIR=$PWD/sd; mkdir -m 700 sd; screen -dmS x sh -c 'tty > /dev/null && echo on a terminal > out'; until grep -qs terminal out; do sleep 0.05; done; cat out; screen -wipe > /dev/null; while screen -ls 2>/dev/null | grep -q '\.x'; do sleep 0.05; done; echo gone""", needs=("screen",)),
    real("fio", "asynchronous reads and writes of four engines", r"""for e in psync libaio mmap io_uring posixaio sync pvsync2; do fio --name=x --filename=$PWD/f --size=4m --rw=randrw --bs=4k --verify=crc32c --ioengine=$e --iodepth=8 --thread --numjobs=1 --minimal > o 2> e; echo $e $?; done""",
         filters={"stdout": (replaced(r"io_uring \d+", "io_uring"), "Cairn answers ENOSYS to io_uring")}),
    real("media", "ffmpeg, x264, imagemagick with threads", r"""ffmpeg -v error -nostdin -f lavfi -i testsrc=size=320x180:rate=25:duration=2 -threads 4 -c:v mpeg4 -bitexact -f avi - | sha256sum; ffmpeg -v error -nostdin -f lavfi -i testsrc=size=320x180:rate=25:duration=2 -pix_fmt yuv420p -f yuv4mpegpipe - | x264 --demuxer y4m --threads 4 --quiet --no-progress -o o.264 - 2> /dev/null; sha256sum < o.264
convert -size 400x300 gradient: -blur 0x8 -swirl 90 -depth 8 ppm:- | sha256sum""", needs=("ffmpeg", "x264", "convert")),
    real("documents", "ghostscript, gnuplot, TeX, pandoc", r"""printf '%%!PS\n/Times-Roman findfont 20 scalefont setfont 100 100 moveto (hello) show showpage\n' > a.ps; gs -q -dNOPAUSE -dBATCH -sDEVICE=ppmraw -r50 -sOutputFile=- a.ps | sha256sum; gnuplot -e 'set terminal dumb; plot sin(x)' | sha256sum
printf '\\documentclass{article}\\begin{document}Hello $x^2$\\end{document}' > t.tex; SOURCE_DATE_EPOCH=0 FORCE_SOURCE_DATE=1 pdflatex -interaction=batchmode t.tex > /dev/null; echo $?; sha256sum < t.pdf; printf '# Title\n\n*text* `code`\n' | pandoc -t html; echo $?""", needs=("gs", "gnuplot", "pdflatex", "pandoc")),
    real("parallel", "GNU parallel over four jobs", "seq 30 | parallel --will-cite -j4 'echo $(({} * {}))' 2>&1 | sort -n | sum; parallel --will-cite -j2 'exit {}' ::: 0 1 2 0; echo $?; seq 1000 | parallel --will-cite --pipe -N100 wc -l | sort | uniq -c"),
    real("tracers", "strace and ltrace inside", "strace -f -qq -e trace=execve -o t sh -c 'true; /bin/true; exit 3'; echo $?; grep -c execve t; ltrace -o l /bin/true; echo $?; gdb -nx -q -batch -ex 'set debuginfod enabled off' -ex 'break write' -ex run -ex 'bt 1' -ex kill --args /bin/echo x 2>&1 < /dev/null | grep -E -c '^Breakpoint 1, '; echo $?", needs=("strace", "ltrace", "gdb")),
    real("valgrind", "memcheck and helgrind", "valgrind -q --error-exitcode=9 $BIN/hello_threads; echo $?; valgrind --tool=helgrind -q $BIN/hello_threads; echo $?; valgrind -q --error-exitcode=9 /bin/ls -d /; valgrind -q --error-exitcode=7 sh -c '/bin/true; echo $(echo x)'; echo $?", builds=("hello_threads",)),
    real("allocators", "other allocators, preloaded", rf"""for l in jemalloc.so.2 mimalloc.so.2.0 tcmalloc_minimal.so.4; do f=/usr/lib/x86_64-linux-gnu/lib$l; [ -e $f ] || continue; echo $l; export LD_PRELOAD=$f; {PYTHON} -c 'import threading; t = [threading.Thread(target=lambda: [list(range(i)) for i in range(300)]) for _ in range(8)]; [x.start() for x in t]; [x.join() for x in t]; print(1)'
perl -e 'print `echo y`; exit((fork // 9) ? 0 : 3)'; sh -c 'ls / | wc -l > /dev/null; exit 4'; echo $?; done""", needs=("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",)),
    real("erlang", "schedulers, ports, ended by halt", """erl -noshell -eval 'Self = self(), [spawn(fun() -> Self ! lists:sum(lists:seq(1, N * 1000)) end) || N <- lists:seq(1, 50)], io:format("~p~n", [lists:sum([receive X -> X end || _ <- lists:seq(1, 50)])]), io:format("~s", [os:cmd("echo port")]), halt(5).'; echo $?""", needs=("erl",)),
    real("node-pool", "worker threads, zlib on the pool, children, signals", r"""node -e 'const {Worker,isMainThread,parentPort,workerData}=require("worker_threads"),z=require("zlib"),c=require("child_process"),n=require("net");
const run=k=>new Promise(r=>{const w=new Worker("const {parentPort,workerData}=require(\"worker_threads\");let s=0;for(let i=0;i<1e6;i++)s+=i%workerData;parentPort.postMessage(s)",{eval:true,workerData:k});w.on("message",r)});
(async()=>{console.log(await Promise.all([3,5,7,11].map(run)));console.log((await Promise.all([1,2,3,4,5,6].map(k=>new Promise(r=>z.gzip(Buffer.alloc(1e5,k),(e,b)=>r(b.length)))))).join());
console.log(c.execSync("echo sync").toString(), c.spawnSync("sh",["-c","exit 6"]).status, c.spawnSync("sh",["-c","kill -9 $$"]).signal);process.on("SIGUSR2",()=>{console.log("usr2");s.close()});
const s=n.createServer(k=>k.end("served")).listen(0,"127.0.0.1",()=>n.connect(s.address().port,"127.0.0.1").on("data",d=>{console.log(d.toString());process.kill(process.pid,"SIGUSR2")}))})()'""", needs=("node",), modes=NOT_PATCH, mode_reason=NO_PATCH),
    real("mpi", "two ranks of hello and a sum", r"""printf '#include <mpi.h>\n#include <stdio.h>\nint main(int c, char** v) { int r, s, x; MPI_Init(&c, &v); MPI_Comm_rank(MPI_COMM_WORLD, &r); x = r + 1; for (int i = 0; i < 100; i++) MPI_Allreduce(&x, &s, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD); if (!r) printf("%%d\\n", s); MPI_Finalize(); return 0; }' > m.c; mpicc m.c -o m && mpirun --oversubscribe -np 2 ./m; echo $?; mpirun --oversubscribe -np 2 sh -c 'exit 3' > /dev/null 2>&1; echo $?""",
         needs=("mpicc", "mpirun"), env={"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_btl_base_warn_component_unused": "0", "OMPI_MCA_btl": "self,vader"}),
    real("faketime", "preloaded libraries that lie", "faketime '2001-02-03 04:05:06' date +%F; fakeroot sh -c 'id -u; touch x; chown 5:6 x; stat -c %u:%g x'; stdbuf -o0 sh -c 'echo x; exit 3'; echo $?", needs=("faketime", "fakeroot")),
    real("musl", "linked with musl, static and not", r"""printf '#include <stdio.h>\n#include <pthread.h>\n#include <stdlib.h>\n#include <sys/wait.h>\n#include <unistd.h>\nvoid* t(void* p) { for (int i = 0; i < 1000; i++) free(malloc(i)); return p; }\nint main(void) { pthread_t a[8]; int s; for (int i = 0; i < 8; i++) pthread_create(a + i, 0, t, 0); for (int i = 0; i < 8; i++) pthread_join(a[i], 0); if (!fork()) _exit(7); wait(&s); printf("%%x %%d\\n", s, system("exit 3")); return 4; }' > m.c; musl-gcc m.c -o d && ./d; echo $?; musl-gcc -static m.c -o s && ./s; echo $?; musl-gcc -static-pie m.c -o p && ./p; echo $?""",
         needs=("musl-gcc",), modes=NOT_PATCH, mode_reason=NO_PATCH),
    real("sanitizers", "MSan, UBSan, LSan under clang and gcc", r"""printf '#include <stdio.h>\n#include <pthread.h>\n#include <stdlib.h>\n#include <sys/wait.h>\n#include <unistd.h>\nvoid* t(void* p) { for (int i = 0; i < 1000; i++) free(malloc(i)); return p; }\nint main(void) { pthread_t a[8]; int s; for (int i = 0; i < 8; i++) pthread_create(a + i, 0, t, 0); for (int i = 0; i < 8; i++) pthread_join(a[i], 0); if (!fork()) _exit(7); wait(&s); printf("%%x %%d\\n", s, system("exit 3")); return 4; }' > m.c
for f in memory undefined,address thread leak; do clang -g -pthread -fsanitize=$f m.c -o m && ./m; echo $f $?; done""", needs=("clang",), modes=("auto", "dispatch", "patch"), mode_reason="the leak checker's tracer runs on the seccomp filter's far side"),
    real("qemu", "a program translated by qemu-user", r"""printf '#include <stdio.h>\n#include <pthread.h>\nvoid* t(void* p) { return p; }\nint main(void) { pthread_t a; for (int i = 0; i < 20; i++) { pthread_create(&a, 0, t, 0); pthread_join(a, 0); } puts("translated"); return 5; }' > m.c; gcc -static -pthread m.c -o m; qemu-x86_64 ./m; echo $?; qemu-x86_64 /bin/sh -c 'echo shell; exit 3'; echo $?""", needs=("qemu-x86_64",)),
    real("zeromq", "sockets of ZeroMQ between threads and processes", rf"""printf '%s\n' 'import zmq, threading, os, sys' 'c = zmq.Context(); s = c.socket(zmq.PULL); s.bind("ipc://z")' 'def w(n):' '    p = c.socket(zmq.PUSH); p.connect("ipc://z"); [p.send_string(str(n * k)) for k in range(100)]; p.close()' 't = [threading.Thread(target=w, args=(n,)) for n in range(4)]; [x.start() for x in t]' 'print(sum(int(s.recv_string()) for _ in range(400))); [x.join() for x in t]' > z.py; {PYTHON} z.py; echo $?""", needs=("/usr/lib/python3/dist-packages/zmq",)),
]
