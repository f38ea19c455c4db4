#include "resources/inherited.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "resources/pty.h"
#include "resources/unix_socket.h"

namespace cairn::resources {
namespace {

// The standard stream that this is, or that is another end of the same object (2>&1); -1: none.
int standard_stream(const CaptureContext& context, const OpenFile& file) {
  // The oldest process comes first: with 1>&2 in a child, it is the one that knows them apart.
  const Number* first = nullptr;
  for (const auto& other : context.job.files) {
    if (other.info.st_dev != file.info.st_dev || other.info.st_ino != file.info.st_ino ||
        other.access() != file.access())
      continue;
    for (const auto& number : other.numbers)
      if (number.fd <= 2 && (first == nullptr || std::pair(number.process, number.fd) <
                                                     std::pair(first->process, first->fd)))
        first = &number;
  }
  return first == nullptr ? -1 : first->fd;
}

bool is_pipe(const OpenFile& file) {
  return S_ISFIFO(file.info.st_mode) && !(file.flags & O_PATH);
}

// Only one end is ours and the other one is open, so it is somebody else's.
bool pipe_leads_outside(const CaptureContext& context, const OpenFile& file) {
  for (const auto& other : context.job.files)
    if (other.info.st_dev == file.info.st_dev && other.info.st_ino == file.info.st_ino &&
        ((file.readable() && other.writable()) || (file.writable() && other.readable())))
      return false;
  pollfd end{file.copy.get(), static_cast<short>(file.readable() ? POLLIN : POLLOUT), 0};
  ::poll(&end, 1, 0);
  return (end.revents & (file.readable() ? POLLHUP : POLLERR)) == 0;
}

// A terminal whose master is in the job is a pty of the job's.
bool master_is_ours(const CaptureContext& context, const OpenFile& file) {
  for (const auto& other : context.job.files) {
    int index = -1;
    if (other.info.st_rdev == makedev(5, 2) &&
        ::ioctl(other.copy.get(), TIOCGPTN, &index) == 0 &&
        slave_number(file) == index)
      return true;
  }
  return false;
}

Result<> capture_terminal(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  auto& terminal = *object.mutable_terminal();
  termios modes{};
  if (::tcgetattr(file.copy.get(), &modes) != 0) return os_failure("read the modes of", file.link);
  terminal.set_termios(std::string(reinterpret_cast<const char*>(&modes), sizeof modes));
  winsize size{};
  if (::ioctl(file.copy.get(), TIOCGWINSZ, &size) == 0)
    terminal.set_window_size(std::string(reinterpret_cast<const char*>(&size), sizeof size));
  terminal.set_path(file.link);
  terminal.set_standard_stream(standard_stream(context, file) + 1);
  return {};
}

}  // namespace

Result<bool> capture_inherited(CaptureContext& context, OpenFile& file,
                               image::KernelObject& object) {
  if (S_ISCHR(file.info.st_mode) && !(file.flags & O_PATH) && ::isatty(file.copy.get())) {
    if (file.info.st_rdev == makedev(5, 2) || master_is_ours(context, file)) return false;
    CAIRN_TRY(capture_terminal(context, file, object));
    return true;
  }
  std::string what;
  if (is_pipe(file)) {
    if (!pipe_leads_outside(context, file)) return false;
    // So looks the reader of a FIFO that never had a writer, too; whoever knows its name may come as one.
    const bool is_fifo = !file.link.starts_with("pipe:[");
    if (is_fifo && file.readable() && standard_stream(context, file) < 0) return false;
    what = "pipe";
  } else if (S_ISSOCK(file.info.st_mode)) {
    CAIRN_ASSIGN(const bool outside, socket_leads_outside(context, file));
    if (!outside) return false;
    what = "socket";
  } else {
    return false;
  }
  int stream = standard_stream(context, file);
  const bool unnamed = file.link.rfind("pipe:[", 0) == 0;
  if (stream < 0 && unnamed && !file.numbers.empty()) stream = file.numbers.front().fd;
  if (stream < 0 && what == "socket") return false;  // a connection that ends at the restart
  if (stream < 0)
    return cannot_save(file, fmt::format("{} {}, whose other end is outside of the job,", what,
                                         file.link));
  auto& inherited = *object.mutable_inherited();
  inherited.set_original_number(stream);
  inherited.set_description(what);
  inherited.set_read(file.readable());
  inherited.set_write(file.writable());
  inherited.set_file_type(file.info.st_mode & S_IFMT);
  return true;
}

namespace {

bool never_matches(const OpenFile&) { return false; }  // found by capture_inherited

Result<> not_captured_here(CaptureContext&, OpenFile& file, image::KernelObject&) {
  return cannot_save(file, file.link);
}

Result<Fd> duplicate(int fd, const std::string& what) {
  Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return os_failure("use the restart command's own stream for", what);
  return copy;
}

// A pipe to the outside under another number, left open by whoever started the job: that process is
// gone, so the guest finds the other end closed (end of file, or SIGPIPE).
Result<Fd> pipe_without_other_end(const image::KernelObject& object) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return os_failure("make a pipe");
  Fd reader(ends[0]), writer(ends[1]);
  return object.inherited().write() ? std::move(writer) : std::move(reader);
}

Result<Fd> create_inherited(RebuildContext& context, const image::KernelObject& object) {
  const int stream = object.inherited().original_number();
  if (stream > 2 && object.inherited().file_type() == S_IFIFO) return pipe_without_other_end(object);
  if (stream < 0 || stream > 2) return refusal("an inherited descriptor is no standard stream");
  return duplicate(context.job.options.stdio[static_cast<std::size_t>(stream)],
                   fmt::format("descriptor {}", stream));
}

// What a program that outlives its terminal has: reads give the end of file, writes give EIO.
Result<Fd> hung_up_terminal() {
  const Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  int locked = 0;
  if (!master.valid() || ::ioctl(master.get(), TIOCSPTLCK, &locked) != 0)
    return os_failure("make a pseudo terminal");
  Fd slave(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY));
  if (!slave.valid() || ::fcntl(slave.get(), F_SETFD, FD_CLOEXEC) != 0)
    return os_failure("open a pseudo terminal");
  return slave;  // the master is closed here
}

