// A listening unix socket, by path and abstract, with a connection accepted and one not yet
// accepted, inside the process; later connections come in by name.
//
// flavours: all
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

static socklen_t address(struct sockaddr_un* out, int abstract) {
  memset(out, 0, sizeof *out);
  out->sun_family = AF_UNIX;
  if (abstract)
    snprintf(out->sun_path + 1, sizeof out->sun_path - 1, "cairn-check-%d", getpid());
  else
    snprintf(out->sun_path, sizeof out->sun_path, "listen.sock");
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)abstract +
                     strlen(out->sun_path + abstract));
}

static void exchange(int a, int b) {
  char text[8] = "";
  CHECK_EQ(write(a, "ping", 4), 4);
  CHECK_EQ(read(b, text, 8), 4);
  CHECK_EQ(write(b, "pong!", 5), 5);
  CHECK_EQ(read(a, text, 8), 5);
  CHECK(memcmp(text, "pong!", 5) == 0);
}

int main(void) {
  int listening[2], client[2], server[2], waiting[2];
  struct sockaddr_un name;
  CHECK_SYS(chdir(check_path("")));
  for (int i = 0; i < 2; ++i) {
    listening[i] = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
    socklen_t length = address(&name, i);
    CHECK_SYS(bind(listening[i], (struct sockaddr*)&name, length));
    CHECK_SYS(listen(listening[i], 5));
    client[i] = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK_SYS(connect(client[i], (struct sockaddr*)&name, length));
    server[i] = (int)CHECK_SYS(accept(listening[i], NULL, NULL));
    waiting[i] = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK_SYS(connect(waiting[i], (struct sockaddr*)&name, length));
    CHECK_EQ(write(waiting[i], "early", 5), 5);
  }
  check_ready();
  check_wait();
  for (int i = 0; i < 2; ++i) {
    char text[8] = "";
    exchange(client[i], server[i]);
    int accepted = (int)CHECK_SYS(accept4(listening[i], NULL, NULL, SOCK_NONBLOCK));
    CHECK_EQ(read(accepted, text, 8), 5);
    CHECK_STR(text, "early");
    CHECK_ERRNO(read(accepted, text, 8), EAGAIN);
    CHECK_EQ(write(accepted, "late", 4), 4);
    CHECK_EQ(read(waiting[i], text, 8), 4);
    struct sockaddr_un got;
    socklen_t length = sizeof got, want = address(&name, i);
    CHECK_SYS(getsockname(server[i], (struct sockaddr*)&got, &length));
    CHECK(length == want || length == want + 1);
    CHECK(memcmp(got.sun_path, name.sun_path, want - offsetof(struct sockaddr_un, sun_path)) == 0);
    int fresh = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK_SYS(connect(fresh, (struct sockaddr*)&name, want));
    exchange(fresh, (int)CHECK_SYS(accept(listening[i], NULL, NULL)));
  }
  check_pass();
}
