#include "resources/proc_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "resources/open_files.h"
#include "resources/passing_process.h"

namespace cairn::resources {
namespace {

constexpr std::string_view kSelf = "/proc/self/";

constexpr std::string_view kTask = "task/";
constexpr std::int32_t kInit = 1;
constexpr std::string_view kDeleted = " (deleted)";  // behind what the kernel has forgotten already

// "/proc/self/task/4711/stat" taken apart. Of a process: its virtual pid, of the holder: 0.
struct Entry {
  std::int32_t pid = 0;
  std::string rest;  // behind the process' directory
};

std::optional<Entry> entry_of(const std::string& path) {
  if (path.starts_with(kSelf)) return Entry{0, path.substr(kSelf.size())};
  char* end = nullptr;
  const char* number = path.c_str() + std::string_view("/proc/").size();
  if (!path.starts_with("/proc/") || *number < '1' || *number > '9') return std::nullopt;
  const long pid = std::strtol(number, &end, 10);
  if (*end != '/' && *end != '\0' && *end != ' ') return std::nullopt;
  return Entry{static_cast<std::int32_t>(pid), *end == '/' ? end + 1 : ""};
}

// What is behind the thread's number in "task/4711/stat".
std::string behind_thread(const std::string& entry) {
  return entry.substr(std::min(entry.find('/', kTask.size()), entry.size()));
}

// Whose file it is: one that lives or one that nobody has waited for, with numbers as the guest
// knows them. Nothing: it has ended, the process or the thread alone.
struct Owner {
  const CaptureContext* member = nullptr;
  std::int32_t virtual_pid = 0;
  std::string entry;
};

std::optional<Owner> owner_of(const CaptureJob& job, const Entry& entry) {
  Owner owner{nullptr, 0, entry.rest};
  std::int32_t tid = 0;
  const auto wanted =
      entry.rest.starts_with(kTask) ? std::atoi(entry.rest.c_str() + kTask.size()) : 0;
  for (const auto& member : job.members)
    if (member.process.pid().value == entry.pid) {
      owner.member = &member;
      owner.virtual_pid = member.runtime->virtual_pid;
      for (const auto& thread : member.threads)
        if (thread.real_tid == wanted) tid = thread.virtual_tid;
    }
  if (const auto ended = job.ended_id(entry.pid); ended != 0) {
    owner.virtual_pid = ended;
    tid = wanted == entry.pid ? ended : 0;
  }
  if (owner.virtual_pid == 0 || (wanted != 0 && tid == 0)) return std::nullopt;
  if (wanted != 0) owner.entry = fmt::format("task/{}{}", tid, behind_thread(entry.rest));
  return owner;
}

bool is_there(const CaptureJob& job, std::int32_t pid) {
  for (const auto& member : job.members)
    if (member.process.pid().value == pid) return true;
  return job.ended_id(pid) != 0;
}

// "net:[4026531833]", a descriptor of /proc/PID/ns/net: the entry, or empty for what is none.
std::string namespace_entry(const OpenFile& file) {
  const auto end = file.link.find(":[");
  struct statfs system {};
  if (end == std::string::npos || ::fstatfs(file.copy.get(), &system) != 0 ||
      system.f_type != NSFS_MAGIC)
    return {};
  return "ns/" + file.link.substr(0, end);
}

bool matches(const OpenFile& file) {
  struct statfs system {};
  if (!namespace_entry(file).empty()) return true;
  return ::fstatfs(file.copy.get(), &system) == 0 &&
         (system.f_type == PROC_SUPER_MAGIC || system.f_type == SYSFS_MAGIC ||
          system.f_type == CGROUP2_SUPER_MAGIC || system.f_type == CGROUP_SUPER_MAGIC) &&
         (S_ISREG(file.info.st_mode) || S_ISDIR(file.info.st_mode));
}

Result<> capture(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  auto& record = *object.mutable_proc_file();
  if (const auto entry = namespace_entry(file); !entry.empty()) {
    struct stat own {};
    if (::stat(context.process.proc_path(entry).c_str(), &own) != 0 ||
        own.st_ino != file.info.st_ino)
      return cannot_save(file, "the namespace " + file.link + ", in which the process is not,");
    record.set_path(std::string(kSelf) + entry);
    record.set_offset(0);
    return {};
  }
  record.set_path(file.link);
  if (const auto entry = entry_of(file.link)) {
    const bool ours = is_there(context.job, entry->pid);
    if (!ours && entry->pid == kInit) {  // there is one on every machine
      record.set_offset(::lseek(file.copy.get(), 0, SEEK_CUR));
      return {};
    }
    const bool gone =
        file.link.ends_with(kDeleted) || (!ours && ::kill(entry->pid, 0) != 0 && errno == ESRCH);
    if (!ours && !gone) return cannot_save(file, file.link + ", of a process outside of the job,");
    const auto owner = gone ? std::nullopt : owner_of(context.job, *entry);
    record.set_ended(!owner);
    if (owner)
      record.set_path(owner->member == &context
                          ? std::string(kSelf) + owner->entry
                          : fmt::format("/proc/{}/{}", owner->virtual_pid, owner->entry));
  }
  record.set_offset(::lseek(file.copy.get(), 0, SEEK_CUR));
  return {};
}

// Of one that lives: the only thread of a process that nobody has waited for is there like the
// process.
bool is_of_thread(const RebuildContext& context, const image::KernelObject& object) {
  if (object.proc_file().ended()) return false;
  const auto entry = entry_of(object.proc_file().path());
  return entry && entry->rest.starts_with(kTask) && !context.job.options.ended.contains(entry->pid);
}

Result<std::string> path_now(RebuildContext& context, const Entry& entry) {
  const auto pid = entry.pid == 0 ? context.process.pid().value : context.job.real_pid(entry.pid);
  if (pid == 0) return refusal("an open file of a process that is not in the image");
  if (!entry.rest.starts_with(kTask)) return fmt::format("/proc/{}/{}", pid, entry.rest);
  return fmt::format("/proc/{}/task/{}{}", pid, pid, behind_thread(entry.rest));
}

Result<Fd> open_at_position(const std::string& path, const image::KernelObject& object) {
  constexpr std::uint32_t kKept = O_ACCMODE | O_DIRECTORY | O_APPEND | O_NONBLOCK;
  Fd fd(
      ::open(path.c_str(), static_cast<int>(object.status_flags() & kKept) | O_CLOEXEC | O_NOCTTY));
  if (!fd.valid()) return os_failure("open", path);
  if (object.proc_file().offset() > 0 &&
      ::lseek(fd.get(), object.proc_file().offset(), SEEK_SET) < 0)
    return os_failure("go to the saved position in", path);
  return fd;
}

// The same file of a process that is made to end.
Result<Fd> of_an_ended_process(const Entry& entry, const image::KernelObject& object) {
  std::string rest = entry.rest;
  if (rest.ends_with(kDeleted)) rest.resize(rest.size() - kDeleted.size());
  Fd opened;
  CAIRN_TRY(with_passing_process([&](pid_t process) -> Result<> {
    if (rest.starts_with(kTask)) rest = fmt::format("task/{}{}", process, behind_thread(rest));
    CAIRN_ASSIGN(opened, open_at_position(fmt::format("/proc/{}/{}", process, rest), object));
    return {};
  }));
  return opened;
}

// A thread's file exists once the thread does: until then its numbers hold something else.
Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  std::string path = object.proc_file().path();
  if (is_of_thread(context, object)) return open_nothing();
  const auto entry = entry_of(path);
  const bool of_init = entry && entry->pid == kInit && context.job.member(kInit) == nullptr;
  if (entry && !of_init) {
    if (object.proc_file().ended()) return of_an_ended_process(*entry, object);
    CAIRN_ASSIGN(path, path_now(context, *entry));
  }
  return open_at_position(path, object);
}

Result<> connect(RebuildContext& context, const image::KernelObject& object) {
  if (!is_of_thread(context, object)) return {};
  const auto entry = *entry_of(object.proc_file().path());
  const auto* owner = entry.pid == 0 ? &context : context.job.member(entry.pid);
  const auto tid =
      owner == nullptr ? 0 : owner->real_tid(std::atoi(entry.rest.c_str() + kTask.size()));
  if (tid == 0) return refusal("the image has no such thread:", object.proc_file().path());
  CAIRN_ASSIGN(Fd fd, open_at_position(fmt::format("/proc/{}/task/{}{}", owner->process.pid().value,
                                                   tid, behind_thread(entry.rest)),
                                       object));
  return put_in_place(context, object, std::move(fd));
}

}  // namespace

const Kind kProcFileKind{"file of /proc or /sys",
                         image::KernelObject::kProcFile,
                         Maker::kAgent,
                         matches,
                         capture,
                         create,
                         connect};

}  // namespace cairn::resources
