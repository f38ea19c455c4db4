// The calls that open the mask and wait in one step must neither lose a signal nor see one twice.
#include "common.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

static volatile sig_atomic_t count;
static void on_signal(int n) { (void)n; count++; }
static int pipes[2], epoll_fd;
static sigset_t none;

static void in_sigsuspend(void) { sigsuspend(&none); }
static void in_ppoll(void) { struct pollfd p = {pipes[0], POLLIN, 0}; ppoll(&p, 1, NULL, &none); }
static void in_pselect(void) { fd_set s; FD_ZERO(&s); FD_SET(pipes[0], &s); pselect(pipes[0] + 1, &s, 0, 0, NULL, &none); }
static void in_epoll(void) { struct epoll_event e; epoll_pwait(epoll_fd, &e, 1, -1, &none); }
static void in_sigwait(void) {
  sigset_t set;
  int n;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigwait(&set, &n);
  count++;
}

// Two processes take turns by signals alone; a lost one stops both for ever, a doubled one is counted.
static void turns(const char* name, void (*wait_for_it)(void), int rounds) {
  fflush(stdout);
  count = 0;
  pid_t parent = getpid(), child = fork();
  pid_t other = child ? child : parent;
  long extra = 0;
  for (int n = 0; n < rounds; n++) {
    if (child) kill(other, SIGUSR1);
    while (count < n + 1) wait_for_it();
    extra += count > n + 1;
    if (!child) kill(other, SIGUSR1);
  }
  if (!child) _exit(extra ? 1 : 0);
  int status;
  waitpid(child, &status, 0);
  printf("%s: %d rounds, %ld too many here, ", name, count, extra);
  print_status("there", status);
}

// A mask that is open only inside the call: the handler runs there and nowhere else.
static void* sender(void* thread) {
  for (int n = 0; n < 20000; n++) {
    int before = count;
    pthread_kill(*(pthread_t*)thread, SIGUSR1);
    while (count == before) sched_yield();
  }
  return NULL;
}

int main(void) {
  MUST(pipe(pipes));
  epoll_fd = MUST(epoll_create1(0));
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &action, NULL);
  sigemptyset(&none);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  turns("sigsuspend", in_sigsuspend, 5000);
  turns("ppoll", in_ppoll, 5000);
  turns("pselect", in_pselect, 5000);
  turns("epoll_pwait", in_epoll, 5000);
  turns("sigwait", in_sigwait, 5000);
  count = 0;
  pthread_t self = pthread_self(), thread;
  pthread_create(&thread, NULL, sender, &self);
  while (count < 20000) {
    struct timespec zero = {0, 0};
    struct pollfd p = {pipes[0], POLLIN, 0};
    ppoll(&p, 1, &zero, &none);
  }
  pthread_join(thread, NULL);
  printf("ppoll without waiting: %d\n", count);
  sigpending(&set);
  printf("pending at the end: %d\n", sigismember(&set, SIGUSR1));
  return 0;
}
