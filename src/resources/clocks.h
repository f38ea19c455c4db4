#pragma once
// The guest's clocks, which go on where the checkpoint stopped them, and their arithmetic.

#include <sys/time.h>
#include <time.h>

#include "resources/context.h"

namespace cairn::resources {

inline constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

inline std::int64_t nanoseconds(const timespec& time) {
  return time.tv_sec * kNanosecondsPerSecond + time.tv_nsec;
}
inline std::int64_t nanoseconds(const timeval& time) {
  return time.tv_sec * kNanosecondsPerSecond + time.tv_usec * 1000;
}
inline std::int64_t nanoseconds(const image::TimeSpec& time) {
  return time.seconds() * kNanosecondsPerSecond + time.nanoseconds();
}
inline void set_nanoseconds(image::TimeSpec& record, std::int64_t time) {
  record.set_seconds(time / kNanosecondsPerSecond);
  record.set_nanoseconds(time % kNanosecondsPerSecond);
}

Result<> capture_clocks(CaptureContext& context);

// Offsets by which this kernel's clocks go on as the guest's.
Result<> set_clock_offsets(RebuildContext& context, abi::RuntimeState& state);

}  // namespace cairn::resources