Result<Fd> create_terminal(RebuildContext& context, const image::KernelObject& object) {
  const int stream = static_cast<int>(object.terminal().standard_stream()) - 1;
  if (stream >= 0 && stream <= 2)
    return duplicate(context.job.options.stdio[static_cast<std::size_t>(stream)],
                     fmt::format("descriptor {}", stream));
  for (const int fd : context.job.options.stdio) {
    if (fd < 0 || !::isatty(fd)) continue;
    std::string path(PATH_MAX, '\0');
    const ssize_t length =
        ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), path.data(), path.size());
    if (length <= 0) continue;
    path.resize(static_cast<std::size_t>(length));
    Fd opened(::open(path.c_str(), static_cast<int>(object.status_flags() & 3) | O_NOCTTY | O_CLOEXEC));
    if (!opened.valid()) return os_failure("open the terminal", path);
    return opened;
  }
  return hung_up_terminal();
}

}  // namespace

// Modes such as vim's belong to the program; the size is the new terminal's own.
Result<> restore_terminal_modes(RebuildJob& job) {
  for (const auto& object : job.objects) {
    const auto made = job.made.find(object.id());
    if (!object.has_terminal() || made == job.made.end() || !::isatty(made->second.get())) continue;
    termios modes{};
    if (object.terminal().termios().size() != sizeof modes) continue;
    std::memcpy(&modes, object.terminal().termios().data(), sizeof modes);
    if (::tcsetattr(made->second.get(), TCSANOW, &modes) != 0)
      return os_failure("set the terminal's modes");
  }
  return {};
}

const Kind kInheritedKind{"inherited stream", image::KernelObject::kInherited, Maker::kAgent,
                          never_matches, not_captured_here, create_inherited, nullptr};
const Kind kTerminalKind{"terminal", image::KernelObject::kTerminal, Maker::kAgent,
                         never_matches, not_captured_here, create_terminal, nullptr};

}  // namespace cairn::resources
