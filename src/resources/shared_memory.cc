#include "resources/shared_memory.h"

#include <sys/mman.h>

#include <algorithm>

#include "resources/sysv.h"

namespace cairn::resources {
namespace {

constexpr const char* kName = "shared-anonymous";
constexpr std::string_view kPath = "/memfd:shared-anonymous (deleted)";

bool is_mapped_by_several(const RebuildJob& job, std::uint64_t id) {
  const auto maps_it = [&](const RebuildContext& member) {
    const auto& regions = member.image.regions();
    return std::any_of(regions.begin(), regions.end(),
                       [&](const auto& region) { return region.object_id() == id; });
  };
  return std::count_if(job.members.begin(), job.members.end(), maps_it) > 1;
}

bool never_matches(const OpenFile&) {
  return false;
}  // no descriptor leads to it

Result<> not_captured_here(CaptureContext&, OpenFile& file, image::KernelObject&) {
  return cannot_save(file, file.link);
}

Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  if (object.shared_memory().has_sysv()) return create_sysv_memory(context, object);
  if (!is_mapped_by_several(context.job, object.id())) return Fd();  // made where it is mapped
  Fd made(::memfd_create(kName, MFD_CLOEXEC));
  if (!made.valid()) return os_failure("make shared memory");
  auto content = object.shared_memory().content();
  content.set_bytes(object.shared_memory().bytes());
  CAIRN_TRY(fill_file(context.job, made.get(), content));
  return made;
}

}  // namespace

std::uint64_t capture_shared_memory(CaptureJob& job, dev_t device, ino_t inode,
                                    const ContentPlan::View& view) {
  auto found = job.shared.find({device, inode});
  if (found == job.shared.end()) {
    image::KernelObject object;
    object.set_id(job.new_id());
    object.set_memory_of(1);
    object.mutable_shared_memory();
    found = job.shared.emplace(std::pair(device, inode), object.id()).first;
    ContentPlan plan;
    plan.object_id = object.id();
    job.result.contents.push_back(std::move(plan));
    job.result.objects.push_back(std::move(object));
  }
  for (auto& plan : job.result.contents)
    if (plan.object_id == found->second) {
      plan.views.push_back(view);
      plan.bytes = std::max(plan.bytes, view.offset + view.bytes);
    }
  for (auto& object : job.result.objects)
    if (object.id() == found->second)
      object.mutable_shared_memory()->set_bytes(
          std::max(object.shared_memory().bytes(), view.offset + view.bytes));
  return found->second;
}

bool stands_for_anonymous(const CaptureJob& job, const std::string& path, dev_t device,
                          ino_t inode) {
  if (path != kPath) return false;
  const bool is_open = std::any_of(job.files.begin(), job.files.end(), [&](const OpenFile& file) {
    return file.info.st_dev == device && file.info.st_ino == inode;
  });
  return !is_open;
}

const Kind kSharedMemoryKind{"shared memory",
                             image::KernelObject::kSharedMemory,
                             Maker::kAgent,
                             never_matches,
                             not_captured_here,
                             create,
                             nullptr};

}  // namespace cairn::resources
