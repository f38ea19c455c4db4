#pragma once

#include "storage/memory_reader.h"
#include "storage/tree.h"

namespace cairn::storage {

class PackedMemoryReader final : public MemoryReader {
 public:
  PackedMemoryReader(PackSet& packs, PageDataRef root, unsigned workers)
      : packs_(packs), root_(root), workers_(workers) {}

  Result<> for_each_batch(const BatchSink& sink) override;
  Result<std::vector<PageRun>> pages() override;

 private:
  Result<std::vector<Piece>> pieces();

  PackSet& packs_;
  const PageDataRef root_;
  const unsigned workers_;
};

// Runs `work` for 0 .. count - 1 in order of number on `workers` threads; the first failure ends
// it. Each thread has its own scratch.
Result<> for_each_parallel(unsigned workers, std::size_t count,
                           const std::function<Result<>(std::size_t, ChunkScratch&)>& work);

}  // namespace cairn::storage
