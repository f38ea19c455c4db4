// Eight threads allocate and free from glibc's arenas throughout; every block keeps its bytes.
//
// flavours: all
// unsteady: maps because threads allocate and give back all the time
#include <pthread.h>

#include <atomic>
#include <random>
#include <vector>

#include "check.h"

namespace {

std::atomic<bool> stop{false};

struct Block {
  char* at;
  size_t bytes;
  uint64_t seed;
};

void* churn(void* argument) {
  std::mt19937_64 random(reinterpret_cast<uintptr_t>(argument));
  std::vector<Block> blocks;
  for (int turn = 0; turn < 4000 || !stop; ++turn) {
    if (blocks.size() < 200) {
      Block block{nullptr, 1 + random() % (random() % 50 == 0 ? 400000 : 2000), random()};
      block.at = static_cast<char*>(malloc(block.bytes));
      CHECK(block.at != nullptr);
      check_fill(block.at, block.bytes, block.seed);
      blocks.push_back(block);
    } else {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      CHECK_BYTES(blocks.back().at, blocks.back().bytes, blocks.back().seed);
      free(blocks.back().at);
      blocks.pop_back();
    }
    if (turn > 4000) check_sleep_ms(1);
  }
  for (const Block& block : blocks) {
    CHECK_BYTES(block.at, block.bytes, block.seed);
    free(block.at);
  }
  return nullptr;
}

}  // namespace

int main() {
  pthread_t threads[8];
  for (uintptr_t i = 0; i < 8; ++i)
    CHECK_OK(pthread_create(&threads[i], nullptr, churn, reinterpret_cast<void*>(i + 1)));
  check_ready();
  check_wait();
  stop = true;
  for (pthread_t thread : threads) CHECK_OK(pthread_join(thread, nullptr));
  check_pass();
}
