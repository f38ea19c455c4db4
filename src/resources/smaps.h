#pragma once
// /proc/PID/smaps as records: the mappings of a process with the flags that /proc/PID/maps hides.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace cairn::resources {

struct Vma {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  int protection = 0;  // PROT_*
  bool shared = false;
  std::uint64_t offset = 0;
  dev_t device = 0;
  ino_t inode = 0;
  std::string path;  // as shown, " (deleted)" included
  std::uint64_t swap_bytes = 0;
  std::uint32_t protection_key = 0;
  std::uint64_t kernel_page_bytes = 4096;
  std::string flags;  // VmFlags: " rd wr mr mw me ac"

  [[nodiscard]] std::uint64_t bytes() const { return end - start; }
  [[nodiscard]] bool has(std::string_view flag) const {
    return flags.find(" " + std::string(flag)) != std::string::npos;
  }
};

Result<std::vector<Vma>> parse_smaps(const std::string& text);

}  // namespace cairn::resources
