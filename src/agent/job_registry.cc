#include "agent/job_registry.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "agent/job_watch.h"
#include "base/files.h"
#include "base/unix_socket.h"

namespace cairn::agent {
namespace {

namespace fs = std::filesystem;

// ROOT, the first that can hold a socket's path first.
std::vector<fs::path> roots() {
  std::vector<fs::path> found;
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  constexpr std::size_t kRest = sizeof("/cairn/01234567890123456789-4294967295/agent.sock");
  if (runtime != nullptr && runtime[0] == '/' &&
      std::string_view(runtime).size() + kRest <= sizeof(sockaddr_un::sun_path) &&
      ::access(runtime, W_OK | X_OK) == 0)
    found.push_back(fs::path(runtime) / "cairn");
  found.push_back("/tmp/cairn-" + std::to_string(::geteuid()));
  return found;
}

Json to_json(const JobEntry& entry) {
  return {{"job", entry.job_id},
          {"name", entry.name},
          {"directory", entry.directory},
          {"incarnation", entry.incarnation},
          {"agent_pid", entry.agent_pid},
          {"agent_start_time", entry.agent_start_time},
          {"pid", entry.first_pid},
          {"started_ns", entry.started_ns}};
}

Result<JobEntry> read_entry(const fs::path& run_directory) {
  const fs::path file = run_directory / "job.json";
  CAIRN_ASSIGN(const std::string text, read_text_file(file));
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return failure(EPROTO, "understand", file);
  JobEntry entry;
  entry.run_directory = run_directory;
  try {
    entry.job_id = json.at("job");
    entry.name = json.at("name");
    entry.directory = json.at("directory");
    entry.incarnation = json.at("incarnation");
    entry.agent_pid = json.at("agent_pid");
    entry.agent_start_time = json.at("agent_start_time");
    entry.first_pid = json.at("pid");
    entry.started_ns = json.at("started_ns");
  } catch (const Json::exception&) {
    return failure(EPROTO, "understand", file);
  }
  return entry;
}

}  // namespace

bool JobEntry::alive() const {
  return agent_pid > 0 && process_lives(agent_pid, agent_start_time);
}

std::string make_job_id() {
  std::array<unsigned char, 10> bytes{};
  // Cannot fail for so few bytes, except on a system that has only just booted.
  while (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
  }
  std::string id;
  for (const unsigned byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

fs::path run_directory_of(const JobEntry& entry) {
  return roots().front() / fmt::format("{}-{}", entry.job_id, entry.first_pid);
}

Result<> make_run_directory(JobEntry& entry) {
  entry.run_directory = run_directory_of(entry);
  CAIRN_TRY(make_private_directory(entry.run_directory.parent_path()));
  return make_private_directory(entry.run_directory);
}

Result<> publish(const JobEntry& entry) {
  const fs::path file = entry.run_directory / "job.json";
  const fs::path fresh = entry.run_directory / "job.json.new";
  CAIRN_ASSIGN(const Fd fd, create_private_file(fresh, O_WRONLY));
  CAIRN_TRY(write_all(fd.get(), to_json(entry).dump() + "\n"));
  if (::rename(fresh.c_str(), file.c_str()) != 0) return os_failure("rename", fresh);
  return {};
}

void remove_run_directory(const JobEntry& entry) {
  if (entry.run_directory.empty()) return;
  // Only what we make ourselves: nothing here ever removes a tree.
  for (const char* name : {"agent.sock", "segment", "job.json.new", "job.json"})
    ::unlink((entry.run_directory / name).c_str());
  ::rmdir(entry.run_directory.c_str());
}

std::vector<JobEntry> running_jobs() {
  std::vector<JobEntry> jobs;
  for (const fs::path& root : roots()) {
    std::error_code error;
    for (const auto& item : fs::directory_iterator(root, error)) {
      auto entry = read_entry(item.path());
      if (!entry) continue;  // being made or removed just now
      if (entry->alive()) {
        jobs.push_back(std::move(*entry));
      } else if (!anybody_left(entry->segment())) {
        remove_run_directory(*entry);
      }
    }
  }
  std::sort(jobs.begin(), jobs.end(),
            [](const JobEntry& a, const JobEntry& b) { return a.started_ns < b.started_ns; });
  return jobs;
}

std::vector<JobEntry> match_jobs(const std::vector<JobEntry>& jobs, const std::string& word) {
  std::vector<JobEntry> matching;
  for (const JobEntry& job : jobs) {
    const bool by_id = word.size() >= 4 && job.job_id.starts_with(word);
    if (job.name == word || by_id) matching.push_back(job);
  }
  return matching;
}

}  // namespace cairn::agent
