#include "resources/undo_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "base/fault.h"

namespace cairn::resources {
namespace {

constexpr std::uint64_t kPiece = 1U << 20;
constexpr std::size_t kLongestName = 200;

// A disk that becomes full takes a part first, and says why with the next one.
Result<> write_range(int fd, std::uint64_t offset, std::string_view data) {
  constexpr const char* kTried = "write a file that is kept or brought back";
  while (!data.empty()) {
    std::size_t now = data.size();
    if (const int injected = fault_here(FaultPoint::kUndoWrite); injected > 0)
      return failure(injected, kTried);
    else if (injected < 0)
      now = (now + 1) / 2;
    const ssize_t put = ::pwrite(fd, data.data(), now, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return os_failure(kTried);
    if (put == 0) return failure(ENOSPC, kTried);
    data.remove_prefix(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return {};
}

}  // namespace

std::uint64_t next_data(int fd, std::uint64_t at, std::uint64_t end) {
  if (at >= end) return end;
  const off_t data = ::lseek(fd, static_cast<off_t>(at), SEEK_DATA);
  if (data < 0) return errno == ENXIO ? end : at;
  return std::min(static_cast<std::uint64_t>(data), end);
}

Result<> copy_data(int from, std::uint64_t start, std::uint64_t end, int to) {
  for (std::uint64_t at = next_data(from, start, end); at < end; at = next_data(from, at, end)) {
    const off_t hole = ::lseek(from, static_cast<off_t>(at), SEEK_HOLE);
    const auto stop = hole < 0 ? end : std::min(end, static_cast<std::uint64_t>(hole));
    while (at < stop) {
      CAIRN_ASSIGN(const auto data, read_range(from, at, std::min(kPiece, stop - at)));
      if (data.empty()) return {};  // shorter by now
      CAIRN_TRY(write_range(to, at - start, data));
      at += data.size();
    }
  }
  return {};
}

Result<std::string> read_range(int fd, std::uint64_t offset, std::uint64_t bytes) {
  std::string data(bytes, '\0');
  std::size_t at = 0;
  while (at < data.size()) {
    const ssize_t got =
        ::pread(fd, data.data() + at, data.size() - at, static_cast<off_t>(offset + at));
    if (got < 0) return os_failure("read a file");
    if (got == 0) break;
    at += static_cast<std::size_t>(got);
  }
  data.resize(at);
  return data;
}

// Named after what it comes from; nobody else makes names here.
Result<std::string> UndoDirectory::free_name(const std::string& path, const char* what) const {
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (error) return failure(error.value(), "make the undo directory", directory_);
  std::string flat = path.substr(path.size() - std::min(path.size(), kLongestName));
  std::replace(flat.begin(), flat.end(), '/', '_');
  for (int number = 1;; ++number) {
    auto name = fmt::format("{}/{}.{}.{}", directory_, number, what, flat);
    struct stat info {};
    if (::lstat(name.c_str(), &info) == 0) continue;
    if (errno == ENOENT) return name;
    return os_failure("look into the undo directory", directory_);
  }
}

Result<> UndoDirectory::keep(int fd, const std::string& path, const char* what, std::uint64_t from,
                             std::uint64_t to) const {
  if (from >= to) return {};
  CAIRN_ASSIGN(const auto name, free_name(path, what));
  const Fd undo(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!undo.valid()) return os_failure("make the undo file", name);
  if (::ftruncate(undo.get(), static_cast<off_t>(to - from)) != 0)
    return os_failure("make the undo file of", path);
  CAIRN_TRY(copy_data(fd, from, to, undo.get()));
  if (::fsync(undo.get()) != 0) return os_failure("write the undo file of", path);
  return {};
}

Result<> UndoDirectory::take(const std::string& path) const {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0)
    return errno == ENOENT ? Result<>{} : Result<>(os_failure("look at", path));
  if (S_ISDIR(info.st_mode) && ::rmdir(path.c_str()) == 0) return {};
  // What has further names is not lost, and here it would count as one of them.
  const bool worth_keeping = S_ISDIR(info.st_mode) || (S_ISREG(info.st_mode) &&
                                                       info.st_size != 0 && info.st_nlink == 1);
  if (worth_keeping) {
    CAIRN_ASSIGN(const auto name, free_name(path, "made"));
    if (::rename(path.c_str(), name.c_str()) == 0) return {};
    if (errno != EXDEV || S_ISDIR(info.st_mode)) return os_failure("take away", path);
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.valid()) return os_failure("read what is taken away,", path);
    CAIRN_TRY(keep(fd.get(), path, "made", 0, static_cast<std::uint64_t>(info.st_size)));
  }
  if (::unlink(path.c_str()) != 0) return os_failure("take away", path);
  return {};
}

}  // namespace cairn::resources
