// Whatever bytes a generation's files hold, the reader refuses them or reads them; it never reads
// past them, never crashes and never loops. The first byte of an input says which file the rest is.
//
// Checksums would stop a fuzzer at the first byte it changes, so they are made right again here, by
// the format's own description (src/storage/format.h): what is tried is what stands behind them.
//
// With clang and CAIRN_FUZZ this is a libFuzzer target (scripts/fuzz); else a program that reads
// its corpus, and changes it at random as often as it is told:  reader_fuzz SEED ROUNDS FILE...

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "image/image.h"
#include "storage/file.h"
#include "storage/manifest.h"
#include "storage/memory_reader_impl.h"
#include "storage/record_file.h"
#include "storage/tree.h"

namespace cairn::storage {
namespace {

enum class Kind : std::uint8_t {
  kManifest,
  kRecords,
  kPack,
  kProcess,
  kObject,
  kReference,
  kCount
};

constexpr std::uint64_t kMostPieces = 1 << 16;  // a small tree can speak of all memory there is

using Bytes = std::vector<std::byte>;

template <class T>
T* at(Bytes& bytes, std::uint64_t offset) {
  if (offset > bytes.size() || sizeof(T) > bytes.size() - offset) return nullptr;
  return reinterpret_cast<T*>(bytes.data() + offset);
}

template <class T>
Hash checksum_of(const T& value) {
  return hash_bytes(std::as_bytes(std::span(&value, 1)).first(offsetof(T, checksum)));
}

void seal_records(Bytes& bytes) {
  auto* head = at<RecordsHeader>(bytes, 0);
  if (head == nullptr) return;
  head->magic = kRecordsMagic;
  head->checksum = checksum_of(*head);
  for (std::uint64_t place = sizeof *head; auto* found = at<RecordHeader>(bytes, place);) {
    RecordHeader header;
    std::memcpy(&header, found, sizeof header);
    const std::uint64_t left = bytes.size() - place - sizeof header;
    if (header.bytes <= left)
      header.payload_checksum =
          hash_bytes(std::span(bytes).subspan(place + sizeof header, header.bytes));
    header.checksum = checksum_of(header);
    std::memcpy(found, &header, sizeof header);
    if (header.bytes > left) return;
    place += sizeof header + header.bytes;
  }
}

void seal_chunks(Bytes& bytes, const PackFooter& footer) {
  for (std::uint64_t i = 0; i < footer.chunks; ++i) {
    auto* found = at<ChunkEntry>(bytes, footer.index_offset + i * sizeof(ChunkEntry));
    if (found == nullptr) return;
    ChunkEntry chunk;
    std::memcpy(&chunk, found, sizeof chunk);
    if (chunk.offset > bytes.size() || chunk.stored_bytes > bytes.size() - chunk.offset) continue;
    chunk.checksum = hash_bytes(std::span(bytes).subspan(chunk.offset, chunk.stored_bytes));
    std::memcpy(found, &chunk, sizeof chunk);
  }
}

void seal_pack(Bytes& bytes) {
  auto* header = at<PackHeader>(bytes, 0);
  if (header == nullptr || bytes.size() < sizeof(PackHeader) + sizeof(PackFooter)) return;
  header->magic = kPackMagic;
  header->checksum = checksum_of(*header);
  const std::uint64_t end = bytes.size() - sizeof(PackFooter);
  PackFooter footer;
  std::memcpy(&footer, bytes.data() + end, sizeof footer);
  footer.magic = kPackEndMagic;
  footer.generation = header->generation;
  if (footer.index_offset <= end) {
    seal_chunks(bytes, footer);
    footer.index_checksum =
        hash_bytes(std::span(bytes).subspan(footer.index_offset, end - footer.index_offset));
  }
  footer.checksum = checksum_of(footer);
  std::memcpy(bytes.data() + end, &footer, sizeof footer);
}

// A file of these bytes, as long as it lives.
class Input {
 public:
  explicit Input(const Bytes& bytes) : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    if (::write(fd_.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      std::abort();
  }
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

 private:
  Fd fd_;
};

void read_records(Bytes& bytes) {
  seal_records(bytes);
  const auto* head = at<RecordsHeader>(bytes, 0);
  if (head == nullptr) return;
  const Input input(bytes);
  const auto file = read_record_file(input.path(), head->generation, head->node, ReadPath::kCache);
  if (!file) return;
  for (const Record& record : file->records) {
    if (record.kind == 1) (void)image::decode_process(record.payload, "fuzz");
    if (record.kind == 2) (void)image::decode_object(record.payload, "fuzz");
  }
}

void read_pack(Bytes& bytes) {
  seal_pack(bytes);
  const auto* header = at<PackHeader>(bytes, 0);
  if (header == nullptr) return;
  const Input input(bytes);
  const PackKey key{header->generation, header->node};
  PackSet packs("/nowhere");
  packs.set_path(key, input.path());
  const auto pack = packs.get(key);
  if (!pack) return;
  ChunkScratch scratch;
  for (std::uint64_t chunk = 0; chunk < (*pack)->chunks().size(); ++chunk)
    if (const auto pages = (*pack)->read_pages(chunk, scratch))
      for (const Hash& hash : (*pack)->chunk_hashes(chunk)) (void)hash;
  for (std::uint64_t number = 0; number < (*pack)->nodes().size(); ++number) {
    const TreeNodeEntry& node = (*pack)->nodes()[number];
    if (node.kind != TreeNodeKind::kRoot) continue;
    TreeWalker walker(packs);
    std::uint64_t pieces = 0;
    walker.piece = [&pieces](const Piece& piece) -> Result<> {
      if (++pieces > kMostPieces) return refusal("enough");
      if (piece.pack != nullptr && !piece.pack->rank(piece.chunk, piece.index)) std::abort();
      return {};
    };
    if (!walker.walk({key.generation, key.node, number, node.identity, 0})) continue;
    PackedMemoryReader reader(packs, {key.generation, key.node, number, node.identity, 0}, 1);
    (void)reader.for_each([](const PageSpan& span) -> Result<> {
      volatile std::byte last = span.bytes.back();
      (void)last;
      return {};
    });
  }
}

void read_manifest(const std::string& text) {
  // Its checksum is of the text itself: both as it is, and past the checksum.
  (void)manifest_from_text(text, "fuzz");
  (void)node_summary_from_json(text);
}

}  // namespace

void read_one(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return;
  Bytes bytes(size - 1);
  if (size > 1) std::memcpy(bytes.data(), data + 1, size - 1);
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (static_cast<Kind>(data[0] % static_cast<int>(Kind::kCount))) {
    case Kind::kManifest:
      return read_manifest(text);
    case Kind::kRecords:
      return read_records(bytes);
    case Kind::kPack:
      return read_pack(bytes);
    case Kind::kProcess:
      return (void)image::decode_process(text, "fuzz");
    case Kind::kObject:
      return (void)image::decode_object(text, "fuzz");
    case Kind::kReference:
      return (void)PageDataRef::decode(text);
    case Kind::kCount:
      return;
  }
}

}  // namespace cairn::storage

#ifdef CAIRN_LIBFUZZER

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cairn::storage::read_one(data, size);
  return 0;
}

