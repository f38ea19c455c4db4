#pragma once
// A file written from front to back by several threads: each append gets its place at once and is
// copied there without a lock; full blocks are written by two threads of their own, so that the
// device always has the next one, around the page cache where the file system allows it, so that the
// sync at the end has nothing left to do.

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "storage/buffer_pool.h"

namespace cairn::storage {

class OutputStream {
 public:
  // `blocks` gives the blocks, of which it needs at least four.
  static Result<std::unique_ptr<OutputStream>> create(const std::string& path, BufferPool& blocks);
  ~OutputStream();

  // Where the bytes will be in the file; at most half a block of them, which may be reused on
  // return.
  Result<std::uint64_t> append(std::span<const std::byte> bytes);

  // Any number of bytes, while nobody else appends.
  Result<> append_long(std::span<const std::byte> bytes);

  [[nodiscard]] std::uint64_t size() const { return position_; }

  // Writes what is left and syncs the file.
  Result<> finish(FaultPoint sync_fault);

  // The fault point of writes from now on.
  void set_write_fault(FaultPoint fault) { write_fault_ = fault; }

 private:
  struct Block {
    PageBuffer buffer;
    std::uint64_t offset = 0;
    std::size_t filled = 0;  // under mutex_
    FaultPoint fault = FaultPoint::kNone;  // of its writing: that of the moment when it was full
  };

  OutputStream(std::string path, Fd fd, BufferPool& blocks);
  Result<std::shared_ptr<Block>> block_at(std::uint64_t offset);
  void end_threads();
  void write_blocks();
  Result<> write_block(Block& block, std::size_t bytes);
  void fill(const std::shared_ptr<Block>& block, std::size_t bytes);

  const std::string path_;
  const Fd fd_;
  BufferPool& blocks_;
  std::atomic<FaultPoint> write_fault_ = FaultPoint::kPackWrite;

  std::mutex place_mutex_;  // orders appends
  std::uint64_t position_ = 0;
  std::deque<std::shared_ptr<Block>> open_;  // not full yet, by offset; at most two

  std::mutex mutex_;  // the writing threads'
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Block>> full_;
  bool ending_ = false;
  Error error_;
  bool failed_ = false;
  std::array<std::thread, 2> threads_;
};

}  // namespace cairn::storage
