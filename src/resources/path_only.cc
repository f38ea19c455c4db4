#include "resources/path_only.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resources/passing_name.h"
#include "resources/pty.h"

namespace cairn::resources {
namespace {

bool matches(const OpenFile& file) { return (file.flags & O_PATH) != 0; }

Result<> capture(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  auto& record = *object.mutable_path_only();
  auto& identity = *record.mutable_file();
  identity.set_path(virtual_pty_path(context.job, file.link));
  identity.set_mode(file.info.st_mode);
  identity.set_inode(file.info.st_ino);
  struct stat now {};
  if (::lstat(file.link.c_str(), &now) == 0 && now.st_ino == file.info.st_ino &&
      now.st_dev == file.info.st_dev)
    return {};
  if (!S_ISLNK(file.info.st_mode))
    return cannot_save(file, "an O_PATH descriptor of what has no name, " + file.link + ",");
  std::string target(PATH_MAX, '\0');
  const ssize_t length = ::readlinkat(file.copy.get(), "", target.data(), target.size());
  if (length < 0) return os_failure("read the removed link", file.link);
  record.set_target(target.substr(0, static_cast<std::size_t>(length)));
  return {};
}

Result<Fd> open_removed_link(const image::PathOnly& record) {
  CAIRN_ASSIGN(const auto path, passing_name(record.file().path(), [&](const std::string& name) {
                 return ::symlink(record.target().c_str(), name.c_str());
               }));
  Fd fd(::open(path.c_str(), O_PATH | O_CLOEXEC | O_NOFOLLOW));
  const int error = errno;
  ::unlink(path.c_str());
  if (!fd.valid()) return failure(error, "open the removed link", record.file().path());
  return fd;
}

Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  if (object.path_only().has_target()) return open_removed_link(object.path_only());
  const auto& identity = object.path_only().file();
  const int kept = static_cast<int>(object.status_flags() & (O_DIRECTORY | O_NOFOLLOW));
  const int follow = S_ISLNK(identity.mode()) ? O_NOFOLLOW : 0;
  CAIRN_ASSIGN(const auto path, real_pty_path(context.job, identity.path()));
  Fd fd(::open(path.c_str(), O_PATH | O_CLOEXEC | follow | kept));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0)
    return os_failure("open the path", identity.path());
  if ((info.st_mode & S_IFMT) != (identity.mode() & S_IFMT))
    return refusal("this is of another kind now:", identity.path());
  return fd;
}

}  // namespace

const Kind kPathOnlyKind{"O_PATH descriptor", image::KernelObject::kPathOnly, Maker::kAgent,
                         matches, capture, create, nullptr};

}  // namespace cairn::resources
