// Which blocking calls restart after a handler and which say EINTR, with and without SA_RESTART.
#include "common.h"
#include <mqueue.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

static int empty[2], full[2], sockets[2], timed[2], listener, queue_id, sem_id, lock_fd, counter_fd;
static sem_t semaphore;
static volatile int handled;
static void on_signal(int n) { (void)n; handled++; }
static void nothing(int n) { (void)n; }

static long do_read(void) { char c; return read(empty[0], &c, 1); }
static long do_write(void) { return write(full[1], "x", 1); }
static long do_recv(void) { char c; return recv(sockets[0], &c, 1, 0); }
static long do_recv_timed(void) { char c; return recv(timed[0], &c, 1, 0); }
static long do_accept(void) { int fd = accept(listener, NULL, NULL); return fd < 0 ? -1 : (close(fd), 0); }
static long do_eventfd(void) { unsigned long v; return read(counter_fd, &v, 8); }
static long do_poll(void) { struct pollfd p = {empty[0], POLLIN, 0}; return poll(&p, 1, 300); }
static long do_ppoll(void) { struct pollfd p = {empty[0], POLLIN, 0}; struct timespec t = {0, 300000000}; return ppoll(&p, 1, &t, NULL); }
static long do_select(void) { fd_set s; FD_ZERO(&s); FD_SET(empty[0], &s); struct timeval t = {0, 300000}; return select(empty[0] + 1, &s, 0, 0, &t); }
static long do_epoll(void) { struct epoll_event e; int fd = epoll_create1(EPOLL_CLOEXEC); long r = epoll_wait(fd, &e, 1, 300); int saved = errno; close(fd); errno = saved; return r; }
static long do_nanosleep(void) { struct timespec t = {0, 300000000}, left = {9, 9}; long r = nanosleep(&t, &left); if (r && (left.tv_sec || !left.tv_nsec || left.tv_nsec > 300000000)) printf("remainder wrong "); return r; }
static long do_clock_nanosleep(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); t.tv_sec++; errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL); return errno ? -1 : 0; }
static long do_pause(void) { return pause(); }
static long do_sigsuspend(void) { sigset_t s; sigemptyset(&s); return sigsuspend(&s); }
static long do_sigtimedwait(void) { sigset_t s; sigemptyset(&s); sigaddset(&s, SIGHUP); struct timespec t = {0, 300000000}; return sigtimedwait(&s, NULL, &t); }
static long do_sem_wait(void) { return sem_wait(&semaphore); }
static long do_sem_timedwait(void) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t); t.tv_sec++; return sem_timedwait(&semaphore, &t); }
static long do_futex(void) { int w = 0; struct timespec t = {0, 300000000}; return syscall(SYS_futex, &w, 0, 0, &t, 0, 0); }
static long do_msgrcv(void) { struct { long type; char c; } m; return msgrcv(queue_id, &m, 1, 0, 0); }
static long do_semop(void) { struct sembuf s = {0, -1, 0}; return semop(sem_id, &s, 1); }
static long do_flock(void) { long r = flock(lock_fd, LOCK_EX); if (!r) flock(lock_fd, LOCK_UN); return r; }
static long do_setlkw(void) { struct flock l = {.l_type = F_WRLCK}; long r = fcntl(lock_fd, F_SETLKW, &l); l.l_type = F_UNLCK; int saved = errno; fcntl(lock_fd, F_SETLK, &l); errno = saved; return r; }
static long do_wait4(void) { long r = waitpid(-1, NULL, __WALL); return r < 0 ? -1 : 0; }
static long do_waitid(void) { siginfo_t i; return waitid(P_ALL, 0, &i, WEXITED); }

enum Release { kNone, kPipe, kFull, kSocket, kConnect, kEventfd, kSem, kMsg, kSemop, kChild };
static int gate[2];

static void release(enum Release how) {
  char c[4096];
  unsigned long one = 1;
  struct sembuf up = {0, 1, 0};
  struct { long type; char c; } m = {1, 'm'};
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "listener"};
  switch (how) {
    case kNone: break;
    case kPipe: write(empty[1], "x", 1); break;
    case kFull: read(full[0], c, sizeof c); break;
    case kSocket: write(sockets[1], "x", 1); write(timed[1], "x", 1); break;
    case kConnect: { int fd = socket(AF_UNIX, SOCK_STREAM, 0); connect(fd, (void*)&address, sizeof address); close(fd); break; }
    case kEventfd: write(counter_fd, &one, 8); break;
    case kSem: sem_post(&semaphore); break;
    case kMsg: msgsnd(queue_id, &m, 1, 0); break;
    case kSemop: semop(sem_id, &up, 1); break;
    case kChild: write(gate[1], "x", 1); break;
  }
}

struct Helper { pid_t tid; enum Release how; volatile int returned; int released; };
// One signal once the main thread sleeps; if the call goes on, what it waits for.
static void* helper(void* argument) {
  struct Helper* h = argument;
  wait_until_asleep(getpid(), h->tid);
  syscall(SYS_tgkill, getpid(), h->tid, SIGUSR1);
  while (!handled) sched_yield();
  struct timespec brief = {0, 20000000};  // either the call returns now or it sleeps again
  nanosleep(&brief, NULL);
  if (!h->returned) wait_until_asleep(getpid(), h->tid);
  if (!h->returned) release(h->how), h->released = 1;
  return NULL;
}

