// How text is patched.
//
// A site with before >= 5 (nearly all), and one with after > 0:
//
//     text                       stub                            host
//     mov $1,%eax  = jmp ------> mov $1,%eax
//     syscall      (in place)    lea site+2(%rip),%rcx
//     cmp ...      <--------+    jmp *entry(%rip) -------------> the export page's syscall slot
//                           |                                      |
//                           +--------------------------------------+  jmp *%rcx
//
//     text                       stub
//     syscall      = jmp ------> lea continuation(%rip),%rcx
//     cmp $-4096,%rax  (gone)    jmp *entry(%rip) -------------> the syscall slot
//     ja error                   continuation:  <----------------- jmp *%rcx
//        ^                       cmp $-4096,%rax
//        +---------------------- jmp site end
//
// Only five bytes are ever written into the text. What lies behind them in a patch keeps its bytes:
// with before >= 5 the syscall itself, for whoever comes by another way.
//
// Order: check everything; build the block beside the text; ask for writable text; only then write.
// The text is made writable without losing its execute permission on the way: a security module
// that objects (SELinux execmem, MemoryDenyWriteExecute) then objects before anything has changed,
// where taking execution away and asking for it back could be refused when it is too late.
//
// Where the block goes: below the text, as near as may be. Above a program's data the heap grows by
// brk, and a block there would stop it; so addresses above come last, and from far to near.

#include "runtime/intercept/patcher.h"

#include "abi/arena.h"
#include "abi/export_page.h"
#include "abi/stub_block.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::int64_t kEinval = 22;
constexpr std::int64_t kEstale = 116;
constexpr std::int64_t kEnomem = 12;
constexpr std::int64_t kEacces = 13;
constexpr std::uint64_t kProtRead = 1;
constexpr std::uint64_t kProtWrite = 2;
constexpr std::uint64_t kProtExec = 4;
constexpr std::uint64_t kMapPrivate = 0x02;
constexpr std::uint64_t kMapAnonymous = 0x20;
constexpr std::uint64_t kMapFixedNoReplace = 0x100000;  // a plain hint before Linux 4.17
constexpr std::uint64_t kMapNoReserve = 0x4000;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kLowestAddress = 1ULL << 20;  // above any sane vm.mmap_min_addr
constexpr std::uint64_t kHighestAddress = 0x7ffffffff000;
constexpr std::uint64_t kReach =
    (1ULL << 31) - (1ULL << 20);  // of a 32-bit displacement, with room
constexpr std::uint64_t kJumpBytes = 5;
constexpr std::uint64_t kSyscallBytes = 2;
constexpr std::uint64_t kEntryBytes = 13;  // lea and jmp *
constexpr std::uint8_t kUnconditional = 0xff;

sys::SysResult fail(std::int64_t error) {
  return {-error};
}

std::uint64_t round_up(std::uint64_t value, std::uint64_t to) {
  return (value + to - 1) / to * to;
}

void copy(void* to, const void* from, std::uint64_t bytes) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

bool equal(const std::uint8_t* a, const std::uint8_t* b, std::uint64_t bytes) {
  for (std::uint64_t i = 0; i < bytes; ++i)
    if (a[i] != b[i]) return false;
  return true;
}

struct Job {
  const abi::PlanSite* first = nullptr;  // the sites inside the text
  std::uint64_t count = 0;
  std::uint64_t bias = 0;
  std::uint64_t text_start = 0;
  std::uint64_t text_end = 0;

  [[nodiscard]] std::uint64_t patch_start(const abi::PlanSite& site) const {
    return bias + site.syscall_vaddr - site.before;
  }
  [[nodiscard]] std::uint64_t patch_end(const abi::PlanSite& site) const {
    return bias + site.syscall_vaddr + kSyscallBytes + site.after;
  }
};

