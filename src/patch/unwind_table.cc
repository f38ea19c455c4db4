#include "patch/unwind_table.h"

#include <algorithm>
#include <cstring>

namespace cairn::patch {
namespace {

// Pointer encodings of the LSB ("DWARF Exception Header Encoding").
constexpr std::uint8_t kOmit = 0xff;
constexpr std::uint8_t kPcRelative = 0x10;
constexpr std::uint8_t kDataRelativeS4 = 0x3b;

// Reads forward from a linked address; once a read leaves the segment, ok() stays false.
class Reader {
 public:
  Reader(const ElfFile& file, std::uint64_t address)
      : bytes_(file.from(address)), address_(address) {
    ok_ = !bytes_.empty();
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::uint64_t address() const { return address_; }

  template <class T>
  T get() {
    T value{};
    if (!ok_ || bytes_.size() < sizeof(T)) {
      ok_ = false;
      return value;
    }
    std::memcpy(&value, bytes_.data(), sizeof value);
    skip(sizeof value);
    return value;
  }

  void skip(std::uint64_t count) {
    if (count > bytes_.size()) {
      ok_ = false;
      return;
    }
    bytes_ = bytes_.subspan(count);
    address_ += count;
  }

  std::uint64_t uleb() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; ok_ && shift < 64; shift += 7) {
      const auto byte = get<std::uint8_t>();
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    ok_ = false;
    return 0;
  }

  // A pointer in one of the encodings that code of this architecture uses.
  std::uint64_t pointer(std::uint8_t encoding) {
    const std::uint64_t base = (encoding & 0x70) == kPcRelative ? address_ : 0;
    if ((encoding & 0x70) > kPcRelative || (encoding & 0x80) != 0) ok_ = false;
    const std::uint64_t value = number(encoding & 0x0f);
    return value == 0 ? 0 : base + value;
  }

  std::uint64_t number(std::uint8_t format) {
    switch (format) {
      case 0x00:
      case 0x04:
      case 0x0c:
        return get<std::uint64_t>();
      case 0x01:
        return uleb();
      case 0x02:
        return get<std::uint16_t>();
      case 0x03:
        return get<std::uint32_t>();
      case 0x0a:
        return static_cast<std::uint64_t>(static_cast<std::int64_t>(get<std::int16_t>()));
      case 0x0b:
        return static_cast<std::uint64_t>(static_cast<std::int64_t>(get<std::int32_t>()));
      default:
        ok_ = false;
        return 0;
    }
  }

 private:
  std::span<const std::uint8_t> bytes_;
  std::uint64_t address_;
  bool ok_;
};

struct Cie {
  std::uint8_t pointer_encoding = 0;
  std::uint8_t lsda_encoding = kOmit;
  bool augmented = false;
  bool signal_frame = false;
};

std::optional<Cie> parse_cie(const ElfFile& file, std::uint64_t address) {
  Reader in(file, address);
  if (in.get<std::uint32_t>() == 0xffffffff || in.get<std::uint32_t>() != 0) return std::nullopt;
  const auto version = in.get<std::uint8_t>();
  std::string augmentation;
  while (in.ok()) {
    const auto letter = in.get<char>();
    if (letter == 0) break;
    augmentation += letter;
  }
  in.uleb();  // code alignment
  in.uleb();  // data alignment: signed, but of the same length
  if (version == 1) {
    in.skip(1);
  } else {
    in.uleb();
  }
  Cie cie;
  if (!augmentation.empty() && augmentation[0] == 'z') {
    cie.augmented = true;
    in.uleb();
    for (const char letter : augmentation.substr(1)) {
      if (letter == 'R') cie.pointer_encoding = in.get<std::uint8_t>();
      if (letter == 'L') cie.lsda_encoding = in.get<std::uint8_t>();
      if (letter == 'S') cie.signal_frame = true;
      if (letter == 'P') {
        const auto encoding = in.get<std::uint8_t>();
        in.number(encoding & 0x0f);
      }
    }
  }
  if (!in.ok()) return std::nullopt;
  return cie;
}

}  // namespace

UnwindTable UnwindTable::load(const ElfFile& file) {
  UnwindTable table(file);
  const bool found = file.eh_frame_hdr() != 0 && table.load_header(file.eh_frame_hdr());
  if (!found)
    if (const auto section = file.section(".eh_frame")) table.walk(section->start);
  std::ranges::sort(table.entries_, {}, &Located::start);
  return table;
}

bool UnwindTable::load_header(std::uint64_t hdr) {
  Reader in(*file_, hdr);
  const auto version = in.get<std::uint8_t>();
  const auto frame_encoding = in.get<std::uint8_t>();
  const auto count_encoding = in.get<std::uint8_t>();
  const auto table_encoding = in.get<std::uint8_t>();
  const std::uint64_t eh_frame = in.pointer(frame_encoding);
  if (!in.ok() || version != 1) return false;
  if (count_encoding == kOmit || table_encoding != kDataRelativeS4) {
    walk(eh_frame);
    return true;
  }
  const std::uint64_t count = in.number(count_encoding & 0x0f);
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto start = static_cast<std::int64_t>(in.get<std::int32_t>());
    const auto fde = static_cast<std::int64_t>(in.get<std::int32_t>());
    if (!in.ok()) break;
    entries_.push_back(
        {hdr + static_cast<std::uint64_t>(start), hdr + static_cast<std::uint64_t>(fde)});
  }
  return true;
}

