#include "resources/epoll.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/kcmp.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <sstream>

#include "resources/open_files.h"

namespace cairn::resources {
namespace {

constexpr std::uint32_t kAlwaysReported = EPOLLERR | EPOLLHUP;  // unless a one-shot has fired

bool matches(const OpenFile& file) { return file.link == "anon_inode:[eventpoll]"; }

struct Target {
  int number;
  unsigned events;
  unsigned long long data;
  unsigned long long inode;
};

// The number may be closed or used for another file by now: the entry belongs to the open file.
const OpenFile* find_target(const CaptureContext& context, int epoll, const Target& target,
                            std::uint32_t index) {
  auto is_it = [&](const OpenFile& file) {
    if (file.info.st_ino != target.inode) return false;
    kcmp_epoll_slot slot{static_cast<std::uint32_t>(epoll),
                         static_cast<std::uint32_t>(target.number), index};
    return ::syscall(SYS_kcmp, ::getpid(), ::getpid(), KCMP_EPOLL_TFD, file.copy.get(), &slot) == 0;
  };
  for (const auto& file : context.job.files)  // nearly always the right one
    for (const auto& number : file.numbers)
      if (number.fd == target.number && is_it(file)) return &file;
  for (const auto& file : context.job.files)
    if (is_it(file)) return &file;
  return nullptr;
}

Result<> capture(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  CAIRN_ASSIGN(const auto fdinfo, fdinfo_of(file.copy.get()));
  auto& record = *object.mutable_epoll();
  std::map<int, std::uint32_t> seen;  // several entries may have one number
  std::istringstream lines(fdinfo);
  for (std::string line; std::getline(lines, line);) {
    Target target{};
    if (std::sscanf(line.c_str(), "tfd: %d events: %x data: %llx pos:%*d ino:%llx", &target.number,
                    &target.events, &target.data, &target.inode) != 4)
      continue;
    const auto* found = find_target(context, file.copy.get(), target, seen[target.number]++);
    if (found == nullptr)
      return cannot_save(file, fmt::format("an epoll set with an entry for descriptor {}, which is "
                                           "open outside of the job only,",
                                           target.number));
    auto& entry = *record.add_entries();
    entry.set_number(target.number);
    entry.set_object_id(found->object_id);
    entry.set_events(target.events & ~kAlwaysReported);
    entry.set_data(target.data);
    entry.set_disarmed((target.events & EPOLLONESHOT) && !(target.events & kAlwaysReported));
  }
  return {};
}

Result<Fd> create(RebuildContext&, const image::KernelObject&) {
  Fd fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!fd.valid()) return os_failure("make an epoll set");
  return fd;
}

bool leads_to(const RebuildContext& context, int number, std::uint64_t object_id) {
  const auto found = context.job.numbers.find(object_id);
  if (found == context.job.numbers.end()) return false;
  return std::any_of(found->second.begin(), found->second.end(), [&](const Number& known) {
    return known.process == context.index && known.fd == number;
  });
}

// Who is to add the entry: a process that has the set, and the file under the entry's number. One
// that has the set must do where there is none.
RebuildContext& adder(RebuildContext& context, std::uint64_t set_id,
                      const image::EpollEntry& entry) {
  for (const auto& number : context.job.numbers_of(set_id))
    if (auto& member = context.job.members[number.process];
        leads_to(member, entry.number(), entry.object_id()))
      return member;
  return context;
}

Result<> change_entry(RebuildContext& context, int set, int operation,
                      const image::EpollEntry& entry) {
  auto& process = context.process;
  epoll_event event{};
  event.events = entry.events();
  event.data.u64 = entry.data();
  CAIRN_ASSIGN(const auto place, process.scratch_object(event));
  if (leads_to(context, entry.number(), entry.object_id())) {
    CAIRN_TRY(process.syscall(SYS_epoll_ctl, set, operation, entry.number(), place.address()));
    return {};
  }
  // The number leads elsewhere now: it is lent to the entry's file for the moment of the call.
  const auto made = context.job.made.find(entry.object_id());
  if (made == context.job.made.end())
    return refusal("an epoll entry whose file is not in the image");
  const auto flags = process.syscall(SYS_fcntl, entry.number(), F_GETFD);
  const auto keep = process.syscall(SYS_fcntl, entry.number(), F_DUPFD_CLOEXEC, 0);
  const RemoteProcess::Placement lent{made->second.get(), entry.number(), FD_CLOEXEC};
  CAIRN_TRY(process.place_fds(std::span(&lent, 1)));
  CAIRN_TRY(process.syscall(SYS_epoll_ctl, set, operation, entry.number(), place.address()));
  if (!flags || !keep) {
    CAIRN_TRY(process.syscall(SYS_close, entry.number()));
    return {};
  }
  const int closing = *flags & FD_CLOEXEC ? O_CLOEXEC : 0;
  CAIRN_TRY(process.syscall(SYS_dup3, *keep, entry.number(), closing));
  CAIRN_TRY(process.syscall(SYS_close, *keep));
  return {};
}

Result<> add_entry(RebuildContext& context, int set, const image::EpollEntry& entry) {
  return change_entry(context, set, EPOLL_CTL_ADD, entry);
}

// An entry that has fired reports nothing, not even an error. There is no call for it: it is added
// for all that its file may be ready for, and fires into our hands. It is the only one in the set
// that can. A file that is ready for nothing leaves it able to report an error or a hang-up.
Result<> add_fired(RebuildContext& context, int set, image::EpollEntry entry) {
  const auto saved = entry.events();
  entry.set_events(saved | EPOLLONESHOT | EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP);
  CAIRN_TRY(add_entry(context, set, entry));
  CAIRN_ASSIGN(const auto place, context.process.scratch_object(epoll_event{}));
  CAIRN_ASSIGN(const auto fired,
               context.process.syscall(SYS_epoll_wait, set, place.address(), 1, 0));
  if (fired == 1) return {};
  entry.set_events(saved);
  return change_entry(context, set, EPOLL_CTL_MOD, entry);
}

Result<> add(RebuildContext& holder, const image::KernelObject& object,
             const image::EpollEntry& entry) {
  RebuildContext& context = adder(holder, object.id(), entry);
  const auto add_to = [&](int set) {
    return entry.disarmed() ? add_fired(context, set, entry) : add_entry(context, set, entry);
  };
  const int set = context.number_of(object.id());
  if (set >= 0) return add_to(set);
  return lend(context, context.job.made.at(object.id()).get(), add_to);  // the set is in flight
}

Result<> connect(RebuildContext& context, const image::KernelObject& object) {
  for (const auto& entry : object.epoll().entries())
    if (entry.disarmed()) CAIRN_TRY(add(context, object, entry));
  for (const auto& entry : object.epoll().entries())
    if (!entry.disarmed()) CAIRN_TRY(add(context, object, entry));
  return {};
}

}  // namespace

const Kind kEpollKind{"epoll set", image::KernelObject::kEpoll, Maker::kAgentThenInside, matches,
                      capture, create, connect};

}  // namespace cairn::resources
