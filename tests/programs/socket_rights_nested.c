// Descriptors in flight inside of sockets that are in flight themselves, a socket in its own queue,
// several in one message, and one that is open only there.
//
// flavours: all
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static void give(int through, const char* text, const int* fds, int count) {
  char control[CMSG_SPACE(sizeof(int) * 8)] = {0};
  struct iovec part = {(void*)text, strlen(text)};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count)};
  struct cmsghdr* c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
  memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)count);
  CHECK_EQ(sendmsg(through, &message, 0), (long)strlen(text));
}

static void take(int from, const char* text, int* fds, int count) {
  char control[CMSG_SPACE(sizeof(int) * 8)], got[64] = "";
  struct iovec part = {got, strlen(text)};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  CHECK_EQ(recvmsg(from, &message, 0), (long)strlen(text));
  CHECK_STR(got, text);
  struct cmsghdr* c = CMSG_FIRSTHDR(&message);
  CHECK(c != NULL);
  CHECK_EQ(c->cmsg_len, CMSG_LEN(sizeof(int) * (size_t)count));
  memcpy(fds, CMSG_DATA(c), sizeof(int) * (size_t)count);
}

int main(void) {
  int outer[2], inner[2], pipe_ends[2], packets[2], own[2], fds[3];
  char text[16] = "";
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, outer));
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, inner));
  CHECK_SYS(socketpair(AF_UNIX, SOCK_DGRAM, 0, packets));
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, own));
  CHECK_SYS(pipe(pipe_ends));
  CHECK_EQ(write(pipe_ends[1], "piped", 5), 5);
  give(inner[0], "pipe", pipe_ends, 1);
  CHECK_SYS(close(pipe_ends[0]));
  CHECK_EQ(write(outer[0], "ahead", 5), 5);
  give(outer[0], "inner", &inner[1], 1);
  CHECK_EQ(write(outer[0], "behind", 6), 6);
  CHECK_SYS(close(inner[1]));
  const int both[3] = {pipe_ends[1], own[0], pipe_ends[1]};
  give(packets[0], "three", both, 3);
  give(own[0], "self", &own[1], 1);
  check_ready();
  check_wait();
  CHECK_EQ(recv(outer[1], text, 5, MSG_WAITALL), 5);
  CHECK_EQ(memcmp(text, "ahead", 5), 0);
  take(outer[1], "inner", &inner[1], 1);
  CHECK_EQ(read(outer[1], text, 16), 6);
  take(inner[1], "pipe", &pipe_ends[0], 1);
  CHECK_EQ(read(pipe_ends[0], text, 16), 5);
  CHECK_EQ(memcmp(text, "piped", 5), 0);
  CHECK_EQ(write(inner[0], "more", 4), 4);
  CHECK_EQ(read(inner[1], text, 16), 4);
  take(packets[1], "three", fds, 3);
  CHECK_EQ(write(fds[0], "1", 1), 1);
  CHECK_EQ(write(fds[2], "2", 1), 1);
  CHECK_EQ(read(pipe_ends[0], text, 16), 2);
  take(own[1], "self", fds + 1, 1);
  CHECK_EQ(write(own[0], "loop", 4), 4);
  CHECK_EQ(read(fds[1], text, 16), 4);
  CHECK_SYS(close(fds[0]));
  CHECK_SYS(close(fds[2]));
  CHECK_SYS(close(pipe_ends[1]));
  CHECK_EQ(read(pipe_ends[0], text, 16), 0);
  check_pass();
}
