#pragma once
// The generations that a command line means, for verbs that look into them.

#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "base/exit_code.h"
#include "base/unix_socket.h"
#include "restart/restart.h"
#include "storage/store.h"

namespace cairn::cli {

// A failure with the exit code that it means.
struct Refused {
  ExitCode code;
  Error error;
};
template <class T>
using OrRefused = tl::expected<T, Refused>;

[[nodiscard]] inline tl::unexpected<Refused> stop(ExitCode code, Error error) {
  return tl::unexpected(Refused{code, std::move(error)});
}

struct Chosen {
  std::string directory;
  std::vector<storage::GenerationInfo> generations;  // ascending; damaged ones, too
};

// `word` and `dir` as for find_store(). There may be none.
[[nodiscard]] OrRefused<Chosen> list_chosen(const std::string& word, const std::string& dir);
// At least one.
[[nodiscard]] OrRefused<Chosen> choose(const std::string& word, const std::string& dir);

// The newest of them, with its records.
[[nodiscard]] OrRefused<restart::Plan> read_chosen(const std::string& word, const std::string& dir);

[[nodiscard]] Json to_json(const storage::GenerationInfo& generation);

}  // namespace cairn::cli
