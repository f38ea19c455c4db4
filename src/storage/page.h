#pragma once
// The units of memory as the store sees them, and how a caller names pages.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "storage/hash.h"

namespace cairn::storage {

inline constexpr std::uint64_t kPageBytes = 4096;
inline constexpr std::uint64_t kExtentBytes = 2ULL << 20;  // aligned by address
inline constexpr std::uint64_t kExtentPages = kExtentBytes / kPageBytes;
inline constexpr std::uint64_t kRegionBytes = 1ULL << 30;  // aligned by address

// Adjacent pages. A page that is in no run is a hole: never touched, nothing is stored and nothing
// will be delivered. `zero` marks pages that are known to be zero and are not in the buffer (a
// zeroed page over a private file mapping is not a hole).
struct PageRun {
  std::uint64_t address = 0;
  std::uint32_t pages = 0;
  bool zero = false;
  bool operator==(const PageRun&) const = default;
};

// Where the pages of one process (or of one shared memory object) are. Opaque to everybody else:
// stored in image records as the bytes of encode().
struct PageDataRef {
  std::uint64_t generation = 0;  // of the pack that holds the root of the tree; 0: no pages at all
  std::uint32_t node = 0;
  std::uint64_t tree_node = 0;
  Hash hash;                // of everything: equal hashes, equal memory
  std::uint64_t pages = 0;  // present ones, zero pages included

  [[nodiscard]] std::string encode() const;
  static Result<PageDataRef> decode(std::string_view bytes);
  bool operator==(const PageDataRef&) const = default;
};

// Cuts ascending runs into batches for MemoryWriter::add_pages(): each has at most 512 pages that
// are not marked zero, and no 2 MiB extent is spread over two batches.
std::vector<std::vector<PageRun>> plan_batches(std::span<const PageRun> runs);

}  // namespace cairn::storage
