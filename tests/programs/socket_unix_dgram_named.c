// Named unix datagram sockets keep their names, their peer, and who sent what is in flight.
//
// flavours: all
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

static int bound(const char* name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", name);
  int fd = (int)CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
  CHECK_SYS(bind(fd, (struct sockaddr*)&address, sizeof address));
  return fd;
}

static void to(int fd, const char* name, const char* text) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", name);
  CHECK_EQ(sendto(fd, text, strlen(text), 0, (struct sockaddr*)&address, sizeof address),
           strlen(text));
}

static void from(int fd, const char* name, const char* text) {
  struct sockaddr_un address = {0};
  socklen_t length = sizeof address;
  char got[64] = "";
  CHECK_SYS(recvfrom(fd, got, sizeof got - 1, 0, (struct sockaddr*)&address, &length));
  CHECK_STR(got, text);
  CHECK_STR(address.sun_path, name);
}

int main(void) {
  CHECK_SYS(chdir(check_path("")));
  int a = bound("a"), b = bound("b"), c = bound("c");
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "c"};
  CHECK_SYS(connect(b, (struct sockaddr*)&address, sizeof address));
  to(a, "c", "from a");
  CHECK_EQ(send(b, "from b", 6, 0), 6);
  to(a, "c", "again from a");
  check_ready();
  check_wait();
  from(c, "a", "from a");
  from(c, "b", "from b");
  from(c, "a", "again from a");
  CHECK_EQ(send(b, "still connected", 15, 0), 15);
  from(c, "b", "still connected");
  to(c, "a", "reply");
  from(a, "c", "reply");
  check_pass();
}
