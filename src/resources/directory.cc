#include "resources/directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cairn::resources {
namespace {

bool matches(const OpenFile& file) { return S_ISDIR(file.info.st_mode); }

Result<> capture(CaptureContext&, OpenFile& file, image::KernelObject& object) {
  if (file.info.st_nlink == 0 || file.link.ends_with(" (deleted)"))
    return cannot_save(file, "the removed directory " + file.link);
  auto& record = *object.mutable_directory();
  record.set_path(file.link);
  const off_t offset = ::lseek(file.copy.get(), 0, SEEK_CUR);
  if (offset < 0) return os_failure("ask for the position in", file.link);
  record.set_offset(offset);
  return {};
}

Result<Fd> create(RebuildContext&, const image::KernelObject& object) {
  const auto& record = object.directory();
  const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC |
                    static_cast<int>(object.status_flags() & (O_NONBLOCK | O_NOATIME));
  Fd fd(::open(record.path().c_str(), flags));
  if (!fd.valid()) return os_failure("open the directory", record.path());
  if (record.offset() != 0 && ::lseek(fd.get(), record.offset(), SEEK_SET) != record.offset())
    return os_failure("go to the saved position in", record.path());
  return fd;
}

}  // namespace

const Kind kDirectoryKind{"directory", image::KernelObject::kDirectory, Maker::kAgent, matches,
                          capture, create, nullptr};

}  // namespace cairn::resources
