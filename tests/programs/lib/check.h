#pragma once
// What every program of tests/programs shares. A program
//
//   1. builds the state it is about,
//   2. calls check_ready(), then check_wait(): the driver checkpoints, kills and restarts it here,
//   3. verifies everything with the CHECK macros,
//   4. ends with check_pass(). One line, PASS or FAIL with the reason, goes to $CHECK_DIR/result.
//
// The driver commands through a symbolic link, $CHECK_DIR/command, whose target is the command:
// reading it needs no descriptor, no signal and no memory, so the wait does not lean on what is
// being tested, and it is the same for a process with another pid.

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

// The state is complete: tell the driver.
void check_ready(void);

// Until the driver releases the program. Each turn also verifies that getpid and gettid are
// constant, that CLOCK_MONOTONIC does not go back, and that a sleep which no handler of the program
// interrupted does not report EINTR (see check_expect_eintr).
void check_wait(void);

// `while (check_busy()) operation();` between check_ready and check_wait: in the busy flavour true
// until the release, so that checkpoints hit the operation itself; in all others false at once.
// Programs without such a loop are started again by exec, over and over, in the busy flavour.
int check_busy(void);

// True in the flavour where check_wait returns at once.
int check_is_busy(void);

// The program's own handlers interrupt check_wait.
void check_expect_eintr(void);

// Called in check_wait after a commit, before the driver kills the program: what it does then must
// not be seen after the restart (the file rule).
void check_on_run_on(void (*hook)(void));

// Spends no CPU until `thread` sleeps in the kernel.
void check_until_asleep(pid_t thread);

// $CHECK_DIR/files/name; valid until the end.
const char* check_path(const char* name);

void check_pass(void) __attribute__((noreturn));
void check_skip(const char* reason) __attribute__((noreturn));
void check_fail(const char* file, int line, const char* format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

// Bytes that depend on seed and position; check_bytes fails at the first that differs.
void check_fill(void* at, size_t bytes, uint64_t seed);
void check_bytes(const void* at, size_t bytes, uint64_t seed, const char* file, int line);

int64_t check_nanoseconds(clockid_t clock);
void check_sleep_ms(long milliseconds);

// The first line of the file, without its end.
const char* check_read_line(const char* path);

// Value of `key` (with its colon) in a file of /proc, or fail.
const char* check_proc_field(const char* path, const char* key);

#define CHECK(condition)                                                         \
  do {                                                                           \
    if (!(condition)) check_fail(__FILE__, __LINE__, "expected %s", #condition); \
  } while (0)

#define CHECK_EQ(got, want)                                                               \
  do {                                                                                    \
    long long check_got = (long long)(got), check_want = (long long)(want);               \
    if (check_got != check_want)                                                          \
      check_fail(__FILE__, __LINE__, "%s: expected %lld (%#llx), got %lld (%#llx)", #got, \
                 check_want, (unsigned long long)check_want, check_got,                   \
                 (unsigned long long)check_got);                                          \
  } while (0)

#define CHECK_STR(got, want)                                                              \
  do {                                                                                    \
    const char *check_got = (got), *check_want = (want);                                  \
    if (strcmp(check_got, check_want) != 0)                                               \
      check_fail(__FILE__, __LINE__, "%s: expected \"%s\", got \"%s\"", #got, check_want, \
                 check_got);                                                              \
  } while (0)

// For calls that return -1 and set errno; gives their value.
#define CHECK_SYS(call)                                                                       \
  __extension__({                                                                             \
    long long check_result = (long long)(call);                                               \
    if (check_result == -1)                                                                   \
      check_fail(__FILE__, __LINE__, "%s: expected success, got %s", #call, strerror(errno)); \
    check_result;                                                                             \
  })

// For calls that must fail with this errno.
#define CHECK_ERRNO(call, want)                                                          \
  do {                                                                                   \
    errno = 0;                                                                           \
    long long check_result = (long long)(call);                                          \
    if (check_result != -1 || errno != (want))                                           \
      check_fail(__FILE__, __LINE__, "%s: expected -1 with %s, got %lld with %s", #call, \
                 strerror(want), check_result, strerror(errno));                         \
  } while (0)

// For calls that return an error number, like pthread_*.
#define CHECK_OK(call)                                                      \
  do {                                                                      \
    int check_error = (call);                                               \
    if (check_error != 0)                                                   \
      check_fail(__FILE__, __LINE__, "%s: expected success, got %s", #call, \
                 strerror(check_error));                                    \
  } while (0)

#define CHECK_BYTES(at, bytes, seed) check_bytes(at, bytes, seed, __FILE__, __LINE__)

#ifdef __cplusplus
}
#endif
