#pragma once
// Takes the pages of one process, and returns where they are.
//
//   auto memory = writer.memory();
//   CAIRN_TRY(memory->add_pages(plan_batches(pages_that_are_there), [&](const auto& runs, auto*
//   into) {
//     ... process_vm_readv(all runs that are not zero, one after another, to `into`) ...
//   }));
//   CAIRN_ASSIGN(PageDataRef ref, memory->finish());
//
// One worker does all that is done with a batch: it reads it into a buffer of its own, hashes,
// compares, compresses and hands over what is new, while the pages are in its caches.
//
// Several writers of one generation may work at once. Batches may come in any order, but all pages
// of one 2 MiB extent (by address) must be in the same batch.

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "storage/page.h"

namespace cairn::storage {

class MemoryWriter {
 public:
  virtual ~MemoryWriter() = default;

  // Called on the workers, by several at once. `runs` ascend; the data of those that are not `zero`
  // belongs into the buffer one after another.
  using Fill = std::function<Result<>(const std::vector<PageRun>& runs, std::byte* into)>;

  // Returns when all are stored, or at the first failure. Pages found to hold only zeros are noted
  // as zero and take no space either.
  virtual Result<> add_pages(std::span<const std::vector<PageRun>> batches, const Fill& fill) = 0;

  virtual Result<PageDataRef> finish() = 0;
};

}  // namespace cairn::storage
