// A batch on its way: read -> hash every page -> hash the extent -> known? one reference, done
//   -> else hash by hash: known? a reference; new? a place in a chunk -> the extent's node.

#include "storage/memory_writer.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <latch>

#include "storage/memory_writer_impl.h"
#include "storage/tree.h"

namespace cairn::storage {

struct PackedMemoryWriter::Extent {
  std::uint64_t address = 0;
  std::bitset<kExtentPages> present;
  std::size_t count = 0;  // of present pages; the arrays below are in their order
  std::array<std::uint16_t, kExtentPages> number;
  std::array<const std::byte*, kExtentPages> data;
  std::array<Hash, kExtentPages> hash;
  std::array<std::uint64_t, kExtentPages> ref;

  void clear(std::uint64_t start) {
    address = start;
    present.reset();
    count = 0;
  }

  // `page` is null where it is known to be zero.
  [[nodiscard]] bool add(std::uint64_t at, const std::byte* page) {
    const auto index = static_cast<std::uint16_t>((at - address) / kPageBytes);
    if (count > 0 && index <= number[count - 1]) return false;
    present.set(index);
    number[count] = index;
    data[count] = page;
    hash[count] = page == nullptr ? zero_page_hash() : hash_page(page);
    ++count;
    return true;
  }

  [[nodiscard]] std::vector<ExtentRun> runs(WriterContext& context) const {
    std::vector<ExtentRun> list;
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t local = ref[i] == kZeroRef ? kZeroRef : context.local_ref(ref[i]);
      if (!list.empty()) {
        ExtentRun& last = list.back();
        const bool same = local == kZeroRef || last.ref == kZeroRef
                              ? local == last.ref
                              : local == last.ref + last.count;
        if (same && number[i] == last.first + last.count) {
          ++last.count;
          continue;
        }
      }
      list.push_back({local, number[i], 1, 0});
    }
    return list;
  }
};

Result<> PackedMemoryWriter::add_pages(std::span<const std::vector<PageRun>> batches,
                                       const Fill& fill) {
  CAIRN_TRY(context_.check());
  std::atomic<std::size_t> next = 0;
  WorkerPool& workers = context_.resources.workers;
  std::latch running(workers.size());
  for (unsigned n = 0; n < workers.size(); ++n)
    workers.submit([&](unsigned worker) {
      for (std::size_t mine; !context_.failed && (mine = next.fetch_add(1)) < batches.size();)
        if (Result<> done = store_batch(worker, batches[mine], fill); !done)
          context_.fail(std::move(done).error());
      running.count_down();
    });
  running.wait();
  return context_.check();
}

Result<> PackedMemoryWriter::store_batch(unsigned worker, const std::vector<PageRun>& runs,
                                         const Fill& fill) {
  std::uint64_t data_pages = 0;
  for (const PageRun& run : runs) {
    if (run.address % kPageBytes != 0 || run.pages > kExtentPages * 64)
      return failure(EINVAL, "add pages: a run is not made of whole pages, or too long");
    if (!run.zero) data_pages += run.pages;
  }
  CAIRN_ASSIGN(const PageBuffer buffer, context_.resources.page_buffers.acquire());
  if (data_pages * kPageBytes > buffer.bytes().size())
    return failure(EINVAL, "add pages: more than the buffer holds");
  CAIRN_TRY(fill(runs, buffer.data()));
  return process(worker, buffer.data(), runs);
}

Result<> PackedMemoryWriter::process(unsigned worker, const std::byte* data,
                                     std::span<const PageRun> runs) {
  const auto extent = std::make_unique<Extent>();
  extent->clear(~0ULL);
  for (const PageRun& run : runs) {
    for (std::uint32_t i = 0; i < run.pages; ++i) {
      const std::uint64_t address = run.address + i * kPageBytes;
      const std::uint64_t start = address - address % kExtentBytes;
      if (start != extent->address) {
        CAIRN_TRY(store_extent(worker, *extent));
        extent->clear(start);
      }
      if (!extent->add(address, run.zero ? nullptr : data))
        return failure(EINVAL, "add pages: the runs do not ascend");
      if (!run.zero) data += kPageBytes;
    }
  }
  CAIRN_TRY(store_extent(worker, *extent));
  context_.mixed[worker]->settle();
  return context_.direct[worker]->flush();
}

