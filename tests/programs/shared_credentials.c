// Whom a socket names as its peer: the process that connected, listened or made the pair, by the
// number that the program knows; and the sender in a message's credentials.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <sys/socket.h>
#include <sys/un.h>

#include "child.h"

static int g_pair[2], g_message[2], g_accepted;

static pid_t peer_of(int fd) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  CHECK_SYS(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length));
  CHECK_EQ(peer.uid, getuid());
  return peer.pid;
}

static pid_t sender_of_message(int fd) {
  char control[CMSG_SPACE(sizeof(struct ucred))], byte;
  struct iovec part = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  CHECK_EQ(recvmsg(fd, &message, 0), 1);
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  CHECK(header != NULL && header->cmsg_type == SCM_CREDENTIALS);
  struct ucred sender;
  memcpy(&sender, CMSG_DATA(header), sizeof sender);
  return sender.pid;
}

static void send_again(void) {
  CHECK_EQ(peer_of(g_pair[1]), getppid());
  CHECK_EQ(send(g_message[1], "b", 1, 0), 1);
}

int main(void) {
  const int on = 1;
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "check-credentials-%d", (int)getpid());
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, g_pair));
  CHECK_SYS(socketpair(AF_UNIX, SOCK_DGRAM, 0, g_message));
  CHECK_SYS(setsockopt(g_message[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
  const int listener = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK_SYS(bind(listener, (struct sockaddr*)&name, sizeof name));
  CHECK_SYS(listen(listener, 1));
  int order[2];
  CHECK_SYS(pipe(order));
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    char byte;
    const int client = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK_SYS(connect(client, (struct sockaddr*)&name, sizeof name));
    CHECK_EQ(send(g_message[1], "a", 1, 0), 1);
    CHECK_EQ(read(order[0], &byte, 1), 1);
    CHECK_EQ(peer_of(client), getppid());
    send_again();
    _exit(0);
  }
  g_accepted = (int)CHECK_SYS(accept(listener, NULL, NULL));
  check_until_child_asleep(pid);
  check_ready();
  check_wait();
  CHECK_EQ(peer_of(g_accepted), pid);
  CHECK_EQ(peer_of(g_pair[0]), getpid());
  CHECK_EQ(sender_of_message(g_message[0]), pid);
  CHECK_EQ(write(order[1], "g", 1), 1);
  CHECK_EQ(sender_of_message(g_message[0]), pid);
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  check_pass();
}
