// A checkpoint in a handler: its locals, siginfo, the mask inside, and the registers and mask of
// the interrupted code are as they were.
//
// flavours: all
#include <signal.h>
#include <unistd.h>

#include "check.h"

static volatile int returned;

static int blocked(int number) {
  sigset_t now;
  CHECK_SYS(sigprocmask(SIG_BLOCK, NULL, &now));
  return sigismember(&now, number);
}

static void on_signal(int number, siginfo_t* info, void* context) {
  char local[1000];
  check_fill(local, sizeof local, 30);
  siginfo_t before = *info;
  ucontext_t* frame = context;
  greg_t instruction = frame->uc_mcontext.gregs[REG_RIP];
  check_ready();
  check_wait();
  CHECK_BYTES(local, sizeof local, 30);
  CHECK(memcmp(&before, info, sizeof before) == 0);
  CHECK_EQ(frame->uc_mcontext.gregs[REG_RIP], instruction);
  CHECK_EQ(number, SIGUSR1);
  CHECK_EQ(blocked(SIGUSR1), 1);
  CHECK_EQ(blocked(SIGUSR2), 1);
  CHECK_EQ(blocked(SIGHUP), 1);
  CHECK_EQ(blocked(SIGTERM), 0);
  sigaddset(&frame->uc_sigmask, SIGALRM);  // valid after the return
  returned = 1;
}

int main(void) {
  sigset_t hup;
  sigemptyset(&hup);
  sigaddset(&hup, SIGHUP);
  CHECK_SYS(sigprocmask(SIG_BLOCK, &hup, NULL));
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  sigaddset(&action.sa_mask, SIGUSR2);
  CHECK_SYS(sigaction(SIGUSR1, &action, NULL));
  register long a __asm__("r12") = 0x1111111111111111, b __asm__("r15") = 0x2222222222222222;
  long call = 62;  // kill(pid, SIGUSR1): the signal arrives at this very call
  __asm__ volatile("syscall"
                   : "+a"(call), "+r"(a), "+r"(b)
                   : "D"((long)getpid()), "S"((long)SIGUSR1)
                   : "rcx", "r11", "memory");
  CHECK_EQ(call, 0);
  CHECK_EQ(a, 0x1111111111111111);
  CHECK_EQ(b, 0x2222222222222222);
  CHECK_EQ(returned, 1);
  CHECK_EQ(blocked(SIGUSR1), 0);
  CHECK_EQ(blocked(SIGUSR2), 0);
  CHECK_EQ(blocked(SIGHUP), 1);
  CHECK_EQ(blocked(SIGALRM), 1);
  check_pass();
}
