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
#include "resources/inotify.h"
#include "resources/registry.h"

namespace cairn::resources {
namespace {

// What may be restored with F_SETFL. O_ASYNC comes later, with the owner that it speaks to.
constexpr std::uint32_t kLargeFile =
    0100000;  // O_LARGEFILE is 0 for 64-bit programs, the kernel shows it
constexpr int kSettableFlags = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME;

Result<std::string> link_of(const std::string& path) {
  std::string text(PATH_MAX, '\0');
  const ssize_t length = ::readlink(path.c_str(), text.data(), text.size());
  if (length < 0) return os_failure("read the link", path);
  text.resize(static_cast<std::size_t>(length));
  return text;
}

auto identity(const OpenFile& file) {
  return std::tuple(file.info.st_dev, file.info.st_ino, file.info.st_mode & S_IFMT, file.flags);
}

Result<OpenFile> describe(Fd copy) {
  OpenFile file;
  file.copy = std::move(copy);
  if (::fstat(file.copy.get(), &file.info) != 0) return os_failure("fstat a received descriptor");
  const int flags = ::fcntl(file.copy.get(), F_GETFL);
  if (flags < 0) return os_failure("F_GETFL of a received descriptor");
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

// In the order of the numbers, a message's worth at a time: a copy of what is known goes at once,
// so that 64 processes with the same thousand files need not 64,000 descriptors of ours.
Result<> take_all(CaptureContext& context) {
  CAIRN_ASSIGN(auto fds, context.process.list_fds());
  std::sort(fds.begin(), fds.end(), [](const auto& a, const auto& b) { return a.fd < b.fd; });
  CAIRN_TRY(refuse_what_cannot_travel(context.process, fds));
  std::span<const abi::LinkFd> left(fds);
  while (!left.empty()) {
    const auto batch = left.first(std::min<std::size_t>(left.size(), abi::kFdsPerMessage));
    std::vector<int> numbers;
    for (const auto& fd : batch) numbers.push_back(fd.fd);
    CAIRN_ASSIGN(auto copies, context.process.take_fds(numbers));
    for (std::size_t i = 0; i < copies.size(); ++i) {
      CAIRN_ASSIGN(auto* file, context.job.adopt(std::move(copies[i]), context.index));
      file->numbers.push_back({context.index, batch[i].fd, batch[i].flags});
    }
    left = left.subspan(batch.size());
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

// In the name of the first process that has it.
Result<> capture_one(CaptureJob& job, OpenFile& file) {
  CaptureContext& context = job.members[file.home];
  image::KernelObject object;
  object.set_id(file.object_id);
  object.set_status_flags(file.flags);
  file.captured = true;
  CAIRN_ASSIGN(const bool from_outside, capture_inherited(context, file, object));
  if (!from_outside) {
    const Kind* kind = kind_of(file);
    if (kind == nullptr) return cannot_save(file, file.link);
    CAIRN_TRY(kind->capture(context, file, object));
    CAIRN_TRY(capture_locks(job, file, object));
    CAIRN_TRY(capture_owner(file, object));
  }
  job.result.objects.push_back(std::move(object));
  return {};
}

// The job's own ids in an owner, as the guest knows them; others stay outside of what is saved.
Result<> translate_owner(const CaptureJob& job, image::KernelObject& object) {
  if (object.owner() == 0) return {};
  if (object.owner_type() == F_OWNER_PGRP) {
    // A group without a process of the job is given by whoever restarts.
    std::int32_t group = 0;
    for (const auto& member : job.members)
      if (::getpgid(member.process.pid().value) == object.owner())
        group = member.runtime->virtual_group;
    object.set_owner(group);
    return {};
  }
  if (const auto known = job.virtual_id(object.owner()); known != 0) {
    object.set_owner(known);
    return {};
  }
  return refusal(
      fmt::format("an open file whose signals go to process {}, outside of the job, cannot "
                  "be saved",
                  object.owner()));
}

}  // namespace

bool OpenFileOrder::operator()(const OpenFile* a, const OpenFile* b) const {
  if (identity(*a) != identity(*b)) return identity(*a) < identity(*b);
  constexpr long kLess = 1;  // 2 is "greater", 0 "the same"
  return ::syscall(SYS_kcmp, ::getpid(), ::getpid(), KCMP_FILE, a->copy.get(), b->copy.get()) ==
         kLess;
}

std::string OpenFile::name() const {
  return numbers.empty() ? std::string("a descriptor in flight")
                         : fmt::format("descriptor {}", numbers.front().fd);
}

Failure cannot_save(const OpenFile& file, std::string_view what) {
  return refusal(fmt::format("{}: {} cannot be saved", file.name(), what));
}

Failure cannot_save_now(const OpenFile& file, std::string_view what) {
  Error error = cannot_save(file, what).value();
  error.code = EAGAIN;
  return Failure(std::move(error));
}

Result<OpenFile*> CaptureJob::adopt(Fd fd, std::size_t process) {
  CAIRN_ASSIGN(auto found, describe(std::move(fd)));
  if (const auto known = distinct.find(&found); known != distinct.end()) return *known;
  CAIRN_ASSIGN(found.link, link_of(fmt::format("/proc/self/fd/{}", found.copy.get())));
  found.object_id = new_id();
  found.home = process;
  auto& file = files.emplace_back(std::move(found));
  distinct.insert(&file);
  return &file;
}

std::int32_t CaptureJob::virtual_id(std::int32_t real_tid) const {
  for (const auto& member : members) {
    if (member.process.pid().value == real_tid) return member.runtime->virtual_pid;
    for (const auto& thread : member.threads)
      if (thread.real_tid == real_tid) return thread.virtual_tid;
  }
  return 0;
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

Result<> capture_open_files(CaptureJob& job) {
  CAIRN_TRY(raise_our_file_limit());
  for (auto& context : job.members) CAIRN_TRY(take_all(context));
  // Watches come first: they are not to tell of what is read for the others.
  CAIRN_TRY(capture_inotifies(job, capture_one));
  // Capturing a unix socket may find further open files in its queue, and the list grows while we
  // walk it. Other kinds come after them: by then it is known what is the job's.
  for (std::size_t i = 0; i < job.files.size(); ++i)
    if (const Kind* kind = kind_of(job.files[i]);
        kind != nullptr && kind->record == image::KernelObject::kUnixSocket)
      CAIRN_TRY(capture_one(job, job.files[i]));
  for (std::size_t i = 0; i < job.files.size(); ++i)
    if (!job.files[i].captured) CAIRN_TRY(capture_one(job, job.files[i]));
  for (auto& object : job.result.objects) CAIRN_TRY(translate_owner(job, object));

  std::map<std::pair<std::size_t, int>, image::Descriptor> descriptors;
  for (const auto& file : job.files)
    for (const auto& number : file.numbers) {
      image::Descriptor& descriptor = descriptors[{number.process, number.fd}];
      descriptor.set_number(number.fd);
      descriptor.set_close_on_exec(number.flags & FD_CLOEXEC);
      descriptor.set_object_id(file.object_id);
    }
  for (auto& [key, descriptor] : descriptors)
    *job.members[key.first].image.add_descriptors() = std::move(descriptor);
  return {};
}

const image::KernelObject* RebuildJob::object(std::uint64_t id) const {
  const auto found = by_id.find(id);
  return found == by_id.end() ? nullptr : found->second;
}

const std::vector<Number>& RebuildJob::numbers_of(std::uint64_t id) const {
  static const std::vector<Number> kNone;
  const auto found = numbers.find(id);
  return found == numbers.end() ? kNone : found->second;
}

RebuildContext& RebuildJob::holder(std::uint64_t id) {
  const auto& of_object = numbers_of(id);
  return members[of_object.empty() ? 0 : of_object.front().process];
}

RebuildContext* RebuildJob::member(std::int32_t virtual_pid) {
  for (auto& member : members)
    if (member.image.pid() == virtual_pid) return &member;
  return nullptr;
}

std::int32_t CaptureJob::ended_id(std::int32_t real_pid) const {
  if (options.ended == nullptr) return 0;
  const auto found = options.ended->find(real_pid);
  return found != options.ended->end() ? found->second : 0;
}

std::int32_t RebuildJob::real_pid(std::int32_t virtual_pid) {
  if (const auto* one = member(virtual_pid); one != nullptr) return one->process.pid().value;
  const auto found = options.ended.find(virtual_pid);
  return found != options.ended.end() ? found->second : 0;
}

int RebuildContext::number_of(std::uint64_t id) const {
  const auto found = job.numbers.find(id);
  if (found == job.numbers.end()) return -1;
  for (const auto& number : found->second)
    if (number.process == index) return number.fd;
  return -1;
}

namespace {

Result<> restore_flags(const RebuildJob& job) {
  for (const auto& [id, fd] : job.made) {
    const auto* object = job.object(id);
    if (object->status_flags() & O_PATH || object->kind_case() == image::KernelObject::kInherited)
      continue;
    const int flags = ::fcntl(fd.get(), F_GETFL);
    const int wanted =
        (flags & ~kSettableFlags) | (static_cast<int>(object->status_flags()) & kSettableFlags);
    if (flags != wanted && ::fcntl(fd.get(), F_SETFL, wanted) != 0)
      return os_failure("restore the flags of an open file", fmt::format("(object {})", id));
  }
  return {};
}

Result<> place_open_files(RebuildContext& context) {
  std::vector<RemoteProcess::Placement> placements;
  for (const auto& descriptor : context.image.descriptors()) {
    const auto found = context.job.made.find(descriptor.object_id());
    if (found == context.job.made.end())
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

// By a process that has the file, since the kernel notes whose rights a signal is sent with.
Result<> restore_owner(RebuildContext& context, const image::KernelObject& object) {
  const int number = context.number_of(object.id());
  if (object.owner() == 0 || number < 0) return {};
  f_owner_ex owner{static_cast<decltype(f_owner_ex::type)>(object.owner_type()),
                   context.job.real_tid(object.owner())};
  if (object.owner_type() == F_OWNER_PGRP) {
    owner.pid = 0;
    for (const auto& member : context.job.members)
      if (member.image.pgid() == object.owner()) owner.pid = ::getpgid(member.process.pid().value);
    if (owner.pid == 0) return {};
  }
  CAIRN_ASSIGN(auto place, context.process.scratch_object(owner));
  CAIRN_TRY(context.process.syscall(SYS_fcntl, number, F_SETOWN_EX, place.address()));
  if (object.owner_signal() != 0)
    CAIRN_TRY(context.process.syscall(SYS_fcntl, number, F_SETSIG, object.owner_signal()));
  if (object.status_flags() & O_ASYNC)
    CAIRN_TRY(context.process.syscall(SYS_fcntl, number, F_SETFL, object.status_flags()));
  return {};
}

}  // namespace

Result<> create_open_files(RebuildJob& job) {
  CAIRN_TRY(raise_our_file_limit());
  // In the table's order, so that what others are made of (memory, pipes) is there first.
  for (const auto& kind : kinds())
    for (const auto& object : job.objects) {
      if (kind_of(object) != &kind || job.made.contains(object.id())) continue;
      CAIRN_ASSIGN(Fd fd, kind.create(job.holder(object.id()), object));
      if (fd.valid()) job.made[object.id()] = std::move(fd);
    }
  CAIRN_TRY(restore_flags(job));
  for (auto& context : job.members) CAIRN_TRY(place_open_files(context));
  return {};
}

Result<> connect_open_files(RebuildJob& job) {
  for (const auto& kind : kinds())
    for (const auto& object : job.objects)
      if (kind_of(object) == &kind && kind.connect != nullptr && job.made.contains(object.id()))
        CAIRN_TRY(kind.connect(job.holder(object.id()), object));
  for (const auto& object : job.objects) {
    if (!job.made.contains(object.id())) continue;
    CAIRN_TRY(restore_locks(job, object));
    CAIRN_TRY(restore_owner(job.holder(object.id()), object));
  }
  return {};
}

Result<Fd> open_nothing() {
  Fd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!nothing.valid()) return os_failure("open", "/dev/null");
  return nothing;
}

Result<> put_in_place(RebuildContext& context, const image::KernelObject& object, Fd fd) {
  for (const auto& number : context.job.numbers_of(object.id())) {
    const RemoteProcess::Placement placement{fd.get(), number.fd, number.flags};
    CAIRN_TRY(context.job.members[number.process].process.place_fds(std::span(&placement, 1)));
  }
  context.job.made[object.id()] = std::move(fd);
  return {};
}

Result<int> free_number(RebuildContext& context) {
  CAIRN_ASSIGN(const auto used, context.process.list_fds());
  for (int number = 3;; ++number)
    if (std::none_of(used.begin(), used.end(), [&](const auto& fd) { return fd.fd == number; }))
      return number;
}

}  // namespace cairn::resources
