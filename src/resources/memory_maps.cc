#include "resources/memory_maps.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "abi/arena.h"
#include "base/files.h"
#include "resources/aio.h"
#include "resources/file_identity.h"
#include "resources/memfd.h"
#include "resources/page_scan.h"
#include "resources/memory_policy.h"
#include "resources/regular_file.h"
#include "resources/shared_memory.h"
#include "resources/smaps.h"
#include "resources/sysv.h"

namespace cairn::resources {
namespace {

constexpr std::uint64_t kPage = storage::kPageBytes;

std::uint64_t page_up(std::uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

Failure refuse(const Vma& vma, std::string_view what) {
  return refusal(fmt::format("memory at {:#x}-{:#x}: {} cannot be saved", vma.start, vma.end, what));
}

bool is_kernels_own(const Vma& vma) {
  constexpr std::array kNames{"[vsyscall]", "[vdso]", "[vvar]", "[vvar_vclock]", "[uprobes]"};
  return std::find(kNames.begin(), kNames.end(), vma.path) != kNames.end();
}

Result<> refuse_special(const Vma& vma) {
  if (vma.has("ht") && (vma.shared || !vma.path.starts_with("/anon_hugepage")))
    return refuse(vma, "shared memory of huge pages " + vma.path);
  if (vma.has("um") || vma.has("uw") || vma.has("ui"))
    return refuse(vma, "memory watched by userfaultfd");
  if (vma.has("sl")) return refuse(vma, "sealed memory (mseal)");
  if (vma.has("ss")) return refuse(vma, "a shadow stack");
  // Memory that may only be executed has a key of the kernel's own where the CPU has keys, and gets one
  // again by the same mprotect (execute_only_pkey, Linux 4.9).
  if (vma.protection_key != 0 && vma.protection != PROT_EXEC)
    return refuse(vma, "memory with a protection key");
  if (vma.path.starts_with("anon_inode:") || vma.path.starts_with("socket:"))
    return refuse(vma, "a mapping of " + vma.path);
  if (vma.path.starts_with("/dev/") && !vma.path.starts_with("/dev/zero") &&
      !vma.path.starts_with("/dev/shm/") && !vma.path.starts_with("/dev/hugepages/"))
    return refuse(vma, "device " + vma.path);
  if (vma.has("pf") || vma.has("io")) return refuse(vma, "device memory " + vma.path);
  return {};
}

std::vector<int> advice_of(const Vma& vma) {
  struct Advice {
    const char* flag;
    int advice;
  };
  constexpr std::array kAdvice{
      Advice{"rr", MADV_RANDOM},   Advice{"sr", MADV_SEQUENTIAL}, Advice{"dc", MADV_DONTFORK},
      Advice{"dd", MADV_DONTDUMP}, Advice{"wf", MADV_WIPEONFORK}, Advice{"hg", MADV_HUGEPAGE},
      Advice{"nh", MADV_NOHUGEPAGE}, Advice{"mg", MADV_MERGEABLE}};
  std::vector<int> advice;
  for (const auto& entry : kAdvice)
    if (vma.has(entry.flag)) advice.push_back(entry.advice);
  return advice;
}

class MemoryCapture {
 public:
  MemoryCapture(CaptureContext& context, PageScan scan)
      : context_(context), scan_(std::move(scan)) {
    const abi::RuntimeState& state = *context.runtime;
    const auto count = std::min<std::uint64_t>(state.left_out_count, abi::kMaxLeftOut);
    left_out_.assign(state.left_out, state.left_out + count);
    std::sort(left_out_.begin(), left_out_.end(),
              [](const auto& a, const auto& b) { return a.start < b.start; });
  }

  Result<> region(const Vma& vma) {
    if (vma.path.starts_with("/[aio]")) return capture_aio(context_, vma.start, vma.bytes());
    CAIRN_TRY(refuse_special(vma));
    image::MemoryRegion region;
    region.set_start(vma.start);
    region.set_length(vma.bytes());
    region.set_protection(static_cast<std::uint32_t>(vma.protection));
    region.set_flags(static_cast<std::uint32_t>((vma.shared ? MAP_SHARED : MAP_PRIVATE) |
                                                (vma.has("nr") ? MAP_NORESERVE : 0)));
    region.set_no_reserve(vma.has("nr"));
    region.set_locked(vma.has("lo"));
    region.set_lock_on_fault(vma.has("lf"));
    for (const int advice : advice_of(vma)) region.add_advice(advice);
    CAIRN_TRY(vma.shared ? shared(vma, region) : private_memory(vma, region));
    for (const auto& guard : scan_.take_guards()) {
      region.add_guards(guard.start);
      region.add_guards(guard.end - guard.start);
    }
    *context_.image.add_regions() = std::move(region);
    return {};
  }

  void finish() {
    private_.object_id = 0;
    private_.process_index = context_.index;
    private_.process = &context_.process;
    context_.job.result.contents.push_back(std::move(private_));
  }

 private:
  Result<> private_memory(const Vma& vma, image::MemoryRegion& region) {
    if (vma.has("ht")) return huge_pages(vma, region);
    if (vma.inode == 0 || vma.path == "/dev/zero") return anonymous(vma, region);
    if (vma.path.starts_with("/memfd:")) {
      region.set_kind(image::MemoryRegion::MEMFD);
      region.set_file_offset(vma.offset);
      if (context_.job.shared.contains({vma.device, vma.inode})) {
        region.set_object_id(context_.job.shared.at({vma.device, vma.inode}));
        return scan_.own_pages(vma.start, vma.end, private_.runs);
      }
      return lost_file(vma, region);
    }
    return private_file(vma, region);
  }

  Result<> anonymous(const Vma& vma, image::MemoryRegion& region) {
    const bool grows = vma.has("gd");
    region.set_kind(grows ? image::MemoryRegion::GROWSDOWN : image::MemoryRegion::PRIVATE_ANONYMOUS);
    region.set_flags(region.flags() | MAP_ANONYMOUS | (grows ? MAP_GROWSDOWN : 0));
    if (vma.path.starts_with("[anon:")) region.set_name(vma.path.substr(6, vma.path.size() - 7));
    std::uint64_t at = vma.start;
    for (const auto& range : left_out_) {
      if (range.end <= at || range.start >= vma.end) continue;
      if (range.start > at) CAIRN_TRY(scan_.own_pages(at, range.start, private_.runs));
      at = std::min(range.end, vma.end);
    }
    return at < vma.end ? scan_.own_pages(at, vma.end, private_.runs) : Result<>();
  }

  // MAP_HUGETLB. As natively, mmap fails where the administrator has not set enough pages aside.
  Result<> huge_pages(const Vma& vma, image::MemoryRegion& region) {
    const auto log2 = static_cast<std::uint32_t>(std::countr_zero(vma.kernel_page_bytes));
    region.set_kind(image::MemoryRegion::PRIVATE_ANONYMOUS);
    region.set_huge_page_log2(log2);
    region.set_flags(region.flags() | MAP_ANONYMOUS | MAP_HUGETLB | (log2 << MAP_HUGE_SHIFT));
    return scan_.own_pages(vma.start, vma.end, private_.runs);
  }

  Result<> private_file(const Vma& vma, image::MemoryRegion& region) {
    auto file = files_.find(vma.path);
    if (file == files_.end()) {
      CAIRN_ASSIGN(auto known, look_at_file(vma.path, vma.inode));
      file = files_.emplace(vma.path, std::move(known)).first;
    }
    if (!file->second.present) return removed_file(vma, region);
    region.set_kind(image::MemoryRegion::PRIVATE_FILE);
    region.set_file_offset(vma.offset);
    *region.mutable_file() = file->second.identity;
    const bool by_content = file->second.is_elf || context_.job.options.files == FilePolicy::kSave;
    region.set_clean_pages_from_file(!by_content);
    if (!by_content) return scan_.own_pages(vma.start, vma.end, private_.runs);
    const std::uint64_t size = page_up(file->second.identity.size());
    const std::uint64_t in_file = size > vma.offset ? std::min(size - vma.offset, vma.bytes()) : 0;
    add_run(private_.runs, vma.start, vma.start + in_file);
    return scan_.own_pages(vma.start + in_file, vma.end, private_.runs);
  }

  // A file without a name that somebody has open: what is written to it later shows in clean pages.
  Result<> removed_file(const Vma& vma, image::MemoryRegion& region) {
    const auto object_id = open_file_of_inode(context_.job, vma.path, vma.inode);
    if (object_id == 0) return lost_file(vma, region);
    region.set_kind(image::MemoryRegion::PRIVATE_FILE);
    region.set_file_offset(vma.offset);
    region.set_object_id(object_id);
    return scan_.own_pages(vma.start, vma.end, private_.runs);
  }

  // The file cannot be opened any more: what can be read is saved, and will be anonymous memory. It
  // can be read up to the file's end, wherever that is.
  Result<> lost_file(const Vma& vma, image::MemoryRegion& region) {
    region.set_kind(image::MemoryRegion::PRIVATE_ANONYMOUS);
    region.set_flags(region.flags() | MAP_ANONYMOUS);
    region.clear_file_offset();
    CAIRN_ASSIGN(const auto readable, readable_bytes(context_.process, vma.start, vma.bytes()));
    add_run(private_.runs, vma.start, vma.start + readable);
    return scan_.own_pages(vma.start + readable, vma.end, private_.runs);
  }

  Result<> shared(const Vma& vma, image::MemoryRegion& region) {
    region.set_file_offset(vma.offset);
    const ContentPlan::View view{vma.offset, vma.bytes(), vma.start, &context_.process};
    if (vma.path.starts_with("/memfd:") &&
        !stands_for_anonymous(context_.job, vma.path, vma.device, vma.inode)) {
      region.set_kind(image::MemoryRegion::MEMFD);
      CAIRN_ASSIGN(const auto id, capture_mapped_memfd(context_, vma.path, vma.device, vma.inode,
                                                       view));
      region.set_object_id(id);
      return shared_pages(vma, id);
    }
    if (vma.path == "/dev/zero (deleted)" || vma.path.starts_with("[anon_shmem:") ||
        vma.path.starts_with("/memfd:")) {
      region.set_kind(image::MemoryRegion::SHARED_ANONYMOUS);
      region.set_flags(region.flags() | MAP_ANONYMOUS);
      if (vma.path.starts_with("[anon_shmem:"))
        region.set_name(vma.path.substr(12, vma.path.size() - 13));
      region.set_object_id(capture_shared_memory(context_.job, vma.device, vma.inode, view));
      return shared_pages(vma, region.object_id());
    }
    region.set_max_protection(static_cast<std::uint32_t>(PROT_READ | PROT_EXEC |
                                                         (vma.has("mw") ? PROT_WRITE : 0)));
    if (vma.path.starts_with("/SYSV")) {
      region.set_kind(image::MemoryRegion::SYSV_SHM);
      CAIRN_ASSIGN(const auto segment,
                   capture_sysv_memory(context_.job, static_cast<int>(vma.inode)));
      region.set_object_id(segment);
      return {};
    }
    region.set_kind(image::MemoryRegion::SHARED_FILE);
    CAIRN_ASSIGN(const auto id, capture_mapped_file(context_, {vma.path, vma.device, vma.inode,
                                                               vma.has("mw"), view}));
    region.set_object_id(id);
    return {};
  }

  // Pages of shared memory may be there without this process having touched them, so pagemap does not
  // tell; mincore does, but for what is in swap.
  Result<> shared_pages(const Vma& vma, std::uint64_t object_id) {
    for (auto& plan : context_.job.result.contents) {
      if (plan.object_id != object_id || plan.views.empty()) continue;
      if (vma.swap_bytes != 0) {
        add_run(plan.runs, vma.offset, vma.offset + vma.bytes());
        return {};
      }
      constexpr std::uint64_t kAtOnce = 1U << 16;
      CAIRN_ASSIGN(const auto place, context_.process.scratch(kAtOnce));
      std::vector<std::byte> resident(kAtOnce);
      for (std::uint64_t at = vma.start; at < vma.end; at += kAtOnce * kPage) {
        const std::uint64_t pages = std::min((vma.end - at) / kPage, kAtOnce);
        CAIRN_TRY(context_.process.syscall(SYS_mincore, at, pages * kPage, place.address()));
        CAIRN_TRY(context_.process.read(place.address(), std::span(resident).first(pages)));
        for (std::uint64_t i = 0; i < pages; ++i)
          if ((resident[i] & std::byte(1)) != std::byte(0)) {
            const std::uint64_t offset = vma.offset + (at - vma.start) + i * kPage;
            add_run(plan.runs, offset, offset + kPage);
          }
      }
    }
    return {};
  }

  CaptureContext& context_;
  PageScan scan_;
  ContentPlan private_;
  std::vector<abi::LeftOut> left_out_;  // ascending, apart from each other
  std::map<std::string, KnownFile> files_;
};

}  // namespace

Result<> capture_memory(CaptureContext& context) {
  CAIRN_ASSIGN(const auto text, read_text_file(context.process.proc_path("smaps")));
  CAIRN_ASSIGN(const auto vmas, parse_smaps(text));
  CAIRN_ASSIGN(auto scan, PageScan::open(context.process));
  MemoryCapture capture(context, std::move(scan));
  for (const auto& vma : vmas)
    if (!abi::in_arena(vma.start) && !is_kernels_own(vma)) CAIRN_TRY(capture.region(vma));
  capture.finish();
  return capture_memory_policies(context);
}

// The views of shared memory overlap as they please; a plan's runs must not.
void join_shared_pages(CaptureJob& job) {
  for (auto& plan : job.result.contents) {
    if (plan.views.empty()) continue;
    std::sort(plan.runs.begin(), plan.runs.end(),
              [](const auto& a, const auto& b) { return a.address < b.address; });
    std::vector<storage::PageRun> joined;
    std::uint64_t end = 0;
    for (const auto& run : plan.runs) {
      const std::uint64_t run_end = run.address + run.pages * kPage;
      if (run_end > end) add_run(joined, std::max(run.address, end), run_end);
      end = std::max(end, run_end);
    }
    plan.runs = std::move(joined);
  }
}

Result<> read_content(const ContentPlan& content, std::uint64_t position,
                      std::span<std::byte> into) {
  if (content.object_id == 0) return content.process->read(position, into);
  if (content.memory) {
    const std::uint64_t bytes = std::min<std::uint64_t>(into.size(), content.bytes - position);
    std::memcpy(into.data(), content.memory.get() + position, bytes);
    std::memset(into.data() + bytes, 0, into.size() - bytes);
    return {};
  }
  if (content.file.valid()) {
    std::size_t done = 0;
    while (done < into.size()) {
      const ssize_t got = ::pread(content.file.get(), into.data() + done, into.size() - done,
                                  static_cast<off_t>(position + done));
      if (got < 0) return os_failure("read the contents of a file");
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    std::memset(into.data() + done, 0, into.size() - done);
    return {};
  }
  while (!into.empty()) {
    const auto view = std::find_if(content.views.begin(), content.views.end(), [&](const auto& v) {
      return position >= v.offset && position - v.offset < v.bytes;
    });
    if (view == content.views.end()) return refusal("read shared memory where it is not mapped");
    const std::uint64_t inside = position - view->offset;
    const std::size_t bytes = std::min<std::uint64_t>(into.size(), view->bytes - inside);
    CAIRN_TRY(view->process->read(view->address + inside, into.first(bytes)));
    into = into.subspan(bytes);
    position += bytes;
  }
  return {};
}

void set_content(JobCapture& capture, const ContentPlan& content, const storage::PageDataRef& ref) {
  if (content.object_id == 0) {
    capture.processes[content.process_index].set_page_data(ref.encode());
    return;
  }
  for (auto& object : capture.objects) {
    if (object.id() != content.object_id) continue;
    auto* record = object.has_regular_file() ? object.mutable_regular_file()->mutable_content()
                   : object.has_memfd()      ? object.mutable_memfd()->mutable_content()
                                        : object.mutable_shared_memory()->mutable_content();
    record->set_pages(ref.encode());
    record->set_bytes(content.bytes);
  }
}

}  // namespace cairn::resources
