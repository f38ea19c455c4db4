#include "resources/proc_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace cairn::resources {
namespace {

constexpr std::string_view kSelf = "/proc/self/";

bool matches(const OpenFile& file) {
  struct statfs system {};
  return ::fstatfs(file.copy.get(), &system) == 0 &&
         (system.f_type == PROC_SUPER_MAGIC || system.f_type == SYSFS_MAGIC ||
          system.f_type == CGROUP2_SUPER_MAGIC || system.f_type == CGROUP_SUPER_MAGIC) &&
         (S_ISREG(file.info.st_mode) || S_ISDIR(file.info.st_mode));
}

Result<> capture(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  auto& record = *object.mutable_proc_file();
  const auto own = fmt::format("/proc/{}/", context.process.pid().value);
  if (file.link.starts_with(own))
    record.set_path(std::string(kSelf) + file.link.substr(own.size()));
  else if (file.link.starts_with("/proc/") && file.link.size() > 6 && file.link[6] >= '0' &&
           file.link[6] <= '9')
    return cannot_save(file, file.link + ", of another process,");
  else
    record.set_path(file.link);
  // A thread's own entry holds a number that will be another one.
  if (record.path().starts_with("/proc/self/task/"))
    return cannot_save(file, file.link + ", of one thread,");
  record.set_offset(::lseek(file.copy.get(), 0, SEEK_CUR));
  return {};
}

Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  std::string path = object.proc_file().path();
  if (path.starts_with(kSelf))
    path = fmt::format("/proc/{}/{}", context.process.pid().value, path.substr(kSelf.size()));
  Fd fd(::open(path.c_str(), static_cast<int>(object.status_flags() & (O_ACCMODE | O_DIRECTORY)) |
                                 O_CLOEXEC | O_NOCTTY));
  if (!fd.valid()) return os_failure("open", path);
  if (object.proc_file().offset() > 0 &&
      ::lseek(fd.get(), object.proc_file().offset(), SEEK_SET) < 0)
    return os_failure("go to the saved position in", path);
  return fd;
}

}  // namespace

const Kind kProcFileKind{"file of /proc or /sys", image::KernelObject::kProcFile, Maker::kAgent,
                         matches, capture, create, nullptr};

}  // namespace cairn::resources
