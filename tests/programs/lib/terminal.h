#pragma once
// Pseudo terminals for programs that look at one from its master.

#include <fcntl.h>
#include <stdlib.h>

#include "check.h"

// Its slave's path goes to `name`.
static inline int check_open_master(char* name, size_t room) {
  const int master = (int)CHECK_SYS(posix_openpt(O_RDWR | O_NOCTTY));
  CHECK_SYS(grantpt(master));
  CHECK_SYS(unlockpt(master));
  CHECK_OK(ptsname_r(master, name, room));
  return master;
}

// All of the text comes next, in whatever pieces.
static inline void check_expect(int fd, const char* text) {
  char got[64] = {0};
  for (size_t done = 0; done < strlen(text);)
    done += (size_t)CHECK_SYS(read(fd, got + done, strlen(text) - done));
  CHECK_STR(got, text);
}
