#include "storage/output_stream.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "storage/file.h"
#include "storage/worker_pool.h"

namespace cairn::storage {
namespace {

constexpr std::size_t kAlignment = 4096;  // what direct I/O wants of offset, length and address

}  // namespace

Result<std::unique_ptr<OutputStream>> OutputStream::create(const std::string& path,
                                                           BufferPool& blocks) {
  CAIRN_ASSIGN(Fd fd, create_file(path));
  // Set afterwards: a file system without direct I/O refuses this, not the creation.
  (void)::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_DIRECT);
  return std::unique_ptr<OutputStream>(new OutputStream(path, std::move(fd), blocks));
}

OutputStream::OutputStream(std::string path, Fd fd, BufferPool& blocks)
    : path_(std::move(path)), fd_(std::move(fd)), blocks_(blocks) {
  for (std::thread& thread : threads_) thread = std::thread([this] { write_blocks(); });
}

OutputStream::~OutputStream() {
  end_threads();
}

// After all full blocks are written.
void OutputStream::end_threads() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_)
    if (thread.joinable()) thread.join();
}

// Under place_mutex_. Waiting for a free block here is what slows the workers to the device's
// speed.
Result<std::shared_ptr<OutputStream::Block>> OutputStream::block_at(std::uint64_t offset) {
  const std::uint64_t start = offset - offset % blocks_.buffer_bytes();
  for (const auto& block : open_)
    if (block->offset == start) return block;
  auto block = std::make_shared<Block>();
  CAIRN_ASSIGN(block->buffer, blocks_.acquire());
  block->offset = start;
  open_.push_back(block);
  return block;
}

Result<std::uint64_t> OutputStream::append(std::span<const std::byte> bytes) {
  struct Part {
    std::shared_ptr<Block> block;
    std::size_t from;
    std::span<const std::byte> bytes;
  };
  std::array<Part, 2> parts;  // at most half a block is appended: it touches two blocks
  std::size_t count = 0;
  std::uint64_t offset = 0;
  {
    const std::lock_guard lock(place_mutex_);
    {
      const std::lock_guard state(mutex_);
      if (failed_) return Failure(error_);
    }
    offset = position_;
    while (!bytes.empty()) {
      CAIRN_ASSIGN(auto block, block_at(position_));
      const std::size_t from = position_ - block->offset;
      const std::size_t take = std::min(bytes.size(), blocks_.buffer_bytes() - from);
      parts.at(count++) = {block, from, bytes.first(take)};
      bytes = bytes.subspan(take);
      position_ += take;
      if (from + take == blocks_.buffer_bytes()) open_.pop_front();
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::memcpy(parts[i].block->buffer.data() + parts[i].from, parts[i].bytes.data(),
                parts[i].bytes.size());
    fill(parts[i].block, parts[i].bytes.size());
  }
  return offset;
}

Result<> OutputStream::append_long(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t step = std::min(bytes.size(), blocks_.buffer_bytes() / 2);
    CAIRN_TRY(append(bytes.first(step)));
    bytes = bytes.subspan(step);
  }
  return {};
}

void OutputStream::fill(const std::shared_ptr<Block>& block, std::size_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    block->filled += bytes;
    block->fault = write_fault_;
    if (block->filled < blocks_.buffer_bytes()) return;
    full_.push_back(block);
  }
  changed_.notify_one();
}

Result<> OutputStream::write_block(Block& block, std::size_t bytes) {
  return write_at(fd_.get(), block.buffer.bytes().first(bytes), block.offset, path_,
                  block.fault);
}

void OutputStream::write_blocks() {
  block_all_signals();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !full_.empty() || ending_; });
    if (full_.empty()) return;
    std::shared_ptr<Block> block = std::move(full_.front());
    full_.pop_front();
    if (failed_) continue;  // keep giving blocks back, so that nobody waits for one for ever
    lock.unlock();
    Result<> written = write_block(*block, blocks_.buffer_bytes());
    block.reset();
    lock.lock();
    if (!written && !failed_) {
      failed_ = true;
      error_ = std::move(written).error();
    }
  }
}

Result<> OutputStream::finish(FaultPoint sync_fault) {
  end_threads();
  if (failed_) return Failure(error_);
  for (const auto& block : open_) {
    // The last one is partly filled: written up to the next whole sector, then cut.
    const std::size_t rounded = (block->filled + kAlignment - 1) / kAlignment * kAlignment;
    std::memset(block->buffer.data() + block->filled, 0, rounded - block->filled);
    CAIRN_TRY(write_block(*block, rounded));
  }
  open_.clear();
  if (::ftruncate(fd_.get(), static_cast<off_t>(position_)) != 0)
    return os_failure("set the length of", path_);
  return sync_file(fd_.get(), path_, sync_fault);
}

}  // namespace cairn::storage
