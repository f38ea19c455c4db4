#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "storage/generation_writer.h"
#include "storage/record_file.h"
#include "storage/writer_context.h"

namespace cairn::storage {

class FileGenerationWriter final : public GenerationWriter {
 public:
  // Writes into `work`, a directory that exists; `store` is where earlier packs are.
  static Result<std::unique_ptr<FileGenerationWriter>> create(const std::string& store,
                                                              const std::string& work,
                                                              std::uint64_t number,
                                                              const WriteOptions& options,
                                                              WriterResources& resources);
  ~FileGenerationWriter() override;

  [[nodiscard]] std::uint64_t number() const override { return context_->key.generation; }
  std::unique_ptr<MemoryWriter> memory() override;
  Result<> add_record(std::uint32_t kind, std::uint64_t id, std::string_view payload) override;
  Result<NodeSummary> finish() override;

  [[nodiscard]] std::uint64_t slot() const { return context_->slot; }

 private:
  FileGenerationWriter() = default;
  Result<std::vector<FileSummary>> needed_packs();

  std::string store_;
  std::string work_;
  std::unique_ptr<WriterContext> context_;
  std::mutex records_mutex_;
  std::unique_ptr<RecordFileWriter> records_;
  bool finished_ = false;
};

}  // namespace cairn::storage
