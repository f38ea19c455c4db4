#include "storage/page.h"

#include <algorithm>
#include <cstring>

namespace cairn::storage {
namespace {

struct EncodedRef {
  std::uint64_t generation;
  std::uint64_t node;
  std::uint64_t tree_node;
  Hash hash;
  std::uint64_t pages;
};
static_assert(sizeof(EncodedRef) == 48);

}  // namespace

std::string PageDataRef::encode() const {
  const EncodedRef encoded{generation, node, tree_node, hash, pages};
  return {reinterpret_cast<const char*>(&encoded), sizeof encoded};
}

Result<PageDataRef> PageDataRef::decode(std::string_view bytes) {
  EncodedRef encoded;
  if (bytes.size() != sizeof encoded)
    return refusal("decode page data reference: " + std::to_string(bytes.size()) + " bytes");
  std::memcpy(&encoded, bytes.data(), sizeof encoded);
  return PageDataRef{encoded.generation, static_cast<std::uint32_t>(encoded.node),
                     encoded.tree_node, encoded.hash, encoded.pages};
}

std::vector<std::vector<PageRun>> plan_batches(std::span<const PageRun> runs) {
  std::vector<std::vector<PageRun>> batches;
  std::vector<PageRun> extent;  // the runs of the extent that is being collected
  std::uint64_t extent_data = 0;
  std::uint64_t batch_data = 0;
  const auto close_extent = [&] {
    if (extent.empty()) return;
    if (batches.empty() || batch_data + extent_data > kExtentPages) {
      batches.emplace_back();
      batch_data = 0;
    }
    batches.back().insert(batches.back().end(), extent.begin(), extent.end());
    batch_data += extent_data;
    extent.clear();
    extent_data = 0;
  };
  std::uint64_t current = ~0ULL;
  for (PageRun run : runs) {
    while (run.pages > 0) {
      const std::uint64_t number = run.address / kExtentBytes;
      if (number != current) close_extent();
      current = number;
      const std::uint64_t room = ((number + 1) * kExtentBytes - run.address) / kPageBytes;
      const auto take = static_cast<std::uint32_t>(std::min<std::uint64_t>(run.pages, room));
      extent.push_back({run.address, take, run.zero});
      if (!run.zero) extent_data += take;
      run.address += take * kPageBytes;
      run.pages -= take;
    }
  }
  close_extent();
  return batches;
}

}  // namespace cairn::storage
