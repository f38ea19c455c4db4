#include "image/image.h"

#include <google/protobuf/util/json_util.h>
#include <signal.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <unordered_set>

namespace cairn::image {
namespace {

constexpr int kMaxRecordBytes = 0x7fffffff;  // protobuf's own limit

template <class Record>
Result<std::string> encode_record(Record& record, const char* what) {
  *record.mutable_header() = make_header();
  std::string bytes;
  if (record.ByteSizeLong() > kMaxRecordBytes || !record.SerializeToString(&bytes))
    return refusal(std::string("encode ") + what + ": too large a record");
  return bytes;
}

template <class Record>
Result<Record> decode_record(std::string_view bytes, const std::string& where) {
  Record record;
  if (bytes.size() > kMaxRecordBytes ||
      !record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return refusal("decode record: not a valid one", where);
  if (record.header().version() == 0)
    return refusal("decode record: it has no format version", where);
  if (record.header().version() > kFormatVersion)
    return refusal("decode record: format " + std::to_string(record.header().version()) +
                       " is newer than this program's " + std::to_string(kFormatVersion),
                   where);
  return record;
}

Result<> check_regions(const ProcessImage& process, const std::string& where) {
  std::uint64_t end = 0;
  for (const MemoryRegion& region : process.regions()) {
    if (region.length() == 0 || (region.start() | region.length()) % 4096 != 0)
      return refusal("decode process: a region is not made of whole pages", where);
    if (region.start() < end)
      return refusal("decode process: regions overlap or do not ascend", where);
    if (__builtin_add_overflow(region.start(), region.length(), &end))
      return refusal("decode process: a region ends beyond the address space", where);
  }
  return {};
}

Result<> check_process(const ProcessImage& process, const std::string& where) {
  if (process.pid() <= 0) return refusal("decode process: it has no pid", where);
  if (process.threads_size() == 0 && !process.zombie())
    return refusal("decode process: it has no thread", where);
  // SIGSTOP, SIGTSTP, SIGTTIN and SIGTTOU are in one row.
  if (process.has_stop_signal() &&
      (process.stop_signal() < SIGSTOP || process.stop_signal() > SIGTTOU))
    return refusal("decode process: it is stopped by no stop signal", where);
  std::unordered_set<int> seen;
  for (const Thread& thread : process.threads())
    if (thread.tid() <= 0 || !seen.insert(thread.tid()).second)
      return refusal("decode process: a tid is missing or there twice", where);
  seen.clear();
  for (const Descriptor& descriptor : process.descriptors())
    if (descriptor.number() < 0 || descriptor.object_id() == 0 ||
        !seen.insert(descriptor.number()).second)
      return refusal("decode process: descriptor " + std::to_string(descriptor.number()) +
                         " is there twice or refers to nothing",
                     where);
  return check_regions(process, where);
}

// Calls `use` with every object id that `object` refers to; 0 means "none" and is left out.
void for_each_reference(const KernelObject& object, const std::function<void(std::uint64_t)>& use) {
  const auto maybe = [&use](std::uint64_t id) {
    if (id != 0) use(id);
  };
  const auto queue = [&maybe](const auto& messages) {
    for (const QueuedMessage& message : messages)
      for (const std::uint64_t id : message.object_ids()) maybe(id);
  };
  switch (object.kind_case()) {
    case KernelObject::kRegularFile:
      maybe(object.regular_file().same_file_as());
      break;
    case KernelObject::kPipeEnd:
      maybe(object.pipe_end().pipe_id());
      break;
    case KernelObject::kFifo:
      maybe(object.fifo().pipe_id());
      break;
    case KernelObject::kEpoll:
      for (const EpollEntry& entry : object.epoll().entries()) maybe(entry.object_id());
      break;
    case KernelObject::kUnixSocket:
      maybe(object.unix_socket().peer_object_id());
      for (const std::uint64_t id : object.unix_socket().pending_object_ids()) maybe(id);
      queue(object.unix_socket().queue());
      break;
    case KernelObject::kInetSocket:
      maybe(object.inet_socket().peer_object_id());
      for (const std::uint64_t id : object.inet_socket().pending_object_ids()) maybe(id);
      queue(object.inet_socket().queue());
      break;
    case KernelObject::kMemfd:
      maybe(object.memfd().shared_memory_id());
      break;
    default:
      break;
  }
}

// JSON is UTF-8, paths and names need not be: bytes that are not ASCII text are shown as \\xNN
// where the whole is not valid. Images are never made from this.
std::string printable(const std::string& text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80)
      shown += c;
    else
      shown += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return shown;
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xc2 ? 0
                               : lead < 0xe0 ? 2
                               : lead < 0xf0 ? 3
                               : lead < 0xf5 ? 4
                                             : 0;
    if (length == 0 || i + length > text.size()) return false;
    std::uint32_t code = length == 1 ? lead : lead & (0x7fU >> length);
    for (std::size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      code = code << 6 | (next & 0x3fU);
    }
    const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    if (overlong || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff) return false;
    i += length;
  }
  return true;
}

void make_printable(google::protobuf::Message& record) {
  const auto* reflection = record.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection->ListFields(record, &fields);
  const auto fix = [](std::string text) { return is_utf8(text) ? text : printable(text); };
  for (const auto* field : fields) {
    const int count = field->is_repeated() ? reflection->FieldSize(record, field) : 0;
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) {
      if (!field->is_repeated()) make_printable(*reflection->MutableMessage(&record, field));
      for (int i = 0; i < count; ++i)
        make_printable(*reflection->MutableRepeatedMessage(&record, field, i));
    } else if (field->type() == google::protobuf::FieldDescriptor::TYPE_STRING) {
      if (!field->is_repeated())
        reflection->SetString(&record, field, fix(reflection->GetString(record, field)));
      for (int i = 0; i < count; ++i)
        reflection->SetRepeatedString(&record, field, i,
                                      fix(reflection->GetRepeatedString(record, field, i)));
    }
  }
}

}  // namespace

