// Faults of the program itself carry their code and address, before and after: SEGV, BUS, FPE, ILL,
// TRAP.
//
// flavours: all
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "check.h"

static sigjmp_buf escape;
static volatile siginfo_t seen;

static void on_fault(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  seen = *info;
  siglongjmp(escape, 1);
}

static void verify(char* no_access) {
  volatile int zero = 0;
  volatile char* volatile nowhere = (char*)16;
  if (sigsetjmp(escape, 1) == 0) *nowhere = 1;
  CHECK_EQ(seen.si_signo, SIGSEGV);
  CHECK_EQ(seen.si_code, SEGV_MAPERR);
  CHECK_EQ((uintptr_t)seen.si_addr, 16);
  if (sigsetjmp(escape, 1) == 0) no_access[5] = 1;
  CHECK_EQ(seen.si_code, SEGV_ACCERR);
  CHECK(seen.si_addr == no_access + 5);
  if (sigsetjmp(escape, 1) == 0) zero = 7 / zero;
  CHECK_EQ(seen.si_signo, SIGFPE);
  CHECK_EQ(seen.si_code, FPE_INTDIV);
  if (sigsetjmp(escape, 1) == 0) __builtin_trap();
  CHECK_EQ(seen.si_signo, SIGILL);
  CHECK_EQ(seen.si_code, ILL_ILLOPN);
  if (sigsetjmp(escape, 1) == 0) __asm__ volatile("int3");
  CHECK_EQ(seen.si_signo, SIGTRAP);
  CHECK_EQ(seen.si_code, SI_KERNEL);
}

int main(void) {
  const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  for (int i = 0; i < 5; ++i) CHECK_SYS(sigaction(numbers[i], &action, NULL));
  char* no_access = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(no_access != MAP_FAILED);
  verify(no_access);
  check_ready();
  while (check_busy()) verify(no_access);
  check_wait();
  verify(no_access);
  check_pass();
}
