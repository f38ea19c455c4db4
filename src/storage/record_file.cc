#include "storage/record_file.h"

#include <array>
#include <cstring>

#include "storage/file.h"
#include "storage/pack_reader.h"

namespace cairn::storage {
namespace {

template <class Header>
Hash checksum_of(const Header& header) {
  return hash_bytes(std::as_bytes(std::span(&header, 1)).first(offsetof(Header, checksum)));
}

// Takes a T off the front of `bytes`; false if there is none.
template <class T>
bool take(std::span<const std::byte>& bytes, T& value) {
  if (bytes.size() < sizeof(T)) return false;
  std::memcpy(&value, bytes.data(), sizeof(T));
  bytes = bytes.subspan(sizeof(T));
  return true;
}

constexpr std::size_t kEncodedRef = 48;

// The file's identity: a hash over the headers, which hold the hashes of the payloads.
void chain(Hash& identity, const RecordHeader& header) {
  const std::array<Hash, 2> link{identity, header.checksum};
  identity = hash_bytes(std::as_bytes(std::span(link)));
}

}  // namespace

Result<std::unique_ptr<RecordFileWriter>> RecordFileWriter::create(const std::string& path,
                                                                   std::uint64_t generation,
                                                                   std::uint32_t node) {
  CAIRN_ASSIGN(Fd fd, create_file(path));
  std::unique_ptr<RecordFileWriter> writer(new RecordFileWriter(path, std::move(fd)));
  RecordsHeader header{kRecordsMagic, kRecordsVersion, node, generation, 0, {}};
  header.checksum = checksum_of(header);
  CAIRN_TRY(writer->put(&header, sizeof header));
  return writer;
}

Result<> RecordFileWriter::put(const void* data, std::size_t bytes) {
  CAIRN_TRY(write_at(fd_.get(), std::span(static_cast<const std::byte*>(data), bytes), offset_,
                     path_, FaultPoint::kRecordWrite));
  offset_ += bytes;
  return {};
}

Result<> RecordFileWriter::add(std::uint32_t kind, std::uint64_t id, std::string_view payload) {
  RecordHeader header{kind, 0, id, payload.size(), hash_text(payload), {}};
  header.checksum = checksum_of(header);
  CAIRN_TRY(put(&header, sizeof header));
  if (!payload.empty()) CAIRN_TRY(put(payload.data(), payload.size()));
  chain(identity_, header);
  ++records_;
  return {};
}

Result<FileSummary> RecordFileWriter::finish(const std::vector<PageDataRef>& roots) {
  std::string payload;
  for (const PageDataRef& root : roots) payload += root.encode();
  const std::uint64_t records = records_;
  CAIRN_TRY(add(kEndRecord, records, payload));
  records_ = records;
  CAIRN_TRY(sync_file(fd_.get(), path_, FaultPoint::kRecordSync));
  return FileSummary{{}, offset_, identity_};
}

Result<RecordFile> read_record_file(const std::string& path, std::uint64_t generation,
                                    std::uint32_t node, ReadPath read_path) {
  CAIRN_ASSIGN(const InputFile input, InputFile::open(path, read_path));
  std::vector<std::byte> scratch;
  CAIRN_ASSIGN(auto rest, input.read(0, input.size(), scratch));
  RecordFile file;
  file.bytes = rest.size();
  RecordsHeader head;
  if (!take(rest, head)) return refusal("read records: the file is truncated", path);
  if (head.magic != kRecordsMagic) return refusal("read records: not a record file", path);
  if (head.checksum != checksum_of(head))
    return refusal("read records: the header is damaged", path);
  if (head.version > kRecordsVersion)
    return refusal("read records: version " + std::to_string(head.version) + " is too new", path);
  if (head.generation != generation || head.node != node)
    return refusal("read records: they belong to another generation or node", path);
  for (;;) {
    RecordHeader header;
    if (!take(rest, header)) return refusal("read records: the file is truncated", path);
    if (header.checksum != checksum_of(header))
      return refusal("read records: a header is damaged", path);
    if (header.bytes > rest.size()) return refusal("read records: the file is truncated", path);
    const auto payload = rest.first(header.bytes);
    rest = rest.subspan(header.bytes);
    if (hash_bytes(payload) != header.payload_checksum)
      return refusal("read records: a record is damaged", path);
    chain(file.identity, header);
    std::string text(reinterpret_cast<const char*>(payload.data()), payload.size());
    if (header.kind != kEndRecord) {
      file.records.push_back({node, header.kind, header.id, std::move(text)});
      continue;
    }
    if (header.id != file.records.size() || !rest.empty() || text.size() % kEncodedRef != 0)
      return refusal("read records: the end contradicts the records", path);
    for (std::size_t at = 0; at < text.size(); at += kEncodedRef) {
      CAIRN_ASSIGN(auto root, PageDataRef::decode(std::string_view(text).substr(at, kEncodedRef)));
      file.roots.push_back(root);
    }
    return file;
  }
}

}  // namespace cairn::storage
