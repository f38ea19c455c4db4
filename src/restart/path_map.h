#pragma once
// `cairn restart --map OLD=NEW`: files and directories that are elsewhere now.
//
// It holds for what the job has: open and mapped files, working directories, programs, watches,
// names of sockets, and what its journals say. Names in the program's own memory are its own: what
// it opens later by an old name is not found, unless a symbolic link is there.

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "image/image.h"

namespace cairn::restart {

class PathMap {
 public:
  // Each "OLD=NEW" (the first `=` divides them); OLD is absolute.
  static Result<PathMap> parse(std::span<const std::string> rules);

  [[nodiscard]] bool empty() const { return rules_.empty(); }
  // By the longest OLD that is the path or one of its directories; else as it is.
  [[nodiscard]] std::string operator()(const std::string& path) const;

 private:
  std::vector<std::pair<std::string, std::string>> rules_;  // the longest OLD first
};

// In all records. A name of a socket may become too long.
Result<> move_paths(const PathMap& map, image::Generation& records);

}  // namespace cairn::restart
