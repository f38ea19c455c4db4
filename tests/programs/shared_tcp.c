// TCP over loopback between parent and child: data both ways, one connection half closed.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <arpa/inet.h>
#include <sys/socket.h>

#include "child.h"

static int g_client[2], g_server[2], g_listener;

static void put(int fd, size_t bytes, uint64_t seed) {
  char buffer[20000];
  check_fill(buffer, bytes, seed);
  CHECK_EQ(send(fd, buffer, bytes, 0), (ssize_t)bytes);
}

static void get(int fd, size_t bytes, uint64_t seed) {
  char buffer[20000];
  CHECK_EQ(recv(fd, buffer, bytes, MSG_WAITALL), (ssize_t)bytes);
  CHECK_BYTES(buffer, bytes, seed);
}

static void serve(void) {
  char byte;
  for (int i = 0; i < 2; ++i) CHECK_SYS(close(g_client[i]));
  get(g_server[0], 20000, 1);
  put(g_server[0], 500, 5);
  CHECK_EQ(recv(g_server[1], &byte, 1, 0), 1);  // 'h', sent before the half close
  CHECK_EQ(recv(g_server[1], &byte, 1, 0), 0);
  put(g_server[1], 700, 6);
}

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  g_listener = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
  CHECK_SYS(bind(g_listener, (struct sockaddr*)&address, length));
  CHECK_SYS(listen(g_listener, 4));
  CHECK_SYS(getsockname(g_listener, (struct sockaddr*)&address, &length));
  for (int i = 0; i < 2; ++i) {
    g_client[i] = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
    CHECK_SYS(connect(g_client[i], (struct sockaddr*)&address, length));
    g_server[i] = (int)CHECK_SYS(accept(g_listener, NULL, NULL));
  }
  const check_child child = check_child_start(serve);
  for (int i = 0; i < 2; ++i) CHECK_SYS(close(g_server[i]));
  put(g_client[0], 20000, 1);
  CHECK_EQ(send(g_client[1], "h", 1, 0), 1);
  CHECK_SYS(shutdown(g_client[1], SHUT_WR));
  check_ready();
  check_wait();
  check_child_go(child);
  get(g_client[0], 500, 5);
  get(g_client[1], 700, 6);
  char byte;
  CHECK_EQ(recv(g_client[1], &byte, 1, 0), 0);
  check_child_end(child);
  CHECK_EQ(recv(g_client[0], &byte, 1, 0), 0);
  const int again = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
  CHECK_SYS(connect(again, (struct sockaddr*)&address, length));
  CHECK_SYS(accept(g_listener, NULL, NULL));
  check_pass();
}
