#include "cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include <fmt/format.h>

namespace cairn::cli {

namespace {

std::string json_text(const Json& value) {
  return value.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string failure_line(const Error& error) { return "cairn: " + error.message() + "\n"; }

std::string failure_json(ExitCode code, const Error& error) {
  return json_text({{"ok", false}, {"error", error.message()}, {"exit", static_cast<int>(code)}}) +
         "\n";
}

ExitCode fail(bool json, ExitCode code, const Error& error) {
  std::fputs(failure_line(error).c_str(), stderr);
  if (json) {
    std::fputs(failure_json(code, error).c_str(), stdout);
    std::fflush(stdout);
  }
  return code;
}

void print_json(const Json& value) { print_line(json_text(value)); }

void print_line(const std::string& line) {
  std::fputs((line + "\n").c_str(), stdout);
  std::fflush(stdout);
}

void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += i + 1 == row.size() ? row[i] : fmt::format("{:<{}}  ", row[i], widths[i]);
    print_line(line);
  }
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string format_time(std::int64_t realtime_ns) {
  const auto seconds = static_cast<std::time_t>(realtime_ns / 1'000'000'000);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &local);
  return text.data();
}

ProgressBar::ProgressBar() : enabled_(::isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
  if (shown_) std::fputs("\r\033[K", stderr);
}

void ProgressBar::show(const std::string& phase, std::uint64_t done, std::uint64_t total) {
  if (!enabled_) return;
  shown_ = true;
  constexpr std::size_t kWidth = 40;
  std::string line = fmt::format("\r\033[K{:<8}", phase);
  if (total != 0) {
    const std::size_t full = std::min<std::uint64_t>(kWidth, done * kWidth / total);
    line += fmt::format(" [{}{}] {} of {}", std::string(full, '#'),
                        std::string(kWidth - full, ' '), format_bytes(done), format_bytes(total));
  }
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace cairn::cli
