#include <fcntl.h>
#include <unistd.h>

#include "fixture.h"

namespace cairn::storage {
namespace {

constexpr std::uint64_t kBase = 0x5555'0000'0000;

class CorruptionTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    fill(memory_, random_, kBase, 900, Pattern::kText);
    fill(memory_, random_, kBase + (16 << 20), 300, Pattern::kRandom);
    ASSERT_OK(save({&memory_}));
    for (int i = 0; i < 30; ++i)
      memory_[kBase + random_() % 900 * kPageBytes] = make_page(random_, Pattern::kText);
    ASSERT_OK(save({&memory_}));  // generation 2 needs the pack of generation 1
    for (const std::string& file : files())
      if (file.ends_with(".pack") || file.find("/2/") != std::string::npos) needed_.push_back(file);
    ASSERT_EQ(needed_.size(), 4U);  // two packs, a meta file, a manifest
  }

  void expect_refused(const std::string& damaged, const std::string& what) {
    const auto reader = store_->read_generation(2, VerifyLevel::kContents);
    ASSERT_FALSE(reader.has_value()) << what;
    EXPECT_NE(reader.error().message().find(damaged), std::string::npos)
        << what << ": " << reader.error().message();
  }

  Memory memory_;
  std::vector<std::string> needed_;
};

TEST_F(CorruptionTest, WholeItIsAccepted) {
  for (const bool direct : {false, true}) {
    const auto reader = must(store_->read_generation(2, VerifyLevel::kStructure));
    for (const VerifyLevel level :
         {VerifyLevel::kStructure, VerifyLevel::kContents, VerifyLevel::kPages}) {
      const auto report = reader->verify(level, direct);
      ASSERT_OK(report);
      EXPECT_EQ(report->files, 4U);
      if (level != VerifyLevel::kStructure) {
        EXPECT_EQ(report->pages, 1230U);
      }
    }
  }
}

TEST_F(CorruptionTest, AnyFlippedBitIsRefusedWithTheFileNamed) {
  for (const std::string& file : needed_) {
    const std::uint64_t bytes = std::filesystem::file_size(file);
    const int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    // Beginnings and ends hold the structures; the rest by chance.
    std::vector<std::uint64_t> places;
    for (std::uint64_t i = 0; i < 48; ++i) places.push_back(i), places.push_back(bytes - 1 - i);
    for (int i = 0; i < 100; ++i) places.push_back(random_() % bytes);
    for (const std::uint64_t place : places) {
      char byte;
      ASSERT_EQ(::pread(fd, &byte, 1, static_cast<off_t>(place)), 1);
      const char flipped = static_cast<char>(byte ^ (1 << (random_() % 8)));
      ASSERT_EQ(::pwrite(fd, &flipped, 1, static_cast<off_t>(place)), 1);
      expect_refused(file, "bit flipped at " + std::to_string(place));
      ASSERT_EQ(::pwrite(fd, &byte, 1, static_cast<off_t>(place)), 1);
    }
    ::close(fd);
  }
  EXPECT_EQ(must(load(2))[0], memory_);
}

TEST_F(CorruptionTest, TruncatedOrLongerFilesAreRefused) {
  for (const std::string& file : needed_) {
    const std::string copy = root_ + "/copy";
    std::filesystem::copy_file(file, copy);
    const std::uint64_t bytes = std::filesystem::file_size(file);
    for (const std::uint64_t length :
         {std::uint64_t{0}, std::uint64_t{1}, bytes / 2, bytes - 1, bytes + 1, bytes + 4096}) {
      std::filesystem::resize_file(file, length);
      expect_refused(file, "length " + std::to_string(length) + " of " + std::to_string(bytes));
      std::filesystem::copy_file(copy, file, std::filesystem::copy_options::overwrite_existing);
    }
    std::filesystem::remove(copy);
  }
}

TEST_F(CorruptionTest, MissingAndExchangedFilesAreRefused) {
  for (const std::string& file : needed_) {
    std::filesystem::rename(file, root_ + "/away");
    expect_refused(file, "missing");
    std::filesystem::rename(root_ + "/away", file);
  }
  // The manifest, records or pack of another generation, each whole in itself.
  for (const char* name : {"manifest.json", "node-0.meta", "node-0.pack"}) {
    const std::string mine = path_ + "/2/" + name;
    const std::string other = path_ + "/1/" + name;
    std::filesystem::rename(mine, root_ + "/away");
    std::filesystem::copy_file(other, mine);
    expect_refused(mine, "exchanged");
    std::filesystem::rename(root_ + "/away", mine);
  }
  EXPECT_EQ(must(load(2))[0], memory_);
}

TEST_F(CorruptionTest, ADamagedChunkIsFoundWhileReadingToo) {
  const std::string pack = path_ + "/1/node-0.pack";
  const int fd = ::open(pack.c_str(), O_RDWR | O_CLOEXEC);
  const std::array<char, 64> junk{};
  ASSERT_EQ(::pwrite(fd, junk.data(), junk.size(), 8192), 64);
  ::close(fd);
  const auto loaded = load(2, VerifyLevel::kStructure);  // structure does not look at chunks
  ASSERT_FALSE(loaded.has_value());
  EXPECT_NE(loaded.error().message().find(pack), std::string::npos);
}

TEST_F(CorruptionTest, ADamagedManifestIsListedAsDamaged) {
  std::filesystem::resize_file(path_ + "/2/manifest.json", 100);
  const auto list = must(store_->generations());
  ASSERT_EQ(list.size(), 2U);
  EXPECT_FALSE(list[0].damaged);
  EXPECT_TRUE(list[1].damaged);
  EXPECT_NE(list[1].problem.find("manifest.json"), std::string::npos);
}

TEST_F(CorruptionTest, ANewGenerationDoesNotBuildOnADamagedPack) {
  std::filesystem::resize_file(path_ + "/1/node-0.pack", 8192);
  store_.reset();
  open();
  const auto info = save({&memory_});
  ASSERT_OK(info);
  EXPECT_EQ(must(load(info->number))[0], memory_);
}

}  // namespace
}  // namespace cairn::storage
