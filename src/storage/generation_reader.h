#pragma once
// A committed generation, opened for reading.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "storage/manifest.h"
#include "storage/memory_reader.h"
#include "storage/page.h"

namespace cairn::storage {

enum class VerifyLevel {
  kStructure,  // every file is there and has its size; manifest, records, indexes and trees are
               // whole
  kContents,   // and every stored chunk has its checksum
  kPages,      // and every chunk decompresses to pages that have their hash
};

struct Record {
  std::uint32_t node = 0;
  std::uint32_t kind = 0;
  std::uint64_t id = 0;
  std::string payload;
};

struct VerifyReport {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;  // read from disk
  std::uint64_t chunks = 0;
  std::uint64_t pages = 0;
};

class GenerationReader {
 public:
  virtual ~GenerationReader() = default;

  [[nodiscard]] virtual const GenerationInfo& info() const = 0;
  [[nodiscard]] virtual const std::vector<Record>& records() const = 0;

  // May outlive neither this reader nor be used by two threads at once.
  virtual Result<std::unique_ptr<MemoryReader>> memory(const PageDataRef& ref) = 0;

  // Beyond what open did. `direct` reads around the page cache (--verify=read): what is checked is
  // what the device holds.
  virtual Result<VerifyReport> verify(VerifyLevel level, bool direct) = 0;

  // The stored chunks that memory() has not read: together with those every byte is checked, and
  // read once.
  virtual Result<> verify_unread() = 0;
};

// `path` is a generation's directory, DIR/NUMBER.
Result<std::unique_ptr<GenerationReader>> open_generation(const std::string& path,
                                                          VerifyLevel level, unsigned workers = 0);

struct RetentionReport {
  std::vector<std::uint64_t> removed;  // generations
  std::uint64_t packs_removed = 0;
  std::uint64_t packs_compacted = 0;
  std::uint64_t bytes_freed = 0;
};

}  // namespace cairn::storage
