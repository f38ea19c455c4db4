#pragma once
// Futexes in memory that is shared between processes.

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <ctime>

namespace cairn {

// Waits until the word is changed and woken, or for `timeout`; may wake without cause.
template <class Word>
void futex_wait(std::atomic<Word>& word, Word while_value, std::chrono::nanoseconds timeout) {
  static_assert(sizeof(Word) == 4);
  const timespec time{.tv_sec = static_cast<time_t>(timeout.count() / 1'000'000'000),
                      .tv_nsec = static_cast<long>(timeout.count() % 1'000'000'000)};
  ::syscall(SYS_futex, &word, FUTEX_WAIT, while_value, &time, nullptr, 0);
}

template <class Word>
void futex_wake_all(std::atomic<Word>& word) {
  static_assert(sizeof(Word) == 4);
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace cairn
