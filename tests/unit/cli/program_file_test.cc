#include "cli/program_file.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace cairn::cli {
namespace {

namespace fs = std::filesystem;

class ProgramFile : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cairn-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    path_before_ = std::getenv("PATH");
  }
  void TearDown() override {
    ::setenv("PATH", path_before_.c_str(), 1);
    fs::remove_all(directory_);
  }

  std::string make(const std::string& name, const std::string& content, mode_t mode = 0755) {
    const std::string path = directory_ / name;
    std::ofstream(path, std::ios::binary) << content;
    ::chmod(path.c_str(), mode);
    return path;
  }

  static std::string elf(unsigned char elf_class, std::uint16_t machine, std::uint16_t type) {
    Elf64_Ehdr header{};
    std::copy_n(ELFMAG, SELFMAG, header.e_ident);
    header.e_ident[EI_CLASS] = elf_class;
    header.e_machine = machine;
    header.e_type = type;
    return {reinterpret_cast<const char*>(&header), sizeof header};
  }

  ExitCode refused(const std::string& path) {
    const auto program = resolve_program({path});
    EXPECT_FALSE(program) << path;
    return program ? ExitCode::kOk : program.error().code;
  }

  fs::path directory_;
  std::string path_before_;
};

TEST_F(ProgramFile, IsFoundByPathAndKeepsItsArguments) {
  const std::string file = make("tool", "#!/bin/sh\n");
  ::setenv("PATH", ("/nonexistent:" + directory_.string()).c_str(), 1);
  const auto program = resolve_program({"tool", "-a", ""});
  ASSERT_TRUE(program);
  EXPECT_EQ(program->path, file);
  EXPECT_EQ(program->arguments, (std::vector<std::string>{"tool", "-a", ""}));
}

TEST_F(ProgramFile, WithASlashPathIsNotSearched) {
  ::setenv("PATH", directory_.c_str(), 1);
  make("tool", "#!/bin/sh\n");
  EXPECT_EQ(refused("./tool"), ExitCode::kNotFound);
}

TEST_F(ProgramFile, AnEmptyEntryOfPathIsTheWorkingDirectory) {
  make("tool-here", "#!/bin/sh\n");
  const fs::path before = fs::current_path();
  fs::current_path(directory_);
  ::setenv("PATH", "/nonexistent:", 1);
  const auto program = resolve_program({"tool-here"});
  fs::current_path(before);
  ASSERT_TRUE(program);
  EXPECT_EQ(program->path, "tool-here");
}

TEST_F(ProgramFile, ALaterEntryOfPathMayHaveTheRightOne) {
  make("tool", "", 0644);
  fs::create_directory(directory_ / "later");
  make("later/tool", "#!/bin/sh\n");
  ::setenv("PATH", (directory_.string() + ":" + directory_.string() + "/later").c_str(), 1);
  const auto program = resolve_program({"tool"});
  ASSERT_TRUE(program);
  EXPECT_EQ(program->path, directory_ / "later/tool");
}

TEST_F(ProgramFile, MissingAndNotExecutableAreToldApart) {
  EXPECT_EQ(refused("no-such-program-anywhere"), ExitCode::kNotFound);
  EXPECT_EQ(refused(""), ExitCode::kNotFound);
  EXPECT_EQ(refused("/nonexistent/x"), ExitCode::kNotFound);
  EXPECT_EQ(refused(make("plain", "#!/bin/sh\n", 0644)), ExitCode::kNotExecutable);
  EXPECT_EQ(refused(directory_), ExitCode::kNotExecutable);
}

TEST_F(ProgramFile, OnlyProgramsForThisMachine) {
  EXPECT_TRUE(resolve_program({make("dyn", elf(ELFCLASS64, EM_X86_64, ET_DYN))}));
  EXPECT_TRUE(resolve_program({make("exec", elf(ELFCLASS64, EM_X86_64, ET_EXEC))}));
  EXPECT_EQ(refused(make("i386", elf(ELFCLASS32, EM_386, ET_EXEC))), ExitCode::kNotExecutable);
  EXPECT_EQ(refused(make("x32", elf(ELFCLASS32, EM_X86_64, ET_EXEC))), ExitCode::kNotExecutable);
  EXPECT_EQ(refused(make("arm", elf(ELFCLASS64, EM_AARCH64, ET_EXEC))), ExitCode::kNotExecutable);
  EXPECT_EQ(refused(make("object", elf(ELFCLASS64, EM_X86_64, ET_REL))), ExitCode::kNotExecutable);
  EXPECT_EQ(refused(make("short", "\177ELF")), ExitCode::kNotExecutable);
  EXPECT_EQ(refused(make("binary", std::string("\1\2\0\3", 4))), ExitCode::kNotExecutable);
}

TEST_F(ProgramFile, ATextWithoutAnInterpreterIsForTheShell) {
  const std::string file = make("text", "echo hello\n");
  const auto program = resolve_program({file, "a"});
  ASSERT_TRUE(program);
  EXPECT_EQ(program->path, "/bin/sh");
  EXPECT_EQ(program->arguments, (std::vector<std::string>{"/bin/sh", file, "a"}));
}

TEST_F(ProgramFile, SetUidIsRefusedUnlessItChangesNothing) {
  const std::string mine = make("mine", elf(ELFCLASS64, EM_X86_64, ET_DYN), 04755);
  EXPECT_TRUE(resolve_program({mine}));
  if (::geteuid() == 0) {
    // For root nothing is raised; as an ordinary user root's program is refused.
    ::chmod(directory_.c_str(), 0755);
    ASSERT_EQ(::seteuid(65534), 0);
    const ExitCode code = refused(mine);
    ASSERT_EQ(::seteuid(0), 0);
    EXPECT_EQ(code, ExitCode::kNotExecutable);
  }
}

}  // namespace
}  // namespace cairn::cli
