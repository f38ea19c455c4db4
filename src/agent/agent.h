#pragma once
// The node's daemon for one job.
//
//   `cairn restart` --fork twice--> agent: makes the run directory, owns the store
//        |                            |
//        +-- waits for the report <---+
//        exec cairn-runtime           serves until the last process of the job has ended
//        (same pid)
//
// `cairn run` execs at once: the runtime loads the program while the agent starts, and waits for
// the report before the program's first instruction (abi/boot.h, `ready`).

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "abi/segment.h"
#include "agent/job_registry.h"
#include "base/daemon.h"
#include "base/error.h"
#include "base/fd.h"
#include "resources/capture.h"
#include "restart/restart.h"

namespace cairn::agent {

struct AgentSettings {
  JobEntry job;  // name, directory, first_pid, job_id; the agent fills in the rest
  std::chrono::milliseconds interval{0};
  resources::FilePolicy files = resources::FilePolicy::kAuto;
  unsigned keep = 0;  // generations; 0: all
  abi::DoorMode mode = abi::DoorMode::kAuto;
  std::uint32_t cpu_level = 0;  // x86-64-vN that programs are told they run on; 0: the CPU itself
  std::string runtime;   // path of cairn-runtime
  std::string planner;   // path of cairn-plan; empty: none
  std::string plan_cache;
  std::uint64_t restart_from = 0;  // the generation; 0: this is no restart
  std::array<Fd, 3> stdio;  // of `cairn restart`: given to the program, and closed here then
};

[[nodiscard]] std::string mode_name(abi::DoorMode mode);

// Starts the agent of the job; returns the path of its segment once it serves. A failed start leaves
// nothing behind.
[[nodiscard]] Result<std::string> start_agent(AgentSettings settings);

// Does not wait. What the runtime reads from the report if the start fails, is made by `explain`.
struct LaunchedAgent {
  std::string segment;  // where it will be
  Fd report;
};
using Explain = std::function<std::string(const Error&)>;
[[nodiscard]] Result<LaunchedAgent> launch_agent(AgentSettings settings, Explain explain);

}  // namespace cairn::agent
