// One operation at a time, timed from inside: prints nanoseconds per operation. Usage: micro NAME
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>

namespace {

int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
int pipes[2];
int word;
volatile int handled;
volatile double sink;

void must(bool good) {
  if (!good) {
    std::perror("micro");
    std::exit(1);
  }
}

clockid_t watch = CLOCK_MONOTONIC;

double now() {
  timespec t;
  // The system call, so that the clock's own cost is the same for both sides of a comparison.
  syscall(SYS_clock_gettime, watch, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

void* nothing(void* argument) { return argument; }

void thread() {
  pthread_t t;
  must(pthread_create(&t, nullptr, nothing, nullptr) == 0);
  must(pthread_join(t, nullptr) == 0);
}

void run_true() {
  pid_t child = fork();
  if (child == 0) {
    execl("/bin/true", "true", nullptr);
    _exit(127);
  }
  int status = 1;
  must(waitpid(child, &status, 0) == child && status == 0);
}

void just_fork() {
  pid_t child = fork();
  if (child == 0) _exit(0);
  must(waitpid(child, nullptr, 0) == child);
}

// A child at the other end of a connection: sends each message back, or counts what comes and answers
// once a block is whole.
int peer = -1;

void start_peer(int mine, int theirs, std::size_t block) {
  must(mine >= 0 && theirs >= 0);
  peer = mine;
  pid_t child = fork();
  must(child >= 0);
  if (child != 0) {
    close(theirs);
    return;
  }
  close(mine);
  static char buffer[1 << 16];
  for (std::size_t got = 0;;) {
    ssize_t n = read(theirs, buffer, sizeof buffer);
    if (n <= 0) _exit(0);
    for (got += static_cast<std::size_t>(n); got >= block; got -= block)
      if (write(theirs, buffer, 1) != 1) _exit(1);
  }
}

void connect_unix(std::size_t block) {
  int ends[2];
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  start_peer(ends[0], ends[1], block);
}

void connect_tcp(std::size_t block) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), mine = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  must(bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(listener, 1) == 0);
  must(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  must(connect(mine, reinterpret_cast<sockaddr*>(&address), size) == 0);
  int theirs = accept(listener, nullptr, nullptr), at_once = 1;
  close(listener);
  for (int end : {mine, theirs}) must(setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once) == 0);
  start_peer(mine, theirs, block);
}

void ping_pong() {
  char c = 'x';
  must(write(peer, &c, 1) == 1 && read(peer, &c, 1) == 1);
}

constexpr std::size_t kBlock = 16 << 20;

void send_block() {
  static char buffer[1 << 16];
  for (std::size_t left = kBlock; left > 0;) {
    ssize_t n = write(peer, buffer, std::min(left, sizeof buffer));
    must(n > 0);
    left -= static_cast<std::size_t>(n);
  }
  char c;
  must(read(peer, &c, 1) == 1);
}

// Processor and memory, no system call: what a number-crunching program does between two of them.
void compute() {
  static double table[1 << 16];
  double sum = 0;
  for (int round = 0; round < 60; ++round)
    for (int n = 1; n < (1 << 16) - 1; ++n) {
      table[n] = 0.5 * table[n - 1] + 0.25 * table[n + 1] + 1.0 / (n + round);
      sum += std::sqrt(table[n]);
    }
  for (int n = 0; n < 200000; ++n) sum += std::sin(n * 0.01);
  sink = sum;
}

struct Operation {
  const char* name;
  int batch;  // operations between two looks at the clock
  std::function<void()> run;
  std::function<void()> prepare = nullptr;
};

const Operation kOperations[] = {
    {"compute", 1, compute},
    {"read", 1000, [] { char c; must(read(zero, &c, 1) == 1); }},
    {"write", 1000, [] { must(write(null, "x", 1) == 1); }},
    {"pipe", 500, [] { char c = 'x'; must(write(pipes[1], &c, 1) == 1 && read(pipes[0], &c, 1) == 1); }},
    {"clock_gettime", 10000, [] { timespec t; clock_gettime(CLOCK_MONOTONIC, &t); }},
    {"getpid", 1000, [] { must(getpid() > 0); }},
    {"getppid", 1000, [] { must(getppid() >= 0); }},
    {"malloc", 10000, [] { void* volatile block = std::malloc(64); std::free(block); }},
    {"open+close", 200, [] { must(close(open("/dev/null", O_RDONLY)) == 0); }},
    {"mmap+munmap", 200, [] { must(munmap(mmap(nullptr, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 65536) == 0); }},
    {"futex", 1000, [] { must(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0) == 0); }},
    {"signal", 200, [] { must(raise(SIGUSR1) == 0); }},
    {"sigprocmask", 1000, [] { sigset_t set; sigemptyset(&set); must(sigprocmask(SIG_SETMASK, &set, nullptr) == 0); }},
    {"thread", 20, thread},
    {"fork", 5, just_fork},
    {"fork+exec", 5, run_true},
    {"unix-ping-pong", 200, ping_pong, [] { connect_unix(1); }},
    {"unix-throughput", 1, send_block, [] { connect_unix(kBlock); }},
    {"tcp-ping-pong", 200, ping_pong, [] { connect_tcp(1); }},
    {"tcp-throughput", 1, send_block, [] { connect_tcp(kBlock); }},
};

}  // namespace

int main(int argc, char** argv) {
  must(pipe(pipes) == 0);
  struct sigaction action = {};
  action.sa_handler = [](int) { handled = handled + 1; };
  sigaction(SIGUSR1, &action, nullptr);
  for (const Operation& operation : kOperations) {
    if (argc != 2 || std::strcmp(operation.name, argv[1]) != 0) continue;
    if (operation.prepare) operation.prepare();
    // One batch of it is longer than a turn on a shared processor.
    if (std::strcmp(operation.name, "compute") == 0) watch = CLOCK_PROCESS_CPUTIME_ID;
    for (int n = 0; n < operation.batch; ++n) operation.run();
    // The best batch, not the mean: another program's turn on the processor is not our cost.
    double best = 1e30, end = now() + 0.15e9;
    int batches = 0;
    for (double before = now(); before < end || batches < 5; ++batches) {
      for (int n = 0; n < operation.batch; ++n) operation.run();
      double after = now();
      if (after - before < best) best = after - before;
      before = after;
    }
    std::printf("%.2f\n", best / operation.batch);
    return 0;
  }
  for (const Operation& operation : kOperations) std::printf("%s\n", operation.name);
  return argc == 1 ? 0 : 2;
}
