#pragma once
// What the verbs print: results on standard output, one line for a failure on standard error.

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/exit_code.h"
#include "base/unix_socket.h"

namespace cairn::cli {

// "cairn: <reason>" and, if wanted, the same as a JSON object. Returns `code`.
[[nodiscard]] ExitCode fail(bool json, ExitCode code, const Error& error);
// The two texts, for somebody else to print.
[[nodiscard]] std::string failure_line(const Error& error);
[[nodiscard]] std::string failure_json(ExitCode code, const Error& error);

void print_json(const Json& value);
void print_line(const std::string& line);

// Columns are as wide as their widest cell; the first row is the heading.
void print_table(const std::vector<std::vector<std::string>>& rows);

[[nodiscard]] std::string format_bytes(std::uint64_t bytes);      // "1.5 MiB"
[[nodiscard]] std::string format_time(std::int64_t realtime_ns);  // "2030-01-31 12:00:00", local

// A bar on standard error, if that is a terminal; else nothing.
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  void show(const std::string& phase, std::uint64_t done, std::uint64_t total);

 private:
  const bool enabled_;
  bool shown_ = false;
};

}  // namespace cairn::cli
