#include "resources/passing_name.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace cairn::resources {
namespace {

constexpr std::string_view kDeleted = " (deleted)";  // as links of /proc show it

}  // namespace

Result<std::string> passing_name(const std::string& former,
                                 const std::function<int(const std::string&)>& make) {
  std::string first = former;
  if (first.ends_with(kDeleted)) first.resize(first.size() - kDeleted.size());
  if (make(first) == 0) return first;
  const auto directory = first.substr(0, first.rfind('/'));
  for (const auto& place : {directory, std::string("/tmp")})
    for (int attempt = 0; attempt < 1000; ++attempt) {
      auto name = fmt::format("{}/.cairn-{}-{}", place, ::getpid(), attempt);
      if (make(name) == 0) return name;
      if (errno != EEXIST) break;
    }
  return os_failure("make anew what had lost its name", former);
}

}  // namespace cairn::resources
