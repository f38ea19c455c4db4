#pragma once
// The freestanding part's result: a value, or a negative errno as the kernel returns it.

#include <cstdint>

namespace cairn::sys {

struct [[nodiscard]] SysResult {
  std::int64_t raw = 0;  // what the kernel left in rax

  [[nodiscard]] constexpr bool ok() const { return static_cast<std::uint64_t>(raw) < static_cast<std::uint64_t>(-4095L); }
  [[nodiscard]] constexpr int error() const { return ok() ? 0 : static_cast<int>(-raw); }
  [[nodiscard]] constexpr std::uint64_t value() const { return static_cast<std::uint64_t>(raw); }
};

}  // namespace cairn::sys
