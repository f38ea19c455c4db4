#include "resources/inet_queue.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "resources/inet_make.h"
#include "resources/socket_diag.h"
#include "resources/socket_options.h"
#include "resources/socket_queue.h"

namespace cairn::resources {
namespace {

using image::InetSocket;
using Clock = std::chrono::steady_clock;

Result<int> unread_bytes(int fd) {
  int bytes = 0;
  if (::ioctl(fd, SIOCINQ, &bytes) != 0) return os_failure("ask how much a socket holds");
  return bytes;
}

Result<> set_int(int fd, int name, int value) {
  if (::setsockopt(fd, SOL_SOCKET, name, &value, sizeof value) != 0)
    return os_failure("set a socket option", fmt::format("({})", name));
  return {};
}

Result<std::string> peek_bytes(int fd, int bytes) {
  std::string data(static_cast<std::size_t>(bytes), '\0');
  if (bytes == 0) return data;  // asking for nothing would take an error that waits
  const ssize_t got = ::recv(fd, data.data(), data.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got < 0) return os_failure("look into a socket's queue");
  data.resize(static_cast<std::size_t>(got));
  return data;
}

// A look ends at the urgent mark. What is behind it is seen by one that begins there, which the
// kernel does for TCP since Linux 6.9.
Result<std::string> peek_behind_mark(const OpenFile& file, int fd, int mark, int total) {
  if (mark == 0) return peek_bytes(fd, total);
  const auto own_offset = socket_option(fd, SOL_SOCKET, SO_PEEK_OFF);
  if (!own_offset || !set_int(fd, SO_PEEK_OFF, mark))
    return cannot_save(file, "a TCP connection with data behind urgent data");
  auto data = peek_bytes(fd, total - mark);
  CAIRN_TRY(set_int(fd, SO_PEEK_OFF, *own_offset));
  return data;
}

// `is_inline` is how the urgent byte is received; while we look it is among the others.
Result<> copy_inline(const OpenFile& file, int fd, bool is_inline, int before_mark,
                     InetSocket& record) {
  CAIRN_ASSIGN(const int total, unread_bytes(fd));
  int at_mark = 0;
  if (::ioctl(fd, SIOCATMARK, &at_mark) != 0) at_mark = 0;  // not connected any more
  CAIRN_ASSIGN(auto first, peek_bytes(fd, total));
  int mark = is_inline ? static_cast<int>(first.size()) : before_mark;
  if (at_mark != 0) mark = 0;
  if (mark >= total) {
    if (total > 0) record.add_queue()->set_data(std::move(first));
    return {};
  }
  CAIRN_ASSIGN(auto rest, peek_behind_mark(file, fd, mark, total));
  if (rest.size() != static_cast<std::size_t>(total - mark))
    return cannot_save(file, "a TCP connection whose urgent data cannot be told apart");
  record.add_queue()->set_data(first.substr(0, static_cast<std::size_t>(mark)));
  record.set_urgent(rest.substr(0, 1));
  record.add_queue()->set_data(rest.substr(1));
  return {};
}

// All of it, as the other side makes room.
Result<> send_all(int fd, const std::string& data, int flags) {
  const auto until = Clock::now() + kDrainTime;
  for (std::size_t sent = 0; sent < data.size();) {
    const ssize_t put =
        ::send(fd, data.data() + sent, data.size() - sent, flags | MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put >= 0) {
      sent += static_cast<std::size_t>(put);
      continue;
    }
    pollfd room{fd, POLLOUT, 0};
    if (errno != EAGAIN || Clock::now() > until) return os_failure("put data into a socket again");
    (void)::poll(&room, 1, static_cast<int>(kPause.count()));
  }
  return {};
}

// A sender that found no room asks again, and later each time (the probe timer, up to two minutes):
// nothing makes its receiver tell it of new room before. How long it will not ask; 0: it is not
// waiting for that.
Result<std::chrono::milliseconds> time_to_next_probe(const OpenFile& sender) {
  for (const int family : {AF_INET, AF_INET6}) {
    CAIRN_ASSIGN(const auto all, diagnose_tcp(family));
    for (const auto& one : all)
      if (one.inode == sender.info.st_ino && one.timer == kTcpProbeTimer) return one.timer_left;
  }
  return std::chrono::milliseconds(0);
}

}  // namespace

Result<> wait_until_sent(const OpenFile& sender, int receiver) {
  int unsent = 0;
  if (::ioctl(sender.copy.get(), SIOCOUTQ, &unsent) != 0) return os_failure("SIOCOUTQ");
  if (unsent == 0) return {};
  const RoomyBuffers room(receiver);
  CAIRN_ASSIGN(const auto probe, time_to_next_probe(sender));
  const auto until = Clock::now() + probe + kDrainTime;
  for (;;) {
    if (::ioctl(sender.copy.get(), SIOCOUTQ, &unsent) != 0) return os_failure("SIOCOUTQ");
    if (unsent == 0) return {};
    if (Clock::now() > until)
      return cannot_save_now(sender,
                         fmt::format("a TCP connection with {} bytes that its receiver has no "
                                     "room for",
                                     unsent));
    std::this_thread::sleep_for(kPause);
  }
}

Result<> copy_tcp_queue(const OpenFile& file, int fd, InetSocket& record) {
  CAIRN_ASSIGN(const int is_inline, socket_option(fd, SOL_SOCKET, SO_OOBINLINE));
  CAIRN_ASSIGN(const int before_mark, unread_bytes(fd));
  char urgent = 0;
  const bool waits = ::recv(fd, &urgent, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) == 1;
  CAIRN_TRY(set_int(fd, SO_OOBINLINE, 1));
  auto copied = copy_inline(file, fd, is_inline != 0, before_mark, record);
  CAIRN_TRY(set_int(fd, SO_OOBINLINE, is_inline));
  if (!record.urgent().empty() && is_inline == 0 && !waits) record.set_urgent_taken(true);
  return copied;
}

Result<> send_tcp_queue(int sender, const InetSocket& record) {
  for (int i = 0; i < record.queue_size(); ++i) {
    if (i == 1) CAIRN_TRY(send_all(sender, record.urgent(), MSG_OOB));
    CAIRN_TRY(send_all(sender, record.queue(i).data(), 0));
  }
  return {};
}

int queued_bytes(const InetSocket& record) {
  auto bytes = record.urgent().size();
  for (const auto& piece : record.queue()) bytes += piece.data().size();
  return static_cast<int>(bytes);
}

Result<> send_tcp_queue(int sender, int receiver, const InetSocket& record) {
  const RoomyBuffers room_to_send(sender);
  const RoomyBuffers room_to_receive(receiver);
  CAIRN_TRY(set_int(receiver, SO_OOBINLINE, 1));  // else what is behind the mark is not counted
  CAIRN_TRY(send_tcp_queue(sender, record));
  CAIRN_TRY(wait_for_bytes(receiver, queued_bytes(record)));
  if (!record.urgent_taken()) return {};
  char urgent = 0;
  CAIRN_TRY(set_int(receiver, SO_OOBINLINE, 0));
  if (::recv(receiver, &urgent, 1, MSG_OOB | MSG_DONTWAIT) != 1)
    return os_failure("receive urgent data ahead of the rest again");
  return {};
}

}  // namespace cairn::resources
