#include "base/files.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <charconv>

namespace cairn {
namespace {

// What follows the command's name in a stat file: the name may hold spaces and parentheses.
std::string_view after_command(std::string_view stat) {
  const std::size_t end = stat.rfind(')');
  if (end == std::string_view::npos || end + 2 >= stat.size()) return {};
  return stat.substr(end + 2);
}

}  // namespace

Result<> make_private_directory(const std::filesystem::path& path) {
  const bool made = ::mkdir(path.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return os_failure("create the directory", path);
  Fd dir(::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!dir.valid()) return os_failure("open the directory", path);
  struct stat st{};
  if (::fstat(dir.get(), &st) != 0) return os_failure("stat", path);
  if (st.st_uid != ::geteuid()) return failure(EPERM, "use another user's directory", path);
  // The umask can only have taken bits away, and a directory of 0700 that lost some is useless.
  if ((st.st_mode & 07777) != 0700 && ::chmod(path.c_str(), 0700) != 0)
    return os_failure("chmod", path);
  return {};
}

Result<Fd> create_private_file(const std::filesystem::path& path, int flags) {
  Fd fd(::open(path.c_str(), flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return os_failure("create", path);
  if (::fchmod(fd.get(), 0600) != 0) return os_failure("chmod", path);
  return fd;
}

Result<std::string> read_text_file(const std::filesystem::path& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return os_failure("open", path);
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_failure("read", path);
    if (n == 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
  }
}

Result<> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_failure("write");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<std::filesystem::path> program_directory() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return failure(error.value(), "read", "/proc/self/exe");
  return self.parent_path();
}

Result<std::filesystem::path> companion_program(const std::string& name) {
  CAIRN_ASSIGN(const std::filesystem::path here, program_directory());
  for (const auto& dir : {here, here.parent_path() / "libexec" / "cairn"})
    if (::access((dir / name).c_str(), X_OK) == 0) return dir / name;
  return failure(ENOENT, "find " + name + " beside", here / "cairn");
}

ProcessStat process_stat(pid_t pid) {
  const auto stat = read_text_file("/proc/" + std::to_string(pid) + "/stat");
  if (!stat) return {};
  std::string_view rest = after_command(*stat);
  ProcessStat result{.state = rest.empty() ? '\0' : rest.front()};
  for (int field = 3; field < 22; ++field) {
    const std::size_t space = rest.find(' ');
    if (space == std::string_view::npos) return result;
    rest.remove_prefix(space + 1);
  }
  std::from_chars(rest.data(), rest.data() + rest.size(), result.start_time);
  return result;
}

std::uint64_t process_start_time(pid_t pid) { return process_stat(pid).start_time; }

bool wait_for_process_end(pid_t pid, std::uint64_t start_time, const Deadline& deadline) {
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  const std::uint64_t now = process_start_time(pid);
  if (!pidfd.valid() || now == 0 || (start_time != 0 && now != start_time)) return true;
  for (;;) {
    // Readable once the last thread is gone: the state in /proc is the first thread's alone.
    pollfd entry{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, deadline.poll_timeout()) > 0) return true;
    if (deadline.passed()) return false;
  }
}

bool process_lives(pid_t pid, std::uint64_t start_time) {
  return !wait_for_process_end(pid, start_time, Deadline{std::chrono::milliseconds(0)});
}

char state_in_status(std::string_view status) {
  constexpr std::string_view kLabel = "\nState:\t";
  const std::size_t at = status.find(kLabel);
  const std::size_t letter = at + kLabel.size();
  return at == std::string_view::npos || letter >= status.size() ? '\0' : status[letter];
}

}  // namespace cairn
