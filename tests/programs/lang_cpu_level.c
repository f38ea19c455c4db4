// flavours: control resume restart
// What cpuid says does not change under a program: all its answers at the start are its answers later.
// (Under `cairn run --cpu` they stay those of the level, on whatever CPU the restart is.)
#include <cpuid.h>

#include "check.h"

static const unsigned kLeaves[] = {0, 1, 7, 0xd, 0x80000000, 0x80000001, 0x80000002, 0x80000008};
enum { kCount = sizeof kLeaves / sizeof *kLeaves };

struct Answer {
  unsigned a, b, c, d;
};

static void ask(struct Answer* answers) {
  for (int i = 0; i < kCount; ++i) {
    struct Answer* x = &answers[i];
    __cpuid_count(kLeaves[i], 0, x->a, x->b, x->c, x->d);
    if (kLeaves[i] == 1) x->b &= 0x0000ffff;   // the rest names the CPU that the thread is on
    if (kLeaves[i] == 1) x->c &= ~(1u << 27);  // OSXSAVE is the kernel's
  }
}

int main(void) {
  static struct Answer before[kCount], after[kCount];
  ask(before);
  check_ready();
  check_wait();
  ask(after);
  CHECK(memcmp(before, after, sizeof before) == 0);
  check_pass();
}
