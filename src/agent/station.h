#pragma once
// The first part of an agent's life, which a program's start waits for. It is kept small: no store
// is read, no thread is started, and none of what an image needs is linked into `cairn`.
//
//   `cairn run` --fork twice--> agent: run directory, segment, socket, claim of the store
//        |                        |
//   execs the runtime, which      +--> says that it is ready, and execs cairn-engine, which takes
//   loads the program and              over and serves (agent.h); pid and start time are the same
//   waits for the report
//        |                        |
//   the program's first <---------+
//   instruction

#include <functional>
#include <optional>
#include <string>

#include "agent/segment_file.h"
#include "agent/settings.h"
#include "base/error.h"
#include "base/fd.h"

namespace cairn::agent {

// What an agent holds as long as it lives.
struct Station {
  std::optional<SegmentFile> segment;
  Fd listener;
  Fd files;    // where processes that have become another user's ask; of root's job only
  Fd program;  // pidfd of the first process
};

// Two steps, since the runtime needs the segment long before the rest. They fill in `settings.job`;
// what a failed start leaves behind, remove_run_directory() removes.
[[nodiscard]] Result<> make_segment(AgentSettings& settings, Station& station);
[[nodiscard]] Result<> claim_station(AgentSettings& settings, Station& station);

// Over the exec: the settings as text, and the station's descriptors by their numbers.
[[nodiscard]] std::string hand_over_text(const AgentSettings& settings, const Station& station);
struct TakenOver {
  AgentSettings settings;
  Station station;
};
[[nodiscard]] Result<TakenOver> take_over(const std::string& text);

// Starts the agent of a new job and does not wait. What the runtime reads from the report if the
// start fails, is made by `explain`.
struct LaunchedAgent {
  std::string segment;  // where it will be
  Fd report;
};
using Explain = std::function<std::string(const Error&)>;
[[nodiscard]] Result<LaunchedAgent> launch_agent(AgentSettings settings, Explain explain);

// As `ps` shows an agent, and how cairn-engine knows that it is to be one.
inline constexpr char kAgentTitle[] = "cairn agent ";

}  // namespace cairn::agent
