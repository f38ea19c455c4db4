// Process ids inside of structures: credentials of messages, owners of descriptors and locks, sender
// of a queued signal, capabilities, a descriptor of a process, System V IPC.
//
// flavours: all
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static volatile pid_t sender;

static void on_signal(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  sender = info->si_pid;
}

static void send_credentials(int fd, pid_t pid) {
  char byte = 'x', control[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))] = "";
  struct iovec vector = {&byte, 1};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
                           .msg_controllen = sizeof control};
  struct cmsghdr* part = CMSG_FIRSTHDR(&message);
  *part = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
                           .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(part), &fd, sizeof fd);
  part = CMSG_NXTHDR(&message, part);
  struct ucred credentials = {pid, getuid(), getgid()};
  *part = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof credentials), .cmsg_level = SOL_SOCKET,
                           .cmsg_type = SCM_CREDENTIALS};
  memcpy(CMSG_DATA(part), &credentials, sizeof credentials);
  CHECK_EQ(sendmsg(fd, &message, 0), 1);
  struct mmsghdr several[2] = {{.msg_hdr = {.msg_iov = &vector, .msg_iovlen = 1}},
                               {.msg_hdr = message}};
  for (int sent = 0; sent < 2;) sent += (int)CHECK_SYS(sendmmsg(fd, several + sent, 2 - sent, 0));
  CHECK_EQ(several[0].msg_len, 1);
  CHECK_EQ(several[1].msg_len, 1);
}

static pid_t receive_credentials(int fd) {
  char byte, control[256];
  struct iovec vector = {&byte, 1};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
                           .msg_controllen = sizeof control};
  CHECK_EQ(recvmsg(fd, &message, MSG_CMSG_CLOEXEC), 1);
  pid_t found = -1;
  for (struct cmsghdr* part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
    struct ucred credentials;
    int passed;
    memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
    memcpy(&passed, CMSG_DATA(part), sizeof passed);
    if (part->cmsg_type == SCM_CREDENTIALS) found = credentials.pid;
    if (part->cmsg_type == SCM_RIGHTS) close(passed);
  }
  return found;
}

static void sockets(const int* pair) {
  int on = 1;
  CHECK_SYS(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
  send_credentials(pair[0], getpid());
  for (int i = 0; i < 3; ++i) CHECK_EQ(receive_credentials(pair[1]), getpid());
  int fresh[2];
  struct ucred peer;
  socklen_t bytes = sizeof peer;
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, fresh));
  CHECK_SYS(getsockopt(fresh[0], SOL_SOCKET, SO_PEERCRED, &peer, &bytes));
  CHECK_EQ(peer.pid, getpid());
  close(fresh[0]);
  close(fresh[1]);
}

static void owners(int fd) {
  struct f_owner_ex owner = {F_OWNER_TID, gettid()}, got;
  CHECK_SYS(fcntl(fd, F_SETOWN, getpid()));
  CHECK_EQ(fcntl(fd, F_GETOWN), getpid());
  CHECK_SYS(fcntl(fd, F_SETOWN_EX, &owner));
  CHECK_SYS(fcntl(fd, F_GETOWN_EX, &got));
  CHECK_EQ(got.type, F_OWNER_TID);
  CHECK_EQ(got.pid, gettid());
  owner = (struct f_owner_ex){F_OWNER_PGRP, getpgrp()};
  CHECK_SYS(fcntl(fd, F_SETOWN_EX, &owner));
  CHECK_SYS(fcntl(fd, F_GETOWN_EX, &got));
  CHECK_EQ(got.pid, getpgrp());
  CHECK_SYS(fcntl(fd, F_SETOWN, 0));
}

static void locks(void) {
  int fd = (int)CHECK_SYS(open(check_path("lock"), O_RDWR | O_CREAT, 0600));
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
  CHECK_SYS(fcntl(fd, F_SETLK, &lock));
  pid_t me = getpid(), child = (pid_t)CHECK_SYS(fork());
  if (child == 0) {
    CHECK_EQ(getppid(), me);
    struct flock asked = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
    CHECK_SYS(fcntl(fd, F_GETLK, &asked));
    CHECK_EQ(asked.l_pid, me);
    _exit(7);
  }
  siginfo_t info;
  CHECK_SYS(waitid(P_PID, (id_t)child, &info, WEXITED));
  CHECK_EQ(info.si_pid, child);
  CHECK_EQ(info.si_status, 7);
  close(fd);
}

static void others(void) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  CHECK_SYS(sigaction(SIGUSR1, &action, NULL));
  CHECK_SYS(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 1}));
  CHECK_EQ(sender, getpid());
  int pidfd = (int)CHECK_SYS(syscall(SYS_pidfd_open, getpid(), 0));
  siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
  info.si_pid = getpid(), sender = 0;
  CHECK_SYS(syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, &info, 0));
  CHECK_EQ(sender, getpid());
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
  CHECK_EQ(atoi(check_proc_field(path, "Pid:")), getpid());
  close(pidfd);
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, getpid()};
  struct __user_cap_data_struct data[2];
  CHECK_SYS(syscall(SYS_capget, &header, data));
  header.version = 0;
  CHECK_ERRNO(syscall(SYS_capget, &header, data), EINVAL);
  CHECK_EQ(header.version, _LINUX_CAPABILITY_VERSION_3);
  int semaphores = (int)CHECK_SYS(semget(IPC_PRIVATE, 1, 0600));
  CHECK_SYS(semctl(semaphores, 0, SETVAL, 1));
  CHECK_EQ(semctl(semaphores, 0, GETPID), getpid());
  CHECK_SYS(semctl(semaphores, 0, IPC_RMID));
  int memory = (int)CHECK_SYS(shmget(IPC_PRIVATE, 4096, 0600));
  struct shmid_ds about;
  CHECK_SYS(shmctl(memory, IPC_STAT, &about));
  CHECK_EQ(about.shm_cpid, getpid());
  CHECK_SYS(shmctl(memory, IPC_RMID, NULL));
}

static void verify(const int* pair) {
  sockets(pair);
  owners(pair[0]);
  locks();
  others();
}

int main(void) {
  int pair[2];
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  if (!check_is_busy()) verify(pair);  // a checkpoint of a tree is refused for now
  check_ready();
  check_wait();
  if (!check_is_busy()) verify(pair);
  check_pass();
}
