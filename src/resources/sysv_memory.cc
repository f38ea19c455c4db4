// Shared memory of System V. A segment is mapped as a whole; programs may unmap parts of it, or give
// them another protection.

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "resources/page_scan.h"
#include "resources/sysv.h"

namespace cairn::resources {
namespace {

constexpr std::uint64_t kPage = storage::kPageBytes;
using Region = image::MemoryRegion;

std::uint64_t page_up(std::uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

Result<std::shared_ptr<std::byte>> attach(int id, int flags) {
  void* place = ::shmat(id, nullptr, flags);
  if (place == reinterpret_cast<void*>(-1))
    return os_failure("attach the shared memory", std::to_string(id));
  return std::shared_ptr<std::byte>(static_cast<std::byte*>(place),
                                    [](std::byte* at) { ::shmdt(at); });
}

// What was never touched is left out. mincore does not tell what is in swap: where any of it is, all
// pages are taken.
Result<std::vector<storage::PageRun>> touched_pages(int id, const std::byte* memory,
                                                    std::uint64_t bytes) {
  std::vector<storage::PageRun> runs;
  shm_info usage{};
  const bool swapped =
      ::shmctl(0, SHM_INFO, reinterpret_cast<shmid_ds*>(&usage)) < 0 || usage.shm_swp != 0;
  std::vector<unsigned char> resident(page_up(bytes) / kPage, 1);
  if (!swapped && ::mincore(const_cast<std::byte*>(memory), bytes, resident.data()) != 0)
    return os_failure("ask for the pages of the shared memory", std::to_string(id));
  for (std::size_t i = 0; i < resident.size(); ++i)
    if (resident[i] & 1) add_run(runs, i * kPage, (i + 1) * kPage);
  return runs;
}

bool is_attached(int id) {
  shmid_ds status{};
  return ::shmctl(id, IPC_STAT, &status) == 0 && status.shm_nattch > 0;
}

SysvMaker maker_of(const image::KernelObject& object) {
  return {abi::SysvKind::kMemory, SYS_shmget, object.shared_memory().bytes(), is_attached};
}

}  // namespace

Result<std::uint64_t> capture_sysv_memory(CaptureJob& job, int real_id) {
  if (const auto known = job.sysv_memory.find(real_id); known != job.sysv_memory.end())
    return known->second;
  if (job.options.sysv == nullptr) return refusal("System V shared memory cannot be saved");
  shmid_ds status{};
  if (::shmctl(real_id, IPC_STAT, &status) < 0)
    return os_failure("look at the shared memory", std::to_string(real_id));
  image::KernelObject object;
  object.set_id(job.new_id());
  auto& record = *object.mutable_shared_memory();
  record.set_bytes(status.shm_segsz);
  auto& identity = *record.mutable_sysv();
  identify(status.shm_perm, status.shm_ctime, identity);
  identity.set_real_id(real_id);
  identity.set_id(job.options.sysv->to_virtual(abi::SysvKind::kMemory, real_id));
  identity.set_removed((status.shm_perm.mode & SHM_DEST) != 0);
  identity.set_creator(job.virtual_id(status.shm_cpid));
  ContentPlan plan;
  plan.object_id = object.id();
  plan.bytes = status.shm_segsz;
  CAIRN_ASSIGN(plan.memory, attach(real_id, SHM_RDONLY));
  CAIRN_ASSIGN(plan.runs, touched_pages(real_id, plan.memory.get(), plan.bytes));
  const auto id = object.id();
  job.sysv_memory[real_id] = id;
  job.result.contents.push_back(std::move(plan));
  job.result.objects.push_back(std::move(object));
  return id;
}

Result<Fd> create_sysv_memory(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.shared_memory();
  const auto maker = maker_of(object);
  CAIRN_ASSIGN(const int id, make_sysv_set(context, object, record.sysv(), maker));
  if (record.sysv().outside()) return Fd();
  if (!record.content().pages().empty()) {
    CAIRN_ASSIGN(const auto memory, attach(id, 0));
    CAIRN_ASSIGN(auto reader, context.job.options.open_content(record.content().pages()));
    CAIRN_TRY(reader->for_each([&](const storage::PageSpan& span) -> Result<> {
      if (span.zero || span.address >= record.bytes()) return {};
      std::memcpy(memory.get() + span.address, span.bytes.data(),
                  std::min<std::uint64_t>(span.bytes.size(), record.bytes() - span.address));
      return {};
    }));
  }
  CAIRN_TRY(finish_sysv_set(maker, id, record.sysv(), 0));
  return Fd();
}

namespace {

// One attachment: what is left of it in the image, ascending.
struct Attachment {
  const image::KernelObject* object;
  std::uint64_t base;
  std::vector<const Region*> regions;
};

std::vector<Attachment> attachments(const RebuildContext& context) {
  std::vector<Attachment> all;
  for (const auto& region : context.image.regions()) {
    if (region.kind() != Region::SYSV_SHM) continue;
    const auto* object = context.job.object(region.object_id());
    const std::uint64_t base = region.start() - region.file_offset();
    auto found = std::find_if(all.begin(), all.end(), [&](const Attachment& known) {
      return known.object == object && known.base == base;
    });
    if (found == all.end()) found = all.insert(all.end(), Attachment{object, base, {}});
    found->regions.push_back(&region);
  }
  return all;
}

Result<> attach_inside(RebuildContext& context, const Attachment& attachment) {
  const int id = context.job.sysv_sets.real_id(attachment.object->id());
  const bool writable =
      std::any_of(attachment.regions.begin(), attachment.regions.end(),
                  [](const Region* region) { return region->max_protection() & PROT_WRITE; });
  const bool executable =
      std::any_of(attachment.regions.begin(), attachment.regions.end(),
                  [](const Region* region) { return region->protection() & PROT_EXEC; });
  const int flags = (writable ? 0 : SHM_RDONLY) | (executable ? SHM_EXEC : 0);
  CAIRN_ASSIGN(const auto at, context.process.syscall(SYS_shmat, id, attachment.base, flags));
  if (at != attachment.base) return refusal("shared memory was attached elsewhere");
  const std::uint64_t end =
      attachment.base + page_up(attachment.object->shared_memory().bytes());
  std::uint64_t done = attachment.base;
  for (const Region* region : attachment.regions) {
    if (region->start() > done)
      CAIRN_TRY(context.process.syscall(SYS_munmap, done, region->start() - done));
    done = region->start() + region->length();
    context.protection_changed.insert(region->start());
  }
  if (done < end) CAIRN_TRY(context.process.syscall(SYS_munmap, done, end - done));
  return {};
}

}  // namespace

Result<> attach_sysv_memory(RebuildContext& context) {
  for (const auto& attachment : attachments(context)) {
    if (attachment.object == nullptr) return refusal("shared memory whose record is not in the image");
    CAIRN_TRY(attach_inside(context, attachment));
  }
  return {};
}

Result<> remove_sysv_memory(RebuildJob& job) {
  for (const auto& object : job.objects)
    if (object.has_shared_memory() && object.shared_memory().sysv().removed() &&
        ::shmctl(job.sysv_sets.real_id(object.id()), IPC_RMID, nullptr) < 0)
      return os_failure("remove shared memory again");
  return {};
}

}  // namespace cairn::resources
