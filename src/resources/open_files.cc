#include "resources/open_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/kcmp.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <iterator>

#include "base/files.h"
#include "resources/file_locks.h"
#include "resources/inherited.h"
#include "resources/registry.h"

namespace cairn::resources {
namespace {

// What may be restored with F_SETFL. O_ASYNC comes later, with the owner that it speaks to.
constexpr std::uint32_t kLargeFile = 0100000;  // O_LARGEFILE is 0 for 64-bit programs, the kernel shows it
constexpr int kSettableFlags = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME;

Result<std::string> link_of(const std::string& path) {
  std::string text(PATH_MAX, '\0');
  const ssize_t length = ::readlink(path.c_str(), text.data(), text.size());
  if (length < 0) return os_failure("read the link", path);
  text.resize(static_cast<std::size_t>(length));
  return text;
}

// Orders descriptors so that those which may share an open file come together; 0 is "the same one".
int compare_open_files(int a, int b) {
  return static_cast<int>(::syscall(SYS_kcmp, ::getpid(), ::getpid(), KCMP_FILE, a, b));
}

auto identity(const OpenFile& file) {
  return std::tuple(file.info.st_dev, file.info.st_ino, file.info.st_mode & S_IFMT);
}

Result<OpenFile> describe(Fd copy) {
  OpenFile file;
  file.copy = std::move(copy);
  if (::fstat(file.copy.get(), &file.info) != 0) return os_failure("fstat a received descriptor");
  CAIRN_ASSIGN(file.link, link_of(fmt::format("/proc/self/fd/{}", file.copy.get())));
  const int flags = ::fcntl(file.copy.get(), F_GETFL);
  if (flags < 0) return os_failure("F_GETFL of", file.link);
  file.flags = static_cast<std::uint32_t>(flags) & ~kLargeFile;
  return file;
}

// io_uring descriptors cannot travel by SCM_RIGHTS: they are named before they are asked for.
Result<> refuse_what_cannot_travel(RemoteProcess& process, const std::vector<abi::LinkFd>& fds) {
  for (const auto& fd : fds) {
    const auto link = link_of(process.proc_path(fmt::format("fd/{}", fd.fd)));
    if (link && *link == "anon_inode:[io_uring]")
      return refusal(fmt::format("descriptor {}: an io_uring cannot be saved", fd.fd));
  }
  return {};
}

// We hold a copy of every open file of the process, whose limit may be above our usual one.
Result<> raise_our_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return os_failure("read our limit of open files");
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return os_failure("raise our limit of open files");
  return {};
}

Result<> take_all(CaptureContext& context) {
  CAIRN_TRY(raise_our_file_limit());
  CAIRN_ASSIGN(auto fds, context.process.list_fds());
  std::sort(fds.begin(), fds.end(), [](const auto& a, const auto& b) { return a.fd < b.fd; });
  CAIRN_TRY(refuse_what_cannot_travel(context.process, fds));
  std::vector<int> numbers;
  for (const auto& fd : fds) numbers.push_back(fd.fd);
  CAIRN_ASSIGN(auto copies, context.process.take_fds(numbers));

  std::vector<OpenFile> each;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    CAIRN_ASSIGN(auto file, describe(std::move(copies[i])));
    file.numbers.push_back(fds[i]);
    each.push_back(std::move(file));
  }
  // Descriptors of one inode are few, so asking kcmp within these groups is cheap; it orders, so a
  // group of many (a socket dup'ed a thousand times) is sorted and not compared pairwise.
  std::stable_sort(each.begin(), each.end(), [](const OpenFile& a, const OpenFile& b) {
    if (identity(a) != identity(b)) return identity(a) < identity(b);
    const int order = compare_open_files(a.copy.get(), b.copy.get());
    if (order == 1) return true;   // kcmp: 1 is "less", 2 "greater", 0 equal
    return false;
  });
  std::vector<OpenFile> groups;
  for (auto& file : each) {
    const bool same = !groups.empty() && identity(groups.back()) == identity(file) &&
                      compare_open_files(groups.back().copy.get(), file.copy.get()) == 0;
    if (same)
      groups.back().numbers.push_back(file.numbers.front());
    else
      groups.push_back(std::move(file));
  }
  for (auto& group : groups)
    std::sort(group.numbers.begin(), group.numbers.end(),
              [](const auto& a, const auto& b) { return a.fd < b.fd; });
  std::sort(groups.begin(), groups.end(), [](const OpenFile& a, const OpenFile& b) {
    return a.numbers.front().fd < b.numbers.front().fd;
  });
  for (auto& group : groups) {
    group.object_id = context.new_id();
    context.files.push_back(std::move(group));
  }
  return {};
}

