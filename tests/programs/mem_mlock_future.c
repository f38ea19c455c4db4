// Only future mappings are locked, and only the pages that are touched.
//
// flavours: all
// not: busy because what it sets is undone by exec
#include <pthread.h>
#include <sys/mman.h>

#include "check.h"

enum { kPages = 8, kBytes = kPages * 4096 };

static int present_pages(char* at) {
  unsigned char present[kPages];
  CHECK_SYS(mincore(at, kBytes, present));
  int count = 0;
  for (int i = 0; i < kPages; ++i) count += present[i] & 1;
  return count;
}

static void map_and_look(void) {
  long before = atol(check_proc_field("/proc/self/status", "VmLck:"));
  char* at = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  CHECK_EQ(atol(check_proc_field("/proc/self/status", "VmLck:")) - before, kBytes / 1024);
  CHECK_EQ(present_pages(at), 0);
  at[4096] = 1;
  CHECK_EQ(present_pages(at), 1);
  CHECK_SYS(munmap(at, kBytes));
}

static void* nothing(void* unused) { return unused; }

int main(void) {
  atol(check_proc_field("/proc/self/status", "VmLck:"));  // what it allocates is there by now
  if (mlockall(MCL_FUTURE | MCL_ONFAULT) != 0) check_skip("nothing may be locked here");
  CHECK_EQ(atol(check_proc_field("/proc/self/status", "VmLck:")), 0);
  map_and_look();
  check_ready();
  check_wait();
  map_and_look();
  pthread_t thread;  // the host's block of a thread is not the guest's to lock
  long before = atol(check_proc_field("/proc/self/status", "VmLck:"));
  pthread_attr_t attributes;
  static char stack[1 << 16] __attribute__((aligned(4096)));
  CHECK_OK(pthread_attr_init(&attributes));
  CHECK_OK(pthread_attr_setstack(&attributes, stack, sizeof stack));
  CHECK_OK(pthread_create(&thread, &attributes, nothing, NULL));
  CHECK_OK(pthread_join(thread, NULL));
  CHECK(atol(check_proc_field("/proc/self/status", "VmLck:")) - before <= 1 << 14);
  CHECK_SYS(munlockall());
  check_pass();
}
