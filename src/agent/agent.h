#pragma once
// The node's daemon for one job.
//
//   `cairn run`      the agent begins in station.h, and goes on here as another program
//   `cairn restart` --fork twice--> agent: begins and goes on in the same program
//        |                            |
//        +-- waits for the report <---+
//        exec cairn-runtime           serves until the last process of the job has ended
//        (same pid)

#include <string>

#include "agent/settings.h"
#include "base/error.h"

namespace cairn::agent {

// Starts the agent of a restart; returns the path of its segment once it serves. A failed start
// leaves nothing behind.
[[nodiscard]] Result<std::string> start_agent(AgentSettings settings);

// Was this program started by an agent that has taken its station? Then it is to be that agent.
[[nodiscard]] bool is_agent(int argc, char** argv);
int continue_agent(char** argv);

}  // namespace cairn::agent