void UnwindTable::walk(std::uint64_t eh_frame) {
  std::uint64_t at = eh_frame;
  while (true) {
    Reader in(*file_, at);
    const auto length = in.get<std::uint32_t>();
    if (!in.ok() || length == 0 || length == 0xffffffff) return;
    if (in.get<std::uint32_t>() != 0)  // 0: a CIE
      if (const auto entry = parse(at)) entries_.push_back({entry->range.start, at});
    at += 4ULL + length;
  }
}

std::optional<UnwindEntry> UnwindTable::parse(std::uint64_t fde) const {
  Reader in(*file_, fde);
  if (in.get<std::uint32_t>() == 0xffffffff) return std::nullopt;
  const std::uint64_t cie_field = in.address();
  const auto cie_offset = in.get<std::uint32_t>();
  if (!in.ok() || cie_offset == 0) return std::nullopt;
  const auto cie = parse_cie(*file_, cie_field - cie_offset);
  if (!cie) return std::nullopt;
  UnwindEntry entry;
  entry.range.start = in.pointer(cie->pointer_encoding);
  entry.range.end = entry.range.start + in.number(cie->pointer_encoding & 0x0f);
  entry.signal_frame = cie->signal_frame;
  if (cie->augmented) {
    in.uleb();
    if (cie->lsda_encoding != kOmit) entry.lsda = in.pointer(cie->lsda_encoding);
  }
  if (!in.ok() || entry.range.end <= entry.range.start) return std::nullopt;
  return entry;
}

std::optional<UnwindEntry> UnwindTable::last_before(std::uint64_t address) const {
  auto it = std::ranges::upper_bound(entries_, address, {}, &Located::start);
  if (it == entries_.begin()) return std::nullopt;
  return parse(std::prev(it)->fde);
}

std::optional<UnwindEntry> UnwindTable::containing(std::uint64_t address) const {
  auto entry = last_before(address);
  if (entry && !entry->range.contains(address)) entry.reset();
  return entry;
}

std::uint64_t UnwindTable::next_start(std::uint64_t address) const {
  auto it = std::ranges::upper_bound(entries_, address, {}, &Located::start);
  return it == entries_.end() ? UINT64_MAX : it->start;
}

std::optional<std::vector<std::uint64_t>> UnwindTable::landing_pads(
    const UnwindEntry& entry) const {
  std::vector<std::uint64_t> pads;
  if (entry.lsda == 0) return pads;
  Reader in(*file_, entry.lsda);
  const auto base_encoding = in.get<std::uint8_t>();
  const std::uint64_t base = base_encoding == kOmit ? entry.range.start : in.pointer(base_encoding);
  if (in.get<std::uint8_t>() != kOmit) in.uleb();  // types: not needed
  const auto encoding = in.get<std::uint8_t>();
  const std::uint64_t bytes = in.uleb();
  const std::uint64_t end = in.address() + bytes;
  while (in.ok() && in.address() < end) {
    in.number(encoding & 0x0f);  // start of the calls
    in.number(encoding & 0x0f);  // their length
    const std::uint64_t pad = in.number(encoding & 0x0f);
    in.uleb();  // action
    if (pad != 0) pads.push_back(base + pad);
  }
  if (!in.ok()) return std::nullopt;
  return pads;
}

}  // namespace cairn::patch
