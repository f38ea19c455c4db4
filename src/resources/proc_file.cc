#include "resources/proc_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace cairn::resources {
namespace {

constexpr std::string_view kSelf = "/proc/self/";

constexpr std::string_view kTask = "task/";

// "task/4711/stat" with the thread's number as the guest knows it; 0: there is no such thread.
std::string with_thread(const CaptureContext& context, const std::string& entry) {
  if (!entry.starts_with(kTask)) return entry;
  const auto tid = std::atoi(entry.c_str() + kTask.size());
  std::int32_t known = 0;
  for (const auto& thread : context.threads)
    if (thread.real_tid == tid) known = thread.virtual_tid;
  return fmt::format("task/{}{}", known,
                     entry.substr(std::min(entry.find('/', kTask.size()), entry.size())));
}

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
  if (file.link == own.substr(0, own.size() - 1))
    record.set_path(std::string(kSelf));
  else if (file.link.starts_with(own))
    record.set_path(std::string(kSelf) + with_thread(context, file.link.substr(own.size())));
  else if (file.link.starts_with("/proc/") && file.link.size() > 6 && file.link[6] >= '0' &&
           file.link[6] <= '9')
    return cannot_save(file, file.link + ", of another process,");
  else
    record.set_path(file.link);
  if (record.path().starts_with("/proc/self/task/0"))
    return cannot_save(file, file.link + ", of a thread that has ended,");
  record.set_offset(::lseek(file.copy.get(), 0, SEEK_CUR));
  return {};
}

bool is_of_thread(const image::KernelObject& object) {
  return object.proc_file().path().starts_with("/proc/self/task/");
}

Result<Fd> open_at_position(const std::string& path, const image::KernelObject& object) {
  constexpr std::uint32_t kKept = O_ACCMODE | O_DIRECTORY | O_APPEND | O_NONBLOCK;
  Fd fd(::open(path.c_str(),
               static_cast<int>(object.status_flags() & kKept) | O_CLOEXEC | O_NOCTTY));
  if (!fd.valid()) return os_failure("open", path);
  if (object.proc_file().offset() > 0 &&
      ::lseek(fd.get(), object.proc_file().offset(), SEEK_SET) < 0)
    return os_failure("go to the saved position in", path);
  return fd;
}

// A thread's file exists once the thread does: until then its numbers hold something else.
Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  std::string path = object.proc_file().path();
  if (is_of_thread(object)) {
    Fd placeholder(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!placeholder.valid()) return os_failure("open", "/dev/null");
    return placeholder;
  }
  if (path.starts_with(kSelf))
    path = fmt::format("/proc/{}/{}", context.process.pid().value, path.substr(kSelf.size()));
  return open_at_position(path, object);
}

Result<> connect(RebuildContext& context, const image::KernelObject& object) {
  if (!is_of_thread(object)) return {};
  const std::string entry = object.proc_file().path().substr(kSelf.size());
  const auto tid = context.real_tid(std::atoi(entry.c_str() + kTask.size()));
  if (tid == 0) return refusal("the image has no such thread:", object.proc_file().path());
  const auto rest = entry.substr(std::min(entry.find('/', kTask.size()), entry.size()));
  CAIRN_ASSIGN(Fd fd, open_at_position(fmt::format("/proc/{}/task/{}{}", context.process.pid().value,
                                                   tid, rest),
                                       object));
  std::vector<RemoteProcess::Placement> placements;
  for (const auto& descriptor : context.image.descriptors())
    if (descriptor.object_id() == object.id())
      placements.push_back({fd.get(), descriptor.number(),
                            descriptor.close_on_exec() ? std::uint32_t{FD_CLOEXEC} : 0U});
  CAIRN_TRY(context.process.place_fds(placements));
  context.job.made[object.id()] = std::move(fd);
  return {};
}

}  // namespace

const Kind kProcFileKind{"file of /proc or /sys", image::KernelObject::kProcFile, Maker::kAgent,
                         matches, capture, create, connect};

}  // namespace cairn::resources
