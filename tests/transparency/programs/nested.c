// Masks, nesting, queueing and pending signals, with SIGSYS as one signal among others.
#include "common.h"
#include <sys/signalfd.h>
#include <ucontext.h>

static char trail[4096];
static volatile int depth;
static void add(const char* text) { strcat(trail, text); }
static void show(const char* what) { printf("%s: %s\n", what, trail); trail[0] = 0; }
static void add_mask(const sigset_t* set) {
  char text[16];
  add("{");
  for (int n = 1; n < 65; n++)
    if (n != 32 && n != 33 && sigismember(set, n)) snprintf(text, sizeof text, " %d", n), add(text);
  add(" }");
}

static void nest(int number, siginfo_t* info, void* context) {
  (void)info;
  char text[32];
  snprintf(text, sizeof text, "(%d", number);
  add(text);
  sigset_t now;
  sigprocmask(SIG_SETMASK, NULL, &now);
  add_mask(&now);
  add(" before");
  add_mask(&((ucontext_t*)context)->uc_sigmask);
  if (number == SIGUSR1) raise(SIGUSR2), raise(SIGHUP);
  add(")");
}
static void with_value(int number, siginfo_t* info, void* c) {
  (void)c;
  char text[64];
  snprintf(text, sizeof text, "%d:%d:%d:%s ", number, info->si_value.sival_int, info->si_code,
           info->si_pid == getpid() ? "self" : "other");
  add(text);
}
static void handle(int number, void (*f)(int, siginfo_t*, void*), int flags, int also_blocked) {
  struct sigaction action = {.sa_sigaction = f, .sa_flags = SA_SIGINFO | flags}, back;
  if (also_blocked) sigaddset(&action.sa_mask, also_blocked);
  sigaction(number, &action, NULL);
  sigaction(number, NULL, &back);
  if (back.sa_sigaction != f || (back.sa_flags & ~0x04000000) != action.sa_flags ||
      memcmp(&back.sa_mask, &action.sa_mask, 8)) printf("sigaction of %d reads back differently\n", number);
}
static void mask(int how, int count, ...) {
  sigset_t set;
  sigemptyset(&set);
  __builtin_va_list list;
  __builtin_va_start(list, count);
  while (count--) sigaddset(&set, __builtin_va_arg(list, int));
  __builtin_va_end(list);
  sigprocmask(how, &set, NULL);
}
static void pending(const char* what) {
  sigset_t set;
  sigpending(&set);
  add_mask(&set);
  show(what);
}
static void queue(int number, int value) { sigqueue(getpid(), number, (union sigval){.sival_int = value}); }

static void system_call_signal(void) {
  handle(SIGSYS, with_value, 0, 0);
  raise(SIGSYS);
  queue(SIGSYS, 5);
  show("SIGSYS handled");
  mask(SIG_BLOCK, 1, SIGSYS);
  queue(SIGSYS, 6);
  queue(SIGSYS, 7);  // a standard signal: coalesced
  pending("SIGSYS blocked");
  sigset_t set;
  sigprocmask(SIG_SETMASK, NULL, &set);
  add_mask(&set);
  show("mask");
  mask(SIG_UNBLOCK, 1, SIGSYS);
  show("SIGSYS unblocked");
  mask(SIG_BLOCK, 1, SIGSYS);
  raise(SIGSYS);
  int number = 0;
  sigemptyset(&set);
  sigaddset(&set, SIGSYS);
  sigwait(&set, &number);
  printf("sigwait: %d\n", number);
  raise(SIGSYS);
  int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  struct signalfd_siginfo info = {0};
  ssize_t length = read(fd, &info, sizeof info);
  printf("signalfd: %zd bytes, signal %d\n", length, info.ssi_signo);
  mask(SIG_UNBLOCK, 1, SIGSYS);
  show("afterwards");
  signal(SIGSYS, SIG_IGN);
  raise(SIGSYS);
  for (int variant = 0; variant < 2; variant++) {
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
      signal(SIGSYS, variant ? SIG_IGN : SIG_DFL);
      char what[] = "0";
      what[0] += (char)variant;
      execl("/bin/sh", "sh", "-c", "kill -SYS $$; echo alive", NULL);
    }
    int status;
    waitpid(child, &status, 0);
    print_status(variant ? "SIGSYS ignored over exec" : "SIGSYS default over exec", status);
  }
}

