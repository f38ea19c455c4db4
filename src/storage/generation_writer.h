#pragma once
// One node's part of a generation that is being written.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "storage/codec.h"
#include "storage/manifest.h"
#include "storage/memory_writer.h"

namespace cairn::storage {

struct WriteOptions {
  std::uint32_t node = 0;
  Codec codec = Codec::kZstd;
  int level = 1;
};

class GenerationWriter {
 public:
  virtual ~GenerationWriter() = default;

  [[nodiscard]] virtual std::uint64_t number() const = 0;

  // For the pages of one process or of one shared memory object.
  virtual std::unique_ptr<MemoryWriter> memory() = 0;

  // A process, a kernel object ...: `kind` and `payload` are the image's business, not the store's.
  virtual Result<> add_record(std::uint32_t kind, std::uint64_t id, std::string_view payload) = 0;

  // Ends this node's files: all written, checksummed and synced. No MemoryWriter may be left.
  virtual Result<NodeSummary> finish() = 0;
};

}  // namespace cairn::storage
