// The registry: a fixed array of entries, each a block and the part of its text that is still
// mapped. Readers take no lock. A writer owns an entry between its states kEmpty -> kBusy ->
// address; a reader that finds the address unchanged after it has read the rest has read a
// consistent entry. Entries are added from any thread; forget_text is called by one at a time
// (mappings change under the caller's lock). Text with a hole gets one entry for each side of it.

#include "runtime/intercept/site_map.h"

#include <atomic>

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kEmpty = 0;
constexpr std::uint64_t kBusy = 1;
constexpr std::uint64_t kJumpBytes = 5;
constexpr std::uint64_t kSyscallBytes = 2;
constexpr std::int64_t kEinval = 22;
constexpr std::int64_t kEnospc = 28;

struct Range {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  [[nodiscard]] bool contains(std::uint64_t address) const {
    return address >= start && address < end;
  }
};

struct Entry {
  std::atomic<std::uint64_t> block{kEmpty};
  std::atomic<std::uint64_t> block_end{0};
  std::atomic<std::uint64_t> text_start{0};
  std::atomic<std::uint64_t> text_end{0};
};

struct Snapshot {
  std::uint64_t address = 0;
  Range block;
  Range text;
  [[nodiscard]] const abi::StubBlockHeader* header() const {
    return reinterpret_cast<const abi::StubBlockHeader*>(address);
  }
  [[nodiscard]] const abi::StubSite* sites() const {
    return reinterpret_cast<const abi::StubSite*>(header() + 1);
  }
};

constinit Entry entries[kMaxStubBlocks];
constinit std::atomic<std::uint32_t> used{0};  // entries at and above were never in use

bool read_entry(const Entry& entry, Snapshot* out) {
  const std::uint64_t address = entry.block.load(std::memory_order_acquire);
  if (address <= kBusy) return false;
  out->address = address;
  out->block = {address, entry.block_end.load(std::memory_order_relaxed)};
  out->text = {entry.text_start.load(std::memory_order_relaxed),
               entry.text_end.load(std::memory_order_relaxed)};
  std::atomic_thread_fence(std::memory_order_acquire);
  return entry.block.load(std::memory_order_relaxed) == address;
}

bool add_entry(std::uint64_t address, Range block, Range text) {
  for (std::uint32_t i = 0; i < kMaxStubBlocks; ++i) {
    std::uint64_t expected = kEmpty;
    if (!entries[i].block.compare_exchange_strong(expected, kBusy)) continue;
    entries[i].block_end.store(block.end, std::memory_order_relaxed);
    entries[i].text_start.store(text.start, std::memory_order_relaxed);
    entries[i].text_end.store(text.end, std::memory_order_relaxed);
    entries[i].block.store(address, std::memory_order_release);
    std::uint32_t seen = used.load();
    while (seen <= i && !used.compare_exchange_weak(seen, i + 1)) {
    }
    return true;
  }
  return false;
}

// Raised between the adding of what stays and the taking away of the whole. A scan that began before
// and found nothing may have passed the new entry's place too early and the old one's too late: it
// looks again. (A reader that interrupts the writer itself sees no change and needs none.)
constinit std::atomic<std::uint32_t> moves{0};

template <class Matches>
bool find(const Matches& matches, Snapshot* out) {
  for (;;) {
    const std::uint32_t before = moves.load(std::memory_order_acquire);
    const std::uint32_t count = used.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < count; ++i)
      if (read_entry(entries[i], out) && matches(*out)) return true;
    std::atomic_thread_fence(std::memory_order_acquire);
    if (moves.load(std::memory_order_relaxed) == before) return false;
  }
}

// The last site for which key(site) <= value; nullptr if there is none. Sites and their stubs are
// in the same order.
template <class Key>
const abi::StubSite* last_site(const Snapshot& block, std::uint64_t value, const Key& key) {
  const abi::StubSite* sites = block.sites();
  std::uint32_t low = 0;
  std::uint32_t high = block.header()->sites;
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    if (key(sites[middle]) <= value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low == 0 ? nullptr : &sites[low - 1];
}

const abi::StubSite* site_of_stub(std::uint64_t rip, Snapshot* block) {
  if (!find([rip](const Snapshot& s) { return s.block.contains(rip); }, block)) return nullptr;
  return last_site(*block, rip - block->address,
                   [](const abi::StubSite& s) { return s.stub_offset; });
}

// A syscall that is still to be made is shown where the guest can be sent again: at the syscall, if
// it is there to be executed (before >= 5: in place; 0: the jump). Otherwise at the patch's start,
// whose few instructions may run twice.
std::uint64_t call_point(const abi::StubSite& site) {
  const bool at_syscall = site.before >= kJumpBytes || site.before == 0;
  return at_syscall ? site.syscall_address : site.syscall_address - site.before;
}

}  // namespace

