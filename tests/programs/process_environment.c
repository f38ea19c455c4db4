// Environment, arguments and auxiliary vector as the program got and changed them.
//
// flavours: all
#include <sys/auxv.h>
#include <unistd.h>

#include "check.h"

extern char** environ;

int main(int argc, char** argv) {
  unsigned char random[16];
  unsigned long entry = getauxval(AT_ENTRY), headers = getauxval(AT_PHDR);
  memcpy(random, (void*)getauxval(AT_RANDOM), 16);
  char* value = malloc(100001);
  memset(value, 'v', 100000);
  value[100000] = '\0';
  CHECK_SYS(setenv("LONG_ONE", value, 1));
  CHECK_SYS(setenv("EMPTY", "", 1));
  CHECK_SYS(setenv("GONE", "x", 1));
  CHECK_SYS(unsetenv("GONE"));
  char** vector = environ;
  check_ready();
  check_wait();
  CHECK(environ == vector);
  CHECK_STR(getenv("LONG_ONE"), value);
  CHECK_STR(getenv("EMPTY"), "");
  CHECK(getenv("GONE") == NULL);
  CHECK(getenv("CHECK_DIR") != NULL);
  CHECK_EQ(argc, 1);
  CHECK(argv[1] == NULL);
  CHECK_STR(strrchr(argv[0], '/'), "/process_environment");
  CHECK_EQ(getauxval(AT_ENTRY), entry);
  CHECK_EQ(getauxval(AT_PHDR), headers);
  CHECK_EQ(getauxval(AT_PAGESZ), 4096);
  CHECK_EQ(getauxval(AT_UID), getuid());
  CHECK(memcmp(random, (void*)getauxval(AT_RANDOM), 16) == 0);
  CHECK_STR(strrchr((const char*)getauxval(AT_EXECFN), '/'), "/process_environment");
  check_pass();
}