bool valid_site(const abi::PlanSite& site) {
  const unsigned total = site.before + kSyscallBytes + site.after;
  if (site.expected_bytes != total || total > abi::kMaxDisplaced || total < kJumpBytes)
    return false;
  if (site.branch_bytes > site.after || (site.before >= kJumpBytes && site.after != 0))
    return false;
  if (site.branch_bytes != 0 && site.branch_condition > 15 &&
      site.branch_condition != kUnconditional)
    return false;
  for (const unsigned offset : site.rip_fixup) {
    const bool in_before = offset + 4 <= site.before;
    const bool in_after =
        offset >= site.before + kSyscallBytes && offset + 4 <= total - site.branch_bytes;
    if (offset != 0 && !in_before && !in_after) return false;
  }
  return true;
}

bool valid_plan(const abi::PlanHeader* plan, std::uint64_t bytes) {
  if (bytes < sizeof(abi::PlanHeader) || plan->magic != abi::kPlanMagic ||
      plan->version != abi::kPlanVersion)
    return false;
  if (bytes - sizeof(abi::PlanHeader) < abi::plan_body_bytes(*plan)) return false;
  if (abi::plan_checksum(plan + 1, abi::plan_body_bytes(*plan)) != plan->checksum) return false;
  const auto* sites = reinterpret_cast<const abi::PlanSite*>(plan + 1);
  std::uint64_t behind = 0;
  for (std::uint32_t i = 0; i < plan->sites; ++i) {
    if (!valid_site(sites[i]) || sites[i].syscall_vaddr - sites[i].before < behind ||
        sites[i].syscall_vaddr < sites[i].before)
      return false;
    behind = sites[i].syscall_vaddr + kSyscallBytes + sites[i].after;
  }
  return true;
}

void select_sites(const abi::PlanHeader* plan, Job* job) {
  const auto* site = reinterpret_cast<const abi::PlanSite*>(plan + 1);
  const auto* end = site + plan->sites;
  while (site != end &&
         job->patch_start(*site) - job->text_start >= job->text_end - job->text_start)
    ++site;
  job->first = site;
  while (site != end && job->patch_start(*site) >= job->text_start &&
         job->patch_end(*site) <= job->text_end)
    ++site;
  job->count = static_cast<std::uint64_t>(site - job->first);
}

bool bytes_as_expected(const Job& job) {
  for (std::uint64_t i = 0; i < job.count; ++i) {
    const auto& site = job.first[i];
    const auto* text = reinterpret_cast<const std::uint8_t*>(job.patch_start(site));
    if (!equal(text, site.expected, site.expected_bytes)) return false;
  }
  return true;
}

std::uint64_t branch_bytes_in_stub(const abi::PlanSite& site) {
  if (site.branch_bytes == 0) return 0;
  return site.branch_condition == kUnconditional ? 5 : 6;
}

std::uint64_t stub_bytes(const abi::PlanSite& site) {
  if (site.after == 0) return site.before + kEntryBytes;
  return site.before + kEntryBytes + site.after - site.branch_bytes + branch_bytes_in_stub(site) +
         kJumpBytes;
}

std::uint64_t code_offset(const Job& job) {
  return round_up(sizeof(abi::StubBlockHeader) + job.count * sizeof(abi::StubSite), 16);
}

std::uint64_t block_bytes(const Job& job) {
  std::uint64_t bytes = code_offset(job);
  for (std::uint64_t i = 0; i < job.count; ++i) bytes += stub_bytes(job.first[i]);
  return round_up(bytes, kPage);
}

// ---- where the block goes

bool overlaps_arena(std::uint64_t address, std::uint64_t bytes) {
  return address < abi::kArenaEnd && address + bytes > abi::kArenaBase;
}

std::uint64_t try_at(std::uint64_t address, std::uint64_t bytes) {
  if (address < kLowestAddress || address + bytes > kHighestAddress ||
      overlaps_arena(address, bytes))
    return 0;
  const auto mapped = sys::call(__NR_mmap, address, bytes, kProtRead | kProtWrite,
                                kMapPrivate | kMapAnonymous | kMapNoReserve | kMapFixedNoReplace,
                                static_cast<std::uint64_t>(-1), 0);
  if (!mapped.ok()) return 0;
  if (mapped.value() == address) return address;
  (void)sys::call(__NR_munmap, mapped.value(), bytes);
  return 0;
}

