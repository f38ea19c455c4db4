#include "cli/guest_memory.h"

#include <algorithm>
#include <cstring>

namespace cairn::cli {
namespace {

constexpr std::uint64_t kLongest = 64 << 20;  // more than the kernel takes for arguments

}  // namespace

Result<std::string> read_guest(const restart::Plan& plan, const image::ProcessImage& process,
                               std::uint64_t address, std::uint64_t bytes) {
  std::string text(bytes, '\0');
  if (process.page_data().empty() || bytes == 0) return text;
  CAIRN_ASSIGN(const auto ref, storage::PageDataRef::decode(process.page_data()));
  CAIRN_ASSIGN(const auto reader, plan.reader->memory(ref));
  reader->limit_to(
      address / storage::kPageBytes * storage::kPageBytes,
      (address + bytes + storage::kPageBytes - 1) / storage::kPageBytes * storage::kPageBytes);
  // Spans do not overlap: no lock is needed.
  CAIRN_TRY(reader->for_each([&](const storage::PageSpan& span) -> Result<> {
    const std::uint64_t from = std::max(span.address, address);
    const std::uint64_t to = std::min(span.address + span.bytes.size(), address + bytes);
    if (from < to)
      std::memcpy(text.data() + (from - address), span.bytes.data() + (from - span.address),
                  to - from);
    return {};
  }));
  return text;
}

Result<std::vector<std::string>> read_guest_strings(const restart::Plan& plan,
                                                    const image::ProcessImage& process,
                                                    std::uint64_t start, std::uint64_t end) {
  if (start > end || end - start > kLongest)
    return refusal("the image's arguments or environment have no sensible place");
  CAIRN_ASSIGN(const std::string text, read_guest(plan, process, start, end - start));
  std::vector<std::string> strings;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t stop = std::min(text.find('\0', at), text.size());
    strings.push_back(text.substr(at, stop - at));
    at = stop + 1;
  }
  return strings;
}

}  // namespace cairn::cli
