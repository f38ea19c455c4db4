// Handlers of faults that repair the cause and go on, and what siginfo tells them.
#include "common.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

static char *page, *mapped;
static volatile int count;
static siginfo_t last;
static sigjmp_buf target;

static void make_writable(int n, siginfo_t* info, void* c) {
  (void)n, (void)c;
  count++;
  last = *info;
  mprotect((void*)((unsigned long)info->si_addr & ~4095UL), 4096, PROT_READ | PROT_WRITE);
}
static void skip(int n, siginfo_t* info, void* c) {  // both instructions below are two bytes long
  (void)n;
  count++;
  last = *info;
  ((ucontext_t*)c)->uc_mcontext.gregs[REG_RIP] += info->si_signo == SIGTRAP ? 0 : 2;
  ((ucontext_t*)c)->uc_mcontext.gregs[REG_RBX] = 77;
}
static void leave(int n, siginfo_t* info, void* c) {
  (void)c;
  last = *info;
  siglongjmp(target, n);
}
static void handle(int number, void (*function)(int, siginfo_t*, void*), int flags) {
  struct sigaction action = {.sa_sigaction = function, .sa_flags = SA_SIGINFO | flags};
  sigaction(number, &action, NULL);
}

int main(void) {
  page = mmap(NULL, 4096 * 2048, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  handle(SIGSEGV, make_writable, 0);
  for (int n = 0; n < 2048; n++) page[n * 4096 + 5] = (char)n;
  printf("write barrier: %d faults, code %d, offset %ld\n", count, last.si_code, (char*)last.si_addr - page);

  // A system call that meets the protected page says EFAULT and raises nothing.
  char* guarded = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int zero = open("/dev/zero", O_RDONLY);
  count = 0;
  printf("read into it: %s, %d faults\n", read(zero, guarded, 10) < 0 ? errno_name(errno) : "worked", count);

  handle(SIGSEGV, leave, 0);
  if (!sigsetjmp(target, 1)) *(volatile char*)16 = 1;
  printf("null: code %d addr %p\n", last.si_code, last.si_addr);
  if (!sigsetjmp(target, 1)) *(volatile char*)0x8000000000000000 = 1;
  printf("non-canonical: code %d addr %p\n", last.si_code, last.si_addr);
  if (!sigsetjmp(target, 1)) ((void (*)(void))page)();
  printf("not executable: code %d offset %ld\n", last.si_code, (char*)last.si_addr - page);

  handle(SIGBUS, leave, 0);
  int fd = open("short", O_RDWR | O_CREAT | O_TRUNC, 0600);
  mapped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (!sigsetjmp(target, 1)) mapped[4096] = 1;
  printf("beyond the file: SIG%s code %d offset %ld\n", sigabbrev_np(last.si_signo), last.si_code, (char*)last.si_addr - mapped);

  handle(SIGILL, skip, 0);
  handle(SIGFPE, skip, 0);
  handle(SIGTRAP, skip, 0);
  long rbx = 1;
  asm volatile("ud2" : "+b"(rbx));
  printf("ud2: code %d, rbx %ld\n", last.si_code, rbx);
  rbx = 1;
  int quotient = 1, zero_divisor = 0;
  asm volatile("xor %%edx, %%edx\n\tdiv %%ecx" : "+a"(quotient), "+b"(rbx) : "c"(zero_divisor) : "rdx");
  printf("division: code %d, rbx %ld\n", last.si_code, rbx);
  rbx = 1;
  asm volatile("int3" : "+b"(rbx));
  printf("int3: code %d, rbx %ld\n", last.si_code, rbx);

  // Blocked and ignored faults kill all the same.
  for (int variant = 0; variant < 4; variant++) {
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
      sigset_t set;
      signal(SIGSEGV, SIG_DFL);
      sigemptyset(&set);
      sigaddset(&set, SIGSEGV);
      if (variant & 1) sigprocmask(SIG_BLOCK, &set, NULL);
      if (variant & 2) signal(SIGSEGV, SIG_IGN);
      *(volatile char*)16 = 1;
      _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    print_status(((const char*[]){"default", "blocked", "ignored", "both"})[variant], status);
  }
  return 0;
}
