// Locale, random number generators, strtok's and getenv's hidden state, and time zone go on as they
// were; getrandom still gives new bytes.
//
// flavours: all
#include <locale.h>
#include <sys/random.h>
#include <unistd.h>
#include <wchar.h>

#include "check.h"

int main(void) {
  CHECK(setlocale(LC_ALL, "C.UTF-8") != NULL);
  CHECK_SYS(setenv("TZ", "XYZ-5:30", 1));
  tzset();
  char text[] = "one,two,three,four", *save;
  CHECK_STR(strtok(text, ","), "one");
  char other[] = "a;b;c";
  CHECK_STR(strtok_r(other, ";", &save), "a");
  long expected_random[100];
  double expected_48[100];
  srand48(44);
  for (int i = 0; i < 100; ++i) expected_48[i] = drand48();
  srandom(43);
  for (int i = 0; i < 100; ++i) expected_random[i] = random();
  srandom(43);
  for (int i = 0; i < 50; ++i) CHECK_EQ(random(), expected_random[i]);
  srand48(44);
  for (int i = 0; i < 50; ++i) CHECK(drand48() == expected_48[i]);
  char before[32], after[32];
  CHECK_EQ(getrandom(before, 32, 0), 32);
  check_ready();
  check_wait();
  CHECK_STR(setlocale(LC_ALL, NULL), "C.UTF-8");
  wchar_t wide;
  CHECK_EQ(mbrtowc(&wide, "\xe2\x82\xac", 3, NULL), 3);
  CHECK_EQ(wide, 0x20ac);
  time_t moment = 0;
  struct tm broken;
  CHECK(localtime_r(&moment, &broken) != NULL);
  CHECK_EQ(broken.tm_hour * 60 + broken.tm_min, 5 * 60 + 30);
  CHECK_STR(strtok(NULL, ","), "two");
  CHECK_STR(strtok_r(NULL, ";", &save), "b");
  for (int i = 50; i < 100; ++i) CHECK_EQ(random(), expected_random[i]);
  for (int i = 50; i < 100; ++i) CHECK(drand48() == expected_48[i]);
  CHECK_EQ(getrandom(after, 32, 0), 32);
  CHECK(memcmp(before, after, 32) != 0);
  check_pass();
}
