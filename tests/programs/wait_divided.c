// Transfers that are in the middle of their bytes when a checkpoint comes: each ends with all of
// them, once, in order, and a descriptor that went with them has gone with them once.
//
// flavours: all
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"

enum kind {
  kWritev,
  kPwritev2,
  kSocketWrite,
  kSendfile,
  kSocketWritev,
  kSendmsg,
  kSendmmsg,
  kReceive,
  kReceiveMessage,
  kReadvLowWater,
  kRecvmmsg,
  kLate,  // nothing of it has come yet
  kKinds
};
enum { kBytes = 900001, kFirst = 1001, kMessages = 4 };

static int ends[kKinds][2];  // 0: main's, 1: the thread's
static atomic_int tids[kKinds];
static char sent[kBytes], received[kKinds][kBytes];

// Pieces that end nowhere special, one of them empty.
static int pieces(struct iovec* out, char* at) {
  const size_t cuts[] = {0, 1, 1, 70000, 70003, kBytes};
  for (int i = 0; i < 5; ++i) out[i] = (struct iovec){at + cuts[i], cuts[i + 1] - cuts[i]};
  return 5;
}

static void send_with_descriptor(int fd, struct iovec* parts, int count, ssize_t bytes) {
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  CHECK_EQ(sendmsg(fd, &message, 0), bytes);
}

static void send_several(int fd) {
  struct iovec parts[3] = {{sent, 10}, {sent + 10, 500000}, {sent + 500010, kBytes - 500010}};
  struct mmsghdr messages[3] = {0};
  for (int i = 0; i < 3; ++i) {
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  CHECK_EQ(sendmmsg(fd, messages, 3, 0), 3);
  for (int i = 0; i < 3; ++i) CHECK_EQ(messages[i].msg_len, parts[i].iov_len);
}

static void receive_several(int fd, char* into) {
  struct mmsghdr messages[kMessages] = {0};
  struct iovec parts[kMessages];
  for (int i = 0; i < kMessages; ++i) {
    parts[i] = (struct iovec){into + i * kFirst, kFirst};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  CHECK_EQ(recvmmsg(fd, messages, kMessages, 0, NULL), kMessages);
  for (int i = 0; i < kMessages; ++i) CHECK_EQ(messages[i].msg_len, kFirst);
}

static void receive_descriptor(int fd) {
  char control[CMSG_SPACE(sizeof(int))], text[16] = "";
  struct iovec part = {text, sizeof text};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  CHECK_EQ(recvmsg(fd, &message, 0), 4);
  CHECK_STR(text, "late");
  CHECK(CMSG_FIRSTHDR(&message) != NULL);
  CHECK_EQ(CMSG_FIRSTHDR(&message)->cmsg_type, SCM_RIGHTS);
}

static void transfer(enum kind kind, int fd) {
  struct iovec parts[5];
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 5};
  char* into = received[kind];
  off_t offset = 0;
  int file, low = kFirst + 7;
  switch (kind) {
    case kWritev:
    case kSocketWritev:
      CHECK_EQ(writev(fd, parts, pieces(parts, sent)), kBytes);
      break;
    case kPwritev2:
      CHECK_EQ(pwritev2(fd, parts, pieces(parts, sent), -1, 0), kBytes);
      break;
    case kSendfile:
      file = (int)CHECK_SYS(open(check_path("source"), O_RDWR | O_CREAT, 0600));
      CHECK_EQ(write(file, sent, kBytes), kBytes);
      CHECK_EQ(sendfile(fd, file, &offset, kBytes), kBytes);
      CHECK_EQ(offset, kBytes);
      break;
    case kSocketWrite:
      CHECK_EQ(write(fd, sent, kBytes), kBytes);
      break;
    case kSendmsg:
      send_with_descriptor(fd, parts, pieces(parts, sent), kBytes);
      break;
    case kSendmmsg:
      send_several(fd);
      break;
    case kReceive:
      CHECK_EQ(recv(fd, into, kBytes, MSG_WAITALL), kBytes);
      break;
    case kReceiveMessage:
      pieces(parts, into);
      CHECK_EQ(recvmsg(fd, &message, MSG_WAITALL), kBytes);
      break;
    case kReadvLowWater:
      CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low));
      pieces(parts, into);
      CHECK(readv(fd, parts, 5) >= low);
      break;
    case kRecvmmsg:
      receive_several(fd, into);
      break;
    case kLate:
      receive_descriptor(fd);
      break;
    case kKinds:
      break;
  }
}