Result<> capture_owner(OpenFile& file, image::KernelObject& object) {
  f_owner_ex owner{};
  int signal = 0;
  if (object.status_flags() & O_PATH) return {};
  if (::fcntl(file.copy.get(), F_GETOWN_EX, &owner) != 0) return {};  // a kind without owners
  signal = ::fcntl(file.copy.get(), F_GETSIG);
  object.set_owner(owner.pid);
  object.set_owner_type(static_cast<std::uint32_t>(owner.type));
  object.set_owner_signal(std::max(signal, 0));
  return {};
}

Result<> capture_one(CaptureContext& context, OpenFile& file) {
  image::KernelObject object;
  object.set_id(file.object_id);
  object.set_status_flags(file.flags);
  file.captured = true;
  CAIRN_ASSIGN(const bool from_outside, capture_inherited(context, file, object));
  if (!from_outside) {
    const Kind* kind = kind_of(file);
    if (kind == nullptr) return cannot_save(file, file.link);
    CAIRN_TRY(kind->capture(context, file, object));
    CAIRN_TRY(capture_locks(context, file, object));
    CAIRN_TRY(capture_owner(file, object));
  }
  context.result.objects.push_back(std::move(object));
  return {};
}

// The process' own ids in an owner, as the guest knows them; others stay outside of what is saved.
Result<> translate_owner(CaptureContext& context, image::KernelObject& object) {
  if (object.owner() == 0) return {};
  const auto type = object.owner_type();
  if (type == F_OWNER_PGRP) return {};  // the process group is given by whoever restarts
  for (const auto& thread : context.threads)
    if (thread.real_tid == object.owner()) {
      object.set_owner(thread.virtual_tid);
      return {};
    }
  return refusal(fmt::format("an open file whose signals go to process {}, outside of the job, cannot "
                             "be saved", object.owner()));
}

}  // namespace

std::string OpenFile::name() const {
  return numbers.empty() ? std::string("a descriptor in flight")
                         : fmt::format("descriptor {}", numbers.front().fd);
}

Failure cannot_save(const OpenFile& file, std::string_view what) {
  return refusal(fmt::format("{}: {} cannot be saved", file.name(), what));
}

Result<OpenFile*> CaptureContext::adopt(Fd fd) {
  CAIRN_ASSIGN(auto found, describe(std::move(fd)));
  for (auto& file : files)
    if (identity(file) == identity(found) &&
        compare_open_files(file.copy.get(), found.copy.get()) == 0)
      return &file;
  found.object_id = new_id();
  files.push_back(std::move(found));
  return &files.back();
}

Result<std::string> fdinfo_of(int fd) {
  return read_text_file(fmt::format("/proc/self/fdinfo/{}", fd));
}

std::string fdinfo_value(const std::string& fdinfo, std::string_view name) {
  const std::string wanted = fmt::format("{}:", name);
  std::size_t at = 0;
  while (at < fdinfo.size()) {
    const std::size_t end = std::min(fdinfo.find('\n', at), fdinfo.size());
    if (fdinfo.compare(at, wanted.size(), wanted) == 0) {
      const std::size_t value = fdinfo.find_first_not_of(" \t", at + wanted.size());
      return value >= end ? std::string() : fdinfo.substr(value, end - value);
    }
    at = end + 1;
  }
  return {};
}

Result<> capture_open_files(CaptureContext& context) {
  CAIRN_TRY(take_all(context));
  // Capturing a socket may find further open files in its queue: the list grows while we walk it.
  for (std::size_t i = 0; i < context.files.size(); ++i)
    if (!context.files[i].captured) CAIRN_TRY(capture_one(context, context.files[i]));
  for (auto& object : context.result.objects) CAIRN_TRY(translate_owner(context, object));

  std::map<int, image::Descriptor> descriptors;
  for (const auto& file : context.files)
    for (const auto& number : file.numbers) {
      image::Descriptor& descriptor = descriptors[number.fd];
      descriptor.set_number(number.fd);
      descriptor.set_close_on_exec(number.flags & FD_CLOEXEC);
      descriptor.set_object_id(file.object_id);
    }
  for (auto& [number, descriptor] : descriptors)
    *context.result.process.add_descriptors() = std::move(descriptor);
  return {};
}

