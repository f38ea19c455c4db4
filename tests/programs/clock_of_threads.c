// CPU clocks named by a thread's or a process's id: read, slept on, and behind a timer that was armed
// before the checkpoint.
//
// flavours: all
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static atomic_int stop, ready;
static volatile sig_atomic_t expired;

static void on_expiry(int number) {
  (void)number, expired = 1;
}

static void* burn(void* unused) {
  (void)unused;
  ready = 1;
  while (!stop) {
  }
  return NULL;
}

int main(void) {
  pthread_t thread;
  clockid_t of_thread, of_process;
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
  CHECK(signal(SIGUSR1, on_expiry) != SIG_ERR);
  CHECK_OK(pthread_create(&thread, NULL, burn, NULL));
  while (!ready) check_sleep_ms(1);
  CHECK_OK(pthread_getcpuclockid(thread, &of_thread));
  CHECK_OK(clock_getcpuclockid(getpid(), &of_process));
  while (check_nanoseconds(of_thread) < 30000000) check_sleep_ms(1);
  CHECK_SYS(timer_create(of_thread, &event, &timer));
  struct itimerspec far = {.it_value = {1000, 0}}, left;
  CHECK_SYS(timer_settime(timer, 0, &far, NULL));
  int64_t thread_time = check_nanoseconds(of_thread), process_time = check_nanoseconds(of_process);
  check_expect_eintr();
  check_ready();
  check_wait();

  CHECK(check_nanoseconds(of_thread) >= thread_time);
  CHECK(check_nanoseconds(of_process) >= process_time);
  CHECK(check_nanoseconds(of_process) >= check_nanoseconds(of_thread));
  int64_t first = check_nanoseconds(of_thread);
  while (check_nanoseconds(of_thread) < first + 10000000) check_sleep_ms(1);
  struct timespec resolution, now;
  CHECK_SYS(clock_getres(of_thread, &resolution));
  CHECK(resolution.tv_sec == 0 && resolution.tv_nsec > 0);
  CHECK_SYS(timer_gettime(timer, &left));
  CHECK(left.it_value.tv_sec > 0 && left.it_value.tv_sec < 1000);

  // A time of this clock, not of the kernel's.
  CHECK_SYS(clock_gettime(of_thread, &now));
  struct itimerspec soon = {.it_value = now};
  soon.it_value.tv_nsec += 20000000;
  if (soon.it_value.tv_nsec >= 1000000000) soon.it_value.tv_nsec -= 1000000000, ++soon.it_value.tv_sec;
  expired = 0;
  CHECK_SYS(timer_settime(timer, TIMER_ABSTIME, &soon, NULL));
  while (!expired) check_sleep_ms(1);
  CHECK(check_nanoseconds(of_thread) >= soon.it_value.tv_sec * INT64_C(1000000000) + soon.it_value.tv_nsec);
  struct timespec nap = {0, 5000000};
  process_time = check_nanoseconds(of_process);
  CHECK_OK(clock_nanosleep(of_process, 0, &nap, NULL));
  CHECK(check_nanoseconds(of_process) >= process_time + 5000000);
  stop = 1;
  CHECK_OK(pthread_join(thread, NULL));
  CHECK_SYS(timer_delete(timer));
  check_pass();
}
