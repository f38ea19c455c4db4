#pragma once
// What a program may ask of Cairn by itself. include/cairn/cairn.h is the program's side and
// repeats these numbers, which are frozen: programs are compiled with them.
//
//   prctl(kApiOption, ApiCall, argument, argument)
//
// Only the door answers it; a kernel knows no such option and says EINVAL. Nothing but numbers goes
// in and out, so no pointer has to be looked after.
//
// A checkpoint is asked for by raising `asked`; the number that it has then is the caller's ticket.
// The agent makes one that begins after that, writes its result and raises `answered`. A caller
// that finds another incarnation than the one it asked in is a restarted one.

#include <atomic>
#include <cstdint>

namespace cairn::abi {

inline constexpr std::uint32_t kApiOption = 0x4e524143;  // "CARN"

enum class ApiCall : std::uint64_t {
  kVersion = 1,      // major << 16 | minor << 8 | patch
  kIncarnation = 2,  // from 1 on; another one after each restart
  kGeneration = 3,   // the newest that was committed or restarted from; 0: none
  kAsk = 4,          // a ticket
  kWait = 5,         // (ticket, incarnation): 0 resumed, 1 restarted
  kDefer = 6,        // counted; a checkpoint waits until it is 0
  kUndefer = 7,
  kLeaveOut = 8,  // (address, bytes), whole pages
  kTakeIn = 9,    // the same
};

inline constexpr std::uint32_t kApiResults = 64;

// Part of the job segment; [agent] writes all but `asked` and `wakeup`.
struct ApiState {
  std::atomic<std::uint32_t> asked;
  std::atomic<std::uint32_t> wakeup;               // futex: raised when `asked` was
  std::atomic<std::uint32_t> answered;             // futex
  std::atomic<std::int32_t> results[kApiResults];  // of ticket n at n % kApiResults: 0 or an errno
  std::atomic<std::uint64_t> incarnation;
  std::atomic<std::uint64_t> generation;
};

// Guest memory that is left out of images, and is zero after a restart.
struct LeftOut {
  std::uint64_t start;
  std::uint64_t end;
};
inline constexpr std::uint32_t kMaxLeftOut = 12;

}  // namespace cairn::abi
