// System V shared memory: contents, ids, keys, sizes that are no whole pages, read-only and partly
// unmapped attachments, a segment that is removed already, and one that nobody has attached.
// flavours: all
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "check.h"

int main(void) {
  const key_t key = (key_t)CHECK_SYS(ftok(getenv("CHECK_DIR"), 'm'));
  const int named = (int)CHECK_SYS(shmget(key, 5 * 4096 + 17, IPC_CREAT | IPC_EXCL | 0640));
  const int removed = (int)CHECK_SYS(shmget(IPC_PRIVATE, 3 * 4096, IPC_CREAT | 0600));
  const int idle = (int)CHECK_SYS(shmget(IPC_PRIVATE, 100, IPC_CREAT | 0600));
  char* at = shmat(named, NULL, 0);
  const char* seen = shmat(named, NULL, SHM_RDONLY);
  char* hidden = shmat(removed, NULL, 0);
  char* once = shmat(idle, NULL, 0);
  CHECK(at != (void*)-1 && seen != (void*)-1 && hidden != (void*)-1 && once != (void*)-1);
  check_fill(at, 5 * 4096 + 17, 1);
  check_fill(hidden, 3 * 4096, 2);
  check_fill(once, 100, 3);
  CHECK_SYS(shmdt(once));
  CHECK_SYS(munmap(hidden + 4096, 4096));
  CHECK_SYS(mprotect(at + 4096, 4096, PROT_READ));
  CHECK_SYS(shmctl(removed, IPC_RMID, NULL));
  check_ready();
  check_wait();
  struct shmid_ds status;
  CHECK_BYTES(at, 5 * 4096 + 17, 1);
  CHECK_BYTES(seen, 5 * 4096 + 17, 1);
  at[0] = 'x';
  CHECK_EQ(seen[0], 'x');
  CHECK_SYS(mprotect(at + 4096, 4096, PROT_READ | PROT_WRITE));
  CHECK_ERRNO(mprotect((char*)seen, 4096, PROT_READ | PROT_WRITE), EACCES);
  CHECK_EQ(shmget(key, 0, 0), named);
  CHECK_SYS(shmctl(named, IPC_STAT, &status));
  CHECK_EQ(status.shm_segsz, 5 * 4096 + 17);
  CHECK_EQ(status.shm_perm.mode & 0777, 0640);
  CHECK_EQ(status.shm_perm.__key, key);
  CHECK_EQ(status.shm_cpid, getpid());
  CHECK_SYS(shmctl(removed, IPC_STAT, &status));
  CHECK(status.shm_perm.mode & SHM_DEST);
  unsigned char resident;
  CHECK_ERRNO(mincore(hidden + 4096, 4096, &resident), ENOMEM);
  once = shmat(idle, NULL, 0);
  CHECK(once != (void*)-1);
  CHECK_BYTES(once, 100, 3);
  CHECK_SYS(shmdt(hidden));
  CHECK_ERRNO(shmctl(removed, IPC_STAT, &status), EINVAL);
  CHECK_SYS(shmctl(named, IPC_RMID, NULL));
  CHECK_SYS(shmctl(idle, IPC_RMID, NULL));
  check_pass();
}
