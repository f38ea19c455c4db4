#include "resources/memfd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>

#include "resources/regular_file.h"

namespace cairn::resources {
namespace {

constexpr std::string_view kPrefix = "/memfd:";
constexpr std::string_view kDeleted = " (deleted)";

bool matches(const OpenFile& file) {
  return S_ISREG(file.info.st_mode) && file.link.starts_with(kPrefix);
}

std::string name_of(const std::string& link) {
  auto name = link.substr(kPrefix.size());
  if (name.ends_with(kDeleted)) name.resize(name.size() - kDeleted.size());
  return name;
}

Result<> capture(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  struct statfs system {};
  if (::fstatfs(file.copy.get(), &system) != 0) return os_failure("fstatfs", file.link);
  if (system.f_type == HUGETLBFS_MAGIC) return cannot_save(file, "huge page memory " + file.link);
  auto& record = *object.mutable_memfd();
  record.set_name(name_of(file.link));
  record.set_offset(::lseek(file.copy.get(), 0, SEEK_CUR));
  const auto [first, is_first] =
      context.job.shared.emplace(std::pair(file.info.st_dev, file.info.st_ino), file.object_id);
  if (!is_first) {
    record.set_shared_memory_id(first->second);
    return {};
  }
  const int seals = ::fcntl(file.copy.get(), F_GET_SEALS);
  if (seals < 0) return os_failure("read the seals of", file.link);
  record.set_seals(static_cast<std::uint32_t>(seals));
  record.set_mode(file.info.st_mode & 07777);
  ContentPlan plan;
  plan.object_id = object.id();
  plan.bytes = static_cast<std::uint64_t>(file.info.st_size);
  plan.file.reset(::open(fmt::format("/proc/self/fd/{}", file.copy.get()).c_str(),
                         O_RDONLY | O_CLOEXEC));
  if (!plan.file.valid()) return os_failure("read", file.link);
  CAIRN_ASSIGN(plan.runs, pages_of_file(plan.file.get(), plan.bytes));
  context.job.result.contents.push_back(std::move(plan));
  return {};
}

Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.memfd();
  if (record.shared_memory_id() != 0) {
    const auto first = context.job.made.find(record.shared_memory_id());
    if (first == context.job.made.end()) return refusal("a memfd without its first record");
    const int access = static_cast<int>(object.status_flags() & O_ACCMODE);
    Fd fd(::open(fmt::format("/proc/self/fd/{}", first->second.get()).c_str(), access | O_CLOEXEC));
    if (!fd.valid() || ::lseek(fd.get(), record.offset(), SEEK_SET) < 0)
      return os_failure("open anew the memfd", record.name());
    return fd;
  }
  // Without MFD_ALLOW_SEALING a memfd has F_SEAL_SEAL from the start, and so it gets it at the end.
  Fd made(::memfd_create(record.name().c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!made.valid()) return os_failure("make the memfd", record.name());
  if (::fchmod(made.get(), record.mode()) != 0) return os_failure("set the mode of", record.name());
  CAIRN_TRY(fill_file(context.job, made.get(), record.content()));
  const int access = static_cast<int>(object.status_flags() & O_ACCMODE);
  if (access != O_RDWR) {
    Fd other(::open(fmt::format("/proc/self/fd/{}", made.get()).c_str(), access | O_CLOEXEC));
    if (!other.valid()) return os_failure("open anew the memfd", record.name());
    context.job.held.push_back(std::move(made));
    made = std::move(other);
  }
  if (::lseek(made.get(), record.offset(), SEEK_SET) < 0)
    return os_failure("go to the saved offset in the memfd", record.name());
  return made;
}

}  // namespace

Result<std::uint64_t> capture_mapped_memfd(CaptureContext& context, const std::string& name,
                                           dev_t device, ino_t inode,
                                           const ContentPlan::View& view) {
  const auto found = context.job.shared.find({device, inode});
  if (found == context.job.shared.end()) {
    image::KernelObject object;
    object.set_id(context.job.new_id());
    object.set_memory_of(1);
    object.set_status_flags(O_RDWR);
    object.mutable_memfd()->set_name(name_of(name));
    object.mutable_memfd()->set_mode(0777);
    ContentPlan plan;
    plan.object_id = object.id();
    plan.views.push_back(view);
    plan.bytes = view.offset + view.bytes;
    context.job.shared.emplace(std::pair(device, inode), object.id());
    context.job.result.contents.push_back(std::move(plan));
    const auto id = object.id();
    context.job.result.objects.push_back(std::move(object));
    return id;
  }
  for (auto& plan : context.job.result.contents)
    if (plan.object_id == found->second && !plan.file.valid()) {
      plan.views.push_back(view);
      plan.bytes = std::max(plan.bytes, view.offset + view.bytes);
    }
  return found->second;
}

Result<> seal_memfds(RebuildJob& job) {
  for (const auto& object : job.objects) {
    const auto made = job.made.find(object.id());
    if (!object.has_memfd() || made == job.made.end() || object.memory_of() != 0 ||
        object.memfd().shared_memory_id() != 0 || object.memfd().seals() == 0)
      continue;
    const Fd writable(::open(fmt::format("/proc/self/fd/{}", made->second.get()).c_str(),
                             O_RDWR | O_CLOEXEC));
    if (!writable.valid() ||
        ::fcntl(writable.get(), F_ADD_SEALS, static_cast<int>(object.memfd().seals())) != 0)
      return os_failure("seal the memfd", object.memfd().name());
  }
  return {};
}

const Kind kMemFdKind{"memfd", image::KernelObject::kMemfd, Maker::kAgent, matches,
                      capture, create, nullptr};

}  // namespace cairn::resources