Result<> PackedMemoryWriter::store_extent(unsigned worker, Extent& extent) {
  if (extent.count == 0) return {};
  const Hash identity = extent_identity(extent.present, std::span(extent.hash).first(extent.count));
  HashIndex& nodes = context_.resources.known.nodes;
  std::uint64_t ref = nodes.find(identity);
  if (ref == 0) {
    CAIRN_TRY(place_pages(worker, extent));
    const std::vector<ExtentRun> runs = extent.runs(context_);
    const std::uint64_t number =
        context_.pack->add_node(TreeNodeKind::kExtent, identity, std::as_bytes(std::span(runs)));
    ref = nodes.find_or_insert(identity, make_ref(context_.slot, number));
  }
  context_.memory_pages += extent.count;
  const std::lock_guard lock(mutex_);
  extents_.push_back({extent.address, ref, extent.count, identity});
  return {};
}

Result<> PackedMemoryWriter::place_pages(unsigned worker, Extent& extent) {
  HashIndex& pages = context_.resources.known.pages;
  std::size_t unknown = 0;
  for (std::size_t i = 0; i < extent.count; ++i) {
    extent.ref[i] = extent.hash[i] == zero_page_hash() ? kZeroRef : pages.find(extent.hash[i]);
    if (extent.ref[i] == 0) ++unknown;
  }
  // Whole chunks of new pages are compressed where they lie; the rest is gathered first.
  std::size_t for_direct = unknown == extent.count ? unknown / kChunkPages * kChunkPages : 0;
  for (std::size_t i = 0; i < extent.count; ++i) {
    if (extent.ref[i] != 0) continue;
    ChunkBuilder& builder = *(i < for_direct ? context_.direct : context_.mixed)[worker];
    const std::uint64_t here = make_ref(context_.slot, builder.next_place());
    extent.ref[i] = pages.find_or_insert(extent.hash[i], here);
    if (extent.ref[i] != here) continue;  // the same page came a moment before
    ++context_.new_pages;
    CAIRN_TRY(builder.add(extent.data[i], extent.hash[i]));
  }
  return {};
}

TreeChild PackedMemoryWriter::add_directory(TreeNodeKind kind, std::uint64_t address,
                                            std::vector<TreeChild> children) {
  HashIndex& nodes = context_.resources.known.nodes;
  const Hash identity = directory_identity(kind, children);
  std::uint64_t pages = 0;
  for (const TreeChild& child : children) pages += child.pages;
  std::uint64_t ref = nodes.find(identity);
  if (ref == 0) {
    for (TreeChild& child : children) child.ref = context_.local_ref(child.ref);
    const std::uint64_t number =
        context_.pack->add_node(kind, identity, std::as_bytes(std::span(children)));
    ref = nodes.find_or_insert(identity, make_ref(context_.slot, number));
  }
  return {address, ref, pages, identity};
}

Result<PageDataRef> PackedMemoryWriter::finish() {
  CAIRN_TRY(context_.check());
  if (extents_.empty()) return PageDataRef{};
  std::sort(extents_.begin(), extents_.end(),
            [](const TreeChild& a, const TreeChild& b) { return a.address < b.address; });
  for (std::size_t i = 1; i < extents_.size(); ++i)
    if (extents_[i].address == extents_[i - 1].address)
      return failure(EINVAL, "add pages: an extent came in two batches");
  std::vector<TreeChild> regions;
  for (auto first = extents_.begin(); first != extents_.end();) {
    const std::uint64_t region = first->address - first->address % kRegionBytes;
    const auto last = std::find_if(first, extents_.end(), [region](const TreeChild& extent) {
      return extent.address - region >= kRegionBytes;
    });
    regions.push_back(add_directory(TreeNodeKind::kRegion, region, {first, last}));
    first = last;
  }
  const TreeChild root = add_directory(TreeNodeKind::kRoot, 0, std::move(regions));
  const PackKey key = context_.resources.known.key_of(ref_slot(root.ref));
  PageDataRef ref{key.generation, key.node, ref_place(root.ref), root.identity, root.pages};
  const std::lock_guard lock(context_.mutex);
  context_.roots.push_back(ref);
  return ref;
}

}  // namespace cairn::storage
