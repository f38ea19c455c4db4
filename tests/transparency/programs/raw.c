// No libc: system calls by inline assembly, two threads by clone, a futex, signals with its own restorer.
// Also the statically linked program without any section of its own that Cairn knows.
#define SYS_write 1
#define SYS_mmap 9
#define SYS_rt_sigaction 13
#define SYS_rt_sigreturn 15
#define SYS_getpid 39
#define SYS_clone 56
#define SYS_fork 57
#define SYS_exit 60
#define SYS_wait4 61
#define SYS_kill 62
#define SYS_gettid 186
#define SYS_futex 202
#define SYS_exit_group 231

static inline long call(long n, long a, long b, long c, long d, long e, long f) {
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall" : "+a"(n) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return n;
}
#define CALL(n, ...) call_(n, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define call_(n, a, b, c, d, e, f, ...) call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static void say(const char* text) {
  long length = 0;
  while (text[length]) length++;
  CALL(SYS_write, 1, text, length);
}
static void number(const char* what, unsigned long value) {
  char digits[24];
  int at = 23;
  digits[at] = 0;
  do digits[--at] = (char)('0' + value % 10); while (value /= 10);
  say(what);
  say(digits + at);
  say("\n");
}

static int child_tid = 1;
static volatile unsigned long shared, handled;
static void thread(void) {
  for (int n = 0; n < 100000; n++) __atomic_add_fetch(&shared, 1, __ATOMIC_RELAXED);
  if (CALL(SYS_gettid) == CALL(SYS_getpid)) say("tid is pid\n");
  CALL(SYS_exit, 0);
}
static void handler(int n) { handled += (unsigned long)n; }
asm("restore: mov $15, %eax\n\tsyscall");
extern char restore[];

void start(void) {
  char* stack = (char*)CALL(SYS_mmap, 0, 65536, 3, 0x22, -1, 0);
  void** top = (void**)(stack + 65536 - 64);
  *top = (void*)thread;
  // CLONE_VM|FS|FILES|SIGHAND|THREAD|SYSVSEM|CHILD_CLEARTID; the child starts on its own stack.
  register long r10 asm("r10") = (long)&child_tid;
  register long r8 asm("r8") = 0;
  long tid;
  asm volatile("syscall\n\ttest %%eax, %%eax\n\tjnz 1f\n\tpop %%rax\n\tcall *%%rax\n1:"
               : "=a"(tid) : "0"(SYS_clone), "D"(0x250f00), "S"(top), "d"(0), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
  if (tid <= 0) say("clone failed\n");
  for (int now; (now = __atomic_load_n(&child_tid, __ATOMIC_SEQ_CST));) CALL(SYS_futex, &child_tid, 0, now, 0, 0, 0);
  number("counted ", shared);
  struct { void* handler; unsigned long flags; void* restorer; unsigned long mask; } action = {(void*)handler, 0x04000000, restore, 0};
  CALL(SYS_rt_sigaction, 10, &action, 0, 8);
  long self = CALL(SYS_getpid);
  for (int n = 0; n < 1000; n++) CALL(SYS_kill, self, 10);
  number("handled ", handled);
  long child = CALL(SYS_fork);
  if (!child) CALL(SYS_exit_group, 5);
  int status = 0;
  long waited = CALL(SYS_wait4, child, &status, 0, 0);
  number("waited for the child ", waited == child);
  number("status ", (unsigned long)status);
  number("bad descriptor ", (unsigned long)-CALL(SYS_write, -1, 0, 0));
  CALL(SYS_exit_group, 7);
}
asm(".globl _start\n_start: and $-16, %rsp\n\tcall start");
