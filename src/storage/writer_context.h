#pragma once
// What the parts of one node's generation writer share.

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "storage/buffer_pool.h"
#include "storage/chunk_builder.h"
#include "storage/known_pages.h"
#include "storage/pack_writer.h"
#include "storage/worker_pool.h"

namespace cairn::storage {

// Lives as long as the store is open.
struct WriterResources {
  WriterResources(const std::string& directory, unsigned threads, std::uint64_t index_bytes)
      : page_buffers(kExtentBytes, threads),
        blocks(4 << 20, 6),
        known(directory, index_bytes),
        workers(threads) {}

  BufferPool page_buffers;
  BufferPool blocks;
  KnownPages known;
  WorkerPool workers;  // last: its threads end before what they use
};

// Lives as long as one generation is written.
struct WriterContext {
  WriterContext(WriterResources& res, std::unique_ptr<PackWriter> pack_writer, PackKey pack_key,
                Codec codec, int level)
      : resources(res),
        pack(std::move(pack_writer)),
        key(pack_key),
        slot(res.known.add_pack(pack_key)) {
    for (unsigned worker = 0; worker < res.workers.size(); ++worker) {
      mixed.push_back(std::make_unique<ChunkBuilder>(*pack, codec, level));
      direct.push_back(std::make_unique<ChunkBuilder>(*pack, codec, level));
    }
  }

  // The first failure of any worker ends the generation.
  void fail(Error error) {
    const std::lock_guard lock(mutex);
    if (!failed) error_ = std::move(error);
    failed = true;
  }
  [[nodiscard]] Result<> check() {
    if (!failed) return {};
    const std::lock_guard lock(mutex);
    return Failure(error_);
  }

  // A reference in memory, as the pack being written has it.
  std::uint64_t local_ref(std::uint64_t ref) {
    const std::uint64_t of = ref_slot(ref);
    return make_ref(of == slot ? 0 : pack->slot_of(resources.known.key_of(of)), ref_place(ref));
  }

  WriterResources& resources;
  std::unique_ptr<PackWriter> pack;
  const PackKey key;
  const std::uint64_t slot;
  std::vector<std::unique_ptr<ChunkBuilder>> mixed;   // by worker: pages from here and there
  std::vector<std::unique_ptr<ChunkBuilder>> direct;  // by worker: pages side by side in a buffer
  std::atomic<std::uint64_t> memory_pages = 0;
  std::atomic<std::uint64_t> new_pages = 0;

  std::mutex mutex;
  std::vector<PageDataRef> roots;  // under mutex
  std::atomic<bool> failed = false;

 private:
  Error error_;
};

}  // namespace cairn::storage
