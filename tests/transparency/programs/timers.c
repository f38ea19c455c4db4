// POSIX timers with threads and signals, interval timers, alarm, timerfd, absolute sleeps.
#include "common.h"
#include <semaphore.h>
#include <stdint.h>
#include <sys/time.h>
#include <sys/timerfd.h>

static sem_t ticks;
static volatile int signalled, value, code;
static void on_thread(union sigval v) { value = v.sival_int; sem_post(&ticks); }
static void on_signal(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  signalled++;
  value = info->si_value.sival_int;
  code = info->si_code;
}

static void spin_until(volatile int* counter, int wanted) { while (*counter < wanted) {} }

static void* wait_in_thread(void* unused) {
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 7};
  event._sigev_un._tid = gettid();
  MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  struct itimerspec once = {.it_value.tv_nsec = 5000000};
  MUST(timer_settime(timer, 0, &once, NULL));
  siginfo_t info;
  int number = sigwaitinfo(&set, &info);
  printf("thread id: SIG%s value %d code %d\n", sigabbrev_np(number), info.si_value.sival_int, info.si_code);
  timer_delete(timer);
  return unused;
}

int main(void) {
  sem_init(&ticks, 0, 0);
  struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_int = 42};
  timer_t timer;
  MUST(timer_create(CLOCK_REALTIME, &event, &timer));
  struct itimerspec every = {.it_value.tv_nsec = 2000000, .it_interval.tv_nsec = 2000000};
  MUST(timer_settime(timer, 0, &every, NULL));
  for (int n = 0; n < 10; n++) while (sem_wait(&ticks)) {}
  MUST(timer_delete(timer));
  printf("SIGEV_THREAD: ten ticks, value %d\n", value);

  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
  int numbers[] = {SIGUSR1, SIGALRM, SIGVTALRM, SIGPROF, SIGRTMIN};
  for (unsigned n = 0; n < 5; n++) sigaction(numbers[n], &action, NULL);
  event = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 43};
  MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
  MUST(timer_settime(timer, 0, &every, NULL));
  spin_until(&signalled, 5);
  timer_delete(timer);
  printf("SIGEV_SIGNAL: value %d code %d\n", value, code);

  event = (struct sigevent){.sigev_notify = SIGEV_NONE};
  MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
  struct itimerspec far = {.it_value.tv_sec = 1000}, left;
  timer_settime(timer, 0, &far, NULL);
  timer_gettime(timer, &left);
  printf("SIGEV_NONE: %s\n", left.it_value.tv_sec >= 990 && left.it_value.tv_sec <= 1000 ? "runs" : "wrong");
  timer_delete(timer);

  for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
    signalled = 0;
    struct itimerval fast = {{0, 2000}, {0, 2000}}, off = {0};
    MUST(setitimer(which, &fast, NULL));
    spin_until(&signalled, 3);
    MUST(setitimer(which, &off, NULL));
    printf("itimer %d: ticked, code %d\n", which, code);
  }
  signalled = 0;
  printf("alarm before: %u\n", alarm(1000));
  printf("alarm replaced: %s\n", alarm(1) >= 990 ? "yes" : "no");
  while (!signalled) pause();

  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  pthread_t thread;
  pthread_create(&thread, NULL, wait_in_thread, NULL);
  pthread_join(thread, NULL);

  int fd = MUST(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC));
  timerfd_settime(fd, 0, &every, NULL);
  uint64_t expired, total = 0;
  while (total < 5) total += (MUST(read(fd, &expired, sizeof expired)), expired);
  printf("timerfd: ticked\n");

  for (int n = 0; n < 3; n++) {
    clockid_t clock = (clockid_t[]){CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME}[n];
    struct timespec until, now;
    clock_gettime(clock, &until);
    until.tv_nsec += 10000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    int error = clock_nanosleep(clock, TIMER_ABSTIME, &until, NULL);
    clock_gettime(clock, &now);
    int late = now.tv_sec > until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec >= until.tv_nsec);
    printf("absolute sleep %d: %s %s\n", n, errno_name(error), late ? "not early" : "TOO EARLY");
  }
  printf("bad clock: %d\n", timer_create(99, NULL, &timer) == -1 ? errno : 0);
  return 0;
}
