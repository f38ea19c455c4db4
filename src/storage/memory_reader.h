#pragma once
// Delivers the pages of one process, decompressed and checked, in parallel.

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "storage/page.h"

namespace cairn::storage {

// Adjacent pages, at most 1 MiB of them (zero pages: at most 2 MiB). Valid during the call only.
struct PageSpan {
  std::uint64_t address = 0;
  std::span<const std::byte> bytes;
  bool zero = false;  // all of `bytes` is zero: may be skipped over fresh anonymous memory
};

class MemoryReader {
 public:
  virtual ~MemoryReader() = default;

  // Calls `sink` for every page that is not a hole, once, in no particular order, from several
  // threads at once. The first failure, of the store or of the sink, ends the iteration.
  using Sink = std::function<Result<>(const PageSpan&)>;
  Result<> for_each(const Sink& sink);

  // The same, with what lies together in the store in one call: memory whose pages are scattered comes
  // in thousands of spans, and a system call for each is dearer than its bytes.
  using BatchSink = std::function<Result<>(std::span<const PageSpan>)>;
  virtual Result<> for_each_batch(const BatchSink& sink) = 0;

  // From now on only pages between the two addresses are delivered and listed.
  void limit_to(std::uint64_t start, std::uint64_t end) {
    start_ = start;
    end_ = end;
  }

  // Which pages there are, by ascending address; holes are left out.
  virtual Result<std::vector<PageRun>> pages() = 0;

 protected:
  std::uint64_t start_ = 0;
  std::uint64_t end_ = ~0ULL;
};

}  // namespace cairn::storage
