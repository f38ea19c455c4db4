// System V semaphores and message queues: ids, keys, values, messages of all lengths in their
// order; a new set gets no id that another one has.
// flavours: all
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

#include "check.h"
typedef struct {
  long type;
  char text[5000];
} message;
int main(void) {
  const key_t key = (key_t)CHECK_SYS(ftok(getenv("CHECK_DIR"), 's'));
  int s = (int)CHECK_SYS(semget(key, 4, IPC_CREAT | IPC_EXCL | 0600));
  int q = (int)CHECK_SYS(msgget(key, IPC_CREAT | IPC_EXCL | 0660));
  int p = (int)CHECK_SYS(msgget(IPC_PRIVATE, 0600));
  unsigned short values[4] = {0, 32767, 2, 1};
  CHECK_SYS(semctl(s, 0, SETALL, values));
  static const size_t kLengths[] = {0, 1, 5000, 33};
  message sent;
  for (int i = 0; i < 4; ++i) {
    sent.type = i % 2 + 1;
    check_fill(sent.text, kLengths[i], (uint64_t)i);
    CHECK_SYS(msgsnd(q, &sent, kLengths[i], 0));
  }
  check_ready();
  check_wait();
  CHECK_EQ(semget(key, 4, 0), s);
  CHECK_EQ(msgget(key, 0), q);
  CHECK_EQ(semctl(s, 1, GETVAL), 32767);
  CHECK_EQ(semctl(s, 2, GETVAL), 2);
  message got;
  CHECK_EQ(msgrcv(q, &got, sizeof got.text, 2, 0), 1);
  CHECK_EQ(msgrcv(q, &got, sizeof got.text, 0, 0), 0);
  CHECK_EQ(msgrcv(q, &got, sizeof got.text, 0, 0), 5000);
  CHECK_BYTES(got.text, 5000, 2);
  struct msqid_ds st;
  CHECK_SYS(msgctl(p, IPC_STAT, &st));
  CHECK_EQ(st.msg_qnum, 0);
  CHECK_SYS(msgctl(q, IPC_RMID, NULL));
  CHECK_SYS(msgctl(p, IPC_RMID, NULL));
  CHECK_SYS(semctl(s, 0, IPC_RMID));
  int n = (int)CHECK_SYS(msgget(IPC_PRIVATE, 0600));
  CHECK(n != q && n != p);
  CHECK_SYS(msgctl(n, IPC_RMID, NULL));
  check_pass();
}
