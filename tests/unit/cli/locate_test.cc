#include "cli/locate.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace cairn::cli {
namespace {

namespace fs = std::filesystem;

class Locate : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cairn-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = fs::canonical(name);
    before_ = fs::current_path();
    fs::current_path(directory_);
  }
  void TearDown() override {
    fs::current_path(before_);
    fs::remove_all(directory_);
  }

  void make_generation(const std::string& path) {
    fs::create_directories(path);
    std::ofstream(path + "/manifest.json") << "{}";
  }

  fs::path directory_;
  fs::path before_;
};

TEST_F(Locate, AStoreOrAGenerationOfIt) {
  make_generation("store/3");
  const auto store = find_store("store", "");
  ASSERT_TRUE(store);
  EXPECT_EQ(store->directory, directory_ / "store");
  EXPECT_FALSE(store->generation);
  const auto generation = find_store("store/3", "");
  ASSERT_TRUE(generation);
  EXPECT_EQ(generation->directory, directory_ / "store");
  EXPECT_EQ(generation->generation, 3U);
  EXPECT_EQ(find_store("./store/3/", "")->generation, 3U);
}

TEST_F(Locate, WithDirABareNumberIsAGeneration) {
  make_generation("store/3");
  const auto found = find_store("3", "store");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->directory, directory_ / "store");
  EXPECT_EQ(found->generation, 3U);
}

TEST_F(Locate, AStoreMayBeCalledByANumber) {
  make_generation("2030/1");
  const auto found = find_store("2030", "");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->directory, directory_ / "2030");
  EXPECT_FALSE(found->generation);
}

TEST_F(Locate, WithoutAnythingTheOnlyOneHere) {
  EXPECT_FALSE(find_store("", ""));
  fs::create_directory("cairn-a");
  EXPECT_EQ(find_store("", "")->directory, directory_ / "cairn-a");
  fs::create_directory("cairn-b");
  const auto two = find_store("", "");
  ASSERT_FALSE(two);
  EXPECT_NE(two.error().message().find("cairn-a, cairn-b"), std::string::npos);
  EXPECT_EQ(find_store("", "cairn-b")->directory, directory_ / "cairn-b");
}

TEST_F(Locate, WhatIsNotThereIsAnError) {
  EXPECT_EQ(find_store("nothing", "").error().code, ENOENT);
}

TEST_F(Locate, OneNameForOneDirectory) {
  fs::create_directory("real");
  fs::create_symlink("real", "link");
  EXPECT_EQ(absolute("link"), absolute("./real/../real/"));
  EXPECT_EQ(absolute("not/there"), (directory_ / "not/there").string());
}

}  // namespace
}  // namespace cairn::cli
