#pragma once
// Records of an image and their bytes. schema/*.proto is the description of what is in them;
// where the bytes are kept is the store's business (kind, id and payload of storage::Record).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "image/schema/common.pb.h"
#include "image/schema/object.pb.h"
#include "image/schema/process.pb.h"

namespace cairn::image {

// Raised when an older reader would misunderstand a newer record. Fields that an older reader may
// ignore are added without.
inline constexpr std::uint32_t kFormatVersion = 1;

// Part of the format.
enum class RecordKind : std::uint32_t { kProcess = 1, kObject = 2 };

// A header as this program writes it.
Header make_header();

// Sets the header. Fails only for a record of 2 GiB or more.
Result<std::string> encode(ProcessImage process);
Result<std::string> encode(KernelObject object);

// `where` names the record in errors. A record of a newer format is refused, and one that
// contradicts itself (no pid, no thread, overlapping regions, a descriptor twice) is refused with
// the reason.
Result<ProcessImage> decode_process(std::string_view bytes, const std::string& where);
Result<KernelObject> decode_object(std::string_view bytes, const std::string& where);

// All records of a generation, with the references between them looked after.
struct Generation {
  std::vector<ProcessImage> processes;
  std::vector<KernelObject> objects;

  [[nodiscard]] const KernelObject* object(std::uint64_t id) const;
};

// Every object that a process or an object refers to must be there, ids must be unique.
Result<> check_references(const Generation& generation);

// For `inspect`: one line, or indented.
Result<std::string> to_json(const google::protobuf::Message& record, bool pretty);

// The name of the oneof field that is set: "regular_file", "pipe_end" ...; "nothing" if none is.
std::string_view kind_name(const KernelObject& object);

}  // namespace cairn::image
