# fork, pipes, signals, alarm, sockets, select, wait status, exec, sysopen, flock in perl.
use strict; use warnings; use Socket; use POSIX; use Fcntl ':flock'; use Time::HiRes qw(ualarm usleep);
$| = 1;
my @kids;
for my $n (1 .. 5) {
  pipe(my $r, my $w);
  my $pid = fork();
  if (!$pid) { close $r; print $w "child $n of ", getppid() == $ENV{PARENT} ? "parent" : "stranger", "\n"; exit $n; }
  close $w;
  push @kids, [$pid, $r];
  BEGIN { $ENV{PARENT} = $$ }
}
for my $kid (@kids) { print readline($kid->[1]); waitpid($kid->[0], 0); print "status ", $? >> 8, "\n"; }
my $ticks = 0;
$SIG{ALRM} = sub { $ticks++ };
ualarm(2000, 2000);
while ($ticks < 20) { usleep(500) }
ualarm(0);
print "ticks enough\n";
my $got = 0;
$SIG{USR1} = sub { $got++ };
for (1 .. 100) { kill USR1 => $$ }
print "signals $got\n";
eval { local $SIG{ALRM} = sub { die "alarm\n" }; alarm 1; select(undef, undef, undef, 30); };
print "died of $@";
socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC);
my $pid = fork();
if (!$pid) { close $a; while (my $line = <$b>) { last if $line eq "end\n"; syswrite $b, uc $line } exit 0; }
close $b;
for my $word (qw(one two three)) { syswrite $a, "$word\n"; print scalar <$a>; }
syswrite $a, "end\n"; waitpid $pid, 0;
my $status = system("kill -9 \$\$"); print "system: ", $status & 127, "\n";
print "backticks: ", `echo hello; exit 3`, $? >> 8, "\n";
open my $f, '>', 'locked' or die; flock $f, LOCK_EX; print "locked\n";
open my $p, '-|', 'seq 1 3' or die; print while <$p>; close $p;
print "exec fails: ", (exec({'/no/such'} 'x') ? 1 : $!+0), "\n";
kill 'STOP', $pid = fork() // die; if (!$pid) { sleep 100; exit }
waitpid $pid, WUNTRACED; print "stopped ", WIFSTOPPED($?) ? 1 : 0, "\n"; kill KILL => $pid; waitpid $pid, 0; print "killed ", $? & 127, "\n";
POSIX::_exit(7);
