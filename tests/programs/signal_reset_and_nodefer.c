// SA_RESETHAND falls back to the default after one delivery; SA_NODEFER nests; sa_mask holds back.
//
// flavours: all
#include <signal.h>
#include <unistd.h>

#include "check.h"

static volatile int once, depth, deepest, inside, late, late_inside;

static void on_once(int number) {
  (void)number, ++once;
}

static void on_nested(int number) {
  if (++depth > deepest) deepest = depth;
  if (depth < 4) raise(number);
  --depth;
}

static void on_late(int number) {
  (void)number;
  ++late;
  late_inside = inside;
}

static void on_outer(int number) {
  (void)number;
  inside = 1;
  raise(SIGHUP);
  CHECK_EQ(late, 0);
  inside = 0;
}

int main(void) {
  struct sigaction reset = {.sa_handler = on_once, .sa_flags = (int)SA_RESETHAND};
  struct sigaction nested = {.sa_handler = on_nested, .sa_flags = SA_NODEFER};
  struct sigaction outer = {.sa_handler = on_outer}, held = {.sa_handler = on_late}, now;
  sigaddset(&outer.sa_mask, SIGHUP);
  CHECK_SYS(sigaction(SIGURG, &reset, NULL));  // its default action is to do nothing
  CHECK_SYS(sigaction(SIGUSR1, &nested, NULL));
  CHECK_SYS(sigaction(SIGUSR2, &outer, NULL));
  CHECK_SYS(sigaction(SIGHUP, &held, NULL));
  check_ready();
  check_wait();
  CHECK_SYS(raise(SIGURG));
  CHECK_SYS(raise(SIGURG));
  CHECK_EQ(once, 1);
  CHECK_SYS(sigaction(SIGURG, NULL, &now));
  CHECK(now.sa_handler == SIG_DFL);
  CHECK_SYS(raise(SIGUSR1));
  CHECK_EQ(deepest, 4);
  CHECK_SYS(raise(SIGUSR2));
  CHECK_EQ(late, 1);
  CHECK_EQ(late_inside, 0);
  check_pass();
}
