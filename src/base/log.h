#pragma once
// The agent's log: one line an event, key=value, with what tells jobs and processes apart.
//
//   time=2030-01-31T12:00:00.123 level=info job=ab12 node=0 pid=77 generation=3 msg="committed" ms=412
//
// Nothing is ever written to the application's stdout or stderr; before open_log() events go nowhere.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/error.h"

namespace cairn {

struct LogIdentity {
  std::string job;
  std::uint32_t node = 0;
};

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Sees to it that the file can be written; it is created with mode 0600.
[[nodiscard]] Result<> make_log(const std::filesystem::path& file);

// Appends to the file, which is made if it is not there.
[[nodiscard]] Result<> open_log(const std::filesystem::path& file, LogIdentity identity);

// The generation that following events belong to; 0: none.
void set_log_generation(std::uint64_t generation);

void log_event(LogLevel level, std::string_view message, std::string_view fields = {});

// log_info("frozen", "threads={} ms={}", 20, 3)
template <class... Args>
void log_info(std::string_view message, fmt::format_string<Args...> fields, Args&&... args) {
  log_event(LogLevel::kInfo, message, fmt::format(fields, std::forward<Args>(args)...));
}
inline void log_info(std::string_view message) { log_event(LogLevel::kInfo, message); }

template <class... Args>
void log_warning(std::string_view message, fmt::format_string<Args...> fields, Args&&... args) {
  log_event(LogLevel::kWarning, message, fmt::format(fields, std::forward<Args>(args)...));
}
template <class... Args>
void log_error(std::string_view message, fmt::format_string<Args...> fields, Args&&... args) {
  log_event(LogLevel::kError, message, fmt::format(fields, std::forward<Args>(args)...));
}

// A value as it may stand after '=': quoted where it holds a space or a quote.
[[nodiscard]] std::string log_value(std::string_view text);

}  // namespace cairn
