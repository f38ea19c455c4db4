// System V semaphores and message queues of a parent and a child that sleeps in each: ids, keys,
// values, messages of all lengths in their order, and the sleepers go on.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

#include "child.h"

typedef struct {
  long type;
  char text[5000];
} message;

static int g_semaphores, g_queue;

static pid_t start(void (*body)(void)) {
  const pid_t pid = (pid_t)CHECK_SYS(fork());
  if (pid == 0) {
    body();
    _exit(0);
  }
  check_until_child_asleep(pid);
  return pid;
}

static void take_three(void) {
  struct sembuf three = {2, -3, 0};
  const struct timespec day = {86400, 0};
  CHECK_SYS(semtimedop(g_semaphores, &three, 1, &day));
}

static void receive_ninth(void) {
  message got;
  CHECK_EQ(msgrcv(g_queue, &got, sizeof got.text, 9, 0), 7);
  CHECK_BYTES(got.text, 7, 9);
}

static void end(pid_t pid) {
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
}

int main(void) {
  const key_t key = (key_t)CHECK_SYS(ftok(getenv("CHECK_DIR"), 's'));
  g_semaphores = (int)CHECK_SYS(semget(key, 4, IPC_CREAT | IPC_EXCL | 0600));
  g_queue = (int)CHECK_SYS(msgget(key, IPC_CREAT | IPC_EXCL | 0660));
  unsigned short values[4] = {0, 32767, 2, 1};
  CHECK_SYS(semctl(g_semaphores, 0, SETALL, values));
  static const size_t kLengths[] = {0, 1, 5000, 33};
  message sent;
  for (int i = 0; i < 4; ++i) {
    sent.type = i % 2 + 1;
    check_fill(sent.text, kLengths[i], (uint64_t)i);
    CHECK_SYS(msgsnd(g_queue, &sent, kLengths[i], 0));
  }
  const pid_t taker = start(take_three);
  const pid_t receiver = start(receive_ninth);
  check_ready();
  check_wait();
  CHECK_EQ(semget(key, 4, 0), g_semaphores);
  CHECK_EQ(msgget(key, 0), g_queue);
  CHECK_EQ(semctl(g_semaphores, 1, GETVAL), 32767);
  CHECK_EQ(semctl(g_semaphores, 2, GETVAL), 2);
  struct sembuf one = {2, 1, 0};
  CHECK_SYS(semop(g_semaphores, &one, 1));
  end(taker);
  CHECK_EQ(semctl(g_semaphores, 2, GETVAL), 0);
  sent.type = 9;
  check_fill(sent.text, 7, 9);
  CHECK_SYS(msgsnd(g_queue, &sent, 7, 0));
  end(receiver);
  message got;
  CHECK_EQ(msgrcv(g_queue, &got, sizeof got.text, 2, 0), 1);
  CHECK_EQ(msgrcv(g_queue, &got, sizeof got.text, 0, 0), 0);
  CHECK_EQ(msgrcv(g_queue, &got, sizeof got.text, 0, 0), 5000);
  CHECK_BYTES(got.text, 5000, 2);
  CHECK_EQ(msgrcv(g_queue, &got, sizeof got.text, 0, 0), 33);
  CHECK_EQ(got.type, 2);
  struct msqid_ds status;
  CHECK_SYS(msgctl(g_queue, IPC_STAT, &status));
  CHECK_EQ(status.msg_perm.mode & 0777, 0660);
  CHECK_EQ(status.msg_qnum, 0);
  CHECK_SYS(msgctl(g_queue, IPC_RMID, NULL));
  CHECK_SYS(semctl(g_semaphores, 0, IPC_RMID));
  check_pass();
}
