#include "storage/memory_reader.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <tuple>

#include "storage/memory_reader_impl.h"
#include "storage/worker_pool.h"

namespace cairn::storage {
namespace {

// How far the kernel is asked to read ahead of the workers.
constexpr std::uint64_t kReadAhead = 32 << 20;

constexpr std::size_t kZeroPieces = 4096;  // in one call

Result<> deliver_zeros(std::span<const Piece> pieces, const MemoryReader::BatchSink& sink) {
  static const std::vector<std::byte> zeros(kExtentBytes);
  std::vector<PageSpan> spans;
  for (const Piece& piece : pieces)
    spans.push_back({piece.address, std::span(zeros).first(piece.pages * kPageBytes), true});
  return sink(spans);
}

// All pieces of one chunk: pages that are adjacent in memory and in the chunk in one call.
Result<> deliver_chunk(std::span<const Piece> pieces, ChunkScratch& scratch,
                       const MemoryReader::BatchSink& sink) {
  const Pack& pack = *pieces.front().pack;
  const std::uint64_t chunk = pieces.front().chunk;
  CAIRN_ASSIGN(const auto pages, pack.read_pages(chunk, scratch));
  std::vector<PageSpan> spans;
  for (std::size_t i = 0; i < pieces.size();) {
    const Piece& first = pieces[i];
    std::uint64_t count = first.pages;
    while (++i < pieces.size() && pieces[i].index == first.index + count &&
           pieces[i].address == first.address + count * kPageBytes)
      count += pieces[i].pages;
    // Compaction takes pages out of a chunk, but never between two that are referred to.
    const auto rank = pack.rank(chunk, first.index);
    if (!rank || (*rank + count) * kPageBytes > pages.size())
      return refusal("read pack: a page that is needed is not there", pack.path());
    spans.push_back(
        {first.address, pages.subspan(*rank * kPageBytes, count * kPageBytes), false});
  }
  return sink(spans);
}

}  // namespace

Result<> for_each_parallel(unsigned workers, std::size_t count,
                           const std::function<Result<>(std::size_t, ChunkScratch&)>& work) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  Result<> outcome;
  const auto run = [&] {
    ChunkScratch scratch;
    for (std::size_t i = next++; i < count; i = next++) {
      if (Result<> done = work(i, scratch); !done) {
        next = count;
        const std::lock_guard lock(mutex);
        if (outcome) outcome = std::move(done);
        return;
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned worker = 1; worker < std::min<std::size_t>(workers, count); ++worker)
    threads.emplace_back([&run] {
      block_all_signals();
      run();
    });
  run();
  for (std::thread& thread : threads) thread.join();
  return outcome;
}

Result<std::vector<Piece>> PackedMemoryReader::pieces() {
  std::vector<Piece> list;
  TreeWalker walker(packs_);
  walker.piece = [this, &list](const Piece& whole) -> Result<> {
    Piece piece = whole;
    const std::uint64_t end = piece.address + piece.pages * kPageBytes;
    if (end <= start_ || piece.address >= end_) return {};
    const std::uint64_t before =
        start_ > piece.address ? (start_ - piece.address) / kPageBytes : 0;
    const std::uint64_t behind = end > end_ ? (end - end_) / kPageBytes : 0;
    piece.address += before * kPageBytes;
    piece.index += static_cast<std::uint32_t>(before);
    piece.pages -= static_cast<std::uint32_t>(before + behind);
    list.push_back(piece);
    return {};
  };
  CAIRN_TRY(walker.walk(root_));
  return list;
}

Result<std::vector<PageRun>> PackedMemoryReader::pages() {
  CAIRN_ASSIGN(const auto list, pieces());
  std::vector<PageRun> runs;
  for (const Piece& piece : list) {
    const bool zero = piece.pack == nullptr;
    if (!runs.empty() && runs.back().zero == zero &&
        runs.back().address + runs.back().pages * kPageBytes == piece.address &&
        runs.back().pages < (1U << 30))
      runs.back().pages += piece.pages;
    else
      runs.push_back({piece.address, piece.pages, zero});
  }
  return runs;
}

Result<> MemoryReader::for_each(const Sink& sink) {
  return for_each_batch([&sink](std::span<const PageSpan> spans) -> Result<> {
    for (const PageSpan& span : spans) CAIRN_TRY(sink(span));
    return {};
  });
}

Result<> PackedMemoryReader::for_each_batch(const BatchSink& sink) {
  CAIRN_ASSIGN(auto list, pieces());
  // In the order of the packs' bytes, so that reading is sequential and each chunk is read once.
  std::sort(list.begin(), list.end(), [](const Piece& a, const Piece& b) {
    const auto place = [](const Piece& piece) {
      return std::tuple(piece.pack == nullptr ? PackKey{} : piece.pack->key(),
                        piece.pack == nullptr ? 0 : piece.pack->chunks()[piece.chunk].offset,
                        piece.chunk, piece.address);
    };
    return place(a) < place(b);
  });
  std::vector<std::span<const Piece>> groups;
  for (std::size_t i = 0; i < list.size();) {
    std::size_t end = i + 1;
    const bool zeros = list[i].pack == nullptr;  // these come first
    while (end < list.size() && list[end].pack == list[i].pack &&
           (zeros ? end - i < kZeroPieces : list[end].chunk == list[i].chunk))
      ++end;
    groups.push_back(std::span<const Piece>(list).subspan(i, end - i));
    i = end;
  }
  // With direct I/O a thread that reads is asleep: one more per CPU keeps the CPUs and the device busy.
  const bool direct = std::any_of(list.begin(), list.end(), [](const Piece& piece) {
    return piece.pack != nullptr && piece.pack->file().direct();
  });
  const unsigned workers = direct ? 2 * workers_ : workers_;
  return for_each_parallel(workers, groups.size(), [&](std::size_t i, ChunkScratch& scratch) {
    const Piece& first = groups[i].front();
    if (first.pack == nullptr) return deliver_zeros(groups[i], sink);
    const auto& chunk = first.pack->chunks()[first.chunk];
    if (!first.pack->file().direct() &&
        chunk.offset / kReadAhead != (chunk.offset + chunk.stored_bytes) / kReadAhead)
      ::posix_fadvise(first.pack->file().fd(), static_cast<off_t>(chunk.offset), 2 * kReadAhead,
                      POSIX_FADV_WILLNEED);
    return deliver_chunk(groups[i], scratch, sink);
  });
}

}  // namespace cairn::storage