static void* run(void* argument) {
  intptr_t kind = (intptr_t)argument;
  tids[kind] = gettid();
  transfer((enum kind)kind, ends[kind][1]);
  return NULL;
}

static void make_ends(int kind) {
  int type = kind == kRecvmmsg || kind == kLate ? SOCK_DGRAM : SOCK_STREAM;
  struct timeval limit = {1000, 0};
  if (kind <= kPwritev2) {
    CHECK_SYS(pipe(ends[kind]));
    return;
  }
  CHECK_SYS(socketpair(AF_UNIX, type, 0, ends[kind]));
  if (kind % 2 != 0 && kind != kLate) return;  // the others have timeouts, which never end
  CHECK_SYS(setsockopt(ends[kind][1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
  CHECK_SYS(setsockopt(ends[kind][1], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit));
}

static void take_all(int kind) {
  char control[CMSG_SPACE(sizeof(int))];
  struct stat mine, theirs;
  int descriptors = 0;
  for (size_t got = 0; got < kBytes;) {
    if (kind <= kPwritev2) {
      got += (size_t)CHECK_SYS(read(ends[kind][0], received[kind] + got, kBytes - got));
      continue;
    }
    struct iovec part = {received[kind] + got, kBytes - got};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    got += (size_t)CHECK_SYS(recvmsg(ends[kind][0], &message, 0));
    struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
    if (rights == NULL) continue;
    int fd = -1;
    memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    CHECK_SYS(fstat(fd, &theirs));
    CHECK_SYS(fstat(ends[kind][1], &mine));
    CHECK_EQ(theirs.st_ino, mine.st_ino);
    close(fd);
    ++descriptors;
  }
  CHECK_EQ(descriptors, kind == kSendmsg);
  CHECK_BYTES(received[kind], kBytes, 91);
}

static void give_rest(int kind) {
  int fd = ends[kind][0];
  switch (kind) {
    case kReadvLowWater:
      CHECK_EQ(write(fd, sent + kFirst, 7), 7);
      break;
    case kLate:
      send_with_descriptor(fd, &(struct iovec){"late", 4}, 1, 4);
      break;
    case kRecvmmsg:
      for (int i = 1; i < kMessages; ++i) CHECK_EQ(write(fd, sent + i * kFirst, kFirst), kFirst);
      break;
    default:
      CHECK_EQ(write(fd, sent + kFirst, 5), 5);
      CHECK_EQ(write(fd, sent + kFirst + 5, kBytes - kFirst - 5), kBytes - kFirst - 5);
      break;
  }
}

int main(void) {
  pthread_t threads[kKinds];
  check_fill(sent, kBytes, 91);
  for (int i = 0; i < kKinds; ++i) make_ends(i);
  for (intptr_t i = 0; i < kKinds; ++i) CHECK_OK(pthread_create(&threads[i], NULL, run, (void*)i));
  for (int i = kReceive; i < kLate; ++i) CHECK_EQ(write(ends[i][0], sent, kFirst), kFirst);
  for (int i = 0; i < kKinds; ++i) {
    while (tids[i] == 0) check_sleep_ms(1);
    check_until_asleep(tids[i]);
  }
  check_ready();
  static char random[1 << 20];
  int zero = (int)CHECK_SYS(open("/dev/zero", O_RDONLY));
  while (check_busy()) {  // these never end early but by a signal
    CHECK_EQ(read(zero, random, sizeof random), sizeof random);
    CHECK_EQ(getrandom(random, sizeof random, 0), sizeof random);
  }
  check_wait();
  for (int i = 0; i < kReceive; ++i) take_all(i);
  for (int i = kReceive; i < kKinds; ++i) give_rest(i);
  for (int i = 0; i < kKinds; ++i) CHECK_OK(pthread_join(threads[i], NULL));
  CHECK_BYTES(received[kReceive], kBytes, 91);
  CHECK_BYTES(received[kReceiveMessage], kBytes, 91);
  CHECK_BYTES(received[kReadvLowWater], kFirst + 7, 91);
  CHECK_BYTES(received[kRecvmmsg], kFirst * kMessages, 91);
  check_pass();
}
