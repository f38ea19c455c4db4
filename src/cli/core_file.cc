#include "cli/core_file.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <span>

#include "base/fd.h"
#include "cli/core_notes.h"

namespace cairn::cli {
namespace {

constexpr std::uint64_t kPage = storage::kPageBytes;
// Of memory that was never touched this much is readable in the core; reservations of terabytes are
// not.
constexpr std::uint64_t kUntouched = 1ULL << 30;
constexpr std::uint16_t kManySegments = PN_XNUM;

using Region = image::MemoryRegion;
using Runs = std::vector<storage::PageRun>;

struct Segment {
  std::uint64_t address = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t offset = 0;
  std::uint32_t flags = 0;
};

std::uint64_t run_end(const storage::PageRun& run) {
  return run.address + run.pages * kPage;
}

// What the memory of a shared region is kept in, or nothing: then it is a file's.
const image::Content* content_of(const restart::Plan& plan, std::uint64_t object_id) {
  const image::KernelObject* object = plan.records.object(object_id);
  if (object != nullptr && object->memfd().shared_memory_id() != 0)
    object = plan.records.object(object->memfd().shared_memory_id());
  if (object == nullptr) return nullptr;
  const image::Content& content = object->has_memfd()          ? object->memfd().content()
                                  : object->has_regular_file() ? object->regular_file().content()
                                                               : object->shared_memory().content();
  return content.pages().empty() ? nullptr : &content;
}

class Core {
 public:
  Core(const restart::Plan& plan, const image::ProcessImage& process)
      : plan_(plan), process_(process) {}

  Result<> lay_out() {
    CAIRN_ASSIGN(notes_, core_notes(plan_, process_));
    Runs runs;
    if (!process_.page_data().empty()) {
      CAIRN_ASSIGN(const auto reader, open(process_.page_data()));
      CAIRN_ASSIGN(runs, reader->pages());
    }
    for (const Region& region : process_.regions()) add_region(region, runs);
    std::uint64_t offset = header_bytes() + notes_.size();
    for (Segment& segment : segments_) {
      offset = (offset + kPage - 1) / kPage * kPage;
      segment.offset = offset;
      offset += segment.file_bytes;
    }
    file_bytes_ = offset;
    return {};
  }

  Result<CoreReport> write(int fd, const std::string& path) {
    fd_ = fd;
    path_ = path;
    CAIRN_TRY(put(headers() + notes_, 0));
    if (::ftruncate(fd, static_cast<off_t>(file_bytes_)) != 0) return os_failure("write", path);
    if (!process_.page_data().empty()) CAIRN_TRY(copy(process_.page_data(), 0, 0, ~0ULL));
    for (const Region& region : process_.regions()) {
      const image::Content* content = shared_content(region);
      if (content == nullptr) continue;
      CAIRN_TRY(copy(content->pages(), region.start() - region.file_offset(), region.file_offset(),
                     region.file_offset() + region.length()));
    }
    return CoreReport{static_cast<std::uint64_t>(process_.threads_size()), segments_.size(),
                      written_.load()};
  }

 private:
  [[nodiscard]] Result<std::unique_ptr<storage::MemoryReader>> open(
      const std::string& pages) const {
    CAIRN_ASSIGN(const auto ref, storage::PageDataRef::decode(pages));
    return plan_.reader->memory(ref);
  }

  [[nodiscard]] const image::Content* shared_content(const Region& region) const {
    const bool shared = (region.flags() & MAP_TYPE) != MAP_PRIVATE;
    return shared && region.object_id() != 0 ? content_of(plan_, region.object_id()) : nullptr;
  }

  void add(const Region& region, std::uint64_t start, std::uint64_t end, std::uint64_t file_bytes) {
    if (start >= end) return;
    const std::uint32_t protection = region.protection();
    const std::uint32_t flags = ((protection & PROT_READ) != 0 ? PF_R : 0) |
                                ((protection & PROT_WRITE) != 0 ? PF_W : 0) |
                                ((protection & PROT_EXEC) != 0 ? PF_X : 0);
    segments_.push_back({start, end - start, file_bytes, 0, flags});
  }

  void add_region(const Region& region, const Runs& runs) {
    const std::uint64_t start = region.start();
    const std::uint64_t end = start + region.length();
    auto run = std::upper_bound(runs.begin(), runs.end(), start,
                                [](std::uint64_t at, const auto& r) { return at < run_end(r); });
    const bool shared = (region.flags() & MAP_TYPE) != MAP_PRIVATE;
    if (shared) {
      add(region, start, end, shared_content(region) != nullptr ? end - start : 0);
    } else if (region.clean_pages_from_file() || region.kind() == Region::MEMFD) {
      std::uint64_t at = start;
      for (; run != runs.end() && run->address < end; ++run) {
        const std::uint64_t from = std::max(run->address, at);
        const std::uint64_t to = std::min(run_end(*run), end);
        add(region, at, from, 0);
        add(region, from, to, to - from);
        at = to;
      }
      add(region, at, end, 0);
    } else {
      std::uint64_t last = start;
      for (; run != runs.end() && run->address < end; ++run) last = std::min(run_end(*run), end);
      add(region, start, end, std::min(end, last + kUntouched) - start);
    }
  }

