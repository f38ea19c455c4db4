// What a checkpoint cannot save for a moment only, at any moment: clients of a unix socket that have
// written before they are accepted, and a TCP connection whose receiver has no room until it reads. No
// checkpoint fails because of them, and nothing is lost or doubled.
//
// flavours: all
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

static int g_listening;
static struct sockaddr_un g_name = {.sun_family = AF_UNIX};
static int g_tcp[2];
static atomic_int g_stop, g_served, g_tcp_rounds;

enum { kChunk = 300000 };

static void* client(void* unused) {
  for (unsigned i = 0; !g_stop; ++i) {
    unsigned answer = 0;
    int s = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK_SYS(connect(s, (struct sockaddr*)&g_name, sizeof g_name));
    CHECK_EQ(write(s, &i, sizeof i), (long long)sizeof i);
    CHECK_EQ(read(s, &answer, sizeof answer), (long long)sizeof answer);
    CHECK_EQ(answer, i + 1);
    CHECK_SYS(close(s));
    check_sleep_ms(4);
  }
  return unused;
}

static void* server(void* unused) {
  for (unsigned i = 0;; ++i) {
    unsigned number = 0;
    int s = accept(g_listening, NULL, NULL);
    if (s < 0 && g_stop) return unused;
    CHECK_SYS(s);
    CHECK_EQ(read(s, &number, sizeof number), (long long)sizeof number);
    CHECK_EQ(number, i);
    ++number;
    CHECK_EQ(write(s, &number, sizeof number), (long long)sizeof number);
    CHECK_EQ(read(s, &number, sizeof number), 0);
    CHECK_SYS(close(s));
    atomic_fetch_add(&g_served, 1);
    check_sleep_ms(1);
  }
}

static void* sender(void* unused) {
  static unsigned char data[kChunk];
  for (unsigned char round = 0; !g_stop; ++round) {
    memset(data, round, sizeof data);
    for (size_t done = 0; done < sizeof data;)
      done += (size_t)CHECK_SYS(write(g_tcp[0], data + done, sizeof data - done));
    check_sleep_ms(3);
  }
  CHECK_SYS(shutdown(g_tcp[0], SHUT_WR));
  return unused;
}

static void* receiver(void* unused) {
  static unsigned char data[kChunk];
  for (unsigned char round = 0;; ++round) {
    for (size_t done = 0; done < sizeof data;) {
      const ssize_t got = CHECK_SYS(read(g_tcp[1], data + done, sizeof data - done));
      if (got == 0 && done == 0) return unused;
      CHECK(got > 0);
      done += (size_t)got;
      if (round % 16 == 0) check_sleep_ms(1);  // its window closes
    }
    for (size_t i = 0; i < sizeof data; ++i) CHECK_EQ(data[i], round);
    atomic_fetch_add(&g_tcp_rounds, 1);
  }
}

static void start(pthread_t* threads) {
  void* (*const bodies[])(void*) = {server, client, receiver, sender};
  for (int i = 0; i < 4; ++i) CHECK_OK(pthread_create(&threads[i], NULL, bodies[i], NULL));
}

static void stop(const pthread_t* threads) {
  g_stop = 1;
  CHECK_OK(pthread_join(threads[1], NULL));
  CHECK_SYS(shutdown(g_listening, SHUT_RDWR));
  CHECK_OK(pthread_join(threads[0], NULL));
  CHECK_OK(pthread_join(threads[3], NULL));
  CHECK_OK(pthread_join(threads[2], NULL));
  close(g_listening), close(g_tcp[0]), close(g_tcp[1]);
}

static void connect_tcp(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listening = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
  CHECK_SYS(bind(listening, (struct sockaddr*)&address, length));
  CHECK_SYS(listen(listening, 1));
  CHECK_SYS(getsockname(listening, (struct sockaddr*)&address, &length));
  g_tcp[0] = (int)CHECK_SYS(socket(AF_INET, SOCK_STREAM, 0));
  CHECK_SYS(connect(g_tcp[0], (struct sockaddr*)&address, sizeof address));
  g_tcp[1] = (int)CHECK_SYS(accept(listening, NULL, NULL));
  CHECK_SYS(close(listening));
}

int main(void) {
  pthread_t threads[4];
  snprintf(g_name.sun_path, sizeof g_name.sun_path, "%s", check_path("passing.sock"));
  unlink(g_name.sun_path);
  g_listening = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK_SYS(bind(g_listening, (struct sockaddr*)&g_name, sizeof g_name));
  CHECK_SYS(listen(g_listening, 5));
  connect_tcp();
  start(threads);
  check_ready();
  check_wait();
  const int served = g_served, rounds = g_tcp_rounds;
  while (g_served < served + 20 || g_tcp_rounds < rounds + 3) check_sleep_ms(1);
  stop(threads);
  check_pass();
}
