// The address space of a saved process, made anew. See memory_maps.h for how each kind comes back.

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/prctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

#include "resources/file_identity.h"
#include "resources/memory_maps.h"
#include "resources/memory_policy.h"
#include "resources/open_files.h"
#include "resources/sysv.h"

namespace cairn::resources {
namespace {

constexpr std::uint64_t kPage = storage::kPageBytes;
constexpr std::uint64_t kMapWritable = 1ULL << 30;  // larger reservations might not be granted so

using Region = image::MemoryRegion;

bool is_writable(const Region& region) { return (region.protection() & PROT_WRITE) != 0; }

abi::LinkMap link_map(const Region& region, std::uint32_t protection, int fd) {
  return {region.start(), region.length(), protection, region.flags(), fd, 0,
          region.flags() & MAP_ANONYMOUS ? 0 : region.file_offset()};
}

Result<> map_anonymous(RebuildContext& context) {
  std::vector<abi::LinkMap> maps;
  std::vector<storage::PageRun> pages;
  if (!context.image.page_data().empty()) {
    CAIRN_ASSIGN(auto reader, context.job.options.open_content(context.image.page_data()));
    CAIRN_ASSIGN(pages, reader->pages());
  }
  auto has_pages = [&](const Region& region) {
    const auto next = std::upper_bound(
        pages.begin(), pages.end(), region.start(),
        [](std::uint64_t at, const auto& run) { return at < run.address + run.pages * kPage; });
    return next != pages.end() && next->address < region.start() + region.length();
  };
  for (const auto& region : context.image.regions()) {
    if (region.kind() != Region::PRIVATE_ANONYMOUS && region.kind() != Region::GROWSDOWN) continue;
    std::uint32_t protection = region.protection();
    if (!is_writable(region) && region.length() <= kMapWritable && has_pages(region)) {
      protection = PROT_READ | PROT_WRITE;
      context.writable_now.insert(region.start());
    }
    maps.push_back(link_map(region, protection, -1));
  }
  return context.process.map(maps);
}

// Private file mappings, file by file. One that is not as long as it was is not mapped: all of its
// pages are in the image.
Result<> map_private_files(RebuildContext& context) {
  std::map<std::string, std::vector<const Region*>> by_path;
  std::vector<abi::LinkMap> without_file;
  for (const auto& region : context.image.regions())
    if (region.kind() == Region::PRIVATE_FILE && region.object_id() == 0)
      by_path[region.file().path()].push_back(&region);
  for (const auto& [path, regions] : by_path) {
    Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat info {};
    const bool usable =
        fd.valid() && ::fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode) &&
        static_cast<std::uint64_t>(info.st_size) == regions.front()->file().size();
    std::vector<abi::LinkMap> maps;
    for (const auto* region : regions) {
      if (!usable && region->clean_pages_from_file()) return refusal(what_changed(region->file()));
      maps.push_back(link_map(*region, region->protection(), -1));
    }
    if (!usable) {
      for (auto& map : maps) {
        map.flags |= MAP_ANONYMOUS;
        map.offset = 0;
        without_file.push_back(map);
      }
      continue;
    }
    CAIRN_TRY(lend(context, fd.get(), [&](int number) {
      for (auto& map : maps) map.fd = number;
      return context.process.map(maps);
    }));
    context.mapped_files.emplace(path, std::move(fd));
  }
  return context.process.map(without_file);
}

bool maps_an_object(const Region& region) {
  return region.kind() == Region::SHARED_FILE || region.kind() == Region::MEMFD ||
         (region.kind() == Region::PRIVATE_FILE && region.object_id() != 0);
}

// What is an object of the image: files that are mapped shared, and files without a name.
Result<> map_objects(RebuildContext& context) {
  for (const auto& region : context.image.regions()) {
    if (!maps_an_object(region)) continue;
    const auto made = context.job.made.find(region.object_id());
    if (made == context.job.made.end())
      return refusal(fmt::format("the file of the memory at {:#x} is not in the image",
                                 region.start()));
    const bool may_write =
        region.kind() == Region::MEMFD ||
        (region.kind() == Region::SHARED_FILE &&
         (is_writable(region) || (region.max_protection() & PROT_WRITE)));
    const auto path = fmt::format("/proc/self/fd/{}", made->second.get());
    Fd fd(::open(path.c_str(), (may_write ? O_RDWR : O_RDONLY) | O_CLOEXEC));
    if (!fd.valid()) return os_failure("open the file of the memory at",
                                       fmt::format("{:#x}", region.start()));
    CAIRN_TRY(lend(context, fd.get(), [&](int number) {
      const auto map = link_map(region, region.protection(), number);
      return context.process.map(std::span(&map, 1));
    }));
  }
  return {};
}

// Room for `bytes` where neither the saved process nor the host has anything.
std::uint64_t find_gap(const image::ProcessImage& image, std::uint64_t bytes) {
  std::uint64_t at = 0x100000000000;
  for (const auto& region : image.regions()) {  // ascending
    if (region.start() >= at + bytes) break;
    at = std::max(at, region.start() + region.length());
  }
  return at;
}

// What several processes have mapped, and so was made before any of them maps it.
Result<> map_common(RebuildContext& context, int memory,
                    const std::vector<const Region*>& regions) {
  return lend(context, memory, [&](int number) -> Result<> {
    std::vector<abi::LinkMap> maps;
    for (const auto* region : regions)
      maps.push_back({region->start(), region->length(), region->protection(),
                      region->flags() & ~std::uint32_t{MAP_ANONYMOUS}, number, 0,
                      region->file_offset()});
    return context.process.map(maps);
  });
}

// Shared anonymous memory: one view of all of it somewhere, from which each view is duplicated (an
// mremap from length 0 does that). The common case, one view of the whole, is mapped directly.
Result<> map_shared_anonymous(RebuildContext& context) {
  std::map<std::uint64_t, std::vector<const Region*>> by_object;
  for (const auto& region : context.image.regions())
    if (region.kind() == Region::SHARED_ANONYMOUS) by_object[region.object_id()].push_back(&region);
  for (const auto& [id, regions] : by_object) {
    const auto* object = context.job.object(id);
    if (object == nullptr) return refusal("shared memory whose record is not in the image");
    if (const auto made = context.job.made.find(id); made != context.job.made.end()) {
      CAIRN_TRY(map_common(context, made->second.get(), regions));
      continue;
    }
    const std::uint64_t bytes = object->shared_memory().bytes();
    constexpr std::uint32_t kAccess = PROT_READ | PROT_WRITE;
    for (const auto* region : regions)
      if (region->protection() != kAccess) context.writable_now.insert(region->start());
    if (regions.size() == 1 && regions[0]->file_offset() == 0 && regions[0]->length() == bytes) {
      const auto map = link_map(*regions[0], kAccess, -1);
      CAIRN_TRY(context.process.map(std::span(&map, 1)));
      continue;
    }
    const std::uint64_t whole = find_gap(context.image, bytes);
    abi::LinkMap map = link_map(*regions[0], kAccess, -1);
    map.address = whole;
    map.bytes = bytes;
    CAIRN_TRY(context.process.map(std::span(&map, 1)));
    for (const auto* region : regions)
      CAIRN_TRY(context.process.syscall(SYS_mremap, whole + region->file_offset(), 0,
                                        region->length(), MREMAP_MAYMOVE | MREMAP_FIXED,
                                        region->start()));
    CAIRN_TRY(context.process.syscall(SYS_munmap, whole, bytes));
    for (const auto* region : regions) context.writable_now.insert(region->start());
  }
  return {};
}

// Before the pages come: a region that had the advice gets huge pages as they are written, at a third
// of the time. The rest of the advice follows when they are there.
Result<> wish_huge_pages(RebuildContext& context) {
  std::vector<abi::LinkSyscall> calls;
  for (const auto& region : context.image.regions())
    if (std::count(region.advice().begin(), region.advice().end(), MADV_HUGEPAGE) != 0)
      calls.push_back(RemoteProcess::make_call(0, SYS_madvise, region.start(), region.length(),
                                               MADV_HUGEPAGE));
  return context.process.syscalls(calls);  // only for speed: what the kernel says does not matter
}

// Writes stored pages into mapped regions, from several threads at once.
class PageSink {
 public:
  explicit PageSink(RebuildContext& context) : context_(context) {
    for (const auto& region : context.image.regions()) regions_.push_back(&region);
  }

