// sigaltstack: recovery from a stack overflow, its states and its errors, per thread.
#include "common.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

static sigjmp_buf target;
static char area[1 << 17];
static volatile int on_it;

static void on_overflow(int number, siginfo_t* info, void* context) {
  (void)info, (void)context;
  stack_t now;
  sigaltstack(NULL, &now);
  on_it = now.ss_flags & SS_ONSTACK;
  siglongjmp(target, number);
}
#pragma GCC diagnostic ignored "-Winfinite-recursion"
static int deeper(volatile char* above) {
  volatile char page[4096];
  page[0] = above[0];
  return deeper(page) + page[0];
}
static void* overflow(void* unused) {
  stack_t stack = {.ss_sp = unused ? malloc(1 << 16) : area, .ss_size = 1 << 16};
  MUST(sigaltstack(&stack, NULL));
  for (int n = 0; n < 3; n++) {
    volatile char seed = 0;
    int number = sigsetjmp(target, 1);
    if (!number) deeper(&seed);
    stack_t now;
    sigaltstack(NULL, &now);
    printf("overflow %d: SIG%s, on the alternate stack %d, afterwards %d\n", n, sigabbrev_np(number), on_it, now.ss_flags);
  }
  return NULL;
}
static void while_on_it(int number) {
  (void)number;
  stack_t other = {.ss_sp = area, .ss_size = 1 << 16}, now;
  printf("change while on it: %s\n", sigaltstack(&other, NULL) ? errno_name(errno) : "worked");
  sigaltstack(NULL, &now);
  char here;
  printf("flags %d, inside %d\n", now.ss_flags, &here > area && &here < area + sizeof area);
}
static void report(const char* what) {
  stack_t now;
  sigaltstack(NULL, &now);
  printf("%s: flags %d size %zu\n", what, now.ss_flags, now.ss_size);
}
static void* in_new_thread(void* unused) { report("new thread"); return unused; }

int main(void) {
  report("at start");
  struct sigaction action = {.sa_sigaction = on_overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGSEGV, &action, NULL);
  struct rlimit limit;
  getrlimit(RLIMIT_STACK, &limit);
  limit.rlim_cur = 1 << 20;
  setrlimit(RLIMIT_STACK, &limit);
  overflow(NULL);
  pthread_t thread;
  pthread_create(&thread, NULL, overflow, area);
  pthread_join(thread, NULL);
  action = (struct sigaction){.sa_handler = while_on_it, .sa_flags = SA_ONSTACK};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  report("main");
  pthread_create(&thread, NULL, in_new_thread, NULL);
  pthread_join(thread, NULL);
  fflush(stdout);
  if (!fork()) { report("forked child"); fflush(stdout); _exit(0); }
  wait(NULL);
  stack_t small = {.ss_sp = area, .ss_size = 100}, flags = {.ss_sp = area, .ss_size = 1 << 16, .ss_flags = 0x40};
  printf("small: %s\n", sigaltstack(&small, NULL) ? errno_name(errno) : "worked");
  printf("bad flags: %s\n", sigaltstack(&flags, NULL) ? errno_name(errno) : "worked");
  stack_t disarm = {.ss_sp = area, .ss_size = 1 << 16, .ss_flags = (int)(1U << 31)};
  printf("autodisarm: %s\n", sigaltstack(&disarm, NULL) ? errno_name(errno) : "worked");
  raise(SIGUSR1);
  report("after autodisarm");
  stack_t off = {.ss_flags = SS_DISABLE};
  sigaltstack(&off, NULL);
  report("disabled");
  return 0;
}
