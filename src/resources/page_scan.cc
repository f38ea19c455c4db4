#include "resources/page_scan.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <span>

namespace cairn::resources {
namespace {

constexpr std::uint64_t kPage = storage::kPageBytes;

// linux/fs.h has these since 6.7; the numbers are the kernel's ABI.
struct PageRegion {
  std::uint64_t start, end, categories;
};
struct ScanArgument {
  std::uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  std::uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
constexpr unsigned long kPagemapScan = _IOWR('f', 16, ScanArgument);
constexpr std::uint64_t kIsFile = 1 << 2;
constexpr std::uint64_t kIsPresent = 1 << 3;
constexpr std::uint64_t kIsSwapped = 1 << 4;
constexpr std::uint64_t kIsZeroPage = 1 << 5;
constexpr std::uint64_t kIsGuard = 1 << 8;  // Linux 6.15

constexpr std::uint64_t kMapPresent = 1ULL << 63;
constexpr std::uint64_t kMapSwapped = 1ULL << 62;
constexpr std::uint64_t kMapFile = 1ULL << 61;
constexpr std::uint64_t kMapGuard = 1ULL << 58;  // Linux 6.15; before, a guard page is only "swapped"

}  // namespace

void add_run(std::vector<storage::PageRun>& runs, std::uint64_t start, std::uint64_t end) {
  constexpr std::uint64_t kMost = 1U << 30;
  while (start < end) {
    const std::uint64_t pages = std::min((end - start) / kPage, kMost);
    if (!runs.empty() && runs.back().address + runs.back().pages * kPage == start &&
        runs.back().pages + pages <= kMost)
      runs.back().pages += static_cast<std::uint32_t>(pages);
    else
      runs.push_back({start, static_cast<std::uint32_t>(pages), false});
    start += pages * kPage;
  }
}

Result<std::uint64_t> readable_bytes(RemoteProcess& process, std::uint64_t start,
                                     std::uint64_t bytes) {
  std::uint64_t readable = 0;
  std::uint64_t pages = bytes / kPage;
  while (readable < pages) {
    const std::uint64_t middle = (readable + pages) / 2;
    std::byte probe{};
    const auto got = process.read(start + middle * kPage, std::span(&probe, 1));
    if (got)
      readable = middle + 1;
    else if (got.error().code == EFAULT || got.error().code == EIO)
      pages = middle;
    else
      return Failure(got.error());
  }
  return readable * kPage;
}

Result<PageScan> PageScan::open(const RemoteProcess& process) {
  const auto path = process.proc_path("pagemap");
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return os_failure("open", path);
  return PageScan(std::move(fd));
}

Result<> PageScan::own_pages(std::uint64_t start, std::uint64_t end,
                             std::vector<storage::PageRun>& runs) {
  if (can_scan_) {
    CAIRN_ASSIGN(const bool done, scan(start, end, runs));
    if (done) return {};
    can_scan_ = false;
  }
  return walk(start, end, runs);
}

// False: this kernel has no PAGEMAP_SCAN.
Result<bool> PageScan::scan(std::uint64_t start, std::uint64_t end,
                            std::vector<storage::PageRun>& runs) {
  std::array<PageRegion, 1024> found;
  ScanArgument argument{};
  argument.size = sizeof argument;
  argument.start = start;
  argument.end = end;
  argument.vec = reinterpret_cast<std::uint64_t>(found.data());
  argument.vec_len = found.size();
  argument.category_inverted = kIsFile | kIsZeroPage;
  argument.category_mask = kIsFile | kIsZeroPage;
  argument.category_anyof_mask = kIsPresent | kIsSwapped;
  argument.return_mask = kIsPresent | kIsSwapped;
  if (knows_guards_) argument.return_mask |= kIsGuard;
  while (argument.start < end) {
    const int count = ::ioctl(pagemap_.get(), kPagemapScan, &argument);
    if (count < 0 && errno == EINVAL && knows_guards_) {
      knows_guards_ = false;
      argument.return_mask &= ~kIsGuard;
      continue;
    }
    if (count < 0 && (errno == ENOTTY || errno == EINVAL)) return false;
    if (count < 0) return os_failure("scan the pages of", fmt::format("{:#x}", argument.start));
    for (const auto& range : std::span(found).first(static_cast<std::size_t>(count)))
      if (range.categories & kIsGuard)
        guards_.push_back({range.start, range.end});
      else
        add_run(runs, range.start, range.end);
    // Linux 6.7 to at least 6.18 walks 512 ranges at a time and leaves walk_end behind the last
    // full piece although it has found what comes after: that would be given to us a second time.
    argument.start = argument.walk_end;
    if (count > 0)
      argument.start = std::max(argument.start, found[static_cast<std::size_t>(count) - 1].end);
  }
  return true;
}

Result<> PageScan::walk(std::uint64_t start, std::uint64_t end,
                        std::vector<storage::PageRun>& runs) {
  std::vector<std::uint64_t> entries(1 << 16);
  while (start < end) {
    const std::uint64_t count = std::min<std::uint64_t>((end - start) / kPage, entries.size());
    const ssize_t got = ::pread(pagemap_.get(), entries.data(), count * sizeof entries[0],
                                static_cast<off_t>(start / kPage * sizeof entries[0]));
    if (got != static_cast<ssize_t>(count * sizeof entries[0]))
      return os_failure("read the page map at", fmt::format("{:#x}", start));
    for (std::uint64_t i = 0; i < count; ++i)
      if (entries[i] & kMapGuard)
        guards_.push_back({start + i * kPage, start + (i + 1) * kPage});
      else if ((entries[i] & (kMapPresent | kMapSwapped)) && !(entries[i] & kMapFile))
        add_run(runs, start + i * kPage, start + (i + 1) * kPage);
    start += count * kPage;
  }
  return {};
}

}  // namespace cairn::resources
