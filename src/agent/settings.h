#pragma once
// What `cairn run` and `cairn restart` tell the agent.

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "abi/segment.h"
#include "agent/job_registry.h"
#include "base/fd.h"
#include "resources/capture.h"
#include "resources/rebuild.h"

namespace cairn::agent {

struct AgentSettings {
  JobEntry job;  // name, directory, first_pid, job_id; the agent fills in the rest
  std::chrono::milliseconds interval{0};
  resources::FilePolicy files = resources::FilePolicy::kAuto;
  unsigned keep = 0;  // generations; 0: all
  abi::DoorMode mode = abi::DoorMode::kAuto;
  std::uint32_t cpu_level = 0;  // x86-64-vN that programs are told they run on; 0: the CPU itself
  std::string engine;              // path of cairn-engine
  std::string runtime;             // path of cairn-runtime
  std::string planner;             // path of cairn-plan; empty: none
  std::string plan_cache;          // directory; empty: none
  std::uint64_t restart_from = 0;  // the generation; 0: this is no restart
  std::string secrets;  // --secret-env: names, each with a line end; the values are in our environment
  std::vector<std::string> moved;  // --map: OLD=NEW
  std::vector<resources::Variable> environment;  // --env of a restart
  std::array<Fd, 3> stdio;         // of `cairn restart`: given to the program, and closed here then
};

[[nodiscard]] std::string mode_name(abi::DoorMode mode);

}  // namespace cairn::agent
