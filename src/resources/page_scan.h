#pragma once
// Which pages of a range a process has of its own: by PAGEMAP_SCAN (Linux 6.7), else by pagemap.
// Nothing is touched, so a sanitizer's terabytes of untouched shadow cost nothing.

#include <cstdint>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "resources/remote_process.h"
#include "storage/page.h"

namespace cairn::resources {

class PageScan {
 public:
  static Result<PageScan> open(const RemoteProcess& process);

  // Pages that belong to no file: present or in swap, and not the kernel's page of zeros.
  Result<> own_pages(std::uint64_t start, std::uint64_t end, std::vector<storage::PageRun>& runs);

  // Ranges of guard pages (MADV_GUARD_INSTALL) that own_pages has come by since the last call.
  struct Guard {
    std::uint64_t start, end;
  };
  std::vector<Guard> take_guards() { return std::exchange(guards_, {}); }

 private:
  explicit PageScan(Fd pagemap) : pagemap_(std::move(pagemap)) {}
  Result<bool> scan(std::uint64_t start, std::uint64_t end, std::vector<storage::PageRun>& runs);
  Result<> walk(std::uint64_t start, std::uint64_t end, std::vector<storage::PageRun>& runs);

  Fd pagemap_;
  bool can_scan_ = true;
  bool knows_guards_ = true;
  std::vector<Guard> guards_;
};

// How much of a mapping can be read: up to the end of its file, wherever that is now.
Result<std::uint64_t> readable_bytes(RemoteProcess& process, std::uint64_t start,
                                     std::uint64_t bytes);

// Adds a run, joined to the last one where they touch.
void add_run(std::vector<storage::PageRun>& runs, std::uint64_t start, std::uint64_t end);

}  // namespace cairn::resources
