#include "patch/plan_cache.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "patch_fixture.h"

namespace cairn::patch {
namespace {

namespace fs = std::filesystem;

class Cache : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "plans.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { fs::remove_all(root_); }
  static ElfFile open(const std::string& path) { return std::move(*ElfFile::open(path)); }
  static unsigned mode(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 0777;
  }
  std::string root_;
};

TEST_F(Cache, WritesWholeFilesUnderTheBuildId) {
  const PlanCache cache(root_ + "/a/b");
  const ElfFile file = open(PATTERNS);
  EXPECT_FALSE(cache.holds(file));
  ASSERT_TRUE(cache.ensure(PATTERNS));
  EXPECT_TRUE(cache.holds(file));
  const std::string path = cache.path_for(file);
  EXPECT_EQ(fs::path(path).filename().string().size(), 40 + std::strlen(".v02"));
  EXPECT_EQ(mode(path), 0644U);
  EXPECT_EQ(mode(root_ + "/a/b"), 0700U);
  std::ifstream in(path, std::ios::binary);
  const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(bytes, make_plan(file).serialize());
  EXPECT_EQ(std::distance(fs::directory_iterator(cache.directory()), {}), 1);  // no temporary file
}

TEST_F(Cache, FilesWithoutBuildIdAreNamedByWhatTheyAre) {
  const PlanCache cache(root_);
  const std::string copy = root_ + "/copy.so";
  fs::copy_file(PATTERNS_ANONYMOUS, copy);
  const std::string before = cache.path_for(open(copy));
  EXPECT_NE(before.find("/file-"), std::string::npos);
  ASSERT_TRUE(cache.ensure(copy));
  EXPECT_TRUE(cache.holds(open(copy)));
  fs::last_write_time(copy, fs::last_write_time(copy) + std::chrono::seconds(1));
  EXPECT_NE(cache.path_for(open(copy)), before);
  EXPECT_FALSE(cache.holds(open(copy)));
}

TEST_F(Cache, PlansThatOthersMayHaveWrittenAreMadeAnew) {
  const PlanCache cache(root_);
  const ElfFile file = open(PATTERNS);
  ASSERT_TRUE(cache.ensure(PATTERNS));
  const std::string path = cache.path_for(file);
  for (const ::mode_t writable : {0664U, 0646U, 0666U}) {
    ASSERT_EQ(::chmod(path.c_str(), writable), 0);
    EXPECT_FALSE(cache.holds(file));
    ASSERT_TRUE(cache.ensure(PATTERNS));
    EXPECT_TRUE(cache.holds(file));
    EXPECT_EQ(mode(path), 0644U);
  }
  if (::geteuid() != 0) return;  // only root can give a file away
  ASSERT_EQ(::chown(path.c_str(), 65534, 65534), 0);
  EXPECT_FALSE(cache.holds(file));
}

TEST_F(Cache, DamagedPlansAreMadeAnew) {
  const PlanCache cache(root_);
  const ElfFile file = open(PATTERNS);
  ASSERT_TRUE(cache.ensure(PATTERNS));
  const std::string path = cache.path_for(file);
  const auto size = fs::file_size(path);

  fs::resize_file(path, size - 1);
  EXPECT_FALSE(cache.holds(file));
  fs::resize_file(path, size);  // a zero in place of the last byte, as after a crash
  std::fstream(path, std::ios::in | std::ios::out).seekp(100).write("\xff\xff\xff", 3);
  EXPECT_FALSE(cache.holds(file));
  ASSERT_TRUE(cache.ensure(PATTERNS));
  EXPECT_TRUE(cache.holds(file));
}

TEST_F(Cache, FailuresAreReported) {
  std::ofstream(root_ + "/file") << "in the way";
  const auto result = PlanCache(root_ + "/file").ensure(PATTERNS);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ENOTDIR);
}

TEST_F(Cache, DirectoryComesFromTheEnvironment) {
  ::setenv("HOME", "/h", 1);
  ::unsetenv("XDG_CACHE_HOME");
  ::unsetenv("CAIRN_PLAN_CACHE");
  EXPECT_EQ(*PlanCache::default_directory(), "/h/.cache/cairn/plans");
  ::setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(*PlanCache::default_directory(), "/x/cairn/plans");
  ::setenv("CAIRN_PLAN_CACHE", "/c", 1);
  EXPECT_EQ(*PlanCache::default_directory(), "/c");
  ::unsetenv("CAIRN_PLAN_CACHE");
}

TEST_F(Cache, TheProgramFillsIt) {
  const std::string command = std::string(CAIRN_PLAN) + " --cache " + root_ + " " PATTERNS;
  EXPECT_EQ(::system(command.c_str()), 0);
  EXPECT_TRUE(PlanCache(root_).holds(open(PATTERNS)));
  const int status = ::system((command + " /nonexistent 2>/dev/null").c_str());
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

}  // namespace
}  // namespace cairn::patch
