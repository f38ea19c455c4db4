#pragma once
// The bytes of a pack and of a record file. Little-endian, version kPackVersion / kRecordsVersion;
// docs/image-format.md has the drawing. No byte of a file is outside of some checksum.

#include <array>
#include <cstdint>

#include "storage/hash.h"

namespace cairn::storage {

inline constexpr std::uint64_t kPackMagic = 0x31'4b'43'41'50'4e'52'43ULL;     // "CRNPACK1"
inline constexpr std::uint64_t kPackEndMagic = 0x31'44'4e'45'50'4e'52'43ULL;  // "CRNPEND1"
inline constexpr std::uint64_t kRecordsMagic = 0x31'41'54'45'4d'4e'52'43ULL;  // "CRNMETA1"
inline constexpr std::uint32_t kPackVersion = 1;
inline constexpr std::uint32_t kRecordsVersion = 1;
inline constexpr std::uint32_t kChunkPages =
    256;  // 1 MiB: parallel work for 4 GiB, 20 KiB of index

struct PackHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t page_bytes;
  std::uint64_t generation;
  std::uint32_t node;
  std::uint32_t chunk_pages;
  std::uint32_t compactions;  // 0: as the manifest of its generation describes it
  std::array<std::uint8_t, 4044> reserved;
  Hash checksum;  // of all bytes before
};
static_assert(sizeof(PackHeader) == 4096);

// Chunk number i is entry i. A compacted pack keeps the numbers, so that references stay what they
// are: pages that are gone have their bit cleared, chunks that are gone have no bit set.
struct ChunkEntry {
  std::uint64_t offset;
  std::uint32_t stored_bytes;
  std::uint16_t pages;  // bits set in `present`; the chunk decompresses to this many pages
  std::uint8_t codec;
  std::uint8_t reserved;
  Hash checksum;  // of the stored bytes
  std::array<std::uint64_t, kChunkPages / 64> present;
};
static_assert(sizeof(ChunkEntry) == 64);

// Another pack that tree nodes of this one refer to: reference slot i + 1 is entry i, 0 is this
// pack.
struct PackTableEntry {
  std::uint64_t generation;
  std::uint64_t node;
};
static_assert(sizeof(PackTableEntry) == 16);

enum class TreeNodeKind : std::uint32_t { kExtent = 1, kRegion = 2, kRoot = 3 };

struct TreeNodeEntry {
  std::uint64_t offset;  // into the node bytes
  std::uint32_t bytes;   // 0: gone by compaction
  TreeNodeKind kind;
  Hash identity;
};
static_assert(sizeof(TreeNodeEntry) == 32);

// An extent's node is a list of these, ascending, not overlapping: pages `first` .. first + count -
// 1 of the extent are the page at `ref` and those that follow it. Pages in no run are holes.
struct ExtentRun {
  std::uint64_t ref;  // PageRef, or kZeroRef
  std::uint16_t first;
  std::uint16_t count;
  std::uint32_t reserved;
};
static_assert(sizeof(ExtentRun) == 16);

// A region's node is a list of its extents, a root's of its regions, by ascending address.
struct TreeChild {
  std::uint64_t address;
  std::uint64_t ref;  // NodeRef
  std::uint64_t pages;
  Hash identity;
};
static_assert(sizeof(TreeChild) == 40);

// In front of the footer: ChunkEntry[chunks], Hash[pages] in order of chunk and page,
// PackTableEntry[packs], TreeNodeEntry[nodes], node bytes.
struct PackFooter {
  std::uint64_t magic;
  std::uint64_t index_offset;
  std::uint64_t chunks;
  std::uint64_t pages;
  std::uint64_t packs;
  std::uint64_t nodes;
  std::uint64_t node_bytes;
  std::uint64_t generation;
  Hash index_checksum;
  Hash checksum;  // of all bytes of the footer before
};
static_assert(sizeof(PackFooter) == 96);

// A reference: 16 bits of slot, 48 bits of place. The slot counts in the pack table of the pack
// that holds the node; in memory it counts in the process's own list of packs.
inline constexpr int kPlaceBits = 48;
inline constexpr std::uint64_t kPlaceMask = (1ULL << kPlaceBits) - 1;
inline constexpr std::uint64_t kMaxSlots = 1ULL << 16;
inline constexpr std::uint64_t kZeroRef = ~0ULL;

constexpr std::uint64_t make_ref(std::uint64_t slot, std::uint64_t place) {
  return slot << kPlaceBits | place;
}
constexpr std::uint64_t ref_slot(std::uint64_t ref) {
  return ref >> kPlaceBits;
}
constexpr std::uint64_t ref_place(std::uint64_t ref) {
  return ref & kPlaceMask;
}

// The record file: a header, records, and an end record whose payload lists the roots of all trees.
struct RecordsHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t node;
  std::uint64_t generation;
  std::uint64_t reserved;
  Hash checksum;
};
static_assert(sizeof(RecordsHeader) == 48);

inline constexpr std::uint32_t kEndRecord = 0xffffffff;

struct RecordHeader {
  std::uint32_t kind;
  std::uint32_t reserved;
  std::uint64_t id;  // of the end record: how many records there are
  std::uint64_t bytes;
  Hash payload_checksum;
  Hash checksum;  // of this header before here
};
static_assert(sizeof(RecordHeader) == 56);

}  // namespace cairn::storage
