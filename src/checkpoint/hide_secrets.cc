#include "checkpoint/hide_secrets.h"

#include <string.h>

#include <algorithm>
#include <cstring>

namespace cairn::checkpoint {
namespace {

constexpr char kStar = '*';

// Every place of `value` in the text that reaches into [from, to) of it: those bytes become stars.
void hide_in(const std::string& value, std::span<std::byte> text, std::size_t from, std::size_t to,
             std::byte* visible) {
  std::byte* at = text.data();
  while (at != nullptr) {
    const auto left = static_cast<std::size_t>(text.data() + text.size() - at);
    at = static_cast<std::byte*>(::memmem(at, left, value.data(), value.size()));
    if (at == nullptr) return;
    const auto begin = static_cast<std::size_t>(at - text.data());
    const std::size_t first = std::max(begin, from);
    const std::size_t last = std::min(begin + value.size(), to);
    if (first < last) std::memset(visible + (first - from), kStar, last - first);
    at += value.size();
  }
}

// What lies across an end of the run is looked for in a window of its own.
void hide_in_run(const std::string& value, std::uint64_t address, std::span<std::byte> bytes,
                 const ReadMemory& read) {
  const std::size_t around = value.size() - 1;
  std::vector<std::byte> window(2 * around);
  std::byte* end = bytes.data() + bytes.size();
  if (address >= around && read(address - around, std::span(window).first(around))) {
    std::memcpy(window.data() + around, bytes.data(), around);
    hide_in(value, window, around, 2 * around, bytes.data());
  }
  if (read(address + bytes.size(), std::span(window).last(around))) {
    std::memcpy(window.data(), end - around, around);
    hide_in(value, window, 0, around, end - around);
  }
  hide_in(value, bytes, 0, bytes.size(), bytes.data());
}

}  // namespace

void hide_secrets(const std::vector<std::string>& values, const std::vector<storage::PageRun>& runs,
                  std::byte* bytes, const ReadMemory& read) {
  for (const storage::PageRun& run : runs) {
    if (run.zero) continue;
    const std::size_t count = run.pages * storage::kPageBytes;
    for (const std::string& value : values)
      if (value.size() >= kShortestSecret && value.size() <= storage::kPageBytes)
        hide_in_run(value, run.address, {bytes, count}, read);
    bytes += count;
  }
}

void hide_secret_parts(const std::vector<std::string>& values, std::string& registers) {
  const std::string before = registers;
  for (const std::string& value : values)
    for (std::size_t at = 0; at + kShortestSecret <= before.size(); ++at)
      for (std::size_t part = 0; part + kShortestSecret <= value.size(); ++part)
        if (before.compare(at, kShortestSecret, value, part, kShortestSecret) == 0)
          registers.replace(at, kShortestSecret, kShortestSecret, kStar);
}

}  // namespace cairn::checkpoint