  using Pieces = std::vector<RemoteProcess::MemoryPiece>;

  Result<> put(std::span<const storage::PageSpan> spans) {
    Pieces pieces;
    for (const auto& span : spans) CAIRN_TRY(add(pieces, span.address, span.bytes, span.zero));
    return context_.process.write(pieces);
  }

  // To be written with others: adds to `pieces` what the memory there does not hold already.
  Result<> add(Pieces& pieces, std::uint64_t address, std::span<const std::byte> bytes, bool zero) {
    while (!bytes.empty()) {
      const Region* region = region_at(address);
      if (region == nullptr)
        return refusal(fmt::format("a page at {:#x} belongs to no mapping of the image", address));
      const auto part = bytes.first(
          std::min<std::uint64_t>(bytes.size(), region->start() + region->length() - address));
      CAIRN_TRY(add_in(pieces, *region, address, part, zero));
      address += part.size();
      bytes = bytes.subspan(part.size());
    }
    return {};
  }

  [[nodiscard]] bool maps(std::uint64_t object_id) const {
    return std::any_of(regions_.begin(), regions_.end(),
                       [&](const Region* region) { return region->object_id() == object_id; });
  }

  // Where the bytes at an offset of a shared object can be written; 0: nowhere.
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> view(std::uint64_t object_id,
                                                             std::uint64_t offset) const {
    for (const auto* region : regions_)
      if (region->object_id() == object_id && offset >= region->file_offset() &&
          offset - region->file_offset() < region->length())
        return {region->start() + (offset - region->file_offset()),
                region->length() - (offset - region->file_offset())};
    return {0, 0};
  }

