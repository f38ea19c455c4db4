#pragma once
// The node's daemon for one job.
//
//   `cairn run`, `cairn restart` --fork twice--> agent: owns the store, makes the run directory
//        |                                         |
//        +-- waits for the ready report <----------+
//        exec cairn-runtime (same pid)             serves until the last process of the job has ended

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

}  // namespace cairn::agent
