#include "storage/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <memory>

namespace cairn::storage {
namespace {

constexpr std::size_t kSector = 4096;  // a short write of direct I/O ends at one

}  // namespace

Result<Fd> create_file(const std::string& path, int flags) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | flags, 0600));
  if (!fd.valid()) return os_failure("create", path);
  if (::fchmod(fd.get(), 0600) != 0) return os_failure("set the mode of", path);
  return fd;
}

Result<Fd> open_file(const std::string& path, int flags) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags));
  if (!fd.valid()) return os_failure("open", path);
  return fd;
}

bool drop_direct(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_DIRECT) != 0 && ::fcntl(fd, F_SETFL, flags & ~O_DIRECT) == 0;
}

Result<> write_at(int fd, std::span<const std::byte> bytes, std::uint64_t offset,
                  const std::string& path, FaultPoint fault) {
  while (!bytes.empty()) {
    std::size_t now = bytes.size();
    if (const int injected = fault_here(fault); injected > 0)
      return failure(injected, "write", path);
    else if (injected < 0)
      now = now >= 2 * kSector ? now / 2 / kSector * kSector : std::max<std::size_t>(now / 2, 1);
    const ssize_t done = ::pwrite(fd, bytes.data(), now, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0 && errno == EINVAL && drop_direct(fd)) continue;
    if (done < 0) return os_failure("write", path);
    if (done == 0) return failure(ENOSPC, "write", path);
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
  return {};
}

Result<> read_at(int fd, std::span<std::byte> bytes, std::uint64_t offset,
                 const std::string& path) {
  while (!bytes.empty()) {
    if (const int injected = fault_here(FaultPoint::kPackRead); injected > 0)
      return failure(injected, "read", path);
    const ssize_t done = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0 && errno == EINVAL && drop_direct(fd)) continue;
    if (done < 0) return os_failure("read", path);
    if (done == 0) return refusal("read: the file is truncated", path);
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
  return {};
}

Result<> sync_file(int fd, const std::string& path, FaultPoint fault) {
  if (const int injected = fault_here(fault); injected > 0) return failure(injected, "sync", path);
  if (::fsync(fd) != 0) return os_failure("sync", path);
  return {};
}

Result<> sync_directory(const std::string& path, FaultPoint fault) {
  CAIRN_ASSIGN(const Fd fd, open_file(path, O_DIRECTORY));
  return sync_file(fd.get(), path, fault);
}

Result<> write_new_file(const std::string& path, std::string_view text, FaultPoint write_fault,
                        FaultPoint sync_fault) {
  CAIRN_ASSIGN(const Fd fd, create_file(path));
  CAIRN_TRY(write_at(fd.get(), std::as_bytes(std::span(text)), 0, path, write_fault));
  if (sync_fault == FaultPoint::kNone) return {};
  return sync_file(fd.get(), path, sync_fault);
}

Result<std::string> read_whole_file(const std::string& path) {
  CAIRN_ASSIGN(const Fd fd, open_file(path));
  CAIRN_ASSIGN(const std::uint64_t bytes, file_size(fd.get(), path));
  std::string text(bytes, '\0');
  CAIRN_TRY(read_at(fd.get(), std::as_writable_bytes(std::span(text)), 0, path));
  return text;
}

Result<std::uint64_t> file_size(int fd, const std::string& path) {
  struct stat status;
  if (::fstat(fd, &status) != 0) return os_failure("stat", path);
  return static_cast<std::uint64_t>(status.st_size);
}

Result<> make_directory(const std::string& path) {
  if (const int injected = fault_here(FaultPoint::kWorkDirectory); injected > 0)
    return failure(injected, "create directory", path);
  if (::mkdir(path.c_str(), 0700) != 0) return os_failure("create directory", path);
  if (::chmod(path.c_str(), 0700) != 0) return os_failure("set the mode of", path);
  return {};
}

Result<> make_path(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) == 0)
    return S_ISDIR(status.st_mode) ? Result<>{} : failure(ENOTDIR, "open store", path);
  if (const std::size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0)
    CAIRN_TRY(make_path(path.substr(0, slash)));
  Result<> made = make_directory(path);
  if (!made && made.error().code == EEXIST) return {};
  return made;
}

Result<> rename_file(const std::string& from, const std::string& to, FaultPoint fault) {
  if (const int injected = fault_here(fault); injected > 0)
    return failure(injected, "rename to " + to, from);
  if (::rename(from.c_str(), to.c_str()) != 0) return os_failure("rename to " + to, from);
  return {};
}

Result<> remove_file(const std::string& path, FaultPoint fault) {
  if (const int injected = fault_here(fault); injected > 0)
    return failure(injected, "remove", path);
  if (::unlink(path.c_str()) != 0) return os_failure("remove", path);
  return {};
}

Result<> remove_directory_with_files(const std::string& path) {
  CAIRN_ASSIGN(const auto names, list_directory(path));
  for (const std::string& name : names) CAIRN_TRY(remove_file(path + "/" + name));
  if (::rmdir(path.c_str()) != 0) return os_failure("remove directory", path);
  return {};
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (directory == nullptr) return os_failure("read directory", path);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr && errno != 0) return os_failure("read directory", path);
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::uint64_t parse_number(std::string_view text) {
  std::uint64_t number = 0;
  if (text.empty() || text.front() == '0') return 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

}  // namespace cairn::storage
