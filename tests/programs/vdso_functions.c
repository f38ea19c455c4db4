// The vDSO's functions, found through AT_SYSINFO_EHDR and through libc, work at the addresses a
// program has kept, and tell what the system calls tell.
//
// flavours: all
#include <elf.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"

// Looks a symbol up as a static libc does: by the dynamic section of the image itself.
static void* find(const char* name) {
  const char* image = (const char*)getauxval(AT_SYSINFO_EHDR);
  if (image == NULL) return NULL;
  const Elf64_Ehdr* header = (const void*)image;
  const Elf64_Phdr* programs = (const void*)(image + header->e_phoff);
  const Elf64_Dyn* dynamic = NULL;
  const char* base = NULL;
  for (int i = 0; i < header->e_phnum; ++i) {
    if (programs[i].p_type == PT_LOAD && base == NULL)
      base = image + programs[i].p_offset - programs[i].p_vaddr;
    if (programs[i].p_type == PT_DYNAMIC) dynamic = (const void*)(image + programs[i].p_offset);
  }
  CHECK(dynamic != NULL && base != NULL);
  const Elf64_Sym* symbols = NULL;
  const char* strings = NULL;
  const uint32_t *hash = NULL, *gnu_hash = NULL;
  for (; dynamic->d_tag != DT_NULL; ++dynamic) {
    const void* at = base + dynamic->d_un.d_ptr;
    if (dynamic->d_tag == DT_SYMTAB) symbols = at;
    if (dynamic->d_tag == DT_STRTAB) strings = at;
    if (dynamic->d_tag == DT_HASH) hash = at;
    if (dynamic->d_tag == DT_GNU_HASH) gnu_hash = at;
  }
  CHECK(symbols != NULL && strings != NULL && (hash != NULL || gnu_hash != NULL));
  // Newer kernels have only the GNU table; its chains end the list of symbols.
  uint32_t count = hash != NULL ? hash[1] : 64;
  for (uint32_t i = 1; i < count; ++i) {
    if (hash == NULL && symbols[i].st_name == 0) break;
    if (strcmp(strings + symbols[i].st_name, name) == 0) return (void*)(base + symbols[i].st_value);
  }
  return NULL;
}

int main(void) {
  int (*get_time)(clockid_t, struct timespec*);
  int (*get_day)(struct timeval*, void*);
  long (*get_cpu)(unsigned*, unsigned*, void*);
  *(void**)&get_time = find("__vdso_clock_gettime");
  *(void**)&get_day = find("__vdso_gettimeofday");
  *(void**)&get_cpu = find("__vdso_getcpu");
  if (get_time == NULL || get_day == NULL || get_cpu == NULL) check_skip("no vDSO here");
  check_ready();
  struct timespec now, call, last = {0, 0};
  do {
    CHECK_EQ(get_time(CLOCK_MONOTONIC, &now), 0);
    CHECK_SYS(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &call));
    CHECK(now.tv_sec < call.tv_sec || (now.tv_sec == call.tv_sec && now.tv_nsec <= call.tv_nsec));
    CHECK(now.tv_sec > last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec >= last.tv_nsec));
    last = call;
  } while (check_busy());
  check_wait();
  for (int i = 0; i < 100000; ++i) {
    CHECK_EQ(get_time(CLOCK_MONOTONIC, &now), 0);
    CHECK(now.tv_sec > last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec >= last.tv_nsec));
    last = now;
  }
  struct timeval day;
  time_t before = time(NULL);
  CHECK_EQ(get_day(&day, NULL), 0);
  CHECK(day.tv_sec >= before && day.tv_sec <= before + 60);
  cpu_set_t one, all;
  CHECK_SYS(sched_getaffinity(0, sizeof all, &all));
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &all)) continue;
    unsigned here = ~0u, node;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    CHECK_SYS(sched_setaffinity(0, sizeof one, &one));
    CHECK_EQ(get_cpu(&here, &node, NULL), 0);
    CHECK_EQ(here, cpu);
  }
  CHECK_EQ(get_time(12345, &now), -EINVAL);
  CHECK_SYS(get_time(CLOCK_THREAD_CPUTIME_ID, &now));
  check_pass();
}
