// pthread_cancel in every sort of cancellation point: which cleanup handlers ran, in which order.
#include "common.h"
#include <mqueue.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/socket.h>

static int pipe_empty[2], sockets[2], queue_id;
static sem_t never;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static volatile pid_t worker_tid;
static char trail[64];

static void in_read(void) { char c; read(pipe_empty[0], &c, 1); }
static void in_poll(void) { struct pollfd p = {pipe_empty[0], POLLIN, 0}; poll(&p, 1, -1); }
static void in_select(void) { fd_set s; FD_ZERO(&s); FD_SET(pipe_empty[0], &s); select(pipe_empty[0] + 1, &s, 0, 0, 0); }
static void in_epoll(void) { struct epoll_event e; int fd = epoll_create1(EPOLL_CLOEXEC); epoll_wait(fd, &e, 1, -1); }
static void in_recv(void) { char c; recv(sockets[0], &c, 1, 0); }
static void in_nanosleep(void) { struct timespec t = {1000, 0}; nanosleep(&t, NULL); }
static void in_sem_wait(void) { sem_wait(&never); }
static void in_pause(void) { pause(); }
static void in_sigwait(void) { sigset_t s; int n; sigemptyset(&s); sigaddset(&s, SIGUSR2); sigwait(&s, &n); }
static void in_msgrcv(void) { struct { long type; char text[8]; } m; msgrcv(queue_id, &m, sizeof m.text, 0, 0); }
static void unlock(void* mutex) { pthread_mutex_unlock(mutex); strcat(trail, "unlock "); }
static void in_cond_wait(void) {
  pthread_mutex_lock(&lock);
  pthread_cleanup_push(unlock, &lock);
  for (;;) pthread_cond_wait(&condition, &lock);
  pthread_cleanup_pop(1);
}
static void* forever(void* unused) { pause(); return unused; }
static void in_join(void) {
  pthread_t other;
  pthread_create(&other, NULL, forever, NULL);
  pthread_join(other, NULL);
}
static void in_async_loop(void) {
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  for (volatile unsigned long n = 0;; n++) {}
}
static void in_testcancel(void) {
  int old;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
  char c;
  read(sockets[0], &c, 1);  // not cancelled here: one byte is sent
  pthread_setcancelstate(old, NULL);
  strcat(trail, "enabled ");
  pthread_testcancel();
}

static void note(void* text) { strcat(trail, text); }
static void* worker(void* function) {
  worker_tid = gettid();
  pthread_cleanup_push(note, "outer ");
  pthread_cleanup_push(note, "inner ");
  ((void (*)(void))function)();
  strcat(trail, "returned ");
  pthread_cleanup_pop(0);
  pthread_cleanup_pop(0);
  return NULL;
}

static void try_one(const char* name, void (*function)(void), int blocks) {
  trail[0] = 0;
  worker_tid = 0;
  pthread_t thread;
  pthread_create(&thread, NULL, worker, (void*)function);
  while (!worker_tid) sched_yield();
  if (blocks) wait_until_asleep(getpid(), worker_tid);
  pthread_cancel(thread);
  if (function == in_testcancel) write(sockets[1], "x", 1);
  void* result;
  pthread_join(thread, &result);
  printf("%-12s %s%s\n", name, trail, result == PTHREAD_CANCELED ? "cancelled" : "NOT cancelled");
}

int main(void) {
  MUST(pipe(pipe_empty));
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
  queue_id = MUST(msgget(IPC_PRIVATE, 0600));
  sem_init(&never, 0, 0);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  struct { const char* name; void (*function)(void); int blocks; } table[] = {
      {"read", in_read, 1}, {"poll", in_poll, 1}, {"select", in_select, 1}, {"epoll", in_epoll, 1},
      {"recv", in_recv, 1}, {"nanosleep", in_nanosleep, 1}, {"sem_wait", in_sem_wait, 1},
      {"pause", in_pause, 1}, {"sigwait", in_sigwait, 1}, {"msgrcv", in_msgrcv, 1},
      {"cond_wait", in_cond_wait, 1}, {"join", in_join, 1}, {"async", in_async_loop, 0},
      {"testcancel", in_testcancel, 1}};
  for (int round = 0; round < 5; round++)
    for (unsigned n = 0; n < sizeof table / sizeof *table; n++)
      try_one(table[n].name, table[n].function, table[n].blocks && round % 2 == 0);
  msgctl(queue_id, IPC_RMID, NULL);
  return 0;
}
