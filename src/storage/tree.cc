#include "storage/tree.h"

#include <algorithm>

namespace cairn::storage {
namespace {

// A node of one level can never be taken for one of another.
constexpr std::uint64_t seed_of(TreeNodeKind kind) {
  return static_cast<std::uint64_t>(kind);
}

template <class T>
Result<std::span<const T>> as_table(std::span<const std::byte> bytes, const Pack& pack) {
  if (bytes.size() % sizeof(T) != 0)
    return refusal("read pack: a tree node has a wrong length", pack.path());
  return std::span(reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T));
}

}  // namespace

Hash extent_identity(const std::bitset<kExtentPages>& present, std::span<const Hash> hashes) {
  struct {
    std::array<std::uint8_t, kExtentPages / 8> bits{};
    std::array<Hash, kExtentPages> hashes;
  } content;
  for (std::size_t page = 0; page < kExtentPages; ++page)
    if (present[page]) content.bits[page / 8] |= static_cast<std::uint8_t>(1U << (page % 8));
  std::copy(hashes.begin(), hashes.end(), content.hashes.begin());
  return hash_bytes(std::as_bytes(std::span(&content, 1))
                        .first(sizeof content.bits + hashes.size() * sizeof(Hash)),
                    seed_of(TreeNodeKind::kExtent));
}

Hash directory_identity(TreeNodeKind kind, std::span<const TreeChild> children) {
  struct Part {
    std::uint64_t address;
    Hash identity;
  };
  std::vector<Part> parts;
  parts.reserve(children.size());
  for (const TreeChild& child : children) parts.push_back({child.address, child.identity});
  return hash_bytes(std::as_bytes(std::span(parts)), seed_of(kind));
}

Result<> TreeWalker::walk(const PageDataRef& root) {
  if (root.generation == 0) return {};
  CAIRN_ASSIGN(const Pack* pack, packs_.get({root.generation, root.node}));
  return walk_directory(*pack, root.tree_node, TreeNodeKind::kRoot, root.hash, 0, 0);
}

Result<> TreeWalker::walk_directory(const Pack& pack, std::uint64_t number, TreeNodeKind kind,
                                    const Hash& identity, std::uint64_t start,
                                    std::uint64_t length) {
  CAIRN_ASSIGN(const auto bytes, pack.node(number, kind, identity));
  if (enter && !enter(pack, number, identity)) return {};
  CAIRN_ASSIGN(const auto children, as_table<TreeChild>(bytes, pack));
  const bool is_root = kind == TreeNodeKind::kRoot;
  const std::uint64_t unit = is_root ? kRegionBytes : kExtentBytes;
  std::uint64_t least = start;
  for (const TreeChild& child : children) {
    // length is 0 for the root: all of the address space
    if (child.address % unit != 0 || child.address < least ||
        (length != 0 && child.address - start >= length))
      return refusal("read pack: a tree node covers a wrong range", pack.path());
    least = child.address + unit;
    CAIRN_ASSIGN(const PackKey key, pack.resolve(child.ref));
    CAIRN_ASSIGN(const Pack* below, packs_.get(key));
    const std::uint64_t place = ref_place(child.ref);
    CAIRN_TRY(is_root ? walk_directory(*below, place, TreeNodeKind::kRegion, child.identity,
                                       child.address, kRegionBytes)
                      : walk_extent(*below, place, child.identity, child.address));
  }
  return {};
}

Result<> TreeWalker::walk_extent(const Pack& pack, std::uint64_t number, const Hash& identity,
                                 std::uint64_t address) {
  CAIRN_ASSIGN(const auto bytes, pack.node(number, TreeNodeKind::kExtent, identity));
  if (enter && !enter(pack, number, identity)) return {};
  CAIRN_ASSIGN(const auto runs, as_table<ExtentRun>(bytes, pack));
  std::uint64_t least = 0;
  for (const ExtentRun& run : runs) {
    if (run.first < least || run.count == 0 || run.first + run.count > kExtentPages)
      return refusal("read pack: a tree node covers a wrong range", pack.path());
    least = std::uint64_t{run.first} + run.count;
    CAIRN_TRY(walk_run(pack, run, address + run.first * kPageBytes));
  }
  return {};
}

Result<> TreeWalker::walk_run(const Pack& pack, const ExtentRun& run, std::uint64_t address) {
  if (run.ref == kZeroRef) return piece ? piece({nullptr, 0, 0, run.count, address}) : Result<>{};
  CAIRN_ASSIGN(const PackKey key, pack.resolve(run.ref));
  CAIRN_ASSIGN(const Pack* holder, packs_.get(key));
  std::uint64_t place = ref_place(run.ref);
  std::uint32_t left = run.count;
  while (left > 0) {
    const auto index = static_cast<std::uint32_t>(place % kChunkPages);
    const std::uint32_t take = std::min(left, kChunkPages - index);
    for (std::uint32_t i = 0; i < take; ++i)
      if (!holder->rank(place / kChunkPages, index + i))
        return refusal("read pack: a page that is needed is not there", holder->path());
    if (piece) CAIRN_TRY(piece({holder, place / kChunkPages, index, take, address}));
    place += take;
    left -= take;
    address += take * kPageBytes;
  }
  return {};
}

}  // namespace cairn::storage
