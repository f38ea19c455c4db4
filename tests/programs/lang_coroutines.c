// ucontext coroutines on stacks of their own, one of them in the middle of its work, and setjmp
// buffers made before go on afterwards.
//
// flavours: all
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "check.h"

enum { kCoroutines = 3, kStack = 64 * 1024 };
static ucontext_t main_context, contexts[kCoroutines];
static int turns[kCoroutines];
static jmp_buf mark;

static void coroutine(int index) {
  char local[1000];
  double product = 1.5;
  check_fill(local, sizeof local, (uint64_t)index);
  for (;;) {
    ++turns[index];
    product *= 1.0 + index;
    CHECK_SYS(swapcontext(&contexts[index], &main_context));
    CHECK_BYTES(local, sizeof local, (uint64_t)index);
    if (index == 1) CHECK(product >= 1.5);
  }
}

static void round_robin(void) {
  for (int i = 0; i < kCoroutines; ++i) CHECK_SYS(swapcontext(&main_context, &contexts[i]));
}

static void finish(void) {
  for (int i = 0; i < 5; ++i) round_robin();
  for (int i = 1; i < kCoroutines; ++i) CHECK_EQ(turns[i], turns[0]);
  CHECK(turns[0] >= 10);
  check_pass();
}

static void make(int index) {
  ucontext_t* context = &contexts[index];
  CHECK_SYS(getcontext(context));
  context->uc_stack.ss_sp =
      mmap(NULL, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  CHECK(context->uc_stack.ss_sp != MAP_FAILED);
  context->uc_stack.ss_size = kStack;
  makecontext(context, (void (*)(void))coroutine, 1, index);
}

int main(void) {
  for (volatile int i = 0; i < kCoroutines; ++i) make(i);
  for (volatile int i = 0; i < 5; ++i) round_robin();
  volatile int jumps = 0;
  if (setjmp(mark) != 0) {
    ++jumps;
    if (jumps == 3) {
      finish();
    }
    longjmp(mark, 1);
  }
  check_ready();
  while (check_busy()) round_robin();
  check_wait();
  longjmp(mark, 1);
}
