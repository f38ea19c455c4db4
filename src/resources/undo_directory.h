#pragma once
// DIR/undo: what a restart cuts off from files, overwrites in them or takes away, kept for the
// user.

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace cairn::resources {

class UndoDirectory {
 public:
  explicit UndoDirectory(std::string directory) : directory_(std::move(directory)) {}

  // A copy of a part of the open file; `what` and the path make its name. Nothing if it is empty.
  Result<> keep(int fd, const std::string& path, const char* what, std::uint64_t from,
                std::uint64_t to) const;
  // Takes the file, or the directory with all that is in it, away from `path`. What has no content
  // is removed.
  Result<> take(const std::string& path) const;

 private:
  [[nodiscard]] Result<std::string> free_name(const std::string& path, const char* what) const;

  std::string directory_;
};

// Where the next byte is that is not in a hole; `end` if there is none before it.
std::uint64_t next_data(int fd, std::uint64_t at, std::uint64_t end);

// Writes that part of `from` to the beginning of `to`, which is a hole there; holes stay holes.
Result<> copy_data(int from, std::uint64_t start, std::uint64_t end, int to);

// Bytes from `offset` on, fewer at the end of the file.
Result<std::string> read_range(int fd, std::uint64_t offset, std::uint64_t bytes);

}  // namespace cairn::resources
