#pragma once
// The hash tree: page -> 2 MiB extent -> 1 GiB region -> root. A node is identified by what is
// below it, so an unchanged extent or region is one reference to the node of an earlier generation.

#include <bitset>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/error.h"
#include "storage/format.h"
#include "storage/pack_reader.h"
#include "storage/page.h"

namespace cairn::storage {

// `hashes` are those of the present pages, in order.
Hash extent_identity(const std::bitset<kExtentPages>& present, std::span<const Hash> hashes);
Hash directory_identity(TreeNodeKind kind, std::span<const TreeChild> children);

// Adjacent pages of memory that are adjacent in one chunk; zero pages have no pack.
struct Piece {
  const Pack* pack = nullptr;
  std::uint64_t chunk = 0;
  std::uint32_t index = 0;
  std::uint32_t pages = 0;
  std::uint64_t address = 0;
};

// Goes through a tree and checks it on the way: every node is there, is what its parent says, lies
// where it may, and every page referred to is in its pack.
class TreeWalker {
 public:
  explicit TreeWalker(PackSet& packs) : packs_(packs) {}

  // Called for each node that is reached; false leaves out what is below.
  std::function<bool(const Pack&, std::uint64_t number, const Hash& identity)> enter;
  std::function<Result<>(const Piece&)> piece;

  Result<> walk(const PageDataRef& root);

 private:
  Result<> walk_directory(const Pack& pack, std::uint64_t number, TreeNodeKind kind,
                          const Hash& identity, std::uint64_t start, std::uint64_t length);
  Result<> walk_extent(const Pack& pack, std::uint64_t number, const Hash& identity,
                       std::uint64_t address);
  Result<> walk_run(const Pack& pack, const ExtentRun& run, std::uint64_t address);

  PackSet& packs_;
};

}  // namespace cairn::storage