 private:
  const Region* region_at(std::uint64_t address) const {
    const auto after = std::upper_bound(
        regions_.begin(), regions_.end(), address,
        [](std::uint64_t at, const Region* region) { return at < region->start(); });
    if (after == regions_.begin()) return nullptr;
    const Region* region = *std::prev(after);
    return address - region->start() < region->length() ? region : nullptr;
  }

  Result<> add_in(Pieces& pieces, const Region& region, std::uint64_t address,
                  std::span<const std::byte> bytes, bool zero) {
    const auto file = region.kind() == Region::PRIVATE_FILE
                          ? context_.mapped_files.find(region.file().path())
                          : context_.mapped_files.end();
    if (file != context_.mapped_files.end())
      return add_where_different(pieces, region, file->second.get(), address, bytes);
    if (zero && !maps_an_object(region)) return {};
    return add_writable(pieces, region, address, bytes);
  }

  // Pages that equal the file's stay the file's, so they remain shared with everybody who maps it.
  Result<> add_where_different(Pieces& pieces, const Region& region, int fd,
                               std::uint64_t address, std::span<const std::byte> bytes) {
    thread_local std::vector<std::byte> in_file;
    in_file.assign(bytes.size(), std::byte(0));
    const auto offset = static_cast<off_t>(region.file_offset() + (address - region.start()));
    std::size_t have = 0;
    while (have < bytes.size()) {
      const ssize_t got = ::pread(fd, in_file.data() + have, bytes.size() - have,
                                  offset + static_cast<off_t>(have));
      if (got < 0) return os_failure("read the mapped file", region.file().path());
      if (got == 0) break;
      have += static_cast<std::size_t>(got);
    }
    std::size_t from = 0;
    while (from < bytes.size()) {
      auto same = [&](std::size_t at) {
        const std::size_t length = std::min<std::size_t>(kPage, bytes.size() - at);
        return std::memcmp(bytes.data() + at, in_file.data() + at, length) == 0;
      };
      while (from < bytes.size() && same(from)) from += kPage;
      std::size_t to = from;
      while (to < bytes.size() && !same(to)) to += kPage;
      to = std::min(to, bytes.size());
      if (from < to)
        CAIRN_TRY(add_writable(pieces, region, address + from, bytes.subspan(from, to - from)));
      from = to;
    }
    return {};
  }

  Result<> add_writable(Pieces& pieces, const Region& region, std::uint64_t address,
                        std::span<const std::byte> bytes) {
    if (!is_writable(region) && !context_.writable_now.contains(region.start())) {
      // finish_memory sets the final protection of the whole region again.
      CAIRN_TRY(context_.process.syscall(SYS_mprotect, address, bytes.size(),
                                         PROT_READ | PROT_WRITE));
      const std::lock_guard lock(mutex_);
      context_.protection_changed.insert(region.start());
    }
    pieces.push_back({address, bytes});
    return {};
  }

