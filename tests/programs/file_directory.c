// A directory's descriptor still leads there (openat, fchdir) and a reading of its entries goes on
// where it was.
//
// flavours: all
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  enum { kFiles = 200 };
  const char* path = check_path("directory");
  CHECK_SYS(mkdir(path, 0700));
  int directory = (int)CHECK_SYS(open(path, O_RDONLY | O_DIRECTORY));
  char name[32];
  for (int i = 0; i < kFiles; ++i) {
    snprintf(name, sizeof name, "entry-%03d", i);
    close((int)CHECK_SYS(openat(directory, name, O_CREAT | O_WRONLY, 0600)));
  }
  DIR* stream = opendir(path);
  CHECK(stream != NULL);
  int seen[kFiles] = {0}, number;
  struct dirent* entry;
  for (int i = 0; i < kFiles / 2; ++i) {
    CHECK((entry = readdir(stream)) != NULL);
    if (sscanf(entry->d_name, "entry-%d", &number) == 1) ++seen[number];
  }
  check_ready();
  check_wait();
  while ((entry = readdir(stream)) != NULL)
    if (sscanf(entry->d_name, "entry-%d", &number) == 1) ++seen[number];
  for (int i = 0; i < kFiles; ++i) CHECK_EQ(seen[i], 1);
  CHECK_SYS(faccessat(directory, "entry-150", F_OK, 0));
  CHECK_SYS(fchdir(directory));
  CHECK_SYS(access("entry-000", F_OK));
  check_pass();
}
