// Whoever asked to be told of a message in an empty queue is told once, with the value asked for,
// and not of messages that were there before; somebody else may not ask meanwhile.
//
// flavours: all
#include <mqueue.h>
#include <signal.h>
#include <unistd.h>

#include "check.h"

static volatile sig_atomic_t g_told;
static volatile int g_value, g_code;

static void handler(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  ++g_told;
  g_value = info->si_value.sival_int;
  g_code = info->si_code;
}

static mqd_t make(const char* what) {
  char name[64];
  snprintf(name, sizeof name, "/check-%s-%d", what, (int)getpid());
  mq_unlink(name);
  struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 8};
  mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
  CHECK(queue != (mqd_t)-1);
  CHECK_SYS(mq_unlink(name));
  return queue;
}

int main(void) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  CHECK_SYS(sigaction(SIGUSR2, &action, NULL));
  mqd_t empty = make("empty"), filled = make("filled"), silent = make("silent");
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
  event.sigev_value.sival_int = 4711;
  CHECK_SYS(mq_notify(empty, &event));
  CHECK_SYS(mq_send(filled, "old", 3, 1));
  event.sigev_value.sival_int = 4712;
  CHECK_SYS(mq_notify(filled, &event));
  event.sigev_notify = SIGEV_NONE;
  CHECK_SYS(mq_notify(silent, &event));
  check_ready();
  check_wait();
  CHECK_EQ(g_told, 0);
  CHECK_ERRNO(mq_notify(empty, &event), EBUSY);
  CHECK_ERRNO(mq_notify(silent, &event), EBUSY);
  CHECK_SYS(mq_send(silent, "x", 1, 0));
  CHECK_SYS(mq_notify(silent, &event));
  CHECK_SYS(mq_send(empty, "new", 3, 0));
  CHECK_EQ(g_told, 1);
  CHECK_EQ(g_value, 4711);
  CHECK_EQ(g_code, SI_MESGQ);
  CHECK_SYS(mq_send(empty, "more", 4, 0));
  CHECK_EQ(g_told, 1);
  char text[8];
  CHECK_SYS(mq_send(filled, "more", 4, 1));
  CHECK_EQ(g_told, 1);
  CHECK_EQ(mq_receive(filled, text, sizeof text, NULL), 3);
  CHECK_EQ(mq_receive(filled, text, sizeof text, NULL), 4);
  CHECK_SYS(mq_send(filled, "new", 3, 1));
  CHECK_EQ(g_told, 2);
  CHECK_EQ(g_value, 4712);
  check_pass();
}
