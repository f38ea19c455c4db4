// Unix sockets: halves shut, empty messages, credentials in the queue, a queue whose sender is
// gone, a listener without a name in the file system any more, a seqpacket listener.
//
// flavours: all
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

static void credentials_of(int fd, const char* expected) {
  char text[32] = "", control[CMSG_SPACE(sizeof(struct ucred))];
  struct iovec part = {text, sizeof text};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  CHECK_EQ(recvmsg(fd, &message, 0), (long)strlen(expected));
  CHECK_STR(text, expected);
  struct cmsghdr* c = CMSG_FIRSTHDR(&message);
  CHECK(c != NULL);
  CHECK_EQ(c->cmsg_type, SCM_CREDENTIALS);
  struct ucred got;
  memcpy(&got, CMSG_DATA(c), sizeof got);
  CHECK_EQ(got.pid, getpid());
  CHECK_EQ(got.uid, getuid());
  CHECK_EQ(got.gid, getgid());
}

static socklen_t path_name(struct sockaddr_un* name, const char* file) {
  *name = (struct sockaddr_un){.sun_family = AF_UNIX};
  snprintf(name->sun_path, sizeof name->sun_path, "%s", check_path(file));
  return sizeof *name;
}

int main(void) {
  int read_shut[2], write_shut[2], both_shut[2], empty[2], cred[2], cred_stream[2], gone[2];
  int on = 1, listening, waiting, unlinked_client;
  char text[32];
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, read_shut));
  CHECK_EQ(write(read_shut[1], "in", 2), 2);
  CHECK_SYS(shutdown(read_shut[0], SHUT_RD));
  CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, write_shut));
  CHECK_EQ(send(write_shut[0], "one", 3, MSG_EOR), 3);
  CHECK_EQ(send(write_shut[0], "three", 5, 0), 5);
  CHECK_SYS(shutdown(write_shut[0], SHUT_WR));
  CHECK_SYS(socketpair(AF_UNIX, SOCK_DGRAM, 0, both_shut));
  CHECK_EQ(write(both_shut[0], "kept", 4), 4);
  CHECK_SYS(shutdown(both_shut[0], SHUT_RDWR));
  CHECK_SYS(socketpair(AF_UNIX, SOCK_DGRAM, 0, empty));
  CHECK_EQ(send(empty[0], "", 0, 0), 0);
  CHECK_EQ(send(empty[0], "x", 1, 0), 1);
  CHECK_EQ(send(empty[0], "", 0, 0), 0);
  CHECK_SYS(socketpair(AF_UNIX, SOCK_DGRAM, 0, cred));
  CHECK_SYS(setsockopt(cred[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
  CHECK_EQ(send(cred[0], "who", 3, 0), 3);
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, cred_stream));
  CHECK_SYS(setsockopt(cred_stream[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
  CHECK_EQ(send(cred_stream[0], "whom", 4, 0), 4);
  CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, gone));
  CHECK_EQ(send(gone[0], "a", 1, 0), 1);
  CHECK_EQ(send(gone[0], "bc", 2, 0), 2);
  CHECK_SYS(close(gone[0]));
  struct sockaddr_un name;
  listening = (int)CHECK_SYS(socket(AF_UNIX, SOCK_SEQPACKET, 0));
  CHECK_SYS(bind(listening, (struct sockaddr*)&name, path_name(&name, "packets.sock")));
  CHECK_SYS(listen(listening, 4));
  waiting = (int)CHECK_SYS(socket(AF_UNIX, SOCK_SEQPACKET, 0));
  CHECK_SYS(connect(waiting, (struct sockaddr*)&name, sizeof name));
  int unlinked = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK_SYS(bind(unlinked, (struct sockaddr*)&name, path_name(&name, "unlinked.sock")));
  CHECK_SYS(listen(unlinked, 4));
  unlinked_client = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK_SYS(connect(unlinked_client, (struct sockaddr*)&name, sizeof name));
  CHECK_SYS(unlink(name.sun_path));
  int replaced = (int)CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));
  CHECK_SYS(bind(replaced, (struct sockaddr*)&name, path_name(&name, "unlinked.sock")));
  check_ready();
  check_wait();
  CHECK_EQ(read(read_shut[0], text, 8), 2);
  CHECK_EQ(read(read_shut[0], text, 8), 0);
  CHECK_ERRNO(send(read_shut[1], "x", 1, MSG_NOSIGNAL), EPIPE);
  CHECK_EQ(write(read_shut[0], "out", 3), 3);
  CHECK_EQ(read(read_shut[1], text, 8), 3);
  CHECK_EQ(recv(write_shut[1], text, 8, 0), 3);
  CHECK_EQ(recv(write_shut[1], text, 8, 0), 5);
  CHECK_EQ(recv(write_shut[1], text, 8, 0), 0);
  CHECK_EQ(send(write_shut[1], "back", 4, 0), 4);
  CHECK_EQ(recv(write_shut[0], text, 8, 0), 4);
  CHECK_EQ(recv(both_shut[1], text, 8, 0), 4);
  CHECK_ERRNO(send(both_shut[0], "x", 1, MSG_NOSIGNAL), EPIPE);
  CHECK_EQ(recv(both_shut[0], text, 8, 0), 0);
  CHECK_EQ(recv(empty[1], text, 8, 0), 0);
  CHECK_EQ(recv(empty[1], text, 8, 0), 1);
  CHECK_EQ(recv(empty[1], text, 8, 0), 0);
  CHECK_ERRNO(recv(empty[1], text, 8, MSG_DONTWAIT), EAGAIN);
  credentials_of(cred[1], "who");
  credentials_of(cred_stream[1], "whom");
  CHECK_EQ(recv(gone[1], text, 8, 0), 1);
  CHECK_EQ(recv(gone[1], text, 8, 0), 2);
  CHECK_EQ(recv(gone[1], text, 8, 0), 0);
  int server = (int)CHECK_SYS(accept(listening, NULL, NULL));
  CHECK_EQ(send(waiting, "packet", 6, 0), 6);
  CHECK_EQ(recv(server, text, 8, 0), 6);
  CHECK_EQ(send(server, "answer", 6, 0), 6);
  CHECK_EQ(recv(waiting, text, 8, 0), 6);
  server = (int)CHECK_SYS(accept(unlinked, NULL, NULL));
  CHECK_EQ(write(server, "still", 5), 5);
  CHECK_EQ(read(unlinked_client, text, 8), 5);
  int sender = (int)CHECK_SYS(socket(AF_UNIX, SOCK_DGRAM, 0));
  CHECK_EQ(sendto(sender, "new", 3, 0, (struct sockaddr*)&name, sizeof name), 3);
  CHECK_EQ(recv(replaced, text, 8, 0), 3);
  check_pass();
}
