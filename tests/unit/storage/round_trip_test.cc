#include "fixture.h"

namespace cairn::storage {
namespace {

constexpr std::uint64_t kBase = 0x7f00'0000'0000;

TEST_F(StoreTest, EveryCodecBringsBackEveryPage) {
  Memory memory;
  fill(memory, random_, kBase, 700, Pattern::kRandom);
  fill(memory, random_, kBase + (8 << 20), 1500, Pattern::kText);
  fill(memory, random_, kBase + (20 << 20), 3, Pattern::kZero);
  fill(memory, random_, 0x1000, 1, Pattern::kText);
  fill(memory, random_, 0x7fff'ffff'e000, 1, Pattern::kText);
  for (const Codec codec : {Codec::kNone, Codec::kZstd, Codec::kLz4}) {
    Store& store = *store_;
    const auto info = save({&memory}, {.codec = codec});
    ASSERT_OK(info);
    const auto loaded = load(info->number);
    ASSERT_OK(loaded);
    ASSERT_EQ(loaded->size(), 1U);
    EXPECT_EQ((*loaded)[0], memory);
    // The next codec must not find the pages stored already.
    ASSERT_OK(save({}));
    ASSERT_OK(store.retain(1));
  }
}

TEST_F(StoreTest, CompressibleChunksAreSmallAndNoiseIsNotLarger) {
  Memory text;
  fill(text, random_, kBase, 2048, Pattern::kText);
  const auto first = save({&text});
  ASSERT_OK(first);
  EXPECT_LT(first->stored_bytes(), text.size() * kPageBytes / 3);
  Memory noise;
  fill(noise, random_, kBase, 2048, Pattern::kRandom);
  const auto second = save({&noise});
  ASSERT_OK(second);
  EXPECT_LT(second->stored_bytes(), noise.size() * kPageBytes * 102 / 100);
}

TEST_F(StoreTest, EmptyMemoryAndNoRecords) {
  const Memory none;
  const auto with_empty = save({&none});
  ASSERT_OK(with_empty);
  const auto loaded = load(with_empty->number);
  ASSERT_OK(loaded);
  EXPECT_EQ(*loaded, std::vector<Memory>{none});
  ASSERT_OK(save({}));
}

TEST_F(StoreTest, ZeroPagesTakeNoSpaceAndHolesStayHoles) {
  Memory memory;
  fill(memory, random_, kBase, 4096, Pattern::kZero);
  memory.erase(kBase + 5 * kPageBytes);
  const auto sent = save({&memory});
  ASSERT_OK(sent);
  EXPECT_EQ(sent->new_bytes(), 0U);
  EXPECT_LT(sent->stored_bytes(), 16384U);
  EXPECT_EQ(sent->memory_bytes(), 4095 * kPageBytes);
  const auto loaded = load(sent->number);
  ASSERT_OK(loaded);
  EXPECT_EQ((*loaded)[0], memory);
}

TEST_F(StoreTest, PagesMarkedZeroAreDeliveredAsZeroAndEqualSentOnes) {
  Memory memory;
  fill(memory, random_, kBase, 10, Pattern::kZero);
  fill(memory, random_, kBase + 10 * kPageBytes, 10, Pattern::kText);
  auto writer = must(store_->begin_generation({}));
  const auto sent = write_memory(*writer, memory, /*mark_zeros=*/false);
  const auto marked = write_memory(*writer, memory, /*mark_zeros=*/true);
  ASSERT_OK(sent);
  ASSERT_OK(marked);
  EXPECT_EQ(*sent, *marked);
  const auto summary = must(writer->finish());
  ASSERT_OK(store_->commit(writer->number(), {summary}, "{}"));
  const auto reader = must(store_->read_generation(1, VerifyLevel::kPages));
  const auto in = must(reader->memory(*marked));
  std::atomic<std::uint64_t> zeros = 0;
  ASSERT_OK(in->for_each([&](const PageSpan& span) -> Result<> {
    if (span.zero) zeros += span.bytes.size();
    for (const std::byte byte : span.bytes)
      if (span.zero && byte != std::byte{0}) return refusal("not zero");
    return {};
  }));
  EXPECT_EQ(zeros, 10 * kPageBytes);
  const std::vector<PageRun> expected{{kBase, 10, true}, {kBase + 10 * kPageBytes, 10, false}};
  EXPECT_EQ(must(in->pages()), expected);
}

TEST_F(StoreTest, IdenticalPagesAreStoredOncePerNode) {
  Memory one;
  fill(one, random_, kBase, 512, Pattern::kRandom);
  Memory shifted;  // the same contents at an address that shares no extent
  for (const auto& [address, page] : one) shifted[address + 3 * kPageBytes + (64 << 20)] = page;
  Memory repeated;
  for (int i = 0; i < 2000; ++i) repeated[kBase + i * kPageBytes] = one.begin()->second;
  const auto info = save({&one, &one, &shifted, &repeated});
  ASSERT_OK(info);
  EXPECT_EQ(info->new_bytes(), 512 * kPageBytes);
  EXPECT_LT(info->stored_bytes(), 520 * kPageBytes);
  const auto loaded = load(info->number);
  ASSERT_OK(loaded);
  EXPECT_EQ(*loaded, (std::vector<Memory>{one, one, shifted, repeated}));
}

TEST_F(StoreTest, UnchangedMemoryCostsMetadataOnly) {
  Memory memory;
  fill(memory, random_, kBase, 8192, Pattern::kRandom);
  ASSERT_OK(save({&memory}));
  const auto again = save({&memory});
  ASSERT_OK(again);
  EXPECT_EQ(again->new_bytes(), 0U);
  EXPECT_LT(again->stored_bytes(), 8192U);
  EXPECT_EQ(must(load(again->number))[0], memory);
}

TEST_F(StoreTest, UnchangedMemoryIsRecognisedByALaterOwner) {
  Memory memory;
  fill(memory, random_, kBase, 2048, Pattern::kRandom);
  ASSERT_OK(save({&memory}));
  Memory changed = memory;
  changed[kBase] = make_page(random_, Pattern::kRandom);
  ASSERT_OK(save({&changed}));
  store_.reset();
  open();
  const auto same = save({&changed});
  ASSERT_OK(same);
  EXPECT_EQ(same->new_bytes(), 0U);
  EXPECT_LT(same->stored_bytes(), 8192U);
  const auto back = save({&memory});
  ASSERT_OK(back);
  EXPECT_EQ(back->new_bytes(), 0U);
  EXPECT_EQ(must(load(back->number))[0], memory);
}

TEST_F(StoreTest, FivePercentOfRandomDirtyPagesCostAboutFivePercent) {
  constexpr std::uint64_t kPages = 16384;
  Memory memory;
  fill(memory, random_, kBase, kPages, Pattern::kRandom);
  ASSERT_OK(save({&memory}));
  std::vector<std::uint64_t> numbers(kPages);
  for (std::uint64_t i = 0; i < kPages; ++i) numbers[i] = i;
  std::shuffle(numbers.begin(), numbers.end(), random_);
  for (std::uint64_t i = 0; i < kPages / 20; ++i)
    memory[kBase + numbers[i] * kPageBytes] = make_page(random_, Pattern::kRandom);
  const auto info = save({&memory});
  ASSERT_OK(info);
  EXPECT_EQ(info->new_bytes(), kPages / 20 * kPageBytes);
  EXPECT_LT(info->stored_bytes(), kPages * kPageBytes * 53 / 1000);
  EXPECT_EQ(must(load(info->number))[0], memory);
}

TEST_F(StoreTest, ManyGenerationsOfScatteredChanges) {
  Memory memory;
  fill(memory, random_, kBase, 3000, Pattern::kText);
  std::map<std::uint64_t, Memory> history;
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < 40; ++i) {
      const std::uint64_t address = kBase + random_() % 4000 * kPageBytes;
      if (random_() % 4 == 0)
        memory.erase(address);
      else
        memory[address] = make_page(random_, random_() % 3 == 0 ? Pattern::kZero : Pattern::kText);
    }
    history[must(save({&memory})).number] = memory;
  }
  for (const auto& [number, expected] : history) EXPECT_EQ(must(load(number))[0], expected);
}

