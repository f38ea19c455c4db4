#include "image/paths.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <set>
#include <string_view>
#include <vector>

namespace cairn::image {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Fields that hold a path of the world's. Those under /proc, and terminals, are the machine's own.
const std::set<std::string_view>& path_fields() {
  static const std::set<std::string_view> fields = {"cairn.image.FileIdentity.path",
                                                    "cairn.image.Directory.path",
                                                    "cairn.image.Fifo.path",
                                                    "cairn.image.DeviceFile.path",
                                                    "cairn.image.InotifyWatch.path",
                                                    "cairn.image.SharedMemory.path",
                                                    "cairn.image.Inherited.path",
                                                    "cairn.image.Program.executable",
                                                    "cairn.image.Program.working_directory",
                                                    "cairn.image.Program.interpreter_chain",
                                                    "cairn.image.StubBlock.file"};
  return fields;
}

Result<> move_in(const PathChanges& changes, Message& message);

Result<> move_field(const PathChanges& changes, Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  const bool is_path = path_fields().contains(field.full_name());
  const bool is_address = field.full_name() == "cairn.image.SocketAddress.raw";
  const int count = field.is_repeated() ? reflection.FieldSize(message, &field) : 1;
  for (int i = 0; i < count; ++i) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      CAIRN_TRY(move_in(changes, field.is_repeated()
                                     ? *reflection.MutableRepeatedMessage(&message, &field, i)
                                     : *reflection.MutableMessage(&message, &field)));
    } else if (is_path || is_address) {
      std::string text = field.is_repeated() ? reflection.GetRepeatedString(message, &field, i)
                                             : reflection.GetString(message, &field);
      if (is_address)
        CAIRN_TRY(changes.address(text));
      else
        changes.path(text);
      if (field.is_repeated())
        reflection.SetRepeatedString(&message, &field, i, text);
      else
        reflection.SetString(&message, &field, text);
    }
  }
  return {};
}

Result<> move_in(const PathChanges& changes, Message& message) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) CAIRN_TRY(move_field(changes, message, *field));
  return {};
}

}  // namespace

Result<> change_paths(ProcessImage& record, const PathChanges& changes) {
  return move_in(changes, record);
}

Result<> change_paths(KernelObject& record, const PathChanges& changes) {
  return move_in(changes, record);
}

}  // namespace cairn::image
