#pragma once
// A fixed number of large buffers, made once and used again and again: the first touch of fresh
// memory costs more than compressing it, and the agent counts against the job's memory.

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"

namespace cairn::storage {

class BufferPool;

// One buffer, aligned for direct I/O; goes back to its pool when dropped.
class PageBuffer {
 public:
  PageBuffer() = default;
  PageBuffer(PageBuffer&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), data_(std::exchange(other.data_, nullptr)) {}
  PageBuffer& operator=(PageBuffer&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    return *this;
  }
  PageBuffer(const PageBuffer&) = delete;
  PageBuffer& operator=(const PageBuffer&) = delete;
  ~PageBuffer();

  [[nodiscard]] std::span<std::byte> bytes() const;
  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] bool valid() const { return data_ != nullptr; }

 private:
  friend class BufferPool;
  PageBuffer(BufferPool* pool, std::byte* data) : pool_(pool), data_(data) {}
  BufferPool* pool_ = nullptr;
  std::byte* data_ = nullptr;
};

// Outlives its buffers.
class BufferPool {
 public:
  BufferPool(std::size_t buffer_bytes, std::size_t count)
      : buffer_bytes_(buffer_bytes), limit_(count) {}
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // Waits until a buffer is free.
  Result<PageBuffer> acquire();
  [[nodiscard]] std::size_t buffer_bytes() const { return buffer_bytes_; }

 private:
  friend class PageBuffer;
  void give_back(std::byte* data);

  const std::size_t buffer_bytes_;
  const std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::byte*> free_;
  std::vector<std::byte*> all_;
};

inline std::span<std::byte> PageBuffer::bytes() const {
  return data_ == nullptr ? std::span<std::byte>() : std::span(data_, pool_->buffer_bytes());
}

}  // namespace cairn::storage
