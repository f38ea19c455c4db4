#pragma once
// Ids and foreign addresses as types of their own: a VirtualPid cannot be passed where the kernel's
// number is wanted, and an address of another process cannot be dereferenced.

#include <sys/types.h>

#include <compare>
#include <cstdint>

namespace cairn {

template <class Tag, class Rep>
struct Strong {
  Rep value{};
  constexpr auto operator<=>(const Strong&) const = default;
};

using RealPid = Strong<struct RealPidTag, pid_t>;        // what the kernel uses today
using VirtualPid = Strong<struct VirtualPidTag, pid_t>;  // what the guest sees for ever

// An address of a T in another process.
template <class T = void>
struct RemotePtr {
  std::uint64_t address = 0;
  constexpr auto operator<=>(const RemotePtr&) const = default;
  template <class U>
  [[nodiscard]] constexpr RemotePtr<U> as() const {
    return {address};
  }
  [[nodiscard]] constexpr RemotePtr offset(std::uint64_t bytes) const { return {address + bytes}; }
};

}  // namespace cairn
