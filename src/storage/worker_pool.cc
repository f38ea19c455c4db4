#include "storage/worker_pool.h"

#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <utility>

namespace cairn::storage {

WorkerPool::WorkerPool(unsigned threads) : size_(std::max(threads, 1U)) {}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::submit(Task task) {
  {
    const std::lock_guard lock(mutex_);
    for (auto worker = static_cast<unsigned>(threads_.size()); worker < size_; ++worker)
      threads_.emplace_back([this, worker] { run(worker); });
    tasks_.push_back(std::move(task));
  }
  changed_.notify_one();
}

void WorkerPool::run(unsigned worker) {
  block_all_signals();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !tasks_.empty() || ending_; });
    if (tasks_.empty()) return;
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task(worker);
    task = nullptr;
    lock.lock();
  }
}

void block_all_signals() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

unsigned usable_cpus() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0)
    return std::max(std::thread::hardware_concurrency(), 1U);
  return std::max(static_cast<unsigned>(CPU_COUNT(&set)), 1U);
}

}  // namespace cairn::storage
