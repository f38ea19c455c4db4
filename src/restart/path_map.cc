#include "restart/path_map.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "abi/link.h"
#include "image/paths.h"

namespace cairn::restart {
namespace {

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
  const image::PathChanges changes{[&](std::string& path) { path = map(path); },
                                   [&](std::string& raw) { return move_address(map, raw); }};
  for (auto& process : records.processes) {
    CAIRN_TRY(image::change_paths(process, changes));
    CAIRN_TRY(move_executable(map, process));
  }
  for (auto& object : records.objects) CAIRN_TRY(image::change_paths(object, changes));
  return {};
}

}  // namespace cairn::restart
