#pragma once
// A store in a directory of its own, and memory as the tests see it: pages by address.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "base/fault.h"
#include "storage/store.h"

namespace cairn::storage {

#define ASSERT_OK(expr)                                                \
  do {                                                                 \
    const auto& ok_result = (expr);                                    \
    ASSERT_TRUE(ok_result.has_value()) << ok_result.error().message(); \
  } while (false)
#define EXPECT_OK(expr)                                                \
  do {                                                                 \
    const auto& ok_result = (expr);                                    \
    EXPECT_TRUE(ok_result.has_value()) << ok_result.error().message(); \
  } while (false)

// The value, or the end of the test program with the reason.
template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

using Page = std::vector<std::byte>;
using Memory = std::map<std::uint64_t, Page>;

enum class Pattern { kRandom, kText, kZero };

inline Page make_page(std::mt19937_64& random, Pattern pattern) {
  Page page(kPageBytes);
  if (pattern == Pattern::kZero) return page;
  for (std::size_t i = 0; i < kPageBytes; i += 8) {
    std::uint64_t word = random();
    if (pattern == Pattern::kText) word &= 0x0000'0000'0007'0707ULL;
    std::memcpy(page.data() + i, &word, 8);
  }
  return page;
}

inline void fill(Memory& memory, std::mt19937_64& random, std::uint64_t start, std::uint64_t pages,
                 Pattern pattern) {
  for (std::uint64_t i = 0; i < pages; ++i)
    memory[start + i * kPageBytes] = make_page(random, pattern);
}

// Marks pages in `known_zero` as zero instead of sending them.
inline Result<PageDataRef> write_memory(GenerationWriter& writer, const Memory& memory,
                                        bool mark_zeros = false) {
  std::vector<PageRun> runs;
  const Page zeros(kPageBytes);
  for (const auto& [address, page] : memory) {
    const bool zero = mark_zeros && page == zeros;
    if (!runs.empty() && runs.back().zero == zero &&
        runs.back().address + runs.back().pages * kPageBytes == address)
      ++runs.back().pages;
    else
      runs.push_back({address, 1, zero});
  }
  const auto out = writer.memory();
  CAIRN_TRY(out->add_pages(plan_batches(runs), [&](const auto& batch, std::byte* place) -> Result<> {
    for (const PageRun& run : batch)
      for (std::uint32_t i = 0; i < run.pages && !run.zero; ++i, place += kPageBytes)
        std::memcpy(place, memory.at(run.address + i * kPageBytes).data(), kPageBytes);
    return {};
  }));
  return out->finish();
}

inline Result<Memory> read_memory(GenerationReader& reader, const PageDataRef& ref) {
  CAIRN_ASSIGN(const auto in, reader.memory(ref));
  Memory memory;
  std::mutex mutex;
  CAIRN_TRY(in->for_each([&](const PageSpan& span) -> Result<> {
    const std::lock_guard lock(mutex);
    for (std::size_t at = 0; at < span.bytes.size(); at += kPageBytes) {
      const auto page = span.bytes.subspan(at, kPageBytes);
      if (!memory.emplace(span.address + at, Page(page.begin(), page.end())).second)
        return refusal("a page was delivered twice");
    }
    return {};
  }));
  return memory;
}

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "cairn-store-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    path_ = root_ + "/store";
    open();
  }
  void TearDown() override {
    fault::disarm();
    store_.reset();
    std::filesystem::remove_all(root_);
  }

  void open() {
    store_ = must(Store::open(path_, {.create = true, .workers = 3}));
    must(store_->take_ownership({.job_id = "job"}, Takeover::kAlways));
  }

  // One generation with one record and the given memories. The refs are the record's payload.
  Result<GenerationInfo> save(const std::vector<const Memory*>& memories,
                              WriteOptions options = {}) {
    auto begun = store_->begin_generation(options);
    if (!begun) return Failure(begun.error());
    const std::uint64_t number = (*begun)->number();
    auto done = save_into(**begun, memories);
    begun->reset();
    if (!done) CAIRN_TRY(store_->abort(number));
    return done;
  }

  Result<GenerationInfo> save_into(GenerationWriter& writer,
                                   const std::vector<const Memory*>& memories) {
    std::string refs;
    for (const Memory* memory : memories) {
      CAIRN_ASSIGN(const PageDataRef ref, write_memory(writer, *memory));
      refs += ref.encode();
    }
    CAIRN_TRY(writer.add_record(1, 42, refs));
    CAIRN_ASSIGN(const NodeSummary summary, writer.finish());
    return store_->commit(writer.number(), {summary}, R"({"name":"test"})");
  }

  Result<std::vector<Memory>> load(std::uint64_t number,
                                   VerifyLevel level = VerifyLevel::kPages) const {
    CAIRN_ASSIGN(const auto reader, store_->read_generation(number, level));
    std::vector<Memory> memories;
    for (const Record& record : reader->records())
      for (std::size_t at = 0; at < record.payload.size(); at += 48) {
        CAIRN_ASSIGN(const auto ref,
                     PageDataRef::decode(std::string_view(record.payload).substr(at, 48)));
        CAIRN_ASSIGN(auto memory, read_memory(*reader, ref));
        memories.push_back(std::move(memory));
      }
    return memories;
  }

  [[nodiscard]] std::uint64_t stored_bytes() const {
    std::uint64_t total = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_))
      if (entry.is_regular_file()) total += entry.file_size();
    return total;
  }

  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> list;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_))
      if (entry.is_regular_file()) list.push_back(entry.path().string());
    std::sort(list.begin(), list.end());
    return list;
  }

  std::string root_;
  std::string path_;
  std::unique_ptr<Store> store_;
  std::mt19937_64 random_{20240501};
};

}  // namespace cairn::storage
