#include "resources/pidfd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

#include "resources/open_files.h"
#include "resources/passing_process.h"

namespace cairn::resources {
namespace {

constexpr std::uint32_t kThread = O_EXCL;  // PIDFD_THREAD, Linux 6.9
constexpr std::int32_t kEnded = -1;        // as fdinfo shows it

bool matches(const OpenFile& file) {
  return file.link == "anon_inode:[pidfd]";
}

Result<> capture(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  CAIRN_ASSIGN(const auto fdinfo, fdinfo_of(file.copy.get()));
  const auto text = fdinfo_value(fdinfo, "Pid");
  if (text.empty()) return cannot_save(file, "a pidfd without Pid in fdinfo");
  const std::int32_t pid = std::atoi(text.c_str());
  auto& record = *object.mutable_pidfd();
  record.set_thread((file.flags & kThread) != 0);
  if (pid == kEnded) {
    record.set_pid(kEnded);
    record.set_inode(file.info.st_ino);
    return {};
  }
  for (const auto& member : context.job.members)
    if (member.process.pid().value == pid) {
      record.set_pid(member.runtime->virtual_pid);
      return {};
    }
  for (const auto id : {context.job.ended_id(pid), context.job.virtual_id(pid)})
    if (id != 0) {
      record.set_pid(id);
      return {};
    }
  return cannot_save(file, fmt::format("a pidfd of process {}", pid));
}

// Whoever it stood for, nothing can be seen of it but that it has ended, and which others stand for
// the same one: these are all made while the process in its place is there.
Result<> make_ended(RebuildJob& job, std::uint64_t inode) {
  return with_passing_process([&](pid_t process) -> Result<> {
    for (const auto& object : job.objects) {
      const auto& record = object.pidfd();
      if (!object.has_pidfd() || record.pid() != kEnded || record.inode() != inode) continue;
      Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, process, record.thread() ? kThread : 0U)));
      if (!fd.valid()) return os_failure("make a pidfd of an ended process");
      job.ended_pidfds[object.id()] = std::move(fd);
    }
    return {};
  });
}

Result<Fd> of_an_ended_process(RebuildJob& job, const image::KernelObject& object) {
  if (!job.ended_pidfds.contains(object.id())) CAIRN_TRY(make_ended(job, object.pidfd().inode()));
  return std::move(job.ended_pidfds.at(object.id()));
}

Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.pidfd();
  if (record.pid() == kEnded) return of_an_ended_process(context.job, object);
  const auto pid = context.job.real_pid(record.pid());
  if (pid == 0 && record.thread()) return open_nothing();
  if (pid == 0) return refusal("a pidfd of a process that is not in the image");
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, record.thread() ? kThread : 0U)));
  if (!fd.valid()) return os_failure("make the pidfd of the new process");
  return fd;
}

Result<> connect(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.pidfd();
  if (!record.thread() || record.pid() == kEnded || context.job.real_pid(record.pid()) != 0)
    return {};
  const auto tid = context.job.real_tid(record.pid());
  if (tid == 0) return refusal("a pidfd of a thread that is not in the image");
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, tid, kThread)));
  if (!fd.valid()) return os_failure("make the pidfd of the new thread");
  const int flags = static_cast<int>(object.status_flags() & O_NONBLOCK);
  if (flags != 0 && ::fcntl(fd.get(), F_SETFL, flags) != 0) return os_failure("F_SETFL of a pidfd");
  return put_in_place(context, object, std::move(fd));
}

}  // namespace

const Kind kPidFdKind{"pidfd", image::KernelObject::kPidfd, Maker::kAgent, matches, capture, create,
                      connect};

}  // namespace cairn::resources
