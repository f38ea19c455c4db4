#pragma once

#include <bitset>
#include <mutex>
#include <span>
#include <vector>

#include "storage/memory_writer.h"
#include "storage/writer_context.h"

namespace cairn::storage {

class PackedMemoryWriter final : public MemoryWriter {
 public:
  explicit PackedMemoryWriter(WriterContext& context) : context_(context) {}

  Result<> add_pages(std::span<const std::vector<PageRun>> batches, const Fill& fill) override;
  Result<PageDataRef> finish() override;

 private:
  struct Extent;

  Result<> store_batch(unsigned worker, const std::vector<PageRun>& runs, const Fill& fill);
  Result<> process(unsigned worker, const std::byte* data, std::span<const PageRun> runs);
  Result<> store_extent(unsigned worker, Extent& extent);
  Result<> place_pages(unsigned worker, Extent& extent);
  TreeChild add_directory(TreeNodeKind kind, std::uint64_t address,
                          std::vector<TreeChild> children);

  WriterContext& context_;
  std::mutex mutex_;
  std::vector<TreeChild> extents_;  // their refs are those of memory
};

}  // namespace cairn::storage
