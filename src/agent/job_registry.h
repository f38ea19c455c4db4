#pragma once
// Where the jobs of this user on this node are found while they run.
//
//   ROOT/<job id>-<first pid>/   mode 0700, made by the agent, removed when the job has ended
//       agent.sock   the agent's socket
//       segment      the job segment (abi/segment.h)
//       job.json     JobEntry
//
// ROOT is $XDG_RUNTIME_DIR/cairn, or /tmp/cairn-UID where that is not set: both are looked through,
// since a login and a batch job of the same user need not agree on it.

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"

namespace cairn::agent {

struct JobEntry {
  std::string job_id;
  std::string name;
  std::string directory;  // of the store, absolute
  std::uint64_t incarnation = 0;
  pid_t agent_pid = 0;
  std::uint64_t agent_start_time = 0;  // tells a reused pid from the agent
  pid_t first_pid = 0;                 // of the program as started
  std::int64_t started_ns = 0;         // CLOCK_REALTIME
  std::filesystem::path run_directory;

  [[nodiscard]] std::filesystem::path socket() const { return run_directory / "agent.sock"; }
  [[nodiscard]] std::filesystem::path segment() const { return run_directory / "segment"; }
  [[nodiscard]] bool alive() const;
};

[[nodiscard]] inline std::filesystem::path agent_log(const JobEntry& entry) {
  return std::filesystem::path(entry.directory) / "agent.log";
}

// 80 random bits in hexadecimal.
[[nodiscard]] std::string make_job_id();

// Where the run directory is to be (the entry needs its `job_id` and `first_pid`).
[[nodiscard]] std::filesystem::path run_directory_of(const JobEntry& entry);
// Makes the entry's run directory and sets `run_directory`.
[[nodiscard]] Result<> make_run_directory(JobEntry& entry);
// The entry appears to others at once and whole.
[[nodiscard]] Result<> publish(const JobEntry& entry);
void remove_run_directory(const JobEntry& entry);

// All running jobs, oldest first. What dead agents left behind is removed.
[[nodiscard]] std::vector<JobEntry> running_jobs();

// The running jobs that `word` names: by name, job id, or the beginning of a job id of at least four
// letters.
[[nodiscard]] std::vector<JobEntry> match_jobs(const std::vector<JobEntry>& jobs,
                                               const std::string& word);

}  // namespace cairn::agent
