// One listening socket, TCP and unix, at which two children sleep in accept; the parent connects
// after a restart, and each of them serves once.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "child.h"

static int g_listener;

static void serve(void) {
  char text[8];
  const int connection = (int)CHECK_SYS(accept(g_listener, NULL, NULL));
  CHECK_EQ(recv(connection, text, 4, MSG_WAITALL), 4);
  CHECK_EQ(send(connection, text, 4, 0), 4);
  _exit(0);
}

static void round_of(const struct sockaddr* address, socklen_t length, int family, pid_t* pids) {
  char text[8];
  for (int i = 0; i < 2; ++i) {
    const int client = (int)CHECK_SYS(socket(family, SOCK_STREAM, 0));
    CHECK_SYS(connect(client, address, length));
    CHECK_EQ(send(client, "ping", 4, 0), 4);
    CHECK_EQ(recv(client, text, 4, MSG_WAITALL), 4);
    CHECK_SYS(close(client));
  }
  for (int i = 0; i < 2; ++i) {
    int status;
    CHECK_EQ(waitpid(pids[i], &status, 0), pids[i]);
    CHECK_EQ(status, 0);
  }
}

static void start(pid_t* pids) {
  for (int i = 0; i < 2; ++i) {
    pids[i] = (pid_t)CHECK_SYS(fork());
    if (pids[i] == 0) serve();
    check_until_child_asleep(pids[i]);
  }
}

int main(void) {
  struct sockaddr_in inet = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  socklen_t length = sizeof inet;
  pid_t by_inet[2], by_name[2];
  snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "check-acceptors-%d", (int)getpid());
  g_listener = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
  CHECK_SYS(bind(g_listener, (struct sockaddr*)&inet, length));
  CHECK_SYS(listen(g_listener, 8));
  CHECK_SYS(getsockname(g_listener, (struct sockaddr*)&inet, &length));
  start(by_inet);
  g_listener = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK_SYS(bind(g_listener, (struct sockaddr*)&name, sizeof name));
  CHECK_SYS(listen(g_listener, 8));
  start(by_name);
  check_ready();
  check_wait();
  round_of((struct sockaddr*)&inet, sizeof inet, AF_INET, by_inet);
  round_of((struct sockaddr*)&name, sizeof name, AF_UNIX, by_name);
  check_pass();
}
