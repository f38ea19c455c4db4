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

// What this kernel's clock shows, in nanoseconds.
std::int64_t now(clockid_t clock);

ClockReading read_clocks();

Result<> capture_clocks(CaptureContext& context);

// How far the guest's monotonic clock is beyond the moment at which the image holds it. What a timer has
// left is kept relative to that moment: it expires when the guest's clock says so, however long a
// capture and a rebuilding take. To be asked after the timer at a capture, before it at a rebuilding:
// so a timer may be late by the time of that question, and is never early.
std::int64_t beyond_image(const CaptureContext& context);
Result<std::int64_t> beyond_image(RebuildContext& context);

// Offsets by which this kernel's clocks go on as the guest's.
Result<> set_clock_offsets(RebuildContext& context, abi::RuntimeState& state);

}  // namespace cairn::resources
