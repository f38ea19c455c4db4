// What /proc/self says about the program: exe, cmdline, environ, auxv, comm, maps and fd are the
// program's own; nothing of the host shows among its descriptors.
//
// flavours: all
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static int variable = 1;

static size_t read_all(const char* path, char* out, size_t bytes) {
  int fd = (int)CHECK_SYS(open(path, O_RDONLY));
  size_t got = 0;
  ssize_t part;
  while ((part = read(fd, out + got, bytes - got)) > 0) got += (size_t)part;
  CHECK_EQ(part, 0);
  close(fd);
  return got;
}

static void verify(char** arguments) {
  static char text[1 << 16];
  struct stat by_exe, by_name;
  char name[PATH_MAX] = "";
  CHECK(readlink("/proc/self/exe", name, sizeof name - 1) > 0);
  CHECK_STR(strrchr(name, '/') + 1, "process_proc_self");
  CHECK_SYS(stat("/proc/self/exe", &by_exe));
  CHECK_SYS(stat(arguments[0], &by_name));
  CHECK_EQ(by_exe.st_ino, by_name.st_ino);
  CHECK_EQ(read_all("/proc/self/cmdline", text, sizeof text), strlen(arguments[0]) + 1);
  CHECK_STR(text, arguments[0]);
  size_t bytes = read_all("/proc/self/environ", text, sizeof text);
  CHECK(memmem(text, bytes, "CHECK_DIR=", 10) != NULL);
  bytes = read_all("/proc/self/auxv", text, sizeof text);
  int entries = 0;
  for (size_t i = 0; i < bytes / 8; i += 2) {
    unsigned long entry[2];
    memcpy(entry, text + i * 8, 16);
    if (entry[0] == AT_NULL) break;
    if (entry[0] != AT_HWCAP) CHECK_EQ(entry[1], getauxval(entry[0]));  // glibc gives its own view
    ++entries;
  }
  CHECK(entries > 10);
  CHECK_STR(check_read_line("/proc/self/comm"), "process_proc_se");
  FILE* maps = fopen("/proc/self/maps", "re");
  char line[PATH_MAX + 100];
  int mine = 0, stack = 0;
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long start, end;
    CHECK_EQ(sscanf(line, "%lx-%lx", &start, &end), 2);
    mine += (uintptr_t)&variable >= start && (uintptr_t)&variable < end;
    stack += (uintptr_t)line >= start && (uintptr_t)line < end;
  }
  fclose(maps);
  CHECK_EQ(mine, 1);
  CHECK_EQ(stack, 1);
  DIR* fds = opendir("/proc/self/fd");
  CHECK(fds != NULL);
  for (struct dirent* entry; (entry = readdir(fds)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    int fd = atoi(entry->d_name);
    if (fd > 2 && fd != dirfd(fds))
      check_fail(__FILE__, __LINE__, "a descriptor %d that nobody opened", fd);
  }
  closedir(fds);
}

int main(int argc, char** argv) {
  CHECK_EQ(argc, 1);
  verify(argv);
  check_ready();
  check_wait();
  verify(argv);
  check_pass();
}
