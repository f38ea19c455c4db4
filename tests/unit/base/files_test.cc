#include "base/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>

namespace cairn {
namespace {

class Files : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cairn-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  mode_t mode(const std::filesystem::path& path) {
    struct stat st{};
    EXPECT_EQ(::stat(path.c_str(), &st), 0);
    return st.st_mode & 07777;
  }

  std::filesystem::path directory_;
};

TEST_F(Files, PrivateWhateverTheUmask) {
  for (const mode_t mask : {0000, 0022, 0777}) {
    const mode_t before = ::umask(mask);
    const auto name = directory_ / std::to_string(mask);
    const auto made = make_private_directory(name);
    const auto file = create_private_file(name / "f", O_WRONLY);
    ::umask(before);
    ASSERT_TRUE(made);
    ASSERT_TRUE(file);
    EXPECT_EQ(mode(name), 0700U);
    EXPECT_EQ(mode(name / "f"), 0600U);
  }
}

TEST_F(Files, ADirectoryThatIsThereIsClosedToOthers) {
  const auto name = directory_ / "open";
  ASSERT_EQ(::mkdir(name.c_str(), 0777), 0);
  ASSERT_EQ(::chmod(name.c_str(), 0777), 0);
  ASSERT_TRUE(make_private_directory(name));
  EXPECT_EQ(mode(name), 0700U);
}

TEST_F(Files, LinksAndFilesAreNoPrivateDirectories) {
  ASSERT_EQ(::symlink("/tmp", (directory_ / "link").c_str()), 0);
  EXPECT_FALSE(make_private_directory(directory_ / "link"));
  ASSERT_TRUE(create_private_file(directory_ / "file", O_WRONLY));
  EXPECT_FALSE(make_private_directory(directory_ / "file"));
}

TEST_F(Files, APrivateFileIsNeverAnOldOne) {
  ASSERT_TRUE(create_private_file(directory_ / "file", O_WRONLY));
  EXPECT_EQ(create_private_file(directory_ / "file", O_WRONLY).error().code, EEXIST);
  ASSERT_EQ(::symlink("nowhere", (directory_ / "link").c_str()), 0);
  EXPECT_FALSE(create_private_file(directory_ / "link", O_WRONLY));
}

TEST_F(Files, TextComesBackWhole) {
  const std::string text(10'000, 'x');
  const auto file = create_private_file(directory_ / "f", O_WRONLY);
  ASSERT_TRUE(file);
  ASSERT_TRUE(write_all(file->get(), text));
  EXPECT_EQ(read_text_file(directory_ / "f"), text);
  EXPECT_EQ(read_text_file(directory_ / "none").error().code, ENOENT);
}

TEST(Processes, StartTimeTellsTheLivingFromTheDead) {
  EXPECT_NE(process_start_time(::getpid()), 0U);
  EXPECT_EQ(process_start_time(::getpid()), process_start_time(::getpid()));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  int status;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(process_start_time(child), 0U);
}

}  // namespace
}  // namespace cairn