Header make_header() {
  Header header;
  header.set_version(kFormatVersion);
  header.set_writer("cairn 0.1.0");
  return header;
}

Result<std::string> encode(ProcessImage process) {
  return encode_record(process, "process");
}
Result<std::string> encode(KernelObject object) {
  return encode_record(object, "kernel object");
}

Result<ProcessImage> decode_process(std::string_view bytes, const std::string& where) {
  CAIRN_ASSIGN(auto process, decode_record<ProcessImage>(bytes, where));
  CAIRN_TRY(check_process(process, where));
  return process;
}

Result<KernelObject> decode_object(std::string_view bytes, const std::string& where) {
  CAIRN_ASSIGN(auto object, decode_record<KernelObject>(bytes, where));
  if (object.id() == 0) return refusal("decode kernel object: it has no id", where);
  // A kind this program does not know arrives as an unknown field: nothing may be dropped silently.
  if (object.kind_case() == KernelObject::KIND_NOT_SET)
    return refusal("decode kernel object: of a kind that this program does not know", where);
  return object;
}

const KernelObject* Generation::object(std::uint64_t id) const {
  const auto found = std::find_if(objects.begin(), objects.end(),
                                  [id](const KernelObject& object) { return object.id() == id; });
  return found == objects.end() ? nullptr : &*found;
}

Result<> check_references(const Generation& generation) {
  std::unordered_set<std::uint64_t> known;
  for (const KernelObject& object : generation.objects)
    if (!known.insert(object.id()).second)
      return refusal("kernel object " + std::to_string(object.id()) + " is there twice");
  std::unordered_set<int> pids;
  for (const ProcessImage& process : generation.processes) {
    const std::string name = "process " + std::to_string(process.pid());
    if (!pids.insert(process.pid()).second) return refusal(name + " is there twice");
    for (const Descriptor& descriptor : process.descriptors())
      if (!known.contains(descriptor.object_id()))
        return refusal(name + ": the object of descriptor " + std::to_string(descriptor.number()) +
                       " is missing");
    for (const MemoryRegion& region : process.regions())
      if (region.object_id() != 0 && !known.contains(region.object_id()))
        return refusal(name + ": the object of a shared region is missing");
  }
  for (const KernelObject& object : generation.objects) {
    bool whole = true;
    for_each_reference(object, [&](std::uint64_t id) { whole = whole && known.contains(id); });
    if (!whole)
      return refusal("kernel object " + std::to_string(object.id()) + " (" +
                     std::string(kind_name(object)) + ") refers to one that is missing");
  }
  return {};
}

Result<std::string> to_json(const google::protobuf::Message& record, bool pretty) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = pretty;
  options.preserve_proto_field_names = true;
  const std::unique_ptr<google::protobuf::Message> shown(record.New());
  shown->CopyFrom(record);
  make_printable(*shown);
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(*shown, &text, options);
  if (!status.ok()) return refusal("print record as JSON: " + status.ToString());
  return text;
}

std::string_view kind_name(const KernelObject& object) {
  const auto* oneof = KernelObject::descriptor()->FindOneofByName("kind");
  const auto* field = KernelObject::GetReflection()->GetOneofFieldDescriptor(object, oneof);
  return field == nullptr ? std::string_view("nothing") : std::string_view(field->name());
}

}  // namespace cairn::image