  RebuildContext& context_;
  std::vector<const Region*> regions_;
  std::mutex mutex_;
};

Result<> write_shared(RebuildContext& context, PageSink& sink, const image::KernelObject& object) {
  const auto& ref = object.shared_memory().content().pages();
  if (ref.empty()) return {};
  CAIRN_ASSIGN(auto reader, context.job.options.open_content(ref));
  return reader->for_each([&](const storage::PageSpan& span) -> Result<> {
    std::uint64_t offset = span.address;
    auto bytes = span.bytes;
    while (!bytes.empty()) {
      const auto [address, room] = sink.view(object.id(), offset);
      if (address == 0) return refusal("a page of shared memory that is mapped nowhere");
      const storage::PageSpan part{
          address, bytes.first(std::min<std::uint64_t>(bytes.size(), room)), span.zero};
      CAIRN_TRY(sink.put(std::span(&part, 1)));
      bytes = bytes.subspan(part.bytes.size());
      offset += part.bytes.size();
    }
    return {};
  });
}

constexpr int kGuardInstall = 102;  // MADV_GUARD_INSTALL, Linux 6.13

bool only_for_speed(int advice) {
  return advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE || advice == MADV_MERGEABLE ||
         advice == MADV_SEQUENTIAL || advice == MADV_RANDOM;
}

}  // namespace

Result<> map_memory(RebuildContext& context) {
  CAIRN_TRY(attach_sysv_memory(context));
  CAIRN_TRY(map_anonymous(context));
  CAIRN_TRY(map_private_files(context));
  CAIRN_TRY(map_objects(context));
  CAIRN_TRY(map_shared_anonymous(context));
  CAIRN_TRY(restore_memory_policies(context));
  return wish_huge_pages(context);
}

Result<> write_memory(RebuildContext& context) {
  PageSink sink(context);
  if (!context.image.page_data().empty()) {
    CAIRN_ASSIGN(auto reader, context.job.options.open_content(context.image.page_data()));
    CAIRN_TRY(reader->for_each_batch(
        [&](std::span<const storage::PageSpan> spans) { return sink.put(spans); }));
  }
  for (const auto& object : context.job.objects)
    if (object.has_shared_memory() && !object.shared_memory().has_sysv() && sink.maps(object.id()) &&
        !context.job.made.contains(object.id()))
      CAIRN_TRY(write_shared(context, sink, object));
  return {};
}

Result<> finish_memory(RebuildContext& context) {
  std::vector<abi::LinkSyscall> must;
  std::vector<abi::LinkSyscall> may;  // what this kernel may lack, and what is only for speed
  std::vector<Scratch> names;
  for (const auto& region : context.image.regions()) {
    const auto call = [&](std::vector<abi::LinkSyscall>& list, long number, auto... more) {
      list.push_back(RemoteProcess::make_call(0, number, region.start(), region.length(), more...));
    };
    if (context.writable_now.contains(region.start()) ||
        context.protection_changed.contains(region.start()))
      call(must, SYS_mprotect, region.protection());
    for (const int advice : region.advice())
      call(only_for_speed(advice) ? may : must, SYS_madvise, advice);
    for (int i = 0; i + 1 < region.guards_size(); i += 2)
      must.push_back(RemoteProcess::make_call(0, SYS_madvise, region.guards(i),
                                              region.guards(i + 1), kGuardInstall));
    if (region.locked()) call(must, SYS_mlock2, region.lock_on_fault() ? MLOCK_ONFAULT : 0);
    if (region.name().empty()) continue;
    CAIRN_ASSIGN(auto name, context.process.scratch_text(region.name()));
    may.push_back(RemoteProcess::make_call(0, SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME,
                                           region.start(), region.length(), name.address()));
    names.push_back(std::move(name));
    if (names.size() == 1000) {
      CAIRN_TRY(context.process.syscalls(may));
      may.clear();
      names.clear();
    }
  }
  CAIRN_TRY(context.process.syscalls_all_ok(must, "give memory its protection and its locks"));
  return context.process.syscalls(may);
}

std::vector<std::string> missing_files(const image::ProcessImage& image) {
  std::set<std::string> problems;
  std::set<std::string> seen;
  for (const auto& region : image.regions())
    if (region.clean_pages_from_file() && seen.insert(region.file().path()).second)
      if (auto problem = what_changed(region.file()); !problem.empty()) problems.insert(problem);
  return {problems.begin(), problems.end()};
}

}  // namespace cairn::resources
