// Threads blocked in accept, recv, recvmsg and poll of sockets go on without an error.
//
// flavours: all
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

static int listening, pairs[3][2];
static atomic_int tids[4];

static void* run(void* argument) {
  intptr_t kind = (intptr_t)argument;
  char bytes[16] = "";
  struct iovec data = {bytes, sizeof bytes};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
  struct pollfd polled = {pairs[2][1], POLLIN, 0};
  tids[kind] = gettid();
  switch (kind) {
    case 0:
      CHECK_SYS(accept(listening, NULL, NULL));
      return NULL;
    case 1:
      CHECK_EQ(recv(pairs[0][1], bytes, 5, MSG_WAITALL), 5);
      break;
    case 2:
      CHECK_EQ(recvmsg(pairs[1][1], &message, 0), 5);
      break;
    case 3:
      CHECK_EQ(poll(&polled, 1, -1), 1);
      CHECK_EQ(polled.revents, POLLIN);
      CHECK_EQ(read(pairs[2][1], bytes, 16), 5);
      break;
  }
  CHECK_STR(bytes, "hello");
  return NULL;
}

int main(void) {
  struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "blocked.sock"};
  CHECK_SYS(chdir(check_path("")));
  listening = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK_SYS(bind(listening, (struct sockaddr*)&name, sizeof name));
  CHECK_SYS(listen(listening, 1));
  pthread_t threads[4];
  for (int i = 0; i < 3; ++i) CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]));
  for (intptr_t i = 0; i < 4; ++i) CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  CHECK_EQ(write(pairs[0][0], "he", 2), 2);  // part of what is waited for
  for (int i = 0; i < 4; ++i) {
    while (tids[i] == 0) check_sleep_ms(1);
    check_until_asleep(tids[i]);
  }
  check_ready();
  check_wait();
  int client = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK_SYS(connect(client, (struct sockaddr*)&name, sizeof name));
  CHECK_EQ(write(pairs[0][0], "llo", 3), 3);
  CHECK_EQ(write(pairs[1][0], "hello", 5), 5);
  CHECK_EQ(write(pairs[2][0], "hello", 5), 5);
  for (int i = 0; i < 4; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  check_pass();
}