TEST_F(StoreTest, SparseAddressSpace) {
  Memory memory;
  for (int i = 0; i < 500; ++i)
    memory[random_() % (0x7fff'ffff'f000 / kPageBytes) * kPageBytes] =
        make_page(random_, Pattern::kText);
  const auto info = save({&memory});
  ASSERT_OK(info);
  EXPECT_EQ(must(load(info->number))[0], memory);
}

TEST_F(StoreTest, SeveralWritersAndThreadsAtOnce) {
  auto writer = must(store_->begin_generation({}));
  std::vector<Memory> memories(4);
  for (std::size_t i = 0; i < memories.size(); ++i)
    fill(memories[i], random_, kBase, 1024 + 256 * i,
         i % 2 == 0 ? Pattern::kText : Pattern::kRandom);
  std::vector<Result<PageDataRef>> refs(memories.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < memories.size(); ++i)
    threads.emplace_back([&, i] { refs[i] = write_memory(*writer, memories[i]); });
  for (std::thread& thread : threads) thread.join();
  const auto summary = must(writer->finish());
  ASSERT_OK(store_->commit(writer->number(), {summary}, "{}"));
  const auto reader = must(store_->read_generation(1, VerifyLevel::kPages));
  for (std::size_t i = 0; i < memories.size(); ++i) {
    ASSERT_OK(refs[i]);
    EXPECT_EQ(must(read_memory(*reader, *refs[i])), memories[i]);
  }
}

