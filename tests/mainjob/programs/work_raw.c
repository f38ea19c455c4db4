// No libc at all: a second thread by clone, a futex between the two, files by inline system calls.
// Usage: work_raw STEPS
static inline long call(long n, long a, long b, long c, long d, long e) {
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  asm volatile("syscall" : "+a"(n) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
  return n;
}
enum { kWrite = 1, kOpen = 2, kMmap = 9, kGetpid = 39, kClone = 56, kExit = 60, kFutex = 202, kExitGroup = 231 };

static volatile int turn;  // 0: main, 1: helper
static unsigned long value = 1;
static int steps, own_pid;
static unsigned long area[1 << 16];

static void wait_for(int wanted) {
  for (int now; (now = __atomic_load_n(&turn, __ATOMIC_SEQ_CST)) != wanted;) call(kFutex, (long)&turn, 0, now, 0, 0);
}
static void hand_over(int to) {
  __atomic_store_n(&turn, to, __ATOMIC_SEQ_CST);
  call(kFutex, (long)&turn, 1, 1, 0, 0);
}
static void compute(void) {
  for (int k = 0; k < 3000000; k++) {
    value = value * 6364136223846793005u + 1442695040888963407u;
    area[value >> 48] += value;
  }
}
static void helper(void) {
  for (int step = 0; step < steps; step++) {
    wait_for(1);
    compute();
    hand_over(0);
  }
  call(kExit, 0, 0, 0, 0, 0);
}
static int digits(char* at, unsigned long number) {
  char text[24];
  int length = 0;
  do text[length++] = (char)('0' + number % 10); while (number /= 10);
  for (int n = 0; n < length; n++) at[n] = text[length - 1 - n];
  return length;
}

void start(long* stack) {
  for (char* text = (char*)stack[2]; *text; text++) steps = steps * 10 + (*text - '0');
  own_pid = (int)call(kGetpid, 0, 0, 0, 0, 0);
  long file = call(kOpen, (long)"progress", 01101, 0644, 0, 0);
  char* memory = (char*)call(kMmap, 0, 65536, 3, 0x22, -1);
  void** top = (void**)(memory + 65536 - 64);
  *top = (void*)helper;
  long tid;
  asm volatile("syscall\n\ttest %%eax, %%eax\n\tjnz 1f\n\tpop %%rax\n\tcall *%%rax\n1:"
               : "=a"(tid) : "0"(kClone), "D"(0x50f00), "S"(top), "d"(0) : "rcx", "r11", "r10", "r8", "memory");
  for (int step = 0; step < steps; step++) {
    compute();
    hand_over(1);
    wait_for(0);
    char line[64];
    int length = digits(line, (unsigned long)step);
    line[length++] = ' ';
    length += digits(line + length, value ^ area[value >> 48]);
    if (call(kGetpid, 0, 0, 0, 0, 0) != own_pid) line[length++] = '!';  // the pid is the same for ever
    line[length++] = '\n';
    call(kWrite, 1, (long)line, length, 0, 0);
    call(kWrite, file, (long)line, length, 0, 0);
  }
  call(kExitGroup, 3, 0, 0, 0, 0);
}
asm(".globl _start\n_start: mov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start");
