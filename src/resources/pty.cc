#include "resources/pty.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/files.h"

namespace cairn::resources {
namespace {

constexpr unsigned kFirstSlaveMajor = 136, kLastSlaveMajor = 143;
constexpr unsigned kMinors = 256;  // of each major number

bool is_master(const OpenFile& file) {
  return file.info.st_rdev == makedev(5, 2);
}

bool is_slave(const OpenFile& file) {
  return major(file.info.st_rdev) >= kFirstSlaveMajor &&
         major(file.info.st_rdev) <= kLastSlaveMajor;
}

bool matches(const OpenFile& file) {
  return S_ISCHR(file.info.st_mode) && (is_master(file) || is_slave(file));
}

Result<std::uint32_t> index_of(const OpenFile& file) {
  if (is_slave(file))
    return (major(file.info.st_rdev) - kFirstSlaveMajor) * kMinors + minor(file.info.st_rdev);
  int index = 0;
  if (::ioctl(file.copy.get(), TIOCGPTN, &index) != 0)
    return os_failure("ask for the number of a pty");
  return static_cast<std::uint32_t>(index);
}

// Linux shows O_CLOEXEC as a flag of the open file, for ever, if it is asked for here.
Result<Fd> open_slave(int master, int flags) {
  Fd slave(::ioctl(master, TIOCGPTPEER, flags | O_NOCTTY));
  if (!slave.valid() || ::fcntl(slave.get(), F_SETFD, FD_CLOEXEC) != 0)
    return os_failure("open the slave of a pseudo terminal");
  return slave;
}

// Output processing (a newline becomes two characters) was done when the bytes were written first.
Result<> write_unprocessed(int slave, std::string_view bytes) {
  termios modes{};
  if (::tcgetattr(slave, &modes) != 0) return os_failure("read the modes of a pty");
  termios plain = modes;
  plain.c_oflag &= ~static_cast<tcflag_t>(OPOST);
  if (::tcsetattr(slave, TCSANOW, &plain) != 0) return os_failure("set the modes of a pty");
  const auto written = write_all(slave, bytes);
  if (::tcsetattr(slave, TCSANOW, &modes) != 0) return os_failure("set the modes of a pty");
  return written;
}

// There is no way to look at what waits in a terminal: it is taken, and put back by way of the
// slave.
Result<std::string> waiting_output(int master) {
  std::string taken;
  CAIRN_ASSIGN(const Fd slave, open_slave(master, O_RDWR | O_NONBLOCK));
  const int off = 0, on = 1;
  int packets = 0;
  (void)::ioctl(master, TIOCGPKT, &packets);
  if (packets != 0 && ::ioctl(master, TIOCPKT, &off) != 0) return os_failure("leave packet mode");
  for (int left = 0; ::ioctl(master, FIONREAD, &left) == 0 && left > 0;) {
    std::array<char, 4096> buffer;
    const ssize_t got = ::read(master, buffer.data(), std::min<std::size_t>(buffer.size(), left));
    if (got <= 0) break;
    taken.append(buffer.data(), static_cast<std::size_t>(got));
  }
  const auto put_back = taken.empty() ? Result<>{} : write_unprocessed(slave.get(), taken);
  if (packets != 0 && ::ioctl(master, TIOCPKT, &on) != 0) return os_failure("enter packet mode");
  if (!put_back) return Failure(put_back.error());
  return taken;
}

Result<> capture_master(OpenFile& file, image::Pty& record) {
  const int fd = file.copy.get();
  const auto name = fmt::format("the pseudo terminal /dev/pts/{}", record.index());
  pid_t session = 0;
  if (::ioctl(fd, TIOCGSID, &session) == 0 && session > 0)
    return cannot_save(file, name + ", which is a controlling terminal,");
  pollfd state{fd, 0, 0};
  if (::poll(&state, 1, 0) > 0 && (state.revents & POLLHUP))
    return cannot_save(file, name + ", whose slave was closed,");
  termios modes{};
  winsize size{};
  int locked = 0, packets = 0, exclusive = 0;
  if (::tcgetattr(fd, &modes) != 0 || ::ioctl(fd, TIOCGWINSZ, &size) != 0 ||
      ::ioctl(fd, TIOCGPTLCK, &locked) != 0 || ::ioctl(fd, TIOCGPKT, &packets) != 0)
    return os_failure("read the state of", name);
  if (::ioctl(fd, TIOCGEXCL, &exclusive) == 0 && exclusive != 0)
    return cannot_save(file, name + ", opened exclusively,");
  record.set_termios(std::string(reinterpret_cast<const char*>(&modes), sizeof modes));
  record.set_window_size(std::string(reinterpret_cast<const char*>(&size), sizeof size));
  record.set_locked(locked != 0);
  record.set_packet_mode(packets != 0);
  int waiting = 0;
  if (::ioctl(fd, FIONREAD, &waiting) != 0) return os_failure("ask what waits in", name);
  if (waiting == 0) return {};
  CAIRN_ASSIGN(auto queued, waiting_output(fd));
  record.set_queued(std::move(queued));
  return {};
}

Result<> capture(CaptureContext&, OpenFile& file, image::KernelObject& object) {
  auto& record = *object.mutable_pty();
  CAIRN_ASSIGN(const auto index, index_of(file));
  record.set_index(index);
  record.set_pair_id(index + 1);
  record.set_master(is_master(file));
  if (record.master()) return capture_master(file, record);
  int unread = 0;
  if (::ioctl(file.copy.get(), FIONREAD, &unread) != 0)
    return cannot_save(file, "the pseudo terminal " + file.link + ", whose master was closed,");
  if (unread != 0)
    return cannot_save(file,
                       "the pseudo terminal " + file.link + " with input that was not read yet");
  return {};
}

// --- rebuild

// The kernel gives the lowest free number: those below the wanted one are held until it comes.
Result<Fd> open_master(std::uint32_t index) {
  std::vector<Fd> held;
  for (;;) {
    Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    int number = 0;
    if (!master.valid() || ::ioctl(master.get(), TIOCGPTN, &number) != 0)
      return os_failure("make a pseudo terminal");
    if (number == static_cast<int>(index)) return master;
    if (number > static_cast<int>(index))
      return refusal(
          fmt::format("the pseudo terminal /dev/pts/{} of the program is in use here", index));
    held.push_back(std::move(master));
  }
}

Result<> fill_master(int master, const image::Pty& record) {
  const int unlocked = 0, locked = record.locked() ? 1 : 0, packets = record.packet_mode() ? 1 : 0;
  termios modes{};
  winsize size{};
  if (record.termios().size() != sizeof modes || record.window_size().size() != sizeof size)
    return refusal("a pseudo terminal of another format");
  std::memcpy(&modes, record.termios().data(), sizeof modes);
  std::memcpy(&size, record.window_size().data(), sizeof size);
  if (::ioctl(master, TIOCSPTLCK, &unlocked) != 0) return os_failure("unlock a pseudo terminal");
  if (!record.queued().empty()) {
    CAIRN_ASSIGN(const Fd slave, open_slave(master, O_RDWR));
    CAIRN_TRY(write_unprocessed(slave.get(), record.queued()));
  }
  if (::tcsetattr(master, TCSANOW, &modes) != 0 || ::ioctl(master, TIOCSWINSZ, &size) != 0 ||
      ::ioctl(master, TIOCPKT, &packets) != 0)
    return os_failure("set the state of a pseudo terminal");
  if (locked != 0 && ::ioctl(master, TIOCSPTLCK, &locked) != 0)
    return os_failure("lock a pseudo terminal");
  return {};
}

const image::KernelObject* master_of(const RebuildContext& context, const image::Pty& slave) {
  for (const auto& object : context.job.objects)
    if (object.has_pty() && object.pty().master() && object.pty().pair_id() == slave.pair_id())
      return &object;
  return nullptr;
}

// The slaves are opened before the master has its state: the last close of a slave is a hang-up,
// and what was queued is written through one that is open only for that.
Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.pty();
  if (record.master()) return open_master(record.index());
  const auto* master = master_of(context, record);
  if (master == nullptr) return refusal("a pseudo terminal whose master is not in the image");
  Fd& made = context.job.made[master->id()];
  if (!made.valid()) {
    CAIRN_ASSIGN(made, open_master(master->pty().index()));
  }
  const int unlocked = 0;
  if (::ioctl(made.get(), TIOCSPTLCK, &unlocked) != 0)
    return os_failure("unlock a pseudo terminal");
  return open_slave(made.get(), static_cast<int>(object.status_flags() & (O_ACCMODE | O_NONBLOCK)));
}

Result<> connect(RebuildContext& context, const image::KernelObject& object) {
  if (!object.pty().master()) return {};
  return fill_master(context.job.made[object.id()].get(), object.pty());
}

}  // namespace

const Kind kPtyKind{
    "pseudo terminal", image::KernelObject::kPty, Maker::kAgent, matches, capture, create, connect};

}  // namespace cairn::resources
