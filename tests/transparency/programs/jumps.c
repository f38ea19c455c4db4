// siglongjmp and setcontext out of handlers at 5 kHz, over fast and slow system calls, and alternate
// stacks. After each storm the program must still be whole: stack, mask, errno and locks.
#include "common.h"
#include <poll.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <ucontext.h>

static sigjmp_buf target;
static ucontext_t context;
static volatile sig_atomic_t use_context, jumps, armed;
static int pipes[2];

static void on_alarm(int number) {
  (void)number;
  if (!armed) return;
  jumps++;
  armed = 0;
  if (use_context) setcontext(&context);
  siglongjmp(target, 1);
}

static void do_getpid(void) { syscall(SYS_getpid); }
static void do_read(void) { char c; read(pipes[0], &c, 1); }
static void do_poll(void) { struct pollfd p = {pipes[0], POLLIN, 0}; poll(&p, 1, 50); }
static void do_nanosleep(void) { struct timespec t = {0, 50000000}; nanosleep(&t, NULL); }
static void do_open_close(void) { close(open("/dev/null", O_RDONLY)); }
static void do_stat(void) { struct stat s; stat("/usr/bin/env", &s); }
static void do_clock(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); }
static void do_mask(void) { sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR2); sigprocmask(SIG_UNBLOCK, &s, NULL); }
static void do_kill_zero(void) { kill(getpid(), 0); }
static void do_fork(void) {  // interval timers are not inherited: no storm in the child
  pid_t child = fork();
  if (!child) _exit(0);
  waitpid(child, NULL, 0);
}
static void do_wait(void) { waitpid(-1, NULL, WNOHANG); }
static void do_futex(void) { int word = 0; struct timespec t = {0, 50000000}; syscall(SYS_futex, &word, 0, 0, &t, 0, 0); }
static void do_suspend(void) { sigset_t s; sigemptyset(&s); sigsuspend(&s); }

static void storm(const char* name, void (*call)(void), int wanted) {
  jumps = 0;
  volatile unsigned long before = 0x1122334455667788, after = 0x8877665544332211;
  if (use_context) getcontext(&context);
  else sigsetjmp(target, 1);
  if (jumps < wanted) {
    armed = 1;
    for (;;) call();
  }
  sigset_t set;
  sigprocmask(SIG_SETMASK, NULL, &set);
  printf("%-12s %s: %d jumps, %s, mask %s\n", name, use_context ? "setcontext" : "siglongjmp", jumps,
         before == 0x1122334455667788 && after == 0x8877665544332211 ? "whole" : "DAMAGED",
         sigisemptyset(&set) ? "empty" : "NOT EMPTY");
}

int main(void) {
  static char alternate[1 << 16];
  struct { const char* name; void (*call)(void); } table[] = {
      {"getpid", do_getpid}, {"read", do_read}, {"poll", do_poll}, {"nanosleep", do_nanosleep},
      {"open+close", do_open_close}, {"stat", do_stat}, {"clock", do_clock}, {"mask", do_mask},
      {"kill", do_kill_zero}, {"fork", do_fork}, {"wait", do_wait}, {"futex", do_futex}, {"sigsuspend", do_suspend}};
  MUST(pipe(pipes));
  for (int on_stack = 0; on_stack < 2; on_stack++) {
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    if (on_stack) sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = on_stack ? SA_ONSTACK : 0};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval fast = {{0, 200}, {0, 200}};
    setitimer(ITIMER_REAL, &fast, NULL);
    for (use_context = 0; use_context < 2; use_context++)
      for (unsigned n = 0; n < sizeof table / sizeof *table; n++) storm(table[n].name, table[n].call, 1000);
    struct itimerval off = {0};
    setitimer(ITIMER_REAL, &off, NULL);
  }
  void* memory = malloc(1000);
  free(memory);
  return 0;
}