#else

namespace {

using Input = std::vector<std::uint8_t>;

// As a fuzzer would, without its feedback.
Input changed(Input input, std::mt19937_64& random) {
  const auto pick = [&random](std::size_t below) { return below == 0 ? 0 : random() % below; };
  for (std::uint64_t times = 1 + pick(4); times > 0 && input.size() > 1; --times) {
    const std::size_t place = 1 + pick(input.size() - 1);
    switch (pick(5)) {
      case 0:
        input[place] ^= static_cast<std::uint8_t>(1U << pick(8));
        break;
      case 1:
        input[place] = static_cast<std::uint8_t>(random());
        break;
      case 2:
        input.resize(place);
        break;
      case 3:
        for (std::size_t i = place; i < std::min(input.size(), place + 8); ++i) input[i] = 0xff;
        break;
      default:
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(place), pick(64), 0);
        break;
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  std::mt19937_64 random(std::strtoull(argv[1], nullptr, 10));
  std::vector<Input> corpus;
  for (int i = 3; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    cairn::storage::read_one(corpus.back().data(), corpus.back().size());
  }
  const auto rounds = std::strtoull(argv[2], nullptr, 10);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    const Input input = changed(corpus[random() % corpus.size()], random);
    cairn::storage::read_one(input.data(), input.size());
  }
  std::cout << "seed " << argv[1] << ": " << rounds << " inputs of " << corpus.size() << "\n";
  return 0;
}

#endif
