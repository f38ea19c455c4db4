#pragma once
// Which job, store or generation a command line means.

#include <cstdint>
#include <optional>
#include <string>

#include "agent/job_registry.h"
#include "base/error.h"
#include "storage/owner.h"

namespace cairn::cli {

// Without links, "." and "..": one name for one directory, whether it exists yet or not.
[[nodiscard]] std::string absolute(const std::string& path);

// `word` names a running job; without it `dir` does; without both there must be just one.
[[nodiscard]] Result<agent::JobEntry> find_job(const std::string& word, const std::string& dir);

// Does the job that owns a store still run? An agent whose last process has ended is waited for.
[[nodiscard]] bool job_runs(const storage::OwnerRecord& owner);

// Does a job run in this directory? It need not be a store yet; what is wrong with it otherwise its
// next owner will say.
[[nodiscard]] bool directory_in_use(const std::string& directory);

struct StorePath {
  std::string directory;                    // absolute
  std::optional<std::uint64_t> generation;  // none: the newest, or all
};

// `text` is DIR or DIR/GENERATION; without it `dir` is taken; without both ./cairn-NAME, if there is
// just one of these.
[[nodiscard]] Result<StorePath> find_store(const std::string& text, const std::string& dir);

}  // namespace cairn::cli