TEST_F(StoreTest, RecordsComeBackInOrder) {
  auto writer = must(store_->begin_generation({}));
  const std::string large(3'000'000, 'x');
  const std::string binary("\0\1\2\377", 4);
  ASSERT_OK(writer->add_record(1, 7, large));
  ASSERT_OK(writer->add_record(2, 8, ""));
  ASSERT_OK(writer->add_record(2, ~0ULL, binary));
  EXPECT_FALSE(writer->add_record(0xffffffff, 1, "").has_value());
  const auto summary = must(writer->finish());
  EXPECT_EQ(summary.records, 3U);
  ASSERT_OK(store_->commit(1, {summary}, R"({"a":[1,2]})"));
  const auto reader = must(store_->read_generation(1, VerifyLevel::kPages));
  ASSERT_EQ(reader->records().size(), 3U);
  EXPECT_EQ(reader->records()[0].payload, large);
  EXPECT_EQ(reader->records()[1].payload, "");
  EXPECT_EQ(reader->records()[2].payload, binary);
  EXPECT_EQ(reader->records()[2].id, ~0ULL);
  EXPECT_EQ(reader->records()[2].kind, 2U);
  EXPECT_EQ(reader->info().info, R"({"a":[1,2]})");
}

TEST_F(StoreTest, WrongBatchesAreRefused) {
  const auto send = [this](const std::vector<std::vector<PageRun>>& batches) {
    auto writer = must(store_->begin_generation({}));
    const auto out = writer->memory();
    const Result<> outcome =
        out->add_pages(batches, [](const auto&, std::byte*) -> Result<> { return {}; });
    const Result<PageDataRef> ref = out->finish();
    EXPECT_FALSE(outcome && ref);
    must(store_->abort(writer->number()));
  };
  send({{{kBase + 1, 1}}});
  send({{{kBase, 513}}});
  send({{{kBase + kPageBytes, 1}, {kBase, 1}}});
  send({{{kBase, 1}}, {{kBase + kPageBytes, 1}}});  // one extent in two batches
}

TEST_F(StoreTest, TwoNodesCommitTogether) {
  Memory first;
  Memory second;
  fill(first, random_, kBase, 300, Pattern::kText);
  fill(second, random_, kBase, 300, Pattern::kRandom);
  const auto other = must(Store::open(path_, {.workers = 1}));
  other->join_ownership(*must(store_->owner()));
  for (int round = 0; round < 3; ++round) {
    auto writer = must(store_->begin_generation({.node = 0}));
    auto joined = must(other->join_generation(writer->number(), {.node = 1}));
    const auto ref = must(write_memory(*writer, first));
    const auto ref1 = must(write_memory(*joined, second));
    must(writer->add_record(1, 1, ref.encode()));
    must(joined->add_record(1, 2, ref1.encode()));
    const auto here = must(writer->finish());
    const auto there = must(node_summary_from_json(to_json(must(joined->finish()))));
    const auto info = store_->commit(writer->number(), {here, there}, "{}");
    ASSERT_OK(info);
    other->committed(info->number);
    EXPECT_EQ(must(load(info->number)), (std::vector<Memory>{first, second}));
    if (round > 0) {
      EXPECT_EQ(info->new_bytes(), 0U);
    }
  }
}

}  // namespace
}  // namespace cairn::storage
