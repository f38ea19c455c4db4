#include "base/duration.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <limits>

namespace cairn {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t milliseconds;
};

constexpr std::array<Unit, 5> kUnits{{
    {"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};

const Unit* find_unit(std::string_view name) {
  for (const Unit& unit : kUnits)
    if (unit.name == name) return &unit;
  return nullptr;
}

Failure not_a_duration(std::string_view text) {
  return refusal("not a duration (30s, 10m, 1h30m, 250ms)", "\"" + std::string(text) + "\"");
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max() / 2;
  std::string_view rest = text;
  std::int64_t total = 0;
  if (rest.empty()) return not_a_duration(text);
  while (!rest.empty()) {
    double number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number,
                                              std::chars_format::fixed);
    if (error != std::errc{} || !(number >= 0)) return not_a_duration(text);
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    const std::size_t letters = std::min(rest.find_first_of("0123456789."), rest.size());
    const bool bare = letters == 0 && rest.empty() && total == 0;
    const Unit* unit = find_unit(bare ? "s" : rest.substr(0, letters));
    if (unit == nullptr) return not_a_duration(text);
    rest.remove_prefix(letters);
    const double added = number * static_cast<double>(unit->milliseconds);
    if (added > static_cast<double>(kMax - total)) return not_a_duration(text);
    total += static_cast<std::int64_t>(added + 0.5);
  }
  return std::chrono::milliseconds(total);
}

std::string format_duration(std::chrono::milliseconds duration) {
  std::int64_t rest = duration.count();
  if (rest == 0) return "0s";
  std::string text;
  for (const Unit& unit : kUnits) {
    if (rest < unit.milliseconds) continue;
    text += std::to_string(rest / unit.milliseconds);
    text += unit.name;
    rest %= unit.milliseconds;
  }
  return text;
}

}  // namespace cairn
