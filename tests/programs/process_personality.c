// The personality (ADDR_NO_RANDOMIZE with STICKY_TIMEOUTS) is kept, and handed on to a child.
//
// flavours: all
// not: busy because exec hands it on
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const unsigned wanted = ADDR_NO_RANDOMIZE | STICKY_TIMEOUTS;
  CHECK_SYS(personality(wanted));
  check_ready();
  check_wait();
  CHECK_EQ(personality(0xffffffff), wanted);
  pid_t child = (pid_t)CHECK_SYS(fork());
  if (child == 0) _exit(personality(0xffffffff) == (int)wanted ? 0 : 1);
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  check_pass();
}
