#include "storage/generation_reader.h"

#include <algorithm>
#include <iterator>

#include "storage/file.h"
#include "storage/generation_files.h"
#include "storage/memory_reader_impl.h"
#include "storage/record_file.h"
#include "storage/worker_pool.h"

namespace cairn::storage {
namespace {

class FileGenerationReader final : public GenerationReader {
 public:
  FileGenerationReader(std::string store, unsigned workers)
      : store_(std::move(store)), workers_(workers), packs_(store_, ReadPath::kCheapest) {}

  [[nodiscard]] const GenerationInfo& info() const override { return info_; }
  [[nodiscard]] const std::vector<Record>& records() const override { return records_; }

  Result<> open(std::uint64_t number) {
    const std::string path = generation_path(store_, number) + "/" + kManifestName;
    CAIRN_ASSIGN(const std::string text, read_whole_file(path));
    CAIRN_ASSIGN(info_, manifest_from_text(text, path));
    if (info_.number != number)
      return refusal("read manifest: it is that of another generation", path);
    CAIRN_ASSIGN(Contents contents, read_structure(packs_, ReadPath::kCache));
    records_ = std::move(contents.records);
    roots_ = std::move(contents.roots);
    return {};
  }

  Result<std::unique_ptr<MemoryReader>> memory(const PageDataRef& ref) override {
    return std::make_unique<PackedMemoryReader>(packs_, ref, workers_);
  }

  Result<VerifyReport> verify(VerifyLevel level, bool direct) override {
    // With packs opened anew: what was read before may be what memory holds, not the device.
    const ReadPath read_path = direct ? ReadPath::kDevice : ReadPath::kCache;
    PackSet packs(store_, read_path);
    CAIRN_ASSIGN(const Contents contents, read_structure(packs, read_path));
    VerifyReport report;
    report.files = 1 + info_.nodes.size() + packs.opened().size();
    report.bytes = contents.bytes;
    if (level == VerifyLevel::kStructure) return report;
    std::vector<std::pair<const Pack*, std::uint64_t>> chunks;
    for (const auto& [key, pack] : packs.opened())
      for (std::uint64_t chunk = 0; chunk < pack->chunks().size(); ++chunk)
        if (pack->chunks()[chunk].pages > 0) {
          chunks.emplace_back(pack.get(), chunk);
          report.bytes += pack->chunks()[chunk].stored_bytes;
          report.pages += pack->chunks()[chunk].pages;
        }
    report.chunks = chunks.size();
    CAIRN_TRY(for_each_parallel(workers_, chunks.size(), [&](std::size_t i, ChunkScratch& scratch) {
      return level == VerifyLevel::kPages
                 ? verify_pages(*chunks[i].first, chunks[i].second, scratch)
                 : verify_stored(*chunks[i].first, chunks[i].second, scratch);
    }));
    return report;
  }

  Result<> verify_unread() override {
    std::vector<std::pair<const Pack*, std::uint64_t>> chunks;
    for (const auto& [key, pack] : packs_.opened())
      for (std::uint64_t chunk = 0; chunk < pack->chunks().size(); ++chunk)
        if (pack->chunks()[chunk].pages > 0 && !pack->was_whole(chunk))
          chunks.emplace_back(pack.get(), chunk);
    return for_each_parallel(workers_, chunks.size(), [&](std::size_t i, ChunkScratch& scratch) {
      return verify_stored(*chunks[i].first, chunks[i].second, scratch);
    });
  }

 private:
  struct Contents {
    std::vector<Record> records;
    std::vector<PageDataRef> roots;
    std::uint64_t bytes = 0;
  };

  static Result<> verify_stored(const Pack& pack, std::uint64_t chunk, ChunkScratch& scratch) {
    CAIRN_TRY(pack.read_stored(chunk, scratch));
    return {};
  }

  static Result<> verify_pages(const Pack& pack, std::uint64_t chunk, ChunkScratch& scratch) {
    CAIRN_ASSIGN(const auto pages, pack.read_pages(chunk, scratch));
    const auto hashes = pack.chunk_hashes(chunk);
    for (std::size_t i = 0; i < hashes.size(); ++i)
      if (hash_page(pages.data() + i * kPageBytes) != hashes[i])
        return refusal(
            "verify: a page of chunk " + std::to_string(chunk) + " is not what was saved",
            pack.path());
    return {};
  }

  // Every file but the chunks: all there, whole, and what the manifest says.
  Result<Contents> read_structure(PackSet& packs, ReadPath read_path) const {
    Contents all;
    for (const NodeSummary& node : info_.nodes) {
      const std::string path = store_ + "/" + node.meta.path;
      CAIRN_ASSIGN(RecordFile file, read_record_file(path, info_.number, node.node, read_path));
      if (file.bytes != node.meta.bytes || file.identity != node.meta.identity ||
          file.records.size() != node.records)
        return refusal("read records: not those of this generation's manifest", path);
      all.bytes += file.bytes;
      std::move(file.records.begin(), file.records.end(), std::back_inserter(all.records));
      all.roots.insert(all.roots.end(), file.roots.begin(), file.roots.end());
      for (const FileSummary& summary : node.packs)
        CAIRN_TRY(check_pack(packs, summary, all.bytes));
    }
    TreeWalker walker(packs);
    for (const PageDataRef& root : all.roots) CAIRN_TRY(walker.walk(root));
    return all;
  }

  Result<> check_pack(PackSet& packs, const FileSummary& summary, std::uint64_t& bytes) const {
    CAIRN_ASSIGN(const PackKey key, PackKey::from_path(summary.path));
    CAIRN_ASSIGN(const Pack* pack, packs.get(key));
    bytes += pack->bytes();
    for (const ChunkEntry& chunk : pack->chunks()) bytes -= chunk.stored_bytes;
    // A compacted pack is another file than the one the manifest saw; it vouches for itself.
    if (pack->header().compactions == 0 &&
        (pack->bytes() != summary.bytes || pack->index_checksum() != summary.identity))
      return refusal("read pack: not the one of this generation's manifest", pack->path());
    return {};
  }

  const std::string store_;
  const unsigned workers_;
  PackSet packs_;
  GenerationInfo info_;
  std::vector<Record> records_;
  std::vector<PageDataRef> roots_;
};

}  // namespace

Result<std::unique_ptr<GenerationReader>> open_generation(const std::string& path,
                                                          VerifyLevel level, unsigned workers) {
  std::string directory = path;
  while (directory.size() > 1 && directory.back() == '/') directory.pop_back();
  const std::size_t slash = directory.rfind('/');
  const std::string store = slash == std::string::npos ? "." : directory.substr(0, slash);
  const std::uint64_t number =
      parse_number(slash == std::string::npos ? directory : directory.substr(slash + 1));
  if (number == 0) return refusal("not a generation's directory (DIR/NUMBER)", path);
  auto reader =
      std::make_unique<FileGenerationReader>(store, workers == 0 ? usable_cpus() : workers);
  CAIRN_TRY(reader->open(number));
  if (level != VerifyLevel::kStructure) CAIRN_TRY(reader->verify(level, /*direct=*/false));
  return reader;
}

}  // namespace cairn::storage