  [[nodiscard]] std::uint64_t header_count() const { return segments_.size() + 1; }
  [[nodiscard]] std::uint64_t header_bytes() const {
    return sizeof(Elf64_Ehdr) + header_count() * sizeof(Elf64_Phdr) + sizeof(Elf64_Shdr);
  }

  [[nodiscard]] std::string headers() const {
    Elf64_Ehdr elf{};
    std::copy_n(ELFMAG, SELFMAG, elf.e_ident);
    elf.e_ident[EI_CLASS] = ELFCLASS64;
    elf.e_ident[EI_DATA] = ELFDATA2LSB;
    elf.e_ident[EI_VERSION] = EV_CURRENT;
    elf.e_type = ET_CORE;
    elf.e_machine = EM_X86_64;
    elf.e_version = EV_CURRENT;
    elf.e_phoff = sizeof elf;
    elf.e_ehsize = sizeof elf;
    elf.e_phentsize = sizeof(Elf64_Phdr);
    elf.e_phnum = static_cast<Elf64_Half>(std::min<std::uint64_t>(header_count(), kManySegments));
    Elf64_Shdr count{};  // where there are more segments than e_phnum can say (gABI)
    if (header_count() >= kManySegments) {
      elf.e_shoff = sizeof elf + header_count() * sizeof(Elf64_Phdr);
      elf.e_shentsize = sizeof(Elf64_Shdr);
      elf.e_shnum = 1;
      count.sh_size = 1;
      count.sh_info = static_cast<Elf64_Word>(header_count());
    }
    std::string text;
    const auto append = [&text](const auto& object) {
      text.append(reinterpret_cast<const char*>(&object), sizeof object);
    };
    append(elf);
    append(Elf64_Phdr{PT_NOTE, 0, header_bytes(), 0, 0, notes_.size(), 0, 4});
    for (const Segment& segment : segments_)
      append(Elf64_Phdr{PT_LOAD, segment.flags, segment.offset, segment.address, 0,
                        segment.file_bytes, segment.memory_bytes, kPage});
    append(count);
    return text;
  }

  Result<> put(std::string_view bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0) return os_failure("write", path_);
      bytes.remove_prefix(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return {};
  }

  // Pages at `start` to `end` of what is kept go to that address plus `shift`.
  Result<> copy(const std::string& pages, std::uint64_t shift, std::uint64_t start,
                std::uint64_t end) {
    CAIRN_ASSIGN(const auto reader, open(pages));
    reader->limit_to(start, end);
    return reader->for_each([this, shift](const storage::PageSpan& span) -> Result<> {
      if (span.zero) return {};
      return put_pages(span.address + shift, span.bytes);
    });
  }

  Result<> put_pages(std::uint64_t address, std::span<const std::byte> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    auto segment = std::upper_bound(
        segments_.begin(), segments_.end(), address,
        [](std::uint64_t at, const Segment& s) { return at < s.address + s.memory_bytes; });
    for (; segment != segments_.end() && segment->address < address + text.size(); ++segment) {
      const std::uint64_t from = std::max(address, segment->address);
      const std::uint64_t to =
          std::min(address + text.size(), segment->address + segment->file_bytes);
      if (from >= to) continue;
      CAIRN_TRY(
          put(text.substr(from - address, to - from), segment->offset + (from - segment->address)));
      written_ += to - from;
    }
    return {};
  }

  const restart::Plan& plan_;
  const image::ProcessImage& process_;
  std::string notes_;
  std::vector<Segment> segments_;  // ascending
  std::uint64_t file_bytes_ = 0;
  int fd_ = -1;
  std::string path_;
  std::atomic<std::uint64_t> written_ = 0;
};

}  // namespace

Result<CoreReport> write_core(const restart::Plan& plan, const image::ProcessImage& process,
                              const std::string& path) {
  Core core(plan, process);
  CAIRN_TRY(core.lay_out());
  std::string draft = path + ".XXXXXX";
  const Fd fd(::mkostemp(draft.data(), O_CLOEXEC));
  if (!fd.valid()) return os_failure("create", path);
  auto report = core.write(fd.get(), path);
  if (report && ::rename(draft.c_str(), path.c_str()) != 0) report = os_failure("create", path);
  if (!report) ::unlink(draft.c_str());
  return report;
}

}  // namespace cairn::cli
