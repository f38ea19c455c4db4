#include "storage/generation_writer.h"

#include "storage/generation_files.h"
#include "storage/generation_writer_impl.h"
#include "storage/memory_writer_impl.h"
#include "storage/tree.h"

namespace cairn::storage {

Result<std::unique_ptr<FileGenerationWriter>> FileGenerationWriter::create(
    const std::string& store, const std::string& work, std::uint64_t number,
    const WriteOptions& options, WriterResources& resources) {
  std::unique_ptr<FileGenerationWriter> writer(new FileGenerationWriter);
  writer->store_ = store;
  writer->work_ = work;
  const PackKey key{number, options.node};
  CAIRN_ASSIGN(auto pack, PackWriter::create(work + "/" + pack_name(options.node), key,
                                             /*compactions=*/0, resources.blocks));
  CAIRN_ASSIGN(writer->records_, RecordFileWriter::create(work + "/" + meta_name(options.node),
                                                          number, options.node));
  writer->context_ = std::make_unique<WriterContext>(resources, std::move(pack), key, options.codec,
                                                     options.level);
  return writer;
}

FileGenerationWriter::~FileGenerationWriter() {
  if (context_ != nullptr && !finished_) context_->resources.known.forget(context_->slot);
}

std::unique_ptr<MemoryWriter> FileGenerationWriter::memory() {
  return std::make_unique<PackedMemoryWriter>(*context_);
}

Result<> FileGenerationWriter::add_record(std::uint32_t kind, std::uint64_t id,
                                          std::string_view payload) {
  if (kind == kEndRecord) return failure(EINVAL, "add record: reserved kind");
  const std::lock_guard lock(records_mutex_);
  return records_->add(kind, id, payload);
}

Result<NodeSummary> FileGenerationWriter::finish() {
  WriterContext& context = *context_;
  CAIRN_TRY(context.check());
  for (const auto& builder : context.direct) CAIRN_TRY(builder->flush());
  for (const auto& builder : context.mixed) CAIRN_TRY(builder->flush());
  NodeSummary summary;
  summary.node = context.key.node;
  CAIRN_ASSIGN(const FileSummary pack, context.pack->finish());
  CAIRN_ASSIGN(summary.meta, records_->finish(context.roots));
  summary.meta.path = std::to_string(number()) + "/" + meta_name(summary.node);
  CAIRN_ASSIGN(summary.packs, needed_packs());
  CAIRN_TRY(context.resources.known.pack_is_complete(context.slot,
                                                     work_ + "/" + pack_name(summary.node)));
  summary.records = records_->records();
  summary.memory_bytes = context.memory_pages * kPageBytes;
  summary.new_bytes = context.new_pages * kPageBytes;
  summary.stored_bytes = pack.bytes + summary.meta.bytes;
  finished_ = true;
  return summary;
}

// Follows the trees as a reader will: this also shows, before the commit, that they are whole.
Result<std::vector<FileSummary>> FileGenerationWriter::needed_packs() {
  PackSet packs(store_);
  packs.set_path(context_->key, work_ + "/" + pack_name(context_->key.node));
  CAIRN_TRY(packs.get(context_->key));
  TreeWalker walker(packs);
  for (const PageDataRef& root : context_->roots) CAIRN_TRY(walker.walk(root));
  std::vector<FileSummary> files;
  for (const auto& [key, pack] : packs.opened())
    files.push_back({key.path(), pack->bytes(), pack->index_checksum()});
  return files;
}

}  // namespace cairn::storage
