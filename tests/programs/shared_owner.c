// F_SETOWN by one process for another of the job, and for a process group: SIGIO reaches the owner.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "child.h"

static int g_pair[2], g_group[2];

static void wait_for_signal(void) {
  sigset_t set;
  siginfo_t info;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 1);
  CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 1);
  CHECK_EQ(info.si_fd, g_pair[0]);
  CHECK_EQ(fcntl(g_pair[0], F_GETOWN), getpid());
}

int main(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 1);
  CHECK_SYS(sigprocmask(SIG_BLOCK, &set, NULL));
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, g_pair));
  CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, g_group));
  const check_child child = check_child_start(wait_for_signal);
  CHECK_SYS(setpgid(child.pid, 0));
  CHECK_SYS(fcntl(g_pair[0], F_SETSIG, SIGRTMIN + 1));
  CHECK_SYS(fcntl(g_pair[0], F_SETOWN, child.pid));
  CHECK_SYS(fcntl(g_pair[0], F_SETFL, O_ASYNC));
  CHECK_SYS(fcntl(g_group[0], F_SETOWN, -child.pid));
  check_ready();
  check_wait();
  CHECK_EQ(fcntl(g_pair[0], F_GETOWN), child.pid);
  CHECK_EQ(fcntl(g_pair[0], F_GETSIG), SIGRTMIN + 1);
  struct f_owner_ex owner;
  CHECK_SYS(fcntl(g_group[0], F_GETOWN_EX, &owner));
  CHECK_EQ(owner.type, F_OWNER_PGRP);
  CHECK_EQ(owner.pid, child.pid);
  CHECK_EQ(send(g_pair[1], "x", 1, 0), 1);
  check_child_finish(child);
  check_pass();
}