// Distances grow by a quarter, so that a program of any size is stepped over in about 50 attempts.
std::uint64_t next_distance(std::uint64_t distance) {
  return distance + round_up(distance / 4 + 1, 64 * 1024);
}

std::uint64_t place_block(const Job& job, std::uint64_t bytes) {
  const std::uint64_t text = job.text_start / kPage * kPage;
  const std::uint64_t span = round_up(job.text_end, kPage) - text;
  if (span + bytes >= kReach) return 0;
  const std::uint64_t farthest = kReach - span - bytes;
  for (std::uint64_t distance = 0; distance <= farthest; distance = next_distance(distance)) {
    if (text < distance + bytes) break;
    if (const auto found = try_at(text - bytes - distance, bytes)) return found;
  }
  for (std::uint64_t distance = farthest; distance > farthest / 64; distance -= distance / 16)
    if (const auto found = try_at((text + span + distance) / kPage * kPage, bytes)) return found;
  return 0;
}

// ---- what it holds

class StubWriter {
 public:
  StubWriter(const Job& job, std::uint64_t block)
      : job_(job), block_(block), at_(block + code_offset(job)) {}

  // False: some displacement does not fit (a displaced operand that lies too far away).
  bool write(const abi::PlanSite& site, abi::StubSite* record) {
    *record = {};
    record->syscall_address = job_.bias + site.syscall_vaddr;
    record->before = site.before;
    record->after = site.after;
    record->stub_offset = offset();
    copy_displaced(site, 0, site.before);
    record->entry_offset = offset();
    const std::uint64_t continuation = at_ + kEntryBytes;
    put({0x48, 0x8d, 0x0d});  // lea disp32(%rip),%rcx
    put_relative(site.after == 0 ? record->syscall_address + kSyscallBytes : continuation);
    put({0xff, 0x25});  // jmp *disp32(%rip)
    put_relative(block_ + __builtin_offsetof(abi::StubBlockHeader, entry));
    if (site.after != 0) {
      record->continuation_offset = offset();
      copy_displaced(site, site.before + kSyscallBytes,
                     static_cast<std::uint64_t>(site.after) - site.branch_bytes);
      if (site.branch_bytes != 0) put_branch(site);
    }
    record->end_offset = offset();
    if (site.after != 0) {
      put({0xe9});
      put_relative(job_.patch_end(site));
    }
    return fits_;
  }

 private:
  [[nodiscard]] std::uint32_t offset() const { return static_cast<std::uint32_t>(at_ - block_); }

  template <unsigned long N>
  void put(const std::uint8_t (&bytes)[N]) {
    copy(reinterpret_cast<void*>(at_), bytes, N);
    at_ += N;
  }

  void store_displacement(std::uint64_t where, std::uint64_t value) {
    const auto narrow = static_cast<std::int32_t>(value);
    if (static_cast<std::uint64_t>(static_cast<std::int64_t>(narrow)) != value) fits_ = false;
    __builtin_memcpy(reinterpret_cast<void*>(where), &narrow, sizeof narrow);
  }

  void put_relative(std::uint64_t target) {
    store_displacement(at_, target - (at_ + 4));
    at_ += 4;
  }

  void put_branch(const abi::PlanSite& site) {
    if (site.branch_condition == kUnconditional) {
      put({0xe9});
    } else {
      put({0x0f, static_cast<std::uint8_t>(0x80 | site.branch_condition)});
    }
    put_relative(job_.bias + site.branch_target);
  }

  // `bytes` of the patch from `from` on, operands relative to rip still meaning the same address.
  void copy_displaced(const abi::PlanSite& site, std::uint64_t from, std::uint64_t bytes) {
    copy(reinterpret_cast<void*>(at_), site.expected + from, bytes);
    const std::uint64_t moved = job_.patch_start(site) + from - at_;
    for (const std::uint64_t fixup : site.rip_fixup) {
      if (fixup == 0 || fixup < from || fixup >= from + bytes) continue;
      std::int32_t original;
      __builtin_memcpy(&original, site.expected + fixup, sizeof original);
      store_displacement(at_ + fixup - from,
                         moved + static_cast<std::uint64_t>(static_cast<std::int64_t>(original)));
    }
    at_ += bytes;
  }

