#pragma once
// node-N.meta: the records of one node in one file, each with its checksums, and at the end the
// roots of all trees, by which retention finds what is alive without understanding any record.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "storage/format.h"
#include "storage/generation_reader.h"
#include "storage/manifest.h"
#include "storage/pack_reader.h"
#include "storage/page.h"

namespace cairn::storage {

class RecordFileWriter {
 public:
  static Result<std::unique_ptr<RecordFileWriter>> create(const std::string& path,
                                                          std::uint64_t generation,
                                                          std::uint32_t node);
  Result<> add(std::uint32_t kind, std::uint64_t id, std::string_view payload);
  // Writes the end record and syncs. The summary's path is left empty.
  Result<FileSummary> finish(const std::vector<PageDataRef>& roots);

  [[nodiscard]] std::uint64_t records() const { return records_; }

 private:
  RecordFileWriter(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  Result<> put(const void* data, std::size_t bytes);

  std::string path_;
  Fd fd_;
  std::uint64_t offset_ = 0;
  std::uint64_t records_ = 0;
  Hash identity_;
};

struct RecordFile {
  std::vector<Record> records;
  std::vector<PageDataRef> roots;
  std::uint64_t bytes = 0;
  Hash identity;
};

Result<RecordFile> read_record_file(const std::string& path, std::uint64_t generation,
                                    std::uint32_t node, ReadPath read_path);

}  // namespace cairn::storage
