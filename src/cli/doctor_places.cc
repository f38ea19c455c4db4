// The directory of the images and the program, as doctor sees them.

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/fd.h"
#include "cli/doctor_checks.h"
#include "cli/output.h"
#include "cli/program_file.h"

namespace cairn::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLittleSpace = 1ULL << 30;

std::string nearest_existing(const std::string& directory) {
  fs::path path = directory;
  std::error_code error;
  while (!fs::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  return path;
}

Check check_space(const std::string& directory) {
  struct statvfs space {};
  if (::statvfs(directory.c_str(), &space) != 0)
    return {"space", Finding::kFails, std::strerror(errno), "choose another --dir"};
  const std::uint64_t bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
  const std::string detail = format_bytes(bytes) + " free in " + directory;
  if (bytes >= kLittleSpace) return {"space", Finding::kGood, detail, {}};
  return {"space", Finding::kLess, detail, "an image takes up to the memory of the program"};
}

// The owner of a store is made known by link(2).
Check check_links(const std::string& draft) {
  const std::string second = draft + ".link";
  const bool linked = ::link(draft.c_str(), second.c_str()) == 0;
  const int why = errno;
  ::unlink(second.c_str());
  if (linked) return {"links", Finding::kGood, "hard links, as the owner file needs", {}};
  return {"links", Finding::kFails, std::string("no hard links: ") + std::strerror(why),
          "choose a --dir on another file system"};
}

Check check_direct(const std::string& draft) {
  const Fd fd(::open(draft.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
  if (fd.valid()) return {"direct I/O", Finding::kGood, "around the page cache", {}};
  return {"direct I/O", Finding::kLess, "not on this file system",
          "images pass the page cache, and verify --direct does not reach the device"};
}

struct Elf {
  bool readable = false;
  std::string interpreter;  // empty: static
};

Elf read_elf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Elf64_Ehdr header{};
  Elf elf;
  if (!file.read(reinterpret_cast<char*>(&header), sizeof header) ||
      !std::equal(ELFMAG, ELFMAG + SELFMAG, header.e_ident))
    return elf;
  elf.readable = true;
  for (std::uint16_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    file.seekg(static_cast<std::streamoff>(header.e_phoff + i * sizeof segment));
    if (!file.read(reinterpret_cast<char*>(&segment), sizeof segment)) return elf;
    if (segment.p_type != PT_INTERP || segment.p_filesz == 0 || segment.p_filesz > PATH_MAX)
      continue;
    elf.interpreter.resize(segment.p_filesz - 1);
    file.seekg(static_cast<std::streamoff>(segment.p_offset));
    file.read(elf.interpreter.data(), static_cast<std::streamsize>(elf.interpreter.size()));
  }
  return elf;
}

// What the program's own loader says of its libraries; nothing of the program runs.
std::string list_libraries(const std::string& loader, const std::string& program) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(ends[1], STDERR_FILENO);
    ::execl(loader.c_str(), loader.c_str(), "--list", program.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  const Fd output(ends[0]);
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0; (n = ::read(output.get(), buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(n));
  if (child > 0) ::waitpid(child, nullptr, 0);
  return text;
}

std::string missing_libraries(const std::string& listing) {
  constexpr std::string_view kMissing = " => not found";
  constexpr std::string_view kGivenUp = "error while loading shared libraries: ";
  std::string names;
  if (const std::size_t at = listing.find(kGivenUp); at != std::string::npos) {
    const std::size_t start = at + kGivenUp.size();
    names = listing.substr(start, listing.find_first_of(":\n", start) - start);
  }
  for (std::size_t at = listing.find(kMissing); at != std::string::npos;
       at = listing.find(kMissing, at + 1)) {
    const std::size_t start = listing.find_last_of("\t\n ", at - 1) + 1;
    names += (names.empty() ? "" : ", ") + listing.substr(start, at - start);
  }
  return names;
}

std::vector<Check> check_libraries(const std::string& path, const Elf& elf) {
  if (elf.interpreter.empty())
    return {{"program", Finding::kLess, path + " is static: its system calls are not patched",
             "it works; each of its system calls costs more"}};
  std::error_code error;
  if (!fs::exists(elf.interpreter, error))
    return {{"program", Finding::kFails, path + ": its loader " + elf.interpreter + " is missing",
             "install the libraries it was built for"}};
  const std::string listing = list_libraries(elf.interpreter, path);
  const std::string missing = missing_libraries(listing);
  if (!missing.empty())
    return {{"program", Finding::kFails, path + ": libraries are missing: " + missing,
             "install them, or set LD_LIBRARY_PATH"}};
  std::vector<Check> checks{{"program", Finding::kGood, path, {}}};
  if (listing.find("liburing.so") != std::string::npos)
    checks.push_back({"io_uring", Finding::kLess, "the program is linked with liburing",
                      "io_uring is answered as by a kernel without it: it must have another way"});
  for (const char* name : {"libcuda.so", "libamdhip64.so", "libze_loader.so"})
    if (listing.find(name) != std::string::npos)
      checks.push_back({"GPU", Finding::kFails, std::string("the program is linked with ") + name,
                        "a checkpoint is refused while a GPU's device file is open"});
  return checks;
}

}  // namespace

std::vector<Check> check_directory(const std::string& directory) {
  const std::string place = nearest_existing(directory);
  std::string draft = place + "/.cairn-doctor-XXXXXX";
  const Fd fd(::mkostemp(draft.data(), O_CLOEXEC));
  if (!fd.valid())
    return {{"directory", Finding::kFails, fmt::format("{}: {}", place, std::strerror(errno)),
             "choose a --dir that you may write to"}};
  std::vector<Check> checks{{"directory", Finding::kGood, place, {}},
                            check_space(place),
                            check_links(draft),
                            check_direct(draft)};
  ::unlink(draft.c_str());
  return checks;
}

std::vector<Check> check_program(const std::vector<std::string>& command) {
  const auto program = resolve_program(command);
  if (!program)
    return {{"program", Finding::kFails, program.error().error.message(),
             program.error().code == ExitCode::kNotFound ? "give its path, or look at PATH"
                                                         : "run it without Cairn"}};
  const Elf elf = read_elf(program->path);
  if (!elf.readable)
    return {{"program", Finding::kGood, program->path + ", a script for its interpreter", {}}};
  return check_libraries(program->path, elf);
}

}  // namespace cairn::cli
