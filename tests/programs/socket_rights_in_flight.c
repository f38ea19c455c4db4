// Descriptors in flight in a unix socket (SCM_RIGHTS): a pipe's end, a file with its offset, and
// one whose sender has closed it; they arrive with their bytes.
//
// flavours: all
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static void send_fds(int socket, const int* fds, int count, char byte) {
  char control[CMSG_SPACE(3 * sizeof(int))] = {0};
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int))};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
  memcpy(CMSG_DATA(header), fds, (size_t)count * sizeof(int));
  CHECK_EQ(sendmsg(socket, &message, 0), 1);
}

static void receive_fds(int socket, int* fds, int count, char want) {
  char control[CMSG_SPACE(3 * sizeof(int))], byte = 0;
  struct iovec data = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  CHECK_EQ(recvmsg(socket, &message, MSG_CMSG_CLOEXEC), 1);
  CHECK_EQ(byte, want);
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  CHECK(header != NULL && header->cmsg_type == SCM_RIGHTS);
  CHECK_EQ(header->cmsg_len, CMSG_LEN((size_t)count * sizeof(int)));
  memcpy(fds, CMSG_DATA(header), (size_t)count * sizeof(int));
}

int main(void) {
  int stream[2], datagram[2], ends[2];
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, stream));
  CHECK_SYS(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram));
  CHECK_SYS(pipe(ends));
  int file = (int)CHECK_SYS(open(check_path("file"), O_RDWR | O_CREAT, 0600));
  CHECK_EQ(write(file, "0123456789", 10), 10);
  CHECK_EQ(lseek(file, 4, SEEK_SET), 4);
  CHECK_EQ(write(ends[1], "in the pipe", 11), 11);
  const int both[] = {ends[0], file};
  send_fds(stream[0], both, 2, 'a');
  send_fds(stream[0], &ends[1], 1, 'b');
  send_fds(datagram[0], &ends[1], 1, 'c');
  close(ends[0]);  // only in flight from now on
  close(ends[1]);
  check_ready();
  check_wait();
  int got[3], writer;
  char text[16] = "";
  receive_fds(stream[1], got, 2, 'a');
  CHECK_EQ(lseek(file, 6, SEEK_SET), 6);
  CHECK_EQ(read(got[1], text, 2), 2);  // the same open file: shares the offset
  CHECK(memcmp(text, "67", 2) == 0);
  CHECK_EQ(read(got[0], text, 15), 11);
  CHECK_STR(text, "in the pipe");
  receive_fds(stream[1], &writer, 1, 'b');
  close(writer);
  receive_fds(datagram[1], &writer, 1, 'c');
  CHECK_EQ(write(writer, "more", 4), 4);
  close(writer);
  CHECK_EQ(read(got[0], text, 15), 4);
  CHECK_EQ(read(got[0], text, 15), 0);
  CHECK_EQ(fcntl(got[0], F_GETFD), FD_CLOEXEC);
  check_pass();
}
