// stdio keeps what is in its buffers: half a line written, half a file read, a pushed-back
// character.
//
// flavours: all
#include <unistd.h>

#include "check.h"

int main(void) {
  const char *in_path = check_path("in"), *out_path = check_path("out");
  FILE* in = fopen(in_path, "w+");
  CHECK(in != NULL);
  for (int i = 0; i < 5000; ++i) fprintf(in, "number %d\n", i);
  rewind(in);
  int number;
  for (int i = 0; i < 1234; ++i) CHECK_EQ(fscanf(in, "number %d\n", &number), 1);
  CHECK_EQ(ungetc('#', in), '#');
  FILE* out = fopen(out_path, "w");
  CHECK(out != NULL);
  static char buffer[65536];
  setvbuf(out, buffer, _IOFBF, sizeof buffer);
  fputs("before the checkpoint, ", out);
  check_ready();
  check_wait();
  fputs("after it\n", out);
  CHECK_EQ(access(out_path, F_OK), 0);
  CHECK_EQ(fclose(out), 0);
  CHECK_STR(check_read_line(out_path), "before the checkpoint, after it");
  CHECK_EQ(getc(in), '#');
  for (int i = 1234; i < 5000; ++i) {
    CHECK_EQ(fscanf(in, "number %d\n", &number), 1);
    CHECK_EQ(number, i);
  }
  CHECK_EQ(getc(in), EOF);
  check_pass();
}