static void drain(void) {
  char c[4096];
  unsigned long v;
  struct { long type; char c; } m;
  fcntl(empty[0], F_SETFL, O_NONBLOCK); while (read(empty[0], c, sizeof c) > 0) {} fcntl(empty[0], F_SETFL, 0);
  fcntl(full[1], F_SETFL, O_NONBLOCK); while (write(full[1], c, sizeof c) > 0) {} fcntl(full[1], F_SETFL, 0);
  while (recv(sockets[0], c, sizeof c, MSG_DONTWAIT) > 0) {}
  while (recv(timed[0], c, sizeof c, MSG_DONTWAIT) > 0) {}
  fcntl(counter_fd, F_SETFL, O_NONBLOCK); read(counter_fd, &v, 8); fcntl(counter_fd, F_SETFL, 0);
  while (msgrcv(queue_id, &m, 1, 0, IPC_NOWAIT) > 0) {}
}

static void try_one(const char* name, long (*call)(void), enum Release how, int flags, pid_t holder) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
  sigaction(SIGUSR1, &action, NULL);
  pid_t child = 0;
  if (how == kChild && !holder) {
    child = fork();
    if (!child) { char c; read(gate[0], &c, 1); _exit(0); }
  }
  handled = 0;
  struct Helper h = {gettid(), how, 0, 0};
  pthread_t thread;
  pthread_create(&thread, NULL, helper, &h);
  errno = 0;
  long result = call();
  int error = result < 0 ? errno : 0;
  h.returned = 1;
  pthread_join(thread, NULL);
  if (child && result < 0) { write(gate[1], "x", 1); waitpid(child, NULL, 0); }
  if (holder && !h.released) write(gate[1], "x", 1);
  printf("%-16s %-10s %s%s\n", name, flags ? "SA_RESTART" : "", error ? errno_name(error) : "completed",
         h.released ? " after the event" : "");
  drain();
}

static pid_t hold_lock(int posix) {
  int ready[2];
  char c;
  MUST(pipe(ready));
  pid_t child = fork();
  if (!child) {
    int fd = open("lock", O_RDWR);
    struct flock l = {.l_type = F_WRLCK};
    if (posix) fcntl(fd, F_SETLK, &l); else flock(fd, LOCK_EX);
    write(ready[1], "r", 1);
    read(gate[0], &c, 1);
    _exit(0);
  }
  read(ready[0], &c, 1);
  close(ready[0]);
  close(ready[1]);
  return child;
}

int main(void) {
  MUST(pipe(empty)); MUST(pipe(full)); MUST(pipe(gate));
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets)); MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, timed));
  struct timeval limit = {5, 0};
  setsockopt(timed[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  listener = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "listener"};
  MUST(bind(listener, (void*)&address, sizeof address)); MUST(listen(listener, 5));
  queue_id = MUST(msgget(IPC_PRIVATE, 0600)); sem_id = MUST(semget(IPC_PRIVATE, 1, 0600));
  lock_fd = MUST(open("lock", O_RDWR | O_CREAT, 0600)); counter_fd = MUST(eventfd(0, EFD_CLOEXEC));
  sem_init(&semaphore, 0, 0);
  signal(SIGHUP, nothing);
  sigset_t set;
  sigemptyset(&set); sigaddset(&set, SIGHUP); sigprocmask(SIG_BLOCK, &set, NULL);
  drain();
  struct { const char* name; long (*call)(void); enum Release how; } table[] = {
      {"read", do_read, kPipe}, {"write", do_write, kFull}, {"recv", do_recv, kSocket}, {"recv SO_RCVTIMEO", do_recv_timed, kSocket},
      {"accept", do_accept, kConnect}, {"eventfd", do_eventfd, kEventfd}, {"poll", do_poll, kNone}, {"ppoll", do_ppoll, kNone},
      {"select", do_select, kNone}, {"epoll_wait", do_epoll, kNone}, {"nanosleep", do_nanosleep, kNone},
      {"clock_nanosleep", do_clock_nanosleep, kNone}, {"pause", do_pause, kNone}, {"sigsuspend", do_sigsuspend, kNone},
      {"sigtimedwait", do_sigtimedwait, kNone}, {"sem_wait", do_sem_wait, kSem}, {"sem_timedwait", do_sem_timedwait, kNone},
      {"futex timeout", do_futex, kNone}, {"msgrcv", do_msgrcv, kMsg}, {"semop", do_semop, kSemop},
      {"wait4", do_wait4, kChild}, {"waitid", do_waitid, kChild}};
  for (unsigned n = 0; n < sizeof table / sizeof *table; n++)
    for (int restart = 0; restart < 2; restart++)
      try_one(table[n].name, table[n].call, table[n].how, restart ? SA_RESTART : 0, 0);
  for (int posix = 0; posix < 2; posix++)
    for (int restart = 0; restart < 2; restart++) {
      fflush(stdout);
      pid_t holder = hold_lock(posix);
      try_one(posix ? "F_SETLKW" : "flock", posix ? do_setlkw : do_flock, kChild, restart ? SA_RESTART : 0, holder);
      waitpid(holder, NULL, 0);
    }
  msgctl(queue_id, IPC_RMID, NULL);
  semctl(sem_id, 0, IPC_RMID);
  return 0;
}
