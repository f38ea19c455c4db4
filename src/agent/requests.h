#pragma once
// What the command line and an agent say to each other: one JSON object a line.
//
//   -> {"request":"status"}
//   <- {"event":"result","ok":true, ...}
//   -> {"request":"prune","keep":3}
//   <- {"event":"result","ok":true,"removed":[1,2], ...}
//   -> {"request":"checkpoint","kill":false,"timeout_ms":600000}
//   <- {"event":"progress","phase":"memory","done":1048576,"total":4194304}     any number of these
//   <- {"event":"result","ok":true,"generation":3, ...}
//   or {"event":"result","ok":false,"error":"...","code":110,"job_goes_on":true}   code: errno or 0

#include <chrono>
#include <string>
#include <string_view>

#include "abi/segment.h"
#include "base/unix_socket.h"
#include "checkpoint/checkpoint.h"
#include "restart/restart.h"

namespace cairn::agent {

struct CheckpointRequest {
  std::chrono::milliseconds timeout{600'000};
  std::chrono::milliseconds freeze_timeout{10'000};
  bool kill = false;
};

[[nodiscard]] Json to_json(const CheckpointRequest& request);
[[nodiscard]] CheckpointRequest parse_checkpoint_request(const Json& message);

[[nodiscard]] Json prune_request(unsigned keep);
[[nodiscard]] unsigned parse_prune_request(const Json& message);  // 0: it makes no sense
[[nodiscard]] Json prune_answer(const storage::RetentionReport& report);

[[nodiscard]] Json failure_answer(const Error& error);
[[nodiscard]] Error error_of(const Json& answer);
[[nodiscard]] Json checkpoint_answer(const checkpoint::Outcome& outcome);
[[nodiscard]] Json progress_message(std::string_view phase, std::uint64_t done,
                                    std::uint64_t total);
[[nodiscard]] Json describe_process(const abi::ProcessSlot& slot);

[[nodiscard]] std::string checkpoint_log_fields(const checkpoint::Outcome& outcome);
[[nodiscard]] std::string restart_log_fields(const restart::Plan& plan,
                                             const restart::Outcome& outcome);

// Lets a progress report through when the phase changes, and else a few times a second.
class ProgressFilter {
 public:
  [[nodiscard]] bool worth_telling(std::string_view phase, std::uint64_t done,
                                   std::uint64_t total);

 private:
  std::string phase_;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace cairn::agent
