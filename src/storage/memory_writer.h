#pragma once
// Takes the pages of one process, batch by batch, and returns where they are.
//
//   auto memory = writer.memory();
//   for (auto& runs : plan_batches(pages_that_are_there)) {
//     CAIRN_ASSIGN(PageBuffer buffer, memory->acquire());   // waits while all buffers are in use
//     ... process_vm_readv(all runs that are not zero, one after another, into buffer.bytes()) ...
//     CAIRN_TRY(memory->add_pages(std::move(buffer), std::move(runs)));  // returns at once
//   }
//   CAIRN_ASSIGN(PageDataRef ref, memory->finish());        // waits for the workers
//
// Several threads may call acquire() and add_pages() of one writer, and several writers of one
// generation may work at once. Batches may come in any order, but all pages of one 2 MiB extent (by
// address) must be in the same batch. A failure of a worker is returned by the next call.

#include <memory>
#include <vector>

#include "base/error.h"
#include "storage/buffer_pool.h"
#include "storage/page.h"

namespace cairn::storage {

class MemoryWriter {
 public:
  virtual ~MemoryWriter() = default;

  // A buffer of 2 MiB, warm if one was used before.
  virtual Result<PageBuffer> acquire() = 0;

  // `runs` ascend; the data of those that are not `zero` lies in the buffer one after another.
  // Pages found to hold only zeros are noted as zero and take no space either.
  virtual Result<> add_pages(PageBuffer buffer, std::vector<PageRun> runs) = 0;

  virtual Result<PageDataRef> finish() = 0;
};

}  // namespace cairn::storage
