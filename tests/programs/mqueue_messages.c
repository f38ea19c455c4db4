// POSIX message queues: messages of all sizes by priority and, within one, in order; a full queue,
// an empty one and one without a name; two open files of one queue with flags of their own.
//
// flavours: all
#include <fcntl.h>
#include <mqueue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static mqd_t make(const char* name, int flags, long messages, long bytes) {
  struct mq_attr attributes = {.mq_maxmsg = messages, .mq_msgsize = bytes};
  mqd_t queue = mq_open(name, flags | O_CREAT | O_EXCL, 0640, &attributes);
  CHECK(queue != (mqd_t)-1);
  return queue;
}

static void send(mqd_t queue, size_t bytes, unsigned priority, uint64_t seed) {
  char text[8192];
  check_fill(text, bytes, seed);
  CHECK_SYS(mq_send(queue, text, bytes, priority));
}

static void receive(mqd_t queue, size_t bytes, unsigned priority, uint64_t seed) {
  char text[8192];
  unsigned got;
  CHECK_EQ(mq_receive(queue, text, sizeof text, &got), bytes);
  CHECK_EQ(got, priority);
  CHECK_BYTES(text, bytes, seed);
}

static void shape(mqd_t queue, long flags, long messages, long bytes, long current) {
  struct mq_attr now;
  CHECK_SYS(mq_getattr(queue, &now));
  CHECK_EQ(now.mq_flags, flags);
  CHECK_EQ(now.mq_maxmsg, messages);
  CHECK_EQ(now.mq_msgsize, bytes);
  CHECK_EQ(now.mq_curmsgs, current);
}

int main(void) {
  char name[64], unnamed[64], full[64];
  snprintf(name, sizeof name, "/check-named-%d", (int)getpid());
  snprintf(unnamed, sizeof unnamed, "/check-unnamed-%d", (int)getpid());
  snprintf(full, sizeof full, "/check-full-%d", (int)getpid());
  mq_unlink(name), mq_unlink(unnamed), mq_unlink(full);
  mqd_t writer = make(name, O_WRONLY, 6, 8192);
  mqd_t reader = mq_open(name, O_RDONLY | O_NONBLOCK);
  CHECK(reader != (mqd_t)-1);
  send(writer, 8192, 0, 1);
  send(writer, 0, 32767, 2);
  send(writer, 17, 5, 3);
  send(writer, 1, 5, 4);
  mqd_t removed = make(unnamed, O_RDWR, 1, 16);
  CHECK_SYS(mq_unlink(unnamed));
  mqd_t crowded = make(full, O_RDWR | O_NONBLOCK, 2, 1);
  send(crowded, 1, 3, 5);
  send(crowded, 1, 3, 6);
  check_ready();
  check_wait();
  shape(writer, 0, 6, 8192, 4);
  shape(reader, O_NONBLOCK, 6, 8192, 4);
  send(writer, 2, 4, 7);
  receive(reader, 0, 32767, 2);
  receive(reader, 17, 5, 3);
  receive(reader, 1, 5, 4);
  receive(reader, 2, 4, 7);
  receive(reader, 8192, 0, 1);
  CHECK_ERRNO(mq_receive(reader, (char[8192]){0}, 8192, NULL), EAGAIN);
  CHECK_ERRNO(mq_send(reader, "x", 1, 0), EBADF);
  CHECK_EQ(fcntl(writer, F_GETFD), FD_CLOEXEC);
  struct stat info;
  CHECK_SYS(fstat(writer, &info));
  CHECK_EQ(info.st_mode & 0777, 0640);
  shape(removed, 0, 1, 16, 0);
  CHECK_EQ(mq_open(unnamed, O_RDWR), -1);
  CHECK_EQ(errno, ENOENT);
  CHECK_ERRNO(mq_send(crowded, "x", 1, 0), EAGAIN);
  receive(crowded, 1, 3, 5);
  receive(crowded, 1, 3, 6);
  CHECK_SYS(mq_unlink(name));
  CHECK_SYS(mq_unlink(full));
  check_pass();
}
