// A connection that has been full for seconds, in one direction: its sender asks for room seldom by then. And one
// that both sides have ended, with data that was not read.
//
// flavours: control resume restart three
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

enum { kPiece = 1 << 16, kStallMs = 5000, kLeft = 300000 };
static char g_piece[kPiece];

static void connect_pair(int* ends) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
  CHECK_SYS(bind(listener, (struct sockaddr*)&address, sizeof address));
  CHECK_SYS(listen(listener, 1));
  CHECK_SYS(getsockname(listener, (struct sockaddr*)&address, &length));
  ends[0] = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
  CHECK_SYS(connect(ends[0], (struct sockaddr*)&address, sizeof address));
  ends[1] = (int)CHECK_SYS(accept(listener, NULL, NULL));
  CHECK_SYS(close(listener));
}

// Every byte tells its place in the stream.
static void fill_piece(size_t from, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) g_piece[i] = (char)((from + i) * 31 / 7);
}

static size_t send_until_full(int fd, size_t most) {
  size_t sent = 0;
  while (sent < most) {
    const size_t piece = most - sent < kPiece ? most - sent : kPiece;
    fill_piece(sent, piece);
    ssize_t put = send(fd, g_piece, piece, MSG_DONTWAIT);
    if (put < 0) {
      CHECK_EQ(errno, EAGAIN);
      break;
    }
    sent += (size_t)put;
  }
  return sent;
}

static void receive_all(int fd, size_t bytes) {
  static char got[kPiece];
  for (size_t at = 0; at < bytes;) {
    const size_t piece = bytes - at < kPiece ? bytes - at : kPiece;
    ssize_t received = CHECK_SYS(recv(fd, got, piece, 0));
    CHECK(received > 0);
    fill_piece(at, (size_t)received);
    CHECK(memcmp(got, g_piece, (size_t)received) == 0);
    at += (size_t)received;
  }
}

int main(void) {
  int full[2], ended[2];
  char byte;
  connect_pair(full);
  connect_pair(ended);
  const size_t sent = send_until_full(full[0], SIZE_MAX);
  CHECK(sent > kPiece);
  const size_t left = send_until_full(ended[0], kLeft);
  CHECK_EQ(send(ended[1], "bye", 3, 0), 3);
  CHECK_SYS(shutdown(ended[0], SHUT_WR));
  CHECK_SYS(shutdown(ended[1], SHUT_WR));
  check_sleep_ms(kStallMs);  // the subject: how long it was full
  check_ready();
  check_wait();
  receive_all(full[1], sent);
  CHECK_ERRNO(recv(full[1], &byte, 1, MSG_DONTWAIT), EAGAIN);
  CHECK_EQ(send(full[0], "more", 4, 0), 4);
  CHECK_EQ(recv(full[1], g_piece, 4, MSG_WAITALL), 4);
  CHECK(memcmp(g_piece, "more", 4) == 0);
  receive_all(ended[1], left);
  CHECK_EQ(recv(ended[1], &byte, 1, 0), 0);
  CHECK_EQ(recv(ended[0], g_piece, 3, MSG_WAITALL), 3);
  CHECK(memcmp(g_piece, "bye", 3) == 0);
  CHECK_EQ(recv(ended[0], &byte, 1, 0), 0);
  check_pass();
}
