// What a process sees of itself: /proc/self, the auxiliary vector, its own mappings, its name.
#include "common.h"
#include <dirent.h>
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

static void content(const char* path) {
  char text[8192] = "";
  int fd = open(path, O_RDONLY);
  ssize_t length = read(fd, text, sizeof text - 1);
  for (ssize_t n = 0; n < length; n++) if (!text[n]) text[n] = '|';
  while (length > 0 && text[length - 1] == '\n') text[--length] = 0;
  printf("%s: %s\n", path, length < 0 ? errno_name(errno) : text);
  close(fd);
}
static int own(struct dl_phdr_info* info, size_t size, void* count) {
  (void)size;
  const char* slash = strrchr(info->dlpi_name, '/');
  if (!strstr(info->dlpi_name, "vdso")) printf("  object '%s'\n", slash ? slash + 1 : info->dlpi_name);
  ++*(int*)count;
  return 0;
}
static int mapped(const void* address, const char* wanted) {
  FILE* maps = fopen("/proc/self/maps", "r");
  char line[512];
  int found = 0;
  while (fgets(line, sizeof line, maps)) {
    unsigned long from, to;
    sscanf(line, "%lx-%lx", &from, &to);
    if (from <= (unsigned long)address && (unsigned long)address < to) found = strstr(line, wanted) != NULL;
  }
  fclose(maps);
  return found;
}

int main(int argc, char** argv) {
  char target[512] = "";
  readlink("/proc/self/exe", target, sizeof target - 1);
  printf("exe %s\n", strrchr(target, '/') + 1);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/exe", getpid());
  memset(target, 0, sizeof target);
  readlink(path, target, sizeof target - 1);
  printf("exe by number: %s\n", strrchr(target, '/') + 1);
  char magic[5] = "";
  int fd = open("/proc/self/exe", O_RDONLY);
  pread(fd, magic, 4, 0);
  printf("magic %s\n", magic + 1);
  content("/proc/self/cmdline");
  content("/proc/self/comm");
  content("/proc/self/environ");
  prctl(PR_SET_NAME, "renamed");
  content("/proc/self/comm");
  content("/proc/thread-self/comm");
  printf("AT_EXECFN %s\n", strrchr((char*)getauxval(AT_EXECFN), '/') + 1);
  printf("AT_ENTRY in the program %d, AT_PHDR %d, AT_BASE %d, vdso %d, AT_RANDOM %d, AT_SECURE %lu\n",
         mapped((void*)getauxval(AT_ENTRY), "procfs"), mapped((void*)getauxval(AT_PHDR), "procfs"),
         getauxval(AT_BASE) != 0, getauxval(AT_SYSINFO_EHDR) != 0, getauxval(AT_RANDOM) != 0, getauxval(AT_SECURE));
  printf("AT_PAGESZ %lu AT_CLKTCK %lu uid %d\n", getauxval(AT_PAGESZ), getauxval(AT_CLKTCK), getauxval(AT_UID) == getuid());
  int objects = 0, local;
  dl_iterate_phdr(own, &objects);
  void* heap = malloc(100);
  printf("main %d, stack %d, heap %d, brk above %d\n", mapped(main, "procfs"), mapped(&local, "[stack]"),
         mapped(heap, "[heap]"), sbrk(0) > heap);
  printf("program_invocation_name %s, argc %d, %s\n", strrchr(argv[0], '/') + 1, argc, argc > 1 ? argv[1] : "");
  // The arguments as ps sees them are where the program thinks they are.
  memset(argv[1], 'X', strlen(argv[1]));
  content("/proc/self/cmdline");
  DIR* tasks = opendir("/proc/self/task");
  int count = 0;
  for (struct dirent* e; (e = readdir(tasks));) count += e->d_name[0] != '.';
  printf("tasks %d\n", count);
  unsigned long before = (unsigned long)sbrk(1 << 20);
  memset((void*)before, 1, 1 << 20);
  printf("sbrk grows %d\n", (unsigned long)sbrk(0) == before + (1 << 20));
  printf("sbrk shrinks %d\n", sbrk(-(1 << 20)) != (void*)-1);
  return 0;
}
