#pragma once
// The checkpoint path.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "abi/segment.h"
#include "base/connection_queue.h"
#include "base/deadline.h"
#include "base/error.h"
#include "resources/capture.h"
#include "resources/file_journal.h"
#include "resources/process_tree.h"
#include "storage/store.h"

namespace cairn::checkpoint {

// What the path works on: this node's part of a job.
struct Job {
  storage::Store& store;
  abi::JobSegment& segment;
  ConnectionQueue& connections;  // processes connect here once they are told to
  std::uint32_t& freeze_word;    // the last one used
  resources::FileJournal* journal;  // none: files are left as they are
  std::string name;
  std::string mode;              // of the door, as --mode takes it
  RealPid first;                 // the process that whoever started the job waits for
  resources::TreeOrigin origin;  // where it was started
};

struct Request {
  std::chrono::milliseconds freeze_timeout{10'000};
  std::chrono::milliseconds timeout{600'000};
  resources::FilePolicy files = resources::FilePolicy::kAuto;
  std::vector<std::pair<std::string, std::string>> secrets{};  // variables whose values are left out
  bool kill = false;  // end the job by SIGKILL once the generation is committed
  std::function<void(std::string_view phase, std::uint64_t done, std::uint64_t total)> progress;
  // Called from another thread when the time is over and something does not answer: the job runs on
  // from now, while checkpoint() itself returns whenever it can, mostly with a failure.
  std::function<void(const Error& late)> given_up;
};

struct Phases {
  std::chrono::microseconds freeze{0};
  std::chrono::microseconds capture{0};
  std::chrono::microseconds memory{0};
  std::chrono::microseconds sync{0};
  std::chrono::microseconds commit{0};
  std::chrono::microseconds frozen{0};  // from the first request to the thaw
};

struct Outcome {
  storage::GenerationInfo generation;
  Phases phases;
  std::uint32_t processes = 0;  // without those that have ended
  std::uint32_t threads = 0;
};

// Either the generation is committed and durable, or nothing has changed; in both cases the job
// runs on (unless `kill` and committed). It never stands still for much longer than `timeout`.
[[nodiscard]] Result<Outcome> checkpoint(Job& job, const Request& request);

}  // namespace cairn::checkpoint
