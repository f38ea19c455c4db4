#include "restart/path_map.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <set>
#include <string_view>

#include "abi/link.h"

namespace cairn::restart {
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

constexpr std::string_view kDeleted = " (deleted)";  // as /proc/PID/fd shows what is removed

std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

Result<> move_address(const PathMap& map, std::string& raw) {
  constexpr std::size_t kHead = offsetof(sockaddr_un, sun_path);
  sa_family_t family = AF_UNSPEC;
  if (raw.size() > kHead) std::memcpy(&family, raw.data(), sizeof family);
  if (family != AF_UNIX || raw[kHead] != '/') return {};
  const std::string path = raw.c_str() + kHead;
  const std::string moved = map(path);
  if (moved == path) return {};
  if (moved.size() >= sizeof(sockaddr_un::sun_path))
    return refusal("too long a name of a socket:", moved);
  raw.resize(kHead);
  raw += moved;
  raw += '\0';
  return {};
}

Result<> move_in(const PathMap& map, Message& message);

Result<> move_field(const PathMap& map, Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  const bool is_path = path_fields().contains(field.full_name());
  const bool is_address = field.full_name() == "cairn.image.SocketAddress.raw";
  const int count = field.is_repeated() ? reflection.FieldSize(message, &field) : 1;
  for (int i = 0; i < count; ++i) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      CAIRN_TRY(move_in(map, field.is_repeated()
                                 ? *reflection.MutableRepeatedMessage(&message, &field, i)
                                 : *reflection.MutableMessage(&message, &field)));
    } else if (is_path || is_address) {
      std::string text = field.is_repeated() ? reflection.GetRepeatedString(message, &field, i)
                                             : reflection.GetString(message, &field);
      if (is_address)
        CAIRN_TRY(move_address(map, text));
      else
        text = map(text);
      if (field.is_repeated())
        reflection.SetRepeatedString(&message, &field, i, text);
      else
        reflection.SetString(&message, &field, text);
    }
  }
  return {};
}

Result<> move_in(const PathMap& map, Message& message) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) CAIRN_TRY(move_field(map, message, *field));
  return {};
}

// What the runtime itself remembers: the guest's /proc/self/exe.
Result<> move_executable(const PathMap& map, image::ProcessImage& process) {
  constexpr std::size_t kAt = offsetof(abi::RuntimeState, executable);
  constexpr std::size_t kRoom = sizeof(abi::RuntimeState::executable);
  std::string& state = *process.mutable_runtime()->mutable_state();
  if (state.size() < kAt + kRoom) return {};
  const std::string moved = map(state.c_str() + kAt);
  if (moved.size() >= kRoom) return failure(ENAMETOOLONG, "move the program to", moved);
  std::memset(state.data() + kAt, 0, kRoom);
  std::memcpy(state.data() + kAt, moved.data(), moved.size());
  return {};
}

}  // namespace

Result<PathMap> PathMap::parse(std::span<const std::string> rules) {
  PathMap map;
  for (const std::string& rule : rules) {
    const auto equals = rule.find('=');
    if (equals == std::string::npos || !rule.starts_with('/') || equals + 1 == rule.size())
      return refusal("--map wants OLD=NEW, OLD beginning with /, not", rule);
    std::error_code error;
    const auto whole = std::filesystem::absolute(rule.substr(equals + 1), error);
    if (error) return refusal("--map: no such place:", rule);
    map.rules_.emplace_back(without_slashes(rule.substr(0, equals)),
                            without_slashes(whole.lexically_normal()));
  }
  std::stable_sort(map.rules_.begin(), map.rules_.end(),
                   [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  return map;
}

std::string PathMap::operator()(const std::string& path) const {
  for (const auto& [from, to] : rules_) {
    if (!path.starts_with(from)) continue;
    const std::string rest = path.substr(from == "/" ? 0 : from.size());
    if (rest.empty() || rest == kDeleted || rest.starts_with('/'))
      return to == "/" && rest.starts_with('/') ? rest : to + rest;
  }
  return path;
}

Result<> move_paths(const PathMap& map, image::Generation& records) {
  if (map.empty()) return {};
  for (auto& process : records.processes) {
    CAIRN_TRY(move_in(map, process));
    CAIRN_TRY(move_executable(map, process));
  }
  for (auto& object : records.objects) CAIRN_TRY(move_in(map, object));
  return {};
}

}  // namespace cairn::restart
