// A log written with O_APPEND: lines written after the commit are gone after a restart, and none is
// there twice.
//
// flavours: all
// run-on: always
#include <fcntl.h>
#include <unistd.h>

#include "check.h"

static int log_fd, next_line;

static void append(void) {
  char line[32];
  int length = snprintf(line, sizeof line, "line %07d\n", next_line++);
  CHECK_EQ(write(log_fd, line, (size_t)length), length);
}

static void run_on(void) {
  for (int i = 0; i < 1000; ++i) append();
}

int main(void) {
  const char* path = check_path("log");
  log_fd = (int)CHECK_SYS(open(path, O_WRONLY | O_APPEND | O_CREAT, 0600));
  for (int i = 0; i < 100; ++i) append();
  check_on_run_on(run_on);
  check_ready();
  while (check_busy()) append();
  check_wait();
  append();
  FILE* log = fopen(path, "re");
  char line[32];
  int number;
  CHECK(log != NULL);
  for (int i = 0; i < next_line; ++i) {
    CHECK(fgets(line, sizeof line, log) != NULL);
    CHECK_EQ(sscanf(line, "line %d", &number), 1);
    CHECK_EQ(number, i);
  }
  CHECK(fgets(line, sizeof line, log) == NULL);
  check_pass();
}
