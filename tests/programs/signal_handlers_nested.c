// Five handlers, one inside the other, are in progress at the checkpoint and return in order.
//
// flavours: all
#include <signal.h>
#include <unistd.h>

#include "check.h"

static const int kNumbers[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGHUP, SIGTERM};
static volatile int depth, returned[5], returns;

static void on_signal(int number) {
  int mine = depth++;
  unsigned char local[512];
  check_fill(local, sizeof local, (uint64_t)mine);
  CHECK_EQ(number, kNumbers[mine]);
  if (depth < 5) {
    CHECK_SYS(raise(kNumbers[depth]));
  } else {
    check_ready();
    check_wait();
  }
  sigset_t now;
  CHECK_SYS(sigprocmask(SIG_BLOCK, NULL, &now));
  for (int i = 0; i < 5; ++i) CHECK_EQ(sigismember(&now, kNumbers[i]), i <= mine);
  CHECK_BYTES(local, sizeof local, (uint64_t)mine);
  returned[returns++] = mine;
}

int main(void) {
  for (int i = 0; i < 5; ++i) {
    struct sigaction action = {.sa_handler = on_signal};
    CHECK_SYS(sigaction(kNumbers[i], &action, NULL));
  }
  CHECK_SYS(raise(SIGUSR1));
  CHECK_EQ(returns, 5);
  for (int i = 0; i < 5; ++i) CHECK_EQ(returned[i], 4 - i);
  check_pass();
}
