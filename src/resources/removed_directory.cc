#include "resources/removed_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cairn::resources {
namespace {

constexpr std::string_view kDeleted = " (deleted)";

// At its former place if that is free, so that /proc shows the same name; else wherever one can be
// made.
Result<std::string> make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return path;
  const std::string parent = path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
  for (const auto& place : {parent, std::string("/tmp")}) {
    std::string name = place + "/.cairn-XXXXXX";
    if (::mkdtemp(name.data()) != nullptr) return name;
  }
  return os_failure("make a directory in place of the removed", path);
}

}  // namespace

bool is_removed_directory(const struct stat& info) {
  return S_ISDIR(info.st_mode) && info.st_nlink == 0;
}

void identify_removed(const struct stat& info, const std::string& link,
                      image::FileIdentity& identity) {
  identity.set_path(link.ends_with(kDeleted) ? link.substr(0, link.size() - kDeleted.size())
                                             : link);
  identity.set_inode(info.st_ino);
  identity.set_device(info.st_dev);
  identity.set_mode(info.st_mode);
}

Result<int> removed_directory(RebuildContext& context, const image::FileIdentity& identity) {
  Fd& made = context.job.removed_directories[{identity.device(), identity.inode()}];
  if (made.valid()) return made.get();
  CAIRN_ASSIGN(const auto path, make_directory(identity.path()));
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || ::fchmod(fd.get(), identity.mode() & 07777) != 0 ||
      ::rmdir(path.c_str()) != 0) {
    auto failed = os_failure("remove again the directory", path);
    ::rmdir(path.c_str());
    return failed;
  }
  made = std::move(fd);
  return made.get();
}

}  // namespace cairn::resources
