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

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <vector>

#include "base/deadline.h"
#include "base/files.h"
#include "resources/open_files.h"

namespace cairn::resources {
namespace {

constexpr unsigned kFirstSlaveMajor = 136, kLastSlaveMajor = 143;
constexpr unsigned kMinors = 256;  // of each major number, as the kernel hands out numbers
constexpr int kUnlocked = 0;

bool is_master(const OpenFile& file) {
  return file.info.st_rdev == makedev(5, 2);
}

bool is_controlling_terminal(const OpenFile& file) {
  return file.info.st_rdev == makedev(5, 0);
}

bool is_slave(const OpenFile& file) {
  const auto kind = major(file.info.st_rdev);
  return (kind >= kFirstSlaveMajor && kind <= kLastSlaveMajor) || is_controlling_terminal(file);
}

// The device behind /dev/tty, as the kernel encodes one in a word (new_encode_dev).
dev_t device_of(const OpenFile& file) {
  unsigned word = 0;
  if (!is_controlling_terminal(file)) return file.info.st_rdev;
  if (::ioctl(file.copy.get(), TIOCGDEV, &word) != 0) return 0;
  return makedev(word >> 8 & 0xfff, (word & 0xff) | (word >> 12 & 0xfff00));
}

bool matches(const OpenFile& file) {
  return S_ISCHR(file.info.st_mode) && (is_master(file) || is_slave(file));
}

}  // namespace

int slave_number(const OpenFile& file) {
  const dev_t device = device_of(file);
  const auto kind = major(device);
  if (kind < kFirstSlaveMajor || kind > kLastSlaveMajor) return -1;
  return static_cast<int>((kind - kFirstSlaveMajor) * kMinors + minor(device));
}

namespace {

// As the kernel knows it.
Result<int> number_of(const OpenFile& file) {
  if (const int number = slave_number(file); number >= 0) return number;
  int number = 0;
  if (::ioctl(file.copy.get(), TIOCGPTN, &number) != 0)
    return os_failure("ask for the number of a pty");
  return number;
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

std::string take_all(int fd) {
  std::string taken;
  std::array<char, 4096> buffer;
  for (;;) {
    int left = 0;
    if (::ioctl(fd, FIONREAD, &left) != 0 || left <= 0) return taken;
    const ssize_t got = ::read(fd, buffer.data(), std::min<std::size_t>(buffer.size(), left));
    if (got <= 0) return taken;
    taken.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

// What was typed and not read yet, typed again past all that the line discipline makes of a key: it
// has been made of these already. The kernel passes them on in its own time, by the modes of that
// moment, so they are echoed, and the echo is waited for. The master's queue is empty, and it is not
// in packet mode.
Result<> type_unprocessed(int master, int slave, std::string_view bytes) {
  termios modes{};
  if (::tcgetattr(slave, &modes) != 0) return os_failure("read the modes of a pty");
  termios plain = modes;
  plain.c_iflag &= ~static_cast<tcflag_t>(ISTRIP | INLCR | IGNCR | ICRNL | IUCLC | IXON | PARMRK);
  plain.c_oflag &= ~static_cast<tcflag_t>(OPOST);
  plain.c_lflag &= ~static_cast<tcflag_t>(ISIG | IEXTEN | ECHOCTL | ECHONL);
  plain.c_lflag |= ECHO;
  for (const int key : {VERASE, VKILL, VEOF, VEOL, VEOL2}) plain.c_cc[key] = _POSIX_VDISABLE;
  plain.c_cc[VMIN] = modes.c_lflag & ICANON ? _POSIX_VDISABLE : modes.c_cc[VMIN];
  plain.c_cc[VTIME] = modes.c_lflag & ICANON ? _POSIX_VDISABLE : modes.c_cc[VTIME];
  if (::tcsetattr(slave, TCSANOW, &plain) != 0) return os_failure("set the modes of a pty");
  auto typed = write_all(master, bytes);
  const Deadline deadline{std::chrono::seconds(5)};
  std::array<char, 4096> echo;
  for (std::size_t seen = 0; typed && seen < bytes.size();) {
    pollfd state{master, POLLIN, 0};
    if (::poll(&state, 1, deadline.poll_timeout()) != 1)
      return failure(ETIMEDOUT, "type into a pseudo terminal again");
    const ssize_t got = ::read(master, echo.data(), std::min(echo.size(), bytes.size() - seen));
    if (got <= 0) return os_failure("type into a pseudo terminal again");
    seen += static_cast<std::size_t>(got);
  }
  if (::tcsetattr(slave, TCSANOW, &modes) != 0) return os_failure("set the modes of a pty");
  return typed;
}

// Complete lines are not told from what follows them; a line that is not complete is part of it.
Result<std::string> take_input(int slave) {
  termios modes{};
  if (::tcgetattr(slave, &modes) != 0) return os_failure("read the modes of a pty");
  termios raw = modes;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON);
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  if (::tcsetattr(slave, TCSANOW, &raw) != 0) return os_failure("set the modes of a pty");
  std::string taken = take_all(slave);
  if (::tcsetattr(slave, TCSANOW, &modes) != 0) return os_failure("set the modes of a pty");
  return taken;
}

// There is no way to look at what waits in a terminal: it is taken, and put back.
Result<> capture_queues(int master, image::Pty& record) {
  CAIRN_ASSIGN(const Fd slave, open_slave(master, O_RDWR | O_NONBLOCK));
  const int off = 0, on = 1;
  if (record.packet_mode() && ::ioctl(master, TIOCPKT, &off) != 0)
    return os_failure("leave packet mode");
  record.set_queued(take_all(master));
  CAIRN_ASSIGN(auto input, take_input(slave.get()));
  record.set_input(std::move(input));
  if (!record.input().empty()) CAIRN_TRY(type_unprocessed(master, slave.get(), record.input()));
  if (!record.queued().empty()) CAIRN_TRY(write_unprocessed(slave.get(), record.queued()));
  if (record.packet_mode() && ::ioctl(master, TIOCPKT, &on) != 0)
    return os_failure("enter packet mode");
  return {};
}

// Of the session that has it for its terminal; a group or session outside of the job is not looked
// for again.
void capture_session(const CaptureJob& job, int master, image::Pty& record) {
  pid_t session = 0;
  pid_t group = 0;
  if (::ioctl(master, TIOCGSID, &session) != 0 || session <= 0) return;
  (void)::ioctl(master, TIOCGPGRP, &group);
  for (const auto& member : job.members) {
    const auto pid = member.process.pid().value;
    if (::getsid(pid) == session) record.set_session(member.runtime->virtual_session);
    if (group > 0 && ::getpgid(pid) == group)
      record.set_foreground_group(member.runtime->virtual_group);
  }
}

Result<> capture_master(const CaptureJob& job, OpenFile& file, image::Pty& record) {
  const int fd = file.copy.get();
  const auto name = fmt::format("the pseudo terminal /dev/pts/{}", record.index());
  capture_session(job, fd, record);
  pollfd state{fd, 0, 0};
  record.set_slave_closed(::poll(&state, 1, 0) > 0 && (state.revents & POLLHUP) != 0);
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
  return capture_queues(fd, record);
}

Result<> capture(CaptureContext& context, OpenFile& file, image::KernelObject& object) {
  auto& record = *object.mutable_pty();
  CAIRN_ASSIGN(const int number, number_of(file));
  auto* numbers = context.job.options.ptys;
  const auto index =
      static_cast<std::uint32_t>(numbers == nullptr ? number : numbers->to_virtual(number));
  record.set_index(index);
  record.set_pair_id(index + 1);
  record.set_master(is_master(file));
  if (record.master()) return capture_master(context.job, file, record);
  int unread = 0;
  record.set_master_closed(::ioctl(file.copy.get(), FIONREAD, &unread) != 0);
  return {};
}

// --- rebuild

bool is_wanted(const RebuildJob& job, int number) {
  return std::any_of(job.objects.begin(), job.objects.end(), [&](const auto& object) {
    return object.has_pty() && object.pty().index() == static_cast<std::uint32_t>(number);
  });
}

// The kernel gives the lowest free number: those below the wanted one are held until it comes, as
// far as the machine can spare so many. Else the first that no other of ours is known by takes its
// place, and the door shows the one as the other.
Result<Fd> open_master(RebuildJob& job, std::uint32_t index) {
  constexpr std::size_t kMostHeld = 256;
  const int wanted =
      index < static_cast<std::uint32_t>(abi::kFirstInventedPty) ? static_cast<int>(index) : -1;
  std::vector<Fd> held;
  Fd other;
  int number = -1, others = -1;
  while (!other.valid() || (number < wanted && held.size() < kMostHeld)) {
    Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!master.valid() && other.valid()) break;
    if (!master.valid() || ::ioctl(master.get(), TIOCGPTN, &number) != 0)
      return os_failure("make a pseudo terminal");
    if (number == wanted) return master;
    if (!other.valid() && !is_wanted(job, number)) {
      other = std::move(master);
      others = number;
    } else {
      held.push_back(std::move(master));
    }
  }
  if (job.options.ptys == nullptr || !job.options.ptys->bind(static_cast<int>(index), others))
    return refusal(fmt::format("there is no place for another number than /dev/pts/{}", index));
  return other;
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
  {
    Fd slave;  // its last close is the hang-up that a closed slave leaves
    if (!record.queued().empty() || !record.input().empty() || record.slave_closed()) {
      CAIRN_ASSIGN(slave, open_slave(master, O_RDWR));
    }
    if (::tcsetattr(master, TCSANOW, &modes) != 0)
      return os_failure("set the modes of a pseudo terminal");
    if (!record.input().empty()) CAIRN_TRY(type_unprocessed(master, slave.get(), record.input()));
    if (!record.queued().empty()) CAIRN_TRY(write_unprocessed(slave.get(), record.queued()));
  }
  if (::ioctl(master, TIOCSWINSZ, &size) != 0 || ::ioctl(master, TIOCPKT, &packets) != 0)
    return os_failure("set the state of a pseudo terminal");
  if (locked != 0 && ::ioctl(master, TIOCSPTLCK, &locked) != 0)
    return os_failure("lock a pseudo terminal");
  return {};
}

// By the leader of the session, which is in the foreground of its new terminal and may put another
// group there.
Result<> restore_session(RebuildJob& job, int master, const image::Pty& record) {
  RebuildContext* leader = job.member(record.session());
  if (record.session() == 0 || leader == nullptr) return {};
  CAIRN_ASSIGN(const Fd slave, open_slave(master, O_RDWR));
  return lend(*leader, slave.get(), [&](int number) -> Result<> {
    CAIRN_TRY(leader->process.syscall(SYS_ioctl, number, TIOCSCTTY, 0));
    for (const auto& member : job.members) {
      if (record.foreground_group() == 0 || member.image.pgid() != record.foreground_group())
        continue;
      const pid_t group = ::getpgid(member.process.pid().value);
      CAIRN_ASSIGN(const auto place, leader->process.scratch_object(group));
      CAIRN_TRY(leader->process.syscall(SYS_ioctl, number, TIOCSPGRP, place.address()));
      break;
    }
    return {};
  });
}

const image::KernelObject* master_of(const RebuildJob& job, const image::Pty& end) {
  for (const auto& object : job.objects)
    if (object.has_pty() && object.pty().master() && object.pty().pair_id() == end.pair_id())
      return &object;
  return nullptr;
}

// Of the pair that this is an end of; made, if it is not there yet.
Result<int> made_master(RebuildJob& job, const image::Pty& end) {
  const auto* master = master_of(job, end);
  if (master == nullptr && !end.master_closed())
    return refusal("a pseudo terminal whose master is not in the image");
  Fd& made = master != nullptr ? job.made[master->id()] : job.hung_up_masters[end.pair_id()];
  if (!made.valid()) {
    CAIRN_ASSIGN(made, open_master(job, end.index()));
  }
  return made.get();
}

// The slaves are opened before the master has its state: the last close of a slave is a hang-up,
// and what was queued is written through one that is open only for that.
Result<Fd> create(RebuildContext& context, const image::KernelObject& object) {
  const auto& record = object.pty();
  if (record.master()) return open_master(context.job, record.index());
  CAIRN_ASSIGN(const int master, made_master(context.job, record));
  if (::ioctl(master, TIOCSPTLCK, &kUnlocked) != 0) return os_failure("unlock a pseudo terminal");
  return open_slave(master, static_cast<int>(object.status_flags() & (O_ACCMODE | O_NONBLOCK)));
}

Result<> connect(RebuildContext& context, const image::KernelObject& object) {
  if (!object.pty().master()) {
    context.job.hung_up_masters.erase(object.pty().pair_id());  // the hang-up
    return {};
  }
  const int master = context.job.made[object.id()].get();
  CAIRN_TRY(fill_master(master, object.pty()));
  return restore_session(context.job, master, object.pty());
}

// -1: no name of a pseudo terminal.
int number_in(std::string_view path) {
  constexpr std::string_view kDirectory = "/dev/pts/";
  int number = -1;
  if (!path.starts_with(kDirectory)) return -1;
  path.remove_prefix(kDirectory.size());
  const auto [end, error] = std::from_chars(path.begin(), path.end(), number);
  return error == std::errc{} && end == path.end() ? number : -1;
}

std::string name_of(int number) { return fmt::format("/dev/pts/{}", number); }

}  // namespace

std::string virtual_pty_path(const CaptureJob& job, const std::string& path) {
  const int number = number_in(path);
  if (number < 0 || job.options.ptys == nullptr) return path;
  return name_of(job.options.ptys->to_virtual(number));
}

const image::Pty* pty_named(const std::vector<image::KernelObject>& objects,
                            const std::string& path) {
  const int number = number_in(path);
  for (const auto& object : objects)
    if (object.has_pty() && static_cast<int>(object.pty().index()) == number) return &object.pty();
  return nullptr;
}

Result<std::string> real_pty_path(RebuildJob& job, const std::string& path) {
  const auto* terminal = pty_named(job.objects, path);
  if (terminal == nullptr) return path;
  CAIRN_TRY(made_master(job, *terminal));
  const auto index = static_cast<int>(terminal->index());
  const int real = job.options.ptys == nullptr ? -1 : job.options.ptys->to_real(index);
  return real < 0 ? path : name_of(real);
}

const Kind kPtyKind{
    "pseudo terminal", image::KernelObject::kPty, Maker::kAgent, matches, capture, create, connect};

}  // namespace cairn::resources
