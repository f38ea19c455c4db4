#pragma once
// What doctor looks at. Each finding is one line and, unless all is well, says what to do.

#include <string>
#include <vector>

namespace cairn::cli {

enum class Finding {
  kGood,
  kLess,   // it works, with less speed or comfort
  kFails,  // a checkpoint, a restart or the start will fail
};

struct Check {
  std::string name;
  Finding finding = Finding::kGood;
  std::string detail;
  std::string advice;  // empty if kGood
};

[[nodiscard]] std::vector<Check> check_kernel();
[[nodiscard]] std::vector<Check> check_processor();
[[nodiscard]] std::vector<Check> check_installation();
[[nodiscard]] std::vector<Check> check_limits();
// Where images would be written; it need not exist yet.
[[nodiscard]] std::vector<Check> check_directory(const std::string& directory);
[[nodiscard]] std::vector<Check> check_program(const std::vector<std::string>& command);

}  // namespace cairn::cli
