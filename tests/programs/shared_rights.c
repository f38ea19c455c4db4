// Descriptors on their way from parent to child: a file that both have (one offset still), one that
// nobody has open any more, and an end of a pipe.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <fcntl.h>
#include <sys/socket.h>

#include "child.h"

static int g_pair[2], g_file;

static void send_fds(const int* fds, int count) {
  char control[CMSG_SPACE(sizeof(int) * 3)] = {0};
  struct iovec part = {"m", 1};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count)};
  struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
  memcpy(CMSG_DATA(rights), fds, sizeof(int) * (size_t)count);
  CHECK_EQ(sendmsg(g_pair[0], &message, 0), 1);
}

static void receive(void) {
  char control[CMSG_SPACE(sizeof(int) * 3)], byte;
  struct iovec part = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  CHECK_EQ(recvmsg(g_pair[1], &message, 0), 1);
  int fds[3];
  struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
  CHECK(rights != NULL);
  CHECK_EQ(rights->cmsg_len, CMSG_LEN(sizeof fds));
  memcpy(fds, CMSG_DATA(rights), sizeof fds);
  CHECK_EQ(lseek(fds[0], 0, SEEK_CUR), 3);
  CHECK_SYS(lseek(fds[0], 5, SEEK_SET));
  CHECK_EQ(lseek(g_file, 0, SEEK_CUR), 5);
  CHECK_EQ(read(fds[1], &byte, 1), 1);
  CHECK_EQ(byte, 'n');
  CHECK_EQ(write(fds[2], "p", 1), 1);
}

int main(void) {
  int ends[2];
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, g_pair));
  CHECK_SYS(pipe(ends));
  g_file = (int)CHECK_SYS(open(check_path("both"), O_RDWR | O_CREAT, 0600));
  CHECK_EQ(write(g_file, "abc", 3), 3);
  const int nobody = (int)CHECK_SYS(open(check_path("nobody"), O_RDWR | O_CREAT, 0600));
  CHECK_EQ(write(nobody, "xn", 2), 2);
  CHECK_SYS(lseek(nobody, 1, SEEK_SET));
  const check_child child = check_child_start(receive);
  CHECK_SYS(close(g_pair[1]));
  const int fds[3] = {g_file, nobody, ends[1]};
  send_fds(fds, 3);
  CHECK_SYS(close(nobody));
  CHECK_SYS(close(ends[1]));
  check_ready();
  check_wait();
  check_child_finish(child);
  CHECK_EQ(lseek(g_file, 0, SEEK_CUR), 5);
  char byte;
  CHECK_EQ(read(ends[0], &byte, 1), 1);
  check_pass();
}
