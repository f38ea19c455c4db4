#include "resources/path_only.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace cairn::resources {
namespace {

bool matches(const OpenFile& file) { return (file.flags & O_PATH) != 0; }

Result<> capture(CaptureContext&, OpenFile& file, image::KernelObject& object) {
  struct stat now {};
  if (::lstat(file.link.c_str(), &now) != 0 || now.st_ino != file.info.st_ino ||
      now.st_dev != file.info.st_dev)
    return cannot_save(file, "an O_PATH descriptor of what has no name, " + file.link + ",");
  auto& identity = *object.mutable_path_only()->mutable_file();
  identity.set_path(file.link);
  identity.set_mode(file.info.st_mode);
  identity.set_inode(file.info.st_ino);
  return {};
}

Result<Fd> create(RebuildContext&, const image::KernelObject& object) {
  const auto& identity = object.path_only().file();
  const int follow = S_ISLNK(identity.mode()) ? O_NOFOLLOW : 0;
  Fd fd(::open(identity.path().c_str(), O_PATH | O_CLOEXEC | follow));
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
