#include "patch/references.h"

#include <algorithm>
#include <cstring>

#include "patch/instruction.h"

namespace cairn::patch {
namespace {

constexpr std::uint64_t kShortReach = 160;  // rel8 and the longest patch

template <class T>
T load(const std::uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

std::uint64_t relative(std::uint64_t end, const std::uint8_t* displacement) {
  return end + static_cast<std::uint64_t>(std::int64_t{load<std::int32_t>(displacement)});
}

}  // namespace

CodeAddressSet::CodeAddressSet(const ElfFile& file) {
  for (const auto& segment : file.segments())
    if (segment.executable)
      parts_.push_back({segment.range, std::vector<std::uint64_t>(segment.range.size() / 64 + 1)});
}

void CodeAddressSet::insert(std::uint64_t address) {
  for (auto& part : parts_) {
    if (!part.range.contains(address)) continue;
    const std::uint64_t bit = address - part.range.start;
    part.words[bit / 64] |= 1ULL << (bit % 64);
  }
}

bool CodeAddressSet::contains(std::uint64_t address) const {
  for (const auto& part : parts_) {
    if (!part.range.contains(address)) continue;
    const std::uint64_t bit = address - part.range.start;
    return ((part.words[bit / 64] >> (bit % 64)) & 1) != 0;
  }
  return false;
}

void References::watch(Range range) {
  for (std::uint64_t address = range.start; address < range.end; ++address)
    watched_.insert(address);
}

bool References::inside(Range range) const {
  for (std::uint64_t address = range.start + 1; address < range.end; ++address)
    if (has(address)) return true;
  return false;
}

void References::add_starts(const UnwindTable& unwind, const std::vector<Symbol>& symbols) {
  unwind.for_each_start([this](std::uint64_t start) { add(start); });
  for (const auto& symbol : symbols) add(symbol.range.start);
  add(file_->entry());
}

void References::scan_far() {
  for (const auto& segment : file_->segments()) {
    if (segment.executable) scan_code(segment);
    scan_words(segment);
  }
}

void References::scan_code(const Segment& segment) {
  const std::uint8_t* bytes = segment.bytes.data();
  const std::size_t size = segment.bytes.size();
  const bool absolute = file_->fixed_address();
  for (std::size_t i = 0; i + 6 <= size; ++i) {
    const std::uint64_t at = segment.range.start + i;
    const std::uint8_t first = bytes[i];
    const std::uint8_t second = bytes[i + 1];
    if ((first & 0xfe) == 0xe8) {  // call, jmp
      add(relative(at + 5, bytes + i + 1));
    } else if ((first == 0x0f && (second & 0xf0) == 0x80) ||  // jcc
               (first == 0x8d && (second & 0xc7) == 0x05) ||  // lea disp(%rip)
               (first == 0xc7 && second == 0xf8)) {           // xbegin
      add(relative(at + 6, bytes + i + 2));
    }
    if (absolute) add(load<std::uint32_t>(bytes + i));
  }
}

void References::scan_words(const Segment& segment) {
  const std::size_t skip = (8 - segment.range.start % 8) % 8;
  for (std::size_t i = skip; i + 8 <= segment.bytes.size(); i += 8)
    add(load<std::uint64_t>(segment.bytes.data() + i));
}

void References::scan_near(std::uint64_t site, const UnwindTable& unwind,
                           const std::vector<Symbol>& symbols) {
  const Segment* segment = file_->executable_at(site);
  const std::uint64_t first = std::max(site - std::min(site, kShortReach), scanned_until_);
  const std::uint64_t last = std::min(site + kShortReach, segment->range.end);
  auto next_symbol =
      std::ranges::upper_bound(symbols, first, {}, [](const Symbol& s) { return s.range.start; });
  // Decoding must begin where an instruction begins: at the start of the code that holds `first`.
  std::uint64_t at = segment->range.start;
  if (const auto entry = unwind.last_before(first)) at = std::max(at, entry->range.start);
  if (next_symbol != symbols.begin()) at = std::max(at, std::prev(next_symbol)->range.start);
  if (scanned_until_ > at && scanned_until_ <= first) at = scanned_until_;

  std::uint64_t next_entry = unwind.next_start(at);
  while (at < last) {
    const auto bytes = segment->bytes.subspan(at - segment->range.start);
    const auto instruction = decode(bytes, at);
    if (instruction && instruction->target != 0) add(instruction->target);
    std::uint64_t next = instruction ? instruction->end() : at + 1;
    if (next > next_entry) next = next_entry;
    while (next_symbol != symbols.end() && next_symbol->range.start <= at) ++next_symbol;
    if (next_symbol != symbols.end()) next = std::min(next, next_symbol->range.start);
    at = next;
    if (at >= next_entry) next_entry = unwind.next_start(at);
  }
  scanned_until_ = at;
}

}  // namespace cairn::patch
