#pragma once

#include <bitset>
#include <condition_variable>
#include <mutex>
#include <span>
#include <vector>

#include "storage/memory_writer.h"
#include "storage/writer_context.h"

namespace cairn::storage {

class PackedMemoryWriter final : public MemoryWriter {
 public:
  explicit PackedMemoryWriter(WriterContext& context) : context_(context) {}
  ~PackedMemoryWriter() override;

  Result<PageBuffer> acquire() override;
  Result<> add_pages(PageBuffer buffer, std::vector<PageRun> runs) override;
  Result<PageDataRef> finish() override;

 private:
  struct Extent;

  Result<> process(unsigned worker, const std::byte* data, std::span<const PageRun> runs);
  Result<> store_extent(unsigned worker, Extent& extent);
  Result<> place_pages(unsigned worker, Extent& extent);
  TreeChild add_directory(TreeNodeKind kind, std::uint64_t address,
                          std::vector<TreeChild> children);
  void wait_for_workers();

  WriterContext& context_;
  std::mutex mutex_;
  std::condition_variable done_;
  std::size_t running_ = 0;
  std::vector<TreeChild> extents_;  // their refs are those of memory
};

}  // namespace cairn::storage
