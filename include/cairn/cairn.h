#pragma once
/* What a program may ask of Cairn by itself.
 *
 * Nothing is linked: each function makes one system call that only Cairn answers. Without Cairn
 * cairn_version() is 0 and everything else fails with ENOSYS, so a program may call all of it anywhere.
 * Functions return -1 and set errno where they fail. C99 and C++; docs/c-api.md has examples. */

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Frozen: programs are compiled with these numbers. */
#define CAIRN_PRCTL 0x4e524143L /* "CARN", as the option of prctl(2) */
#define CAIRN_CALL_VERSION 1L
#define CAIRN_CALL_INCARNATION 2L
#define CAIRN_CALL_GENERATION 3L
#define CAIRN_CALL_ASK 4L
#define CAIRN_CALL_WAIT 5L
#define CAIRN_CALL_DEFER 6L
#define CAIRN_CALL_UNDEFER 7L
#define CAIRN_CALL_LEAVE_OUT 8L
#define CAIRN_CALL_TAKE_IN 9L

static inline long cairn_call(long call, unsigned long first, unsigned long second) {
  long result = syscall(SYS_prctl, CAIRN_PRCTL, call, first, second, 0L);
  if (result == -1 && errno == EINVAL &&
      syscall(SYS_prctl, CAIRN_PRCTL, CAIRN_CALL_VERSION, 0L, 0L, 0L) == -1)
    errno = ENOSYS; /* the kernel knows no such option */
  return result;
}

/* 0: not under Cairn; else major * 65536 + minor * 256 + patch. */
static inline int cairn_version(void) {
  int before = errno;
  long version = cairn_call(CAIRN_CALL_VERSION, 0, 0);
  errno = before;
  return version == -1 ? 0 : (int)version;
}

/* 1 for a program that runs for the first time, and a higher number after each restart. */
static inline long cairn_incarnation(void) { return cairn_call(CAIRN_CALL_INCARNATION, 0, 0); }

/* The newest checkpoint: that was committed, or that the program was restarted from. 0: none yet. */
static inline long cairn_generation(void) { return cairn_call(CAIRN_CALL_GENERATION, 0, 0); }

#define CAIRN_RESUMED 0
#define CAIRN_RESTARTED 1

/* Saves the job now and returns twice, like fork(2): CAIRN_RESUMED in the program that goes on once
 * the checkpoint is on disk, CAIRN_RESTARTED in one that was restarted from it. EDEADLK: between
 * cairn_defer and cairn_undefer. EOPNOTSUPP: something cannot be saved (`cairn status` says what).
 * ETIMEDOUT, ENOSPC ...: it failed. The program goes on after every failure. */
static inline int cairn_checkpoint(void) {
  long incarnation = cairn_incarnation();
  long ticket = incarnation == -1 ? -1 : cairn_call(CAIRN_CALL_ASK, 0, 0);
  long result = -1;
  if (ticket == -1) return -1;
  do {
    result = cairn_call(CAIRN_CALL_WAIT, (unsigned long)ticket, (unsigned long)incarnation);
  } while (result == -1 && errno == EINTR);
  return (int)result;
}

/* No checkpoint of the job is taken until as many cairn_undefer() have followed: it waits. */
static inline int cairn_defer(void) { return (int)cairn_call(CAIRN_CALL_DEFER, 0, 0); }
/* EPERM: nothing is put off. */
static inline int cairn_undefer(void) { return (int)cairn_call(CAIRN_CALL_UNDEFER, 0, 0); }

/* Whole pages of private anonymous memory that need not be saved: caches, scratch space. They are
 * zero after a restart. EINVAL: not whole pages. ENOSPC: there are too many regions (12). Take the
 * memory in again before it is freed. */
static inline int cairn_leave_out(void* address, size_t bytes) {
  return (int)cairn_call(CAIRN_CALL_LEAVE_OUT, (unsigned long)address, (unsigned long)bytes);
}
static inline int cairn_take_in(void* address, size_t bytes) {
  return (int)cairn_call(CAIRN_CALL_TAKE_IN, (unsigned long)address, (unsigned long)bytes);
}

/* Hooks by polling: what has happened since the last look at the same watch. The first look at one
 * that is all zero only remembers. */
struct cairn_watch {
  long incarnation;
  long generation;
};
#define CAIRN_SAVED 1        /* a checkpoint was committed */
#define CAIRN_WAS_RESTARTED 2 /* the program was restarted: open connections, seeds, caches ... */

static inline int cairn_poll(struct cairn_watch* watch) {
  struct cairn_watch now;
  int events = 0;
  now.incarnation = cairn_incarnation();
  if (now.incarnation == -1) return -1;
  now.generation = cairn_generation();
  if (watch->incarnation != 0 && now.incarnation != watch->incarnation)
    events = CAIRN_WAS_RESTARTED;
  else if (watch->incarnation != 0 && now.generation != watch->generation)
    events = CAIRN_SAVED;
  *watch = now;
  return events;
}

#ifdef __cplusplus
}
#endif