  const Job& job_;
  std::uint64_t block_;
  std::uint64_t at_;
  bool fits_ = true;
};

bool write_block(const Job& job, std::uint64_t block, std::uint64_t bytes) {
  auto* header = reinterpret_cast<abi::StubBlockHeader*>(block);
  header->magic = abi::kStubMagic;
  header->version = abi::kStubVersion;
  header->sites = static_cast<std::uint32_t>(job.count);
  header->block_bytes = bytes;
  header->entry = abi::slot_address(abi::Slot::kSyscallEntry);
  header->text_start = job.text_start;
  header->text_end = job.text_end;
  auto* records = reinterpret_cast<abi::StubSite*>(header + 1);
  StubWriter writer(job, block);
  for (std::uint64_t i = 0; i < job.count; ++i)
    if (!writer.write(job.first[i], &records[i])) return false;
  return true;
}

void write_jumps(const Job& job, std::uint64_t block, Trampolines trampolines) {
  const auto* records =
      reinterpret_cast<const abi::StubSite*>(block + sizeof(abi::StubBlockHeader));
  for (std::uint64_t i = 0; i < job.count; ++i) {
    if (trampolines == Trampolines::kKeep && abi::is_signal_trampoline(job.first[i])) continue;
    const std::uint64_t start = job.patch_start(job.first[i]);
    const std::uint64_t displacement = block + records[i].stub_offset - (start + kJumpBytes);
    const auto narrow = static_cast<std::uint32_t>(displacement);
    auto* text = reinterpret_cast<std::uint8_t*>(start);
    text[0] = 0xe9;
    __builtin_memcpy(text + 1, &narrow, sizeof narrow);
  }
}

void restore_text(const Job& job) {
  for (std::uint64_t i = 0; i < job.count; ++i)
    copy(reinterpret_cast<void*>(job.patch_start(job.first[i])), job.first[i].expected, kJumpBytes);
}

// The block exists and is written; *changed is the text. Undoes its own part where it fails.
sys::SysResult patch_text(const Job& job, std::uint64_t block, std::uint64_t bytes, int text_prot,
                          Trampolines trampolines) {
  const auto executable = sys::call(__NR_mprotect, block, bytes, kProtRead | kProtExec);
  if (!executable.ok()) return executable;
  const std::uint64_t first = job.text_start / kPage * kPage;
  const std::uint64_t length = round_up(job.text_end, kPage) - first;
  const auto prot = static_cast<std::uint64_t>(text_prot);
  const auto writable = sys::call(__NR_mprotect, first, length, prot | kProtWrite);
  if (!writable.ok()) return writable;
  write_jumps(job, block, trampolines);
  const auto restored = sys::call(__NR_mprotect, first, length, prot);
  if (!restored.ok()) restore_text(job);
  return restored;
}

}  // namespace

sys::SysResult apply_plan(const abi::PlanHeader* plan, std::uint64_t plan_bytes,
                          std::uint64_t load_bias, std::uint64_t text_start, std::uint64_t text_end,
                          int text_prot, StubBlockInfo* out, Trampolines trampolines) {
  *out = {};
  if (text_end <= text_start || !valid_plan(plan, plan_bytes)) return fail(kEinval);
  if ((static_cast<std::uint64_t>(text_prot) & kProtRead) == 0) return fail(kEacces);
  Job job;
  job.bias = load_bias;
  job.text_start = text_start;
  job.text_end = text_end;
  select_sites(plan, &job);
  if (job.count == 0) return {0};
  if (!bytes_as_expected(job)) return fail(kEstale);

  const std::uint64_t bytes = block_bytes(job);
  const std::uint64_t block = place_block(job, bytes);
  if (block == 0) return fail(kEnomem);
  auto result =
      write_block(job, block, bytes) ? patch_text(job, block, bytes, text_prot, trampolines) : fail(kEnomem);
  if (!result.ok()) {
    (void)sys::call(__NR_munmap, block, bytes);
    return result;
  }
  *out = {block, bytes, job.count};
  return {static_cast<std::int64_t>(job.count)};
}

}  // namespace cairn::runtime
