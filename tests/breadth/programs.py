"""The programs: each computes for some seconds in one process and prints the same each time.

A file's text may be a bytes-free str; {work} is the working directory. `status` is the exit code expected, `needs` the
command looked for (a program that is not installed counts as skipped).
"""

import dataclasses


@dataclasses.dataclass
class Program:
    name: str
    argv: tuple
    files: dict = dataclasses.field(default_factory=dict)
    outputs: tuple = ()  # files compared beside standard output
    prepare: tuple = ()  # run natively first, in the working directory
    ignore: str = ""  # lines that match differ from run to run
    needs: str = ""
    environment: dict = dataclasses.field(default_factory=dict)
    dates: bytes = b""  # left out of the files that are compared
    lacks: str = ""  # what Cairn cannot do for it yet: counted as skipped


# The same work in many languages: a recurrence, a table of its values, something printed now and then.
RUBY = """x = 1; h = {}
12.times do |round|
  60_000.times { |i| x = (x * 1103515245 + 12345) % 2147483648; h["k#{x % 5000}"] = x }
  t = Thread.new { h.values.sum }
  puts "#{round} #{t.value} #{h.size}"
  STDOUT.flush
end
"""
LUA = """local x, t = 1, {}
for round = 1, 20 do
  for i = 1, 200000 do x = (x * 1103515245 + 12345) % 2147483648; t[x % 5000] = tostring(x) end
  local co = coroutine.wrap(function() for k = 0, 4999 do coroutine.yield(#(t[k] or "")) end end)
  local s = 0
  for k = 0, 4999 do s = s + co() end
  io.write(round, " ", s, "\\n"); io.flush()
end
"""
PHP = """<?php $x = 1; $h = [];
for ($r = 0; $r < 20; $r++) {
  for ($i = 0; $i < 300000; $i++) { $x = ($x * 1103515245 + 12345) % 2147483648; $h[$x % 5000] = md5((string)$x); }
  ksort($h); echo $r, " ", md5(implode($h)), "\\n"; }
"""
PERL = """my ($x, %h) = (1); $| = 1;
for my $r (0 .. 14) {
  for (1 .. 150000) { $x = ($x * 1103515245 + 12345) % 2147483648; $h{$x % 5000} = "v$x"; }
  my $s = join ",", map { "$_$h{$_}" } sort keys %h; print "$r ", unpack("%32C*", $s), "\\n";
}
"""
TCL = """set x 1
for {set r 0} {$r < 12} {incr r} {
  for {set i 0} {$i < 150000} {incr i} { set x [expr {($x * 1103515245 + 12345) % 2147483648}]; set a([expr {$x % 500}]) $x }
  after 20
  puts "$r [array size a] $x"; flush stdout
}
"""
GUILE = """(define (step x) (modulo (+ (* x 1103515245) 12345) 2147483648))
(let round ((r 0) (x 1))
  (when (< r 20)
    (let loop ((i 0) (x x) (l '()))
      (if (< i 200000) (loop (+ i 1) (step x) (cons x (if (> (modulo i 1000) 998) '() l)))
          (begin (display (list r x (apply + l))) (newline) (force-output) (round (+ r 1) x))))))
"""
OCAML = """let () = let x = ref 1 and h = Hashtbl.create 100 in
  for r = 0 to 14 do
    for _ = 1 to 200000 do x := (!x * 1103515245 + 12345) land 0x7fffffff; Hashtbl.replace h (!x mod 5000) (string_of_int !x) done;
    Printf.printf "%d %d %d\\n%!" r (Hashtbl.length h) (Hashtbl.fold (fun k v s -> s + k + String.length v) h 0)
  done
"""
ERLANG = """-module(work). -export([main/0]).
step(X) -> (X * 1103515245 + 12345) rem 2147483648.
run(0, X) -> X; run(N, X) -> run(N - 1, step(X)).
turn(20) -> ok;
turn(R) -> Self = self(),
  Pids = [spawn(fun() -> Self ! {P, run(400000, P)} end) || P <- lists:seq(1, 4)],
  Sum = lists:sum([receive {P, V} -> V end || {P, _} <- lists:zip(lists:seq(1, 4), Pids)]),
  io:format("~p ~p~n", [R, Sum]), turn(R + 1).
main() -> turn(0), halt(0).
"""
SBCL = """(defun step1 (x) (declare (type (unsigned-byte 62) x)) (mod (+ (* x 1103515) 12345) 2147483648))
(let ((x 1) (h (make-hash-table)))
  (dotimes (r 20)
    (dotimes (i 400000) (setf x (step1 x)) (setf (gethash (mod x 5000) h) (list x i)))
    (format t "~a ~a ~a~%" r x (hash-table-count h)) (finish-output) (when (= 0 (mod r 5)) (gc :full t))))
"""
OCTAVE = """a = reshape(mod(1:90000, 97), 300, 300) / 97; s = 0;
for r = 1:60, b = a * a'; [q, w] = qr(b + r * eye(300)); s = s + sum(abs(diag(w))); printf("%d %.10g\\n", r, s); fflush(stdout); end
"""
RLANG = """a <- matrix((1:40000 %% 97) / 97, 200); s <- 0; set.seed(7)
for (r in 1:40) { s <- s + sum(svd(a + diag(200) * r)$d) + mean(sort(runif(100000))); cat(r, format(s, digits = 10), "\\n") }
"""
FORTH = """variable x 1 x ! : step x @ 1103515245 * 12345 + 2147483647 and x ! ;
: rounds 30 0 do 3000000 0 do step loop i . x @ . cr loop ; rounds bye
"""
PROLOG = """step(X, Y) :- Y is (X * 1103515245 + 12345) mod 2147483648.
run(0, X, X) :- !.
run(N, X, Z) :- step(X, Y), M is N - 1, run(M, Y, Z).
main :- forall(between(1, 20, R), (run(300000, R, Z), findall(Q, between(1, 20000, Q), L), sum_list(L, S),
  format("~w ~w ~w~n", [R, Z, S]), flush_output)), halt.
:- initialization(main).
"""
MAXIMA = """for r : 1 thru 14 do (s : expand((x + y + r)^60), print(r, mod(subst([x = 3, y = 5], s), 1000003)));
print(mod(factorial(20000), 1000000007)); quit();
"""
GP = """for (r = 1, 30, print(r, " ", #factor(10^37 + 3^r)~, " ", primepi(10^7 + r))); quit
"""
NUMPY = """import numpy as np, threading, sys
a = (np.arange(250000) % 97).reshape(500, 500) / 97.0
for r in range(40):
    b = a @ a.T + r * np.eye(500); w = np.linalg.svd(b, compute_uv=False)
    f = np.fft.fft(b.ravel())
    t = threading.Thread(target=lambda: b.sort()); t.start(); t.join()
    print(r, "%.9g %.9g %.9g" % (w.sum(), abs(f).sum(), b[:, 0].sum()), flush=True)
"""
SCIPY = """import numpy as np
from scipy import integrate, optimize, sparse
from scipy.sparse import linalg
for r in range(25):
    n = 3000; m = sparse.diags([2.0 + r, -1, -1], [0, 1, -1], shape=(n, n), format="csc")
    x = linalg.spsolve(m, np.ones(n)); y = integrate.solve_ivp(lambda t, y: [y[1], (1 - y[0]**2) * y[1] - y[0]], (0, 40), [2, 0], rtol=1e-7).y
    z = optimize.minimize(optimize.rosen, [1.3, 0.7, 0.8, 1.9, 1.2 + r / 100]).x
    print(r, "%.8g %.8g %.5f" % (x.sum(), y.sum(), z.sum()), flush=True)
"""
POV = """#version 3.7; global_settings { assumed_gamma 1 } camera { location <0, 2, -5> look_at 0 } light_source { <5, 9, -6> 1 }
#declare R = seed(3); #for (i, 0, 300) sphere { <6 * rand(R) - 3, 3 * rand(R) - 1, 8 * rand(R)>, 0.3
  pigment { rgb <rand(R), rand(R), rand(R)> } finish { reflection 0.4 } } #end plane { y, -1 pigment { checker rgb 1 rgb 0 } }
"""
CSHARP = """using System; using System.Collections.Generic; using System.Threading;
class W { static void Main() { long x = 1; var d = new Dictionary<long, string>();
  for (int r = 0; r < 25; r++) { for (int i = 0; i < 200000; i++) { x = (x * 1103515245 + 12345) % 2147483648; d[x % 5000] = x.ToString(); }
    long s = 0; var t = new Thread(() => { foreach (var p in d) s += p.Value.Length * p.Key; }); t.Start(); t.Join();
    Console.WriteLine(r + " " + s); } } }
"""
PYPY = """x = 1; d = {}
for r in range(40):
    for i in range(400000): x = (x * 1103515245 + 12345) % 2147483648; d[x % 5000] = x
    print(r, sum(d.values()), flush=True)
"""
GAP = """for r in [1..16] do g := SymmetricGroup(9 + r mod 4); Print(r, " ", Size(DerivedSubgroup(g)), " ", NrConjugacyClasses(SymmetricGroup(12 + r)), "\\n"); od;
x := 1; for r in [1..20] do for i in [1..300000] do x := (x * 1103515245 + 12345) mod 2147483648; od; Print(r, " ", x, "\\n"); od; QUIT;
"""
CHEZ = """(define (step x) (modulo (+ (* x 1103515245) 12345) 2147483648))
(do ((r 0 (+ r 1)) (x 1 (let loop ((i 0) (x x)) (if (< i 1500000) (loop (+ i 1) (step x)) x)))) ((= r 30))
  (display (list r x)) (newline) (flush-output-port))
"""
RACKET = """#lang racket/base
(define (step x) (modulo (+ (* x 1103515245) 12345) 2147483648))
(for/fold ([x 1]) ([r 30])
  (define y (for/fold ([x x]) ([i 1500000]) (step x)))
  (define t (thread (lambda () (printf "~a ~a\\n" r y) (flush-output)))) (thread-wait t) y)
"""
GNUBC = """x = 1
for (r = 0; r < 40; r++) { for (i = 0; i < 60000; i++) x = (x * 1103515245 + 12345) % 2147483648
r; x }
"""
AWK = """BEGIN { x = 1; for (r = 0; r < 20; r++) { for (i = 0; i < 200000; i++) { x = (x * 16807) % 2147483647; a[x % 5000] = x }
  s = 0; for (k in a) s += a[k]; print r, length(a), s; fflush() } }
"""
SQL = """pragma journal_mode = wal; create table t(k integer primary key, v text);
with recursive c(n) as (select 1 union all select n + 1 from c where n < 400000) insert into t select n, 'v' || (n * 7919 % 100003) from c;
select count(*), sum(length(v)) from t; create index i on t(v); select count(distinct v) from t;
update t set v = v || k where k % 3 = 0; select sum(length(v)) from t; delete from t where k % 5 = 0; select count(*) from t;
with recursive c(n, x) as (select 1, 1 union all select n + 1, (x * 1103515245 + 12345) % 2147483648 from c where n < 2000000) select sum(x) from c;
pragma integrity_check;
"""
COMPLEX_C = r"""#include <stdio.h>
#include <stdlib.h>
#include <complex.h>
#include <math.h>
int main(void) { double s = 0; for (int r = 0; r < 30; r++) { for (int i = 0; i < 400000; i++) s += creal(cexp(I * (i + r))) * sqrt(i);
  printf("%d %.10g\n", r, s); fflush(stdout); } }
"""
ARGON_TOPOLOGY = """[ defaults ]
1 2 yes 1 1
[ atomtypes ]
AR AR 39.948 0.0 A 0.3405 0.996
[ moleculetype ]
AR 1
[ atoms ]
1 AR 1 AR AR 1 0.0
[ system ]
argon
[ molecules ]
AR 1000
"""
MDP = """integrator = md
nsteps = 12000
dt = 0.002
nstlog = 1000
nstenergy = 1000
cutoff-scheme = Verlet
rlist = 1.0
rvdw = 1.0
rcoulomb = 1.0
tcoupl = no
gen-vel = yes
gen-temp = 100
gen-seed = 7
"""
ARGON = "argon\n1000\n" + "".join(
    f"{n % 100000 + 1:5d}AR      AR{n % 100000 + 1:5d}{0.37 * (n % 10):8.3f}{0.37 * (n // 10 % 10):8.3f}{0.37 * (n // 100):8.3f}\n"
    for n in range(1000)) + "   3.70000   3.70000   3.70000\n"
