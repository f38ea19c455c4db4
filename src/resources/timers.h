#pragma once
// POSIX timers and interval timers. They belong to the process and are made by it.

#include <cstddef>
#include <optional>
#include <span>

#include "resources/context.h"

namespace cairn::resources {

Result<> capture_timers(CaptureContext& context);

// The pending signal of a periodic timer stands for many expirations: those since the first one are
// its overruns, and are counted until it is taken. So it cannot be put back as it is; the timer is
// set once more to that first expiration, which is over, and the kernel counts anew.
struct PendingExpiration {
  std::int32_t timer;
  std::int64_t interval;
  std::int64_t first;  // on the timer's clock
};
// For a siginfo that was taken this moment: the timer stands still now. None: not such a signal.
Result<std::optional<PendingExpiration>> stop_at_pending(CaptureContext& context,
                                                         std::span<const std::byte> siginfo);
Result<> expire_again(CaptureContext& context, const PendingExpiration& pending);
// True for the siginfo of such a signal: start_timers brings it back.
bool is_expiration(const RebuildContext& context, std::span<const std::byte> siginfo);

Result<> create_posix_timers(RebuildContext& context);  // with their ids, disarmed
Result<> start_timers(RebuildContext& context);

}  // namespace cairn::resources
