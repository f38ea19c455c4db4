#pragma once
// Raw system calls for code without a libc.

#include <asm/unistd.h>

#include <cstdint>

#include "sys/result.h"

namespace cairn::sys {

inline SysResult call(long number, std::uint64_t a0 = 0, std::uint64_t a1 = 0, std::uint64_t a2 = 0,
                      std::uint64_t a3 = 0, std::uint64_t a4 = 0, std::uint64_t a5 = 0) {
  register std::uint64_t r10 asm("r10") = a3;
  register std::uint64_t r8 asm("r8") = a4;
  register std::uint64_t r9 asm("r9") = a5;
  std::int64_t result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a0), "S"(a1), "d"(a2), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return {result};
}

inline std::uint64_t address(const void* p) { return reinterpret_cast<std::uint64_t>(p); }

}  // namespace cairn::sys