SILICON = """&control
 calculation='scf', prefix='si', pseudo_dir='/usr/share/espresso/pseudo', outdir='./out'
/
&system
 ibrav=2, celldm(1)=10.2, nat=2, ntyp=1, ecutwfc=24.0
/
&electrons
/
ATOMIC_SPECIES
 Si 28.086 Si.pz-vbc.UPF
ATOMIC_POSITIONS alat
 Si 0.00 0.00 0.00
 Si 0.25 0.25 0.25
K_POINTS automatic
 4 4 4 0 0 0
"""

NATIVE = {"OMPI_MCA_ess_singleton_isolated": "1", "OMPI_MCA_btl": "self", "OMPI_MCA_pml": "ob1", "OMP_NUM_THREADS": "2"}

PROGRAMS = [
    Program("ruby", ("ruby", "w.rb"), {"w.rb": RUBY}),
    Program("lua", ("lua5.4", "w.lua"), {"w.lua": LUA}),
    Program("luajit", ("luajit", "w.lua"), {"w.lua": LUA.replace("200000", "2000000")}),
    Program("php", ("php", "w.php"), {"w.php": PHP}),
    Program("perl", ("perl", "w.pl"), {"w.pl": PERL}),
    Program("tcl", ("tclsh", "w.tcl"), {"w.tcl": TCL}),
    Program("guile", ("guile", "--no-auto-compile", "w.scm"), {"w.scm": GUILE}),
    Program("ocaml", ("ocaml", "w.ml"), {"w.ml": OCAML}),
    Program("erlang", ("erl", "-noshell", "-s", "work", "main"), {"work.erl": ERLANG}, prepare=("erlc", "work.erl"),
            lacks="it starts a helper process, and trees of processes cannot be saved yet"),
    Program("sbcl", ("sbcl", "--script", "w.lisp"), {"w.lisp": SBCL}),
    Program("octave", ("octave-cli", "--no-history", "w.m"), {"w.m": OCTAVE}),
    Program("R", ("/usr/lib/R/bin/exec/R", "--no-save", "--no-restore", "--no-echo", "--file=w.R"), {"w.R": RLANG},
            environment={"R_HOME": "/usr/lib/R", "LD_LIBRARY_PATH": "/usr/lib/R/lib"}),
    Program("gforth", ("gforth", "w.fs"), {"w.fs": FORTH}),
    Program("prolog", ("swipl", "w.pl"), {"w.pl": PROLOG}),
    Program("maxima", ("maxima", "--very-quiet", "--batch", "w.mac"), {"w.mac": MAXIMA}, ignore=rb"read and interpret"),
    Program("pari", ("gp", "-q", "-f", "w.gp"), {"w.gp": GP}),
    Program("numpy", ("/usr/bin/python3", "w.py"), {"w.py": NUMPY}),
    Program("scipy", ("/usr/bin/python3", "w.py"), {"w.py": SCIPY}),
    Program("povray", ("povray", "+Iw.pov", "+FP", "-J", "+Oout.ppm", "+W640", "+H480", "+A0.1", "-D", "+WT2"), {"w.pov": POV}, outputs=("out.ppm",), dates=rb"# Render Date.*",
            ignore=rb"."),
    Program("mono", ("mono", "w.exe"), {"w.cs": CSHARP}, prepare=("mcs", "w.cs")),
    Program("pypy", ("pypy3", "w.py"), {"w.py": PYPY}),
    Program("gap", ("gap", "-q", "w.g"), {"w.g": GAP}),
    Program("chez", ("chezscheme", "--script", "w.ss"), {"w.ss": CHEZ}),
    Program("racket", ("racket", "w.rkt"), {"w.rkt": RACKET}),
    Program("bc", ("bc", "-q", "w.bc"), {"w.bc": GNUBC + "quit\n"}),
    Program("gawk", ("gawk", "-f", "w.awk"), {"w.awk": AWK}),
    Program("mawk", ("mawk", "-f", "w.awk"), {"w.awk": AWK}),
    Program("sqlite", ("sqlite3", "w.db", ".read w.sql"), {"w.sql": SQL}),
    Program("xz", ("xz", "-T2", "-4", "-k", "data"), outputs=("data.xz",), prepare=("cp", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1", "data")),
    Program("zstd", ("zstd", "-T2", "-17", "-q", "-k", "data"), outputs=("data.zst",), prepare=("cp", "/usr/bin/python3.11", "data")),
    Program("pigz", ("pigz", "-p", "2", "-11", "-n", "-k", "data"), outputs=("data.gz",), prepare=("cp", "/usr/bin/python3.11", "data")),
    Program("bzip2", ("bzip2", "-k", "data"), outputs=("data.bz2",), prepare=("cp", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1", "data")),
    Program("openssl", ("openssl", "prime", "-generate", "-bits", "1400", "-safe"), ignore=rb"."),
    Program("gromacs", ("gmx", "mdrun", "-s", "topol.tpr", "-nt", "2", "-reprod", "-g", "md.log", "-c", "out.gro"),
            {"topol.top": ARGON_TOPOLOGY, "conf.gro": ARGON, "grompp.mdp": MDP}, outputs=("out.gro",), ignore=rb".",
            prepare=("gmx", "grompp", "-maxwarn", "5")),
    Program("espresso", ("pw.x", "-in", "si.in"), {"si.in": SILICON}, ignore=rb"(?!!)|.*(CPU|WALL|secs|calls|today)", environment=NATIVE),
    Program("stockfish", ("stockfish", "bench", "16", "1", "12"), ignore=rb".*(info|time|Nodes/second|Total)"),
    Program("ffmpeg", ("ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc=size=640x360:rate=25:duration=12", "-threads", "2", "-c:v",
                       "mpeg4", "-bitexact", "out.avi"), outputs=("out.avi",)),
    Program("imagemagick", ("convert", "-limit", "thread", "2", "-size", "1800x1400", "gradient:", "-blur", "0x25", "-swirl",
                            "90", "-depth", "8", "out.ppm"), outputs=("out.ppm",)),
    Program("qemu-user", ("qemu-x86_64", "./static"), {"w.c": COMPLEX_C.replace("400000", "100000")},
            prepare=("gcc", "-O1", "-static", "-o", "static", "w.c", "-lm")),
    Program("valgrind", ("valgrind", "-q", "--vgdb=no", "./static"), {"w.c": COMPLEX_C.replace("400000", "20000")},
            prepare=("gcc", "-O1", "-g", "-o", "static", "w.c", "-lm"),
            lacks="its restart ends in a segmentation fault"),
    Program("fftw", ("fftw-wisdom", "-n", "-v", "-t", "0.05", "cof1024", "rob1024x64"), ignore=rb"."),
    Program("z3", ("z3", "w.smt2"), {"w.smt2": "(declare-const a (_ BitVec 44))(declare-const b (_ BitVec 44))(assert (= (bvmul a b) #b"
            + format(1048573 * 1048571, "044b") + "))(assert (bvugt a #b" + format(1, "044b") + "))(assert (bvugt b #b" + format(1, "044b")
            + "))(assert (bvult a #b" + format(1 << 21, "044b") + "))(assert (bvult b #b" + format(1 << 21, "044b") + "))(check-sat)"}),
    Program("cc1", ("/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus", "-quiet", "-O2", "-D_GNU_SOURCE", "-imultiarch", "x86_64-linux-gnu", "w.cc", "-o", "w.s"),
            {"w.cc": "#include <regex>\n#include <map>\n#include <iostream>\n#include <filesystem>\n#include <future>\n"
             + "".join(f"template <int N> struct T{n} {{ std::map<int, std::regex> m; int f() {{ return m.size() + N; }} }};\n"
                       f"int g{n}() {{ T{n}<{n}> t; t.m[{n}] = std::regex(\"a{n}+\"); return t.f(); }}\n" for n in range(12))}, outputs=("w.s",)),
    Program("sort", ("sort", "--parallel=2", "-S", "20M", "-o", "sorted", "data"), outputs=("sorted",),
            prepare=("python3", "-c", "x=1\nf=open('data','w')\nfor i in range(1500000): x=(x*1103515245+12345)%2147483648; f.write('%d %d\\n'%(x,i))")),
]
