// exec from a thread that is not the leader: the pid stays, every other thread is gone.
#include "common.h"
#include <dirent.h>

static char* program;
static char pid_text[16];

static int threads(void) {
  int count = 0;
  DIR* directory = opendir("/proc/self/task");
  for (struct dirent* e; (e = readdir(directory));) count += e->d_name[0] != '.';
  closedir(directory);
  return count;
}

static void* sleeper(void* unused) { for (;;) pause(); return unused; }
static void* spinner(void* unused) { for (volatile long n = 0;; n++) {} return unused; }
static void* executor(void* unused) {
  execl(program, program, pid_text, NULL);
  printf("exec: %s\n", errno_name(errno));
  _exit(1);
  return unused;
}

int main(int argc, char** argv) {
  program = argv[0];
  if (argc == 2) {
    printf("same pid %d, same tid %d, threads %d\n", atoi(argv[1]) == getpid(), gettid() == getpid(), threads());
    return 0;
  }
  setvbuf(stdout, NULL, _IONBF, 0);
  for (int round = 0; round < 20; round++) {
    pid_t child = fork();
    if (!child) {
      snprintf(pid_text, sizeof pid_text, "%d", getpid());
      pthread_t t;
      for (int n = 0; n < 6; n++) pthread_create(&t, NULL, n % 2 ? sleeper : spinner, NULL);
      pthread_create(&t, NULL, executor, NULL);
      for (;;) round % 2 ? pause() : sched_yield();
    }
    int status;
    waitpid(child, &status, 0);
    print_status("exec from a thread", status);
  }
  return 0;
}
