// Unix socket pairs of three types between parent and child, with data waiting in both directions.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <sys/socket.h>

#include "child.h"

static const int kTypes[3] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
static int g_pair[3][2];

static void put(int fd, uint64_t seed) {
  char bytes[300];
  check_fill(bytes, sizeof bytes, seed);
  CHECK_EQ(send(fd, bytes, 100, 0), 100);
  CHECK_EQ(send(fd, bytes + 100, 200, 0), 200);
}

static void get(int fd, int type, uint64_t seed) {
  char bytes[400];
  const ssize_t first = CHECK_SYS(recv(fd, bytes, sizeof bytes, 0));
  if (type == SOCK_STREAM) {
    CHECK_EQ(first, 300);
  } else {
    CHECK_EQ(first, 100);
    CHECK_EQ(recv(fd, bytes + 100, 300, 0), 200);
  }
  CHECK_BYTES(bytes, 300, seed);
  CHECK(recv(fd, bytes, 1, MSG_DONTWAIT) <= 0);
}

static void child_part(void) {
  for (int i = 0; i < 3; ++i) {
    CHECK_SYS(close(g_pair[i][0]));
    get(g_pair[i][1], kTypes[i], (uint64_t)i);
    put(g_pair[i][1], 20 + (uint64_t)i);
  }
}

int main(void) {
  for (int i = 0; i < 3; ++i) {
    CHECK_SYS(socketpair(AF_UNIX, kTypes[i], 0, g_pair[i]));
    put(g_pair[i][0], (uint64_t)i);
    put(g_pair[i][1], 10 + (uint64_t)i);
  }
  const check_child child = check_child_start(child_part);
  for (int i = 0; i < 3; ++i) CHECK_SYS(close(g_pair[i][1]));
  check_ready();
  check_wait();
  for (int i = 0; i < 3; ++i) get(g_pair[i][0], kTypes[i], 10 + (uint64_t)i);
  check_child_finish(child);
  char byte;
  for (int i = 0; i < 3; ++i) get(g_pair[i][0], kTypes[i], 20 + (uint64_t)i);
  CHECK_EQ(recv(g_pair[0][0], &byte, 1, 0), 0);
  CHECK_EQ(recv(g_pair[2][0], &byte, 1, 0), 0);
  CHECK_ERRNO(send(g_pair[1][0], &byte, 1, MSG_NOSIGNAL), ECONNREFUSED);
  check_pass();
}
