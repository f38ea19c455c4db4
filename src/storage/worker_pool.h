#pragma once
// Threads that run tasks in the order of their coming.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace cairn::storage {

class WorkerPool {
 public:
  using Task = std::function<void(unsigned worker)>;  // `worker` counts from 0

  explicit WorkerPool(unsigned threads);
  ~WorkerPool();  // after all tasks
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  void submit(Task task);
  [[nodiscard]] unsigned size() const { return size_; }

 private:
  void run(unsigned worker);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool ending_ = false;
  const unsigned size_;
  std::vector<std::thread> threads_;  // started with the first task: most jobs end without any
};

// For the threads of this folder: signals belong to the threads that the program made itself.
void block_all_signals();

// The CPUs this process may use (a Slurm step's share), at least 1.
unsigned usable_cpus();

}  // namespace cairn::storage