bool to_guest(std::uint64_t rip, GuestPoint* out) {
  Snapshot block;
  const abi::StubSite* site = site_of_stub(rip, &block);
  if (site == nullptr) return false;
  const std::uint64_t offset = rip - block.address;
  const std::uint64_t behind = site->end_offset + (site->after != 0 ? kJumpBytes : 0);
  if (offset >= behind) return false;
  out->syscall_address = site->syscall_address;
  if (offset < site->entry_offset) {
    out->part = GuestPoint::Part::kBefore;
    out->address = site->syscall_address - site->before + (offset - site->stub_offset);
  } else if (site->after == 0 || offset < site->continuation_offset) {
    out->part = GuestPoint::Part::kEntry;
    out->address = call_point(*site);
  } else {
    // The moved instructions keep their offsets; only a branch, which comes last, may be longer.
    out->part = GuestPoint::Part::kAfter;
    const std::uint64_t done =
        offset >= site->end_offset ? site->after : offset - site->continuation_offset;
    out->address = site->syscall_address + kSyscallBytes + done;
  }
  return true;
}

std::uint64_t to_runnable(std::uint64_t rip) {
  Snapshot block;
  if (!find([rip](const Snapshot& s) { return s.text.contains(rip); }, &block)) return rip;
  const abi::StubSite* site =
      last_site(block, rip, [](const abi::StubSite& s) { return s.syscall_address - s.before; });
  if (site == nullptr) return rip;
  const std::uint64_t start = site->syscall_address - site->before;
  if (rip == start) return rip;
  // In place, but its stub saves the trap; and where nothing traps it is the only way.
  if (rip == site->syscall_address) return block.address + site->entry_offset;
  if (rip >= start + kJumpBytes) return rip;
  if (rip < site->syscall_address) return block.address + site->stub_offset + (rip - start);
  if (rip < site->syscall_address + kSyscallBytes || site->after == 0) return rip;
  return block.address + site->continuation_offset + (rip - site->syscall_address - kSyscallBytes);
}

std::uint64_t resume_point(std::uint64_t return_address) {
  Snapshot block;
  const abi::StubSite* site = site_of_stub(return_address, &block);
  return site == nullptr ? return_address : site->syscall_address + kSyscallBytes;
}

sys::SysResult register_block(std::uint64_t block) {
  const auto* header = reinterpret_cast<const abi::StubBlockHeader*>(block);
  if (header->magic != abi::kStubMagic || header->version != abi::kStubVersion) return {-kEinval};
  const bool added = add_entry(block, {block, block + header->block_bytes},
                               {header->text_start, header->text_end});
  return {added ? 0 : -kEnospc};
}

bool forget_text(std::uint64_t start, std::uint64_t end, OrphanedBlock* orphans,
                 std::uint32_t capacity, std::uint32_t* count) {
  *count = 0;
  for (std::uint32_t i = 0; i < used.load(std::memory_order_acquire); ++i) {
    Snapshot entry;
    if (!read_entry(entries[i], &entry)) continue;
    const bool text_hit = entry.text.start < end && start < entry.text.end;
    const bool block_gone = start <= entry.block.start && entry.block.end <= end;
    if (!text_hit && !block_gone) continue;
    if (*count == capacity) return true;
    // What stays is added before the whole is taken away, so that readers always find it.
    bool added = true;
    if (!block_gone && entry.text.start < start)
      added = add_entry(entry.address, entry.block, {entry.text.start, start});
    if (!block_gone && added && end < entry.text.end)
      added = add_entry(entry.address, entry.block, {end, entry.text.end});
    if (!added) continue;
    moves.fetch_add(1);
    entries[i].block.store(kEmpty, std::memory_order_release);
    if (block_gone) continue;
    Snapshot other;
    const bool kept = find([&](const Snapshot& s) { return s.address == entry.address; }, &other);
    if (!kept) orphans[(*count)++] = {entry.block.start, entry.block.end - entry.block.start};
  }
  return false;
}

std::uint32_t list_blocks(std::uint64_t* out, std::uint32_t capacity) {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < used.load(std::memory_order_acquire) && count < capacity; ++i) {
    Snapshot entry;
    if (!read_entry(entries[i], &entry)) continue;
    bool known = false;
    for (std::uint32_t k = 0; k < count; ++k) known |= out[k] == entry.address;
    if (!known) out[count++] = entry.address;
  }
  return count;
}

}  // namespace cairn::runtime