// Whoever of a process can take a signal for it does, whatever its number.
static int number_for_threads;
static pthread_t main_thread;
static sigset_t only(int number) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  return set;
}
static void* wait_for_it(void* turn) {
  sigset_t set = only(number_for_threads);
  siginfo_t info;
  pthread_barrier_wait(turn);
  int got = sigwaitinfo(&set, &info);
  printf("another thread waited: %d from %s\n", got, info.si_pid == getpid() ? "self" : "other");
  return NULL;
}
static volatile sig_atomic_t taken;
static void in_thread(int number) {
  printf("handler of %d in the %s thread\n", number, pthread_equal(pthread_self(), main_thread) ? "main" : "other");
  taken = 1;
}
static void* let_it_in(void* turn) {
  mask(SIG_UNBLOCK, 1, number_for_threads);
  pthread_barrier_wait(turn);
  while (!taken) usleep(1000);
  return NULL;
}
static void of_the_process(int number) {
  pthread_barrier_t turn;
  pthread_t thread;
  number_for_threads = number;
  main_thread = pthread_self();
  pthread_barrier_init(&turn, NULL, 2);
  handle(number, with_value, 0, 0);
  mask(SIG_BLOCK, 1, number);

  pthread_create(&thread, NULL, wait_for_it, &turn);
  pthread_barrier_wait(&turn);
  kill(getpid(), number);
  pthread_join(thread, NULL);

  taken = 0;
  signal(number, in_thread);
  pthread_create(&thread, NULL, let_it_in, &turn);
  pthread_barrier_wait(&turn);
  kill(getpid(), number);
  pthread_join(thread, NULL);

  handle(number, with_value, 0, 0);
  queue(number, 1);
  queue(number, 2);
  sigset_t nothing;
  sigemptyset(&nothing);
  printf("sigsuspend: %s\n", sigsuspend(&nothing) == -1 ? errno_name(errno) : "worked");
  show("let in");
  mask(SIG_UNBLOCK, 1, number);
  show("unblocked");
  mask(SIG_BLOCK, 1, number);
  sigset_t set = only(number);
  int fd = signalfd(-1, &set, SFD_CLOEXEC);
  queue(number, 3);
  struct signalfd_siginfo info = {0};
  ssize_t length = read(fd, &info, sizeof info);
  printf("signalfd: %zd bytes, signal %d, value %d\n", length, info.ssi_signo, info.ssi_int);
  close(fd);
  queue(number, 4);
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    pending("pending in a child");
    fflush(stdout);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  pending("pending in the parent");
  mask(SIG_UNBLOCK, 1, number);
  show("at the end");
}

int main(void) {
  handle(SIGUSR1, nest, 0, SIGHUP);
  handle(SIGUSR2, nest, SA_NODEFER, SIGTERM);
  handle(SIGHUP, nest, 0, 0);
  raise(SIGUSR1);
  show("nested");
  handle(SIGUSR2, nest, SA_RESETHAND, 0);
  raise(SIGUSR2);
  struct sigaction action;
  sigaction(SIGUSR2, NULL, &action);
  printf("reset: %s\n", action.sa_handler == SIG_DFL ? "default" : "kept");
  show("reset");

  for (int n = SIGRTMIN; n <= SIGRTMAX; n++) handle(n, with_value, 0, 0);
  handle(SIGUSR1, with_value, 0, 0);
  mask(SIG_BLOCK, 6, SIGRTMIN, SIGRTMIN + 1, SIGRTMAX, SIGRTMAX - 1, SIGUSR1, SIGRTMIN + 10);
  for (int n = 0; n < 3; n++) {
    queue(SIGRTMAX, n);
    queue(SIGRTMIN + 1, n);
    queue(SIGUSR1, n);
    queue(SIGRTMIN + 10, n);
    queue(SIGRTMIN, n);
  }
  pending("pending");
  sigset_t set;
  siginfo_t info;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMAX);
  struct timespec none = {0, 0};
  while (sigtimedwait(&set, &info, &none) > 0) printf("taken: %d %d\n", info.si_signo, info.si_value.sival_int);
  mask(SIG_UNBLOCK, 6, SIGRTMIN, SIGRTMIN + 1, SIGRTMAX, SIGRTMAX - 1, SIGUSR1, SIGRTMIN + 10);
  // Signals delivered at once nest, the last set up runs first; the order is the kernel's.
  show("delivered");
  for (int n = SIGRTMIN; n <= SIGRTMAX; n++) raise(n), queue(n, n);
  show("each real-time signal");
  system_call_signal();
  of_the_process(SIGSYS);
  of_the_process(SIGRTMAX - 2);
  of_the_process(SIGRTMAX - 3);
  printf("bad number: %s\n", sigaction(65, NULL, &action) ? errno_name(errno) : "worked");
  action.sa_handler = SIG_IGN;
  printf("SIGKILL: %s\n", sigaction(SIGKILL, &action, NULL) ? errno_name(errno) : "worked");
  return 0;
}
