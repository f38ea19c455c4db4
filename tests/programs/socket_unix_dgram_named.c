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

// By a socket that is closed at once.
static void gone_to(int number, const char* name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1;
  length += (socklen_t)snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "cairn-gone-%d-%d",
                                getpid(), number);
  int fd = (int)CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));
  CHECK_SYS(bind(fd, (struct sockaddr*)&address, length));
  to(fd, name, "from one that is gone");
  CHECK_SYS(close(fd));
}

static void from_gone(int fd, int number) {
  char got[64] = "", expected[64];
  struct sockaddr_un address = {0};
  socklen_t length = sizeof address;
  snprintf(expected, sizeof expected, "cairn-gone-%d-%d", getpid(), number);
  CHECK_SYS(recvfrom(fd, got, sizeof got - 1, 0, (struct sockaddr*)&address, &length));
  CHECK_STR(got, "from one that is gone");
  CHECK_EQ(address.sun_path[0], 0);
  CHECK_STR(address.sun_path + 1, expected);
}

int main(void) {
  CHECK_SYS(chdir(check_path("")));
  int a = bound("a"), b = bound("b"), c = bound("c");
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "c"};
  CHECK_SYS(connect(b, (struct sockaddr*)&address, sizeof address));
  to(a, "c", "from a");
  CHECK_EQ(send(b, "from b", 6, 0), 6);
  gone_to(1, "c");
  to(a, "c", "again from a");
  gone_to(2, "c");
  check_ready();
  check_wait();
  from(c, "a", "from a");
  from(c, "b", "from b");
  from_gone(c, 1);
  from(c, "a", "again from a");
  from_gone(c, 2);
  CHECK_EQ(send(b, "still connected", 15, 0), 15);
  from(c, "b", "still connected");
  to(c, "a", "reply");
  from(a, "c", "reply");
  check_pass();
}
