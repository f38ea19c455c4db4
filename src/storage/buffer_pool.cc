#include "storage/buffer_pool.h"

#include <sys/mman.h>

namespace cairn::storage {

PageBuffer::~PageBuffer() {
  if (data_ != nullptr) pool_->give_back(data_);
}

BufferPool::~BufferPool() {
  for (std::byte* data : all_) ::munmap(data, buffer_bytes_);
}

Result<PageBuffer> BufferPool::acquire() {
  std::unique_lock lock(mutex_);
  if (free_.empty() && all_.size() < limit_) {
    void* data =
        ::mmap(nullptr, buffer_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) return os_failure("map a buffer");
    ::madvise(data, buffer_bytes_, MADV_HUGEPAGE);  // a wish: small pages serve too
    ::madvise(data, buffer_bytes_, MADV_DONTFORK);
    all_.push_back(static_cast<std::byte*>(data));
    return PageBuffer(this, all_.back());
  }
  returned_.wait(lock, [this] { return !free_.empty(); });
  // The last one returned is the one that is still in the caches.
  std::byte* data = free_.back();
  free_.pop_back();
  return PageBuffer(this, data);
}

void BufferPool::give_back(std::byte* data) {
  {
    const std::lock_guard lock(mutex_);
    free_.push_back(data);
  }
  returned_.notify_one();
}

}  // namespace cairn::storage
