// POSIX timers: ids, time left, interval, disarmed ones; with SIGEV_SIGNAL, SIGEV_NONE and
// SIGEV_THREAD_ID; the signal carries the value given.
//
// flavours: all
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"

static atomic_int caught_by;
static siginfo_t caught;

static void on_signal(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  caught = *info;
  caught_by = gettid();
}

static timer_t create(int notify, int number, long value, pid_t thread) {
  struct sigevent event = {.sigev_notify = notify, .sigev_signo = number};
  event.sigev_value.sival_ptr = (void*)value;
  event._sigev_un._tid = thread;
  timer_t timer;
  CHECK_SYS(timer_create(CLOCK_MONOTONIC, &event, &timer));
  return timer;
}

static void arm(timer_t timer, long seconds, long nanoseconds, long interval) {
  struct itimerspec when = {.it_value = {seconds, nanoseconds}, .it_interval = {interval, 0}};
  CHECK_SYS(timer_settime(timer, 0, &when, NULL));
}

static atomic_int other_tid, stop;

static void* other(void* unused) {
  (void)unused;
  other_tid = gettid();
  while (!stop) check_sleep_ms(2);
  return NULL;
}

static void expect(timer_t timer, pid_t thread, long value) {
  caught_by = 0;
  arm(timer, 0, 1, 0);
  while (caught_by == 0) check_sleep_ms(1);
  CHECK_EQ(caught.si_code, SI_TIMER);
  CHECK_EQ((long)caught.si_value.sival_ptr, value);
  if (thread != 0) CHECK_EQ(caught_by, thread);
}

int main(void) {
  pthread_t thread;
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
  CHECK_SYS(sigaction(SIGRTMIN + 3, &action, NULL));
  CHECK_OK(pthread_create(&thread, NULL, other, NULL));
  while (other_tid == 0) check_sleep_ms(1);
  timer_t gone = create(SIGEV_NONE, 0, 0, 0);  // leaves a gap in the ids
  timer_t none = create(SIGEV_NONE, 0, 0, 0);
  timer_t process = create(SIGEV_SIGNAL, SIGRTMIN + 3, 0x7123456789abcdef, 0);
  timer_t to_thread = create(SIGEV_THREAD_ID, SIGRTMIN + 3, -2, other_tid);
  CHECK_SYS(timer_delete(gone));
  arm(none, 5000, 0, 300);
  arm(process, 6000, 0, 0);
  check_ready();
  check_wait();
  struct itimerspec left;
  CHECK_SYS(timer_gettime(none, &left));
  CHECK(left.it_value.tv_sec < 5000 && left.it_value.tv_sec > 3000);
  CHECK_EQ(left.it_interval.tv_sec, 300);
  CHECK_SYS(timer_gettime(process, &left));
  CHECK(left.it_value.tv_sec < 6000 && left.it_value.tv_sec > 4000);
  CHECK_SYS(timer_gettime(to_thread, &left));
  CHECK_EQ(left.it_value.tv_sec + left.it_value.tv_nsec, 0);
  check_expect_eintr();
  expect(process, 0, 0x7123456789abcdef);
  expect(to_thread, other_tid, -2);
  stop = 1;
  CHECK_OK(pthread_join(thread, NULL));
  CHECK_SYS(timer_delete(none));
  CHECK_SYS(timer_delete(process));
  CHECK_SYS(timer_delete(to_thread));
  CHECK_ERRNO(timer_gettime(none, &left), EINVAL);
  check_pass();
}