const image::KernelObject* RebuildContext::object(std::uint64_t id) const {
  const auto found = by_id.find(id);
  return found == by_id.end() ? nullptr : found->second;
}

int RebuildContext::number_of(std::uint64_t id) const {
  const auto found = numbers.find(id);
  return found == numbers.end() || found->second.empty() ? -1 : found->second.front();
}

Result<> create_open_files(RebuildContext& context) {
  CAIRN_TRY(raise_our_file_limit());
  // In the table's order, so that what others are made of (memory, pipes) is there first.
  for (const auto& kind : kinds())
    for (const auto& object : context.objects) {
      if (kind_of(object) != &kind || context.made.contains(object.id())) continue;
      CAIRN_ASSIGN(Fd fd, kind.create(context, object));
      if (fd.valid()) context.made[object.id()] = std::move(fd);
    }
  for (auto& [id, fd] : context.made) {
    const auto* object = context.object(id);
    if (object->status_flags() & O_PATH || object->kind_case() == image::KernelObject::kInherited)
      continue;
    const int flags = ::fcntl(fd.get(), F_GETFL);
    const int wanted = (flags & ~kSettableFlags) |
                       (static_cast<int>(object->status_flags()) & kSettableFlags);
    if (flags != wanted && ::fcntl(fd.get(), F_SETFL, wanted) != 0)
      return os_failure("restore the flags of an open file", fmt::format("(object {})", id));
  }
  std::vector<RemoteProcess::Placement> placements;
  for (const auto& descriptor : context.image.descriptors()) {
    const auto found = context.made.find(descriptor.object_id());
    if (found == context.made.end())
      return refusal(fmt::format("descriptor {}: its object {} is not in the image",
                                 descriptor.number(), descriptor.object_id()));
    placements.push_back({found->second.get(), descriptor.number(),
                          descriptor.close_on_exec() ? std::uint32_t{FD_CLOEXEC} : 0U});
  }
  // The standard streams that the fresh process came with, and that the saved one had closed.
  CAIRN_ASSIGN(const auto present, context.process.list_fds());
  for (const auto& fd : present)
    if (std::none_of(placements.begin(), placements.end(),
                     [&](const auto& placement) { return placement.number == fd.fd; }))
      CAIRN_TRY(context.process.syscall(SYS_close, fd.fd));
  return context.process.place_fds(placements);
}

Result<> connect_open_files(RebuildContext& context) {
  for (const auto& kind : kinds())
    for (const auto& object : context.objects)
      if (kind_of(object) == &kind && kind.connect != nullptr && context.made.contains(object.id()))
        CAIRN_TRY(kind.connect(context, object));
  for (const auto& object : context.objects) {
    if (!context.made.contains(object.id())) continue;
    CAIRN_TRY(restore_locks(context, object));
    const int number = context.number_of(object.id());
    if (object.owner() == 0 || object.owner_type() == F_OWNER_PGRP || number < 0) continue;
    const f_owner_ex owner{static_cast<decltype(f_owner_ex::type)>(object.owner_type()),
                           context.real_tid(object.owner())};
    CAIRN_ASSIGN(auto place, context.process.scratch_object(owner));
    CAIRN_TRY(context.process.syscall(SYS_fcntl, number, F_SETOWN_EX, place.address()));
    if (object.owner_signal() != 0)
      CAIRN_TRY(context.process.syscall(SYS_fcntl, number, F_SETSIG, object.owner_signal()));
    if (object.status_flags() & O_ASYNC)
      CAIRN_TRY(context.process.syscall(SYS_fcntl, number, F_SETFL, object.status_flags()));
  }
  return {};
}

Result<int> free_number(RebuildContext& context) {
  CAIRN_ASSIGN(const auto used, context.process.list_fds());
  for (int number = 3;; ++number)
    if (std::none_of(used.begin(), used.end(), [&](const auto& fd) { return fd.fd == number; }))
      return number;
}

}  // namespace cairn::resources
