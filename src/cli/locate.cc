#include "cli/locate.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "agent/job_watch.h"
#include "base/files.h"
#include "base/unix_socket.h"

namespace cairn::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kAgentTimeout{5'000};

std::string list_names(const std::vector<agent::JobEntry>& jobs) {
  std::string names;
  for (const agent::JobEntry& job : jobs)
    names += (names.empty() ? "" : ", ") + job.name + " (" + job.job_id.substr(0, 8) + ")";
  return names;
}

std::optional<std::uint64_t> as_number(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return {};
  return number;
}

// An incarnation that has a newer one beside it is about to notice that, and to end.
void drop_superseded(std::vector<agent::JobEntry>& jobs) {
  const std::vector<agent::JobEntry> all = jobs;
  std::erase_if(jobs, [&all](const agent::JobEntry& job) {
    return std::any_of(all.begin(), all.end(), [&job](const agent::JobEntry& other) {
      return other.job_id == job.job_id && other.directory == job.directory &&
             other.incarnation > job.incarnation;
    });
  });
}

bool holds_manifest(const fs::path& directory) {
  std::error_code error;
  return fs::exists(directory / "manifest.json", error);
}

Result<std::string> only_store_here() {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& item : fs::directory_iterator(".", error))
    if (item.path().filename().string().starts_with("cairn-") && item.is_directory(error))
      found.push_back(item.path().filename().string());
  if (found.empty()) return refusal("no directory given, and there is no ./cairn-NAME here");
  if (found.size() == 1) return found.front();
  std::sort(found.begin(), found.end());
  std::string names;
  for (const std::string& name : found) names += (names.empty() ? "" : ", ") + name;
  return refusal("no directory given, and there are several here: " + names);
}

}  // namespace

std::string absolute(const std::string& path) {
  std::error_code error;
  // A relative path of which nothing exists would come back relative.
  const fs::path whole = fs::absolute(path, error);
  fs::path result = fs::weakly_canonical(whole, error);
  if (error) result = whole;
  if (!result.has_filename()) result = result.parent_path();
  return result.string();
}

Result<agent::JobEntry> find_job(const std::string& word, const std::string& dir) {
  std::vector<agent::JobEntry> jobs = agent::running_jobs();
  drop_superseded(jobs);
  if (jobs.empty() && word.empty() && dir.empty()) return refusal("no job is running");
  if (!word.empty()) {
    jobs = agent::match_jobs(jobs, word);
    if (jobs.empty()) return refusal("no running job is called", word);
  }
  if (!dir.empty()) {
    const std::string directory = absolute(dir);
    std::erase_if(jobs, [&](const agent::JobEntry& job) { return job.directory != directory; });
    if (jobs.empty()) return refusal("no running job uses the directory", dir);
  }
  if (jobs.size() > 1) return refusal("which job? there are " + list_names(jobs));
  return jobs.front();
}

bool job_runs(const storage::OwnerRecord& owner) {
  const storage::OwnerLife life = storage::owner_life(owner);
  // An agent that was killed ends nobody.
  if (life == storage::OwnerLife::kDead && !owner.coordinator_address.empty())
    return agent::anybody_left(fs::path(owner.coordinator_address).parent_path() / "segment");
  if (life != storage::OwnerLife::kAlive) return false;
  if (auto socket = connect_unix(owner.coordinator_address)) {
    JsonLines agent(std::move(*socket));
    const bool asked = agent.send({{"request", "status"}}).has_value();
    const auto status = asked ? agent.receive(Deadline{kAgentTimeout}) : Result<Json>(Json::object());
    if (status && status->value("running", false)) return true;
  }
  return !wait_for_process_end(owner.pid, owner.start_time, Deadline{kAgentTimeout});
}

bool directory_in_use(const std::string& directory) {
  const auto owner = storage::read_owner(directory);
  return owner && *owner && job_runs(**owner);
}

Result<StorePath> find_store(const std::string& text, const std::string& dir) {
  std::string given = text.empty() ? dir : text;
  if (given.empty()) {
    CAIRN_ASSIGN(given, only_store_here());
  }
  // With --dir a bare number is a generation of it.
  if (const auto number = as_number(text); number && !dir.empty() && !fs::exists(text))
    return StorePath{absolute(dir), number};
  const fs::path path = absolute(given);
  if (const auto number = as_number(path.filename()); number && holds_manifest(path))
    return StorePath{path.parent_path().string(), number};
  std::error_code error;
  if (!fs::is_directory(path, error)) return failure(ENOENT, "open", given);
  return StorePath{path.string(), {}};
}

}  // namespace cairn::cli
