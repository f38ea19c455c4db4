#include "resources/directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resources/removed_directory.h"

namespace cairn::resources {
namespace {

bool matches(const OpenFile& file) { return S_ISDIR(file.info.st_mode); }

Result<> capture(CaptureContext&, OpenFile& file, image::KernelObject& object) {
  auto& record = *object.mutable_directory();
  record.set_unlinked(is_removed_directory(file.info));
  if (record.unlinked()) {
    identify_removed(file.info, file.link, *record.mutable_file());
    return {};  // a removed directory is empty: there is no position in it
  }
  struct stat named {};
  if (::stat(file.link.c_str(), &named) != 0 || named.st_ino != file.info.st_ino)
    return cannot_save(file, "the directory " + file.link + ", which is not reached by its name,");
  record.set_path(file.link);
  const off_t offset = ::lseek(file.copy.get(), 0, SEEK_CUR);
  if (offset < 0) return os_failure("ask for the position in", file.link);
  record.set_offset(offset);
  return {};
}

Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.directory();
  std::string path = record.path();
  if (record.unlinked()) {
    CAIRN_ASSIGN(const int removed, removed_directory(context, record.file()));
    path = fmt::format("/proc/self/fd/{}", removed);
  }
  const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC |
                    static_cast<int>(object.status_flags() & (O_NONBLOCK | O_NOATIME));
  Fd fd(::open(path.c_str(), flags));
  if (!fd.valid()) return os_failure("open the directory", path);
  if (record.offset() != 0 && ::lseek(fd.get(), record.offset(), SEEK_SET) != record.offset())
    return os_failure("go to the saved position in", record.path());
  return fd;
}

}  // namespace

const Kind kDirectoryKind{"directory", image::KernelObject::kDirectory, Maker::kAgent, matches,
                          capture, create, nullptr};

}  // namespace cairn::resources
