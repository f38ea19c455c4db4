// A named FIFO open for both directions keeps its bytes and its name.
//
// flavours: all
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const char* path = check_path("fifo");
  CHECK_SYS(mkfifo(path, 0600));
  int both = (int)CHECK_SYS(open(path, O_RDWR | O_NONBLOCK));
  int writer = (int)CHECK_SYS(open(path, O_WRONLY));
  CHECK_EQ(write(writer, "in flight", 9), 9);
  check_ready();
  check_wait();
  char text[16] = "";
  CHECK_EQ(read(both, text, 15), 9);
  CHECK_STR(text, "in flight");
  int late = (int)CHECK_SYS(open(path, O_WRONLY | O_NONBLOCK));
  CHECK_EQ(write(late, "by name", 7), 7);
  memset(text, 0, sizeof text);
  CHECK_EQ(read(both, text, 15), 7);
  CHECK_STR(text, "by name");
  struct stat status;
  CHECK_SYS(fstat(both, &status));
  CHECK(S_ISFIFO(status.st_mode));
  check_pass();
}
