#include "fixture.h"
#include "storage/hash_index.h"
#include "storage/output_stream.h"

namespace cairn::storage {
namespace {

TEST(PlanBatches, KeepsExtentsTogetherAndFitsTheBuffer) {
  std::mt19937_64 random(7);
  std::vector<PageRun> runs;
  std::uint64_t address = 0x1000;
  std::uint64_t pages = 0;
  for (int i = 0; i < 2000; ++i) {
    address += (1 + random() % 400) * kPageBytes;
    const auto count = static_cast<std::uint32_t>(1 + random() % 900);
    runs.push_back({address, count, random() % 5 == 0});
    address += count * kPageBytes;
    pages += count;
  }
  std::map<std::uint64_t, std::size_t> batch_of;
  std::uint64_t seen = 0;
  const auto batches = plan_batches(runs);
  for (std::size_t i = 0; i < batches.size(); ++i) {
    std::uint64_t data = 0;
    for (const PageRun& run : batches[i]) {
      seen += run.pages;
      if (!run.zero) data += run.pages;
      const std::uint64_t extent = run.address / kExtentBytes;
      EXPECT_EQ((run.address + run.pages * kPageBytes - 1) / kExtentBytes, extent);
      EXPECT_EQ(batch_of.try_emplace(extent, i).first->second, i);
    }
    EXPECT_LE(data, kExtentPages);
  }
  EXPECT_EQ(seen, pages);
  EXPECT_TRUE(plan_batches({}).empty());
}

TEST(HashIndexTest, RemembersFirstReferencesAndForgets) {
  HashIndex index(1 << 24);
  std::mt19937_64 random(3);
  std::vector<Hash> hashes;
  for (std::uint64_t i = 1; i <= 50000; ++i) {
    hashes.push_back({random(), random()});
    EXPECT_EQ(index.find(hashes.back()), 0U);
    EXPECT_EQ(index.find_or_insert(hashes.back(), i), i);
    EXPECT_EQ(index.find_or_insert(hashes.back(), i + 1), i);
  }
  index.remove_if([](std::uint64_t ref) { return ref % 2 == 0; });
  for (std::uint64_t i = 1; i <= hashes.size(); ++i)
    EXPECT_EQ(index.find(hashes[i - 1]), i % 2 == 0 ? 0 : i);
}

TEST(HashIndexTest, IsBounded) {
  HashIndex index(64 * 64 * 24);  // 64 places in each of 64 shards
  std::mt19937_64 random(4);
  std::size_t kept = 0;
  for (std::uint64_t i = 1; i <= 100000; ++i) {
    const Hash hash{random(), random()};
    EXPECT_EQ(index.find_or_insert(hash, i), i);
    kept += index.find(hash) == i ? 1 : 0;
  }
  EXPECT_EQ(kept, 64U * 48U);
}

TEST(HashIndexTest, TheStoreIsRightWhenTheIndexIsFull) {
  std::string root = (std::filesystem::temp_directory_path() / "cairn-index-XXXXXX").string();
  ASSERT_NE(::mkdtemp(root.data()), nullptr);
  {
    const auto store =
        must(Store::open(root + "/s", {.create = true, .workers = 2, .index_bytes = 1}));
    must(store->take_ownership({.job_id = "job"}, Takeover::kAlways));
    std::mt19937_64 random(5);
    Memory memory;
    fill(memory, random, 0x10000000, 12000, Pattern::kRandom);
    for (int round = 0; round < 2; ++round) {
      auto writer = must(store->begin_generation({}));
      const auto ref = must(write_memory(*writer, memory));
      const auto summary = must(writer->finish());
      must(store->commit(writer->number(), {summary}, "{}"));
      const auto reader = must(store->read_generation(writer->number(), VerifyLevel::kPages));
      EXPECT_EQ(must(read_memory(*reader, ref)), memory);
    }
  }
  std::filesystem::remove_all(root);
}

TEST(CodecTest, RoundTripAndDamage) {
  std::mt19937_64 random(6);
  for (const Codec codec : {Codec::kNone, Codec::kZstd, Codec::kLz4}) {
    Compressor compressor(codec, 1);
    Decompressor decompressor;
    for (const Pattern pattern : {Pattern::kText, Pattern::kRandom}) {
      for (const std::size_t pages : {std::size_t{1}, std::size_t{7}, std::size_t{256}}) {
        std::vector<std::byte> input;
        for (std::size_t i = 0; i < pages; ++i) {
          const Page page = make_page(random, pattern);
          input.insert(input.end(), page.begin(), page.end());
        }
        const auto output = compressor.compress(input);
        EXPECT_LE(output.bytes.size(), input.size());
        EXPECT_EQ(output.codec, pattern == Pattern::kRandom ? Codec::kNone : codec);
        std::vector<std::byte> back(input.size());
        ASSERT_OK(decompressor.decompress(output.codec, output.bytes, back, "test"));
        EXPECT_EQ(back, input);
        EXPECT_FALSE(
            decompressor
                .decompress(output.codec, output.bytes.first(output.bytes.size() - 1), back, "test")
                .has_value());
      }
    }
  }
  EXPECT_FALSE(codec_from_name("gzip").has_value());
  for (const Codec codec : {Codec::kNone, Codec::kZstd, Codec::kLz4})
    EXPECT_EQ(must(codec_from_name(codec_name(codec))), codec);
}

TEST(ManifestTest, SurvivesItsOwnTextAndNothingElse) {
  GenerationInfo info;
  info.number = 12;
  info.incarnation = 3;
  info.job_id = "job \"x\"";
  info.committed_ns = 1'700'000'000'123'456'789;
  info.quirks = {"one", "two"};
  info.info = R"({"command":["a","b"]})";
  NodeSummary node;
  node.node = 4;
  node.meta = {"12/node-4.meta", 99, {1, ~0ULL}};
  node.packs = {{"3/node-4.pack", 1ULL << 50, {5, 6}}};
  node.memory_bytes = 1ULL << 60;
  info.nodes = {node};
  const std::string text = manifest_to_text(info);
  const auto back = must(manifest_from_text(text, "m"));
  EXPECT_EQ(back.committed_ns, info.committed_ns);
  EXPECT_EQ(back.quirks, info.quirks);
  EXPECT_EQ(back.info, info.info);
  EXPECT_EQ(back.nodes[0].packs[0].bytes, 1ULL << 50);
  EXPECT_EQ(back.nodes[0].meta.identity, (Hash{1, ~0ULL}));
  EXPECT_EQ(manifest_to_text(back), text);
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(manifest_from_text(changed, "m").has_value()) << i;
  }
  EXPECT_FALSE(manifest_from_text(text + " ", "m").has_value());
}

TEST(PageDataRefTest, EncodesToBytesAndBack) {
  const PageDataRef ref{1ULL << 40, 7, 1ULL << 41, {3, 4}, 5};
  EXPECT_EQ(must(PageDataRef::decode(ref.encode())), ref);
  EXPECT_FALSE(PageDataRef::decode("short").has_value());
}

TEST(FaultText, IsReadFromTheVariablesForm) {
  fault::Armed armed;
  fault::arm_from_text(armed, "rename_commit:ENOSPC:3");
  EXPECT_EQ(armed.point, FaultPoint::kRenameCommit);
  EXPECT_EQ(armed.action, FaultAction::kEnospc);
  EXPECT_EQ(armed.countdown, 3);
  EXPECT_DEATH(fault::arm_from_text(armed, "no_such_point:kill"), "");
  EXPECT_DEATH(fault::arm_from_text(armed, "pack_write:explode"), "");
}

}  // namespace
}  // namespace cairn::storage
