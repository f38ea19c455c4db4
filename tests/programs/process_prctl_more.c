// Mitigations of a thread, the policy for memory errors, security bits and the refusal of
// writable memory that becomes executable are kept.
//
// flavours: all
// not: busy because what it sets is handed on by exec
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "check.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

static int speculation[3];

static void set_all(void) {
  for (int kind = 0; kind < 3; ++kind) {
    int now = prctl(PR_GET_SPECULATION_CTRL, kind, 0, 0, 0);
    if (now > 0 && (now & PR_SPEC_PRCTL)) prctl(PR_SET_SPECULATION_CTRL, kind, PR_SPEC_DISABLE, 0, 0);
    speculation[kind] = prctl(PR_GET_SPECULATION_CTRL, kind, 0, 0, 0);
  }
  CHECK_SYS(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
}

int main(void) {
  set_all();
  int secured = prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS) == 0;
  int securebits = prctl(PR_GET_SECUREBITS);
  int flusher = prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0;
  int guarded = prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0;
  check_ready();
  check_wait();
  for (int kind = 0; kind < 3; ++kind)
    CHECK_EQ(prctl(PR_GET_SPECULATION_CTRL, kind, 0, 0, 0), speculation[kind]);
  CHECK_EQ(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_EARLY);
  CHECK_EQ(prctl(PR_GET_SECUREBITS), securebits);
  if (secured) CHECK_EQ(securebits, SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS);
  if (flusher) CHECK_EQ(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0), 1);
  if (guarded) {
    CHECK_EQ(prctl(PR_GET_MDWE, 0, 0, 0, 0), 1);
    char* at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    CHECK_ERRNO(mprotect(at, 4096, PROT_READ | PROT_EXEC), EACCES);
  }
  check_pass();
}
