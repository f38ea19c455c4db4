#include "storage/known_pages.h"

#include <sys/stat.h>

#include <algorithm>

#include "storage/record_file.h"
#include "storage/tree.h"

namespace cairn::storage {
namespace {

// 16 bits of slot; begin again long before they run out.
constexpr std::size_t kManySlots = kMaxSlots - 64;

}  // namespace

KnownPages::KnownPages(std::string directory, std::uint64_t max_bytes)
    : pages(max_bytes - max_bytes / 8), nodes(max_bytes / 8), directory_(std::move(directory)) {
  slots_.resize(1);
}

Result<> KnownPages::refresh(const std::vector<GenerationInfo>& committed, std::uint32_t node) {
  if (loaded_ && slots_.size() < kManySlots && still_valid()) return {};
  forget_all();
  // The newest first: it is what the next generation resembles, should the index become full.
  PackSet packs(directory_);
  for (auto generation = committed.rbegin(); generation != committed.rend(); ++generation)
    if (!generation->damaged) load(*generation, node, packs);
  loaded_ = true;
  return {};
}

bool KnownPages::still_valid() const {
  return std::all_of(slots_.begin(), slots_.end(), [this](const Slot& slot) {
    if (!slot.used) return true;
    struct stat status;
    return ::stat((directory_ + "/" + slot.key.path()).c_str(), &status) == 0 &&
           status.st_ino == slot.inode && static_cast<std::uint64_t>(status.st_size) == slot.bytes;
  });
}

// What cannot be read is left out: a new generation then does not depend on damaged files.
void KnownPages::load(const GenerationInfo& generation, std::uint32_t node, PackSet& packs) {
  for (const NodeSummary& summary : generation.nodes) {
    if (summary.node != node) continue;
    const auto records = read_record_file(directory_ + "/" + summary.meta.path, generation.number,
                                          node, ReadPath::kCache);
    if (!records) continue;
    TreeWalker walker(packs);
    std::vector<std::pair<Hash, std::uint64_t>> found;
    walker.enter = [&](const Pack& pack, std::uint64_t number, const Hash& identity) {
      // A known node was entered with all that is below it.
      if (nodes.find(identity) != 0) return false;
      const std::uint64_t slot = load_pack(packs, pack.key());
      found.emplace_back(identity, make_ref(slot, number));
      return true;
    };
    walker.piece = [&](const Piece& piece) -> Result<> {
      if (piece.pack != nullptr) load_pack(packs, piece.pack->key());
      return {};
    };
    for (const PageDataRef& root : records->roots) {
      found.clear();
      if (!walker.walk(root)) continue;
      for (const auto& [identity, ref] : found) nodes.find_or_insert(identity, ref);
    }
  }
}

std::uint64_t KnownPages::load_pack(PackSet& packs, PackKey key) {
  for (std::uint64_t slot = 1; slot < slots_.size(); ++slot)
    if (slots_[slot].used && slots_[slot].key == key) return slot;
  const auto pack = packs.get(key);  // opened before: it cannot fail now
  const std::uint64_t slot = add_pack(key);
  struct stat status;
  if (!pack || ::fstat((*pack)->file().fd(), &status) != 0) return slot;
  slots_[slot].inode = status.st_ino;
  slots_[slot].bytes = (*pack)->bytes();
  const auto chunks = (*pack)->chunks();
  for (std::uint64_t chunk = 0; chunk < chunks.size(); ++chunk) {
    const auto hashes = (*pack)->chunk_hashes(chunk);
    for (std::uint32_t index = 0; index < kChunkPages; ++index)
      if (const auto rank = (*pack)->rank(chunk, index))
        pages.find_or_insert(hashes[*rank], make_ref(slot, chunk * kChunkPages + index));
  }
  return slot;
}

std::uint64_t KnownPages::add_pack(PackKey key) {
  slots_.push_back({key, 0, 0, true});
  return slots_.size() - 1;
}

Result<> KnownPages::pack_is_complete(std::uint64_t slot, const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return os_failure("stat", path);
  slots_[slot].inode = status.st_ino;
  slots_[slot].bytes = static_cast<std::uint64_t>(status.st_size);
  return {};
}

void KnownPages::forget(std::uint64_t slot) {
  if (slot >= slots_.size() || !slots_[slot].used) return;
  slots_[slot].used = false;
  const auto gone = [slot](std::uint64_t ref) { return ref_slot(ref) == slot; };
  pages.remove_if(gone);
  nodes.remove_if(gone);
}

void KnownPages::forget_all() {
  pages.clear();
  nodes.clear();
  slots_.assign(1, {});
  loaded_ = false;
}

}  // namespace cairn::storage
