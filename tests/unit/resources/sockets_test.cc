// Sockets with both ends in one process, with what is in flight.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "unit/resources/round_trip.h"

namespace cairn {
namespace {

using testing::refusal_of;
using testing::RoundTrip;

#define CHECK_OR(code, condition) \
  do {                            \
    if (!(condition)) return code; \
  } while (false)

void move_to(int fd, int number) {
  ::dup2(fd, number);
  ::close(fd);
}

void pair_at(int type, int a, int b) {
  int ends[2];
  if (::socketpair(AF_UNIX, type, 0, ends) != 0) ::_exit(9);
  move_to(ends[0], a);
  move_to(ends[1], b);
}

sockaddr_un unix_name(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::strncpy(name.sun_path, path.c_str(), sizeof name.sun_path - 1);
  return name;
}

TEST(UnixSocket, StreamPairFullBothWays) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             pair_at(SOCK_STREAM | SOCK_NONBLOCK, 50, 51);
                             const std::string piece(1000, 'p');
                             while (::write(50, piece.data(), piece.size()) > 0) {}
                             if (::write(51, "back", 4) != 4) ::_exit(8);
                             int there = 0;
                             ::ioctl(51, FIONREAD, &there);
                             const int file = ::open("/tmp", O_TMPFILE | O_RDWR, 0600);
                             if (::write(file, &there, sizeof there) != sizeof there) ::_exit(7);
                             move_to(file, 60);
                           },
                       .use =
                           [] {
                             int expected = 0, there = 0;
                             CHECK_OR(1, ::pread(60, &expected, 4, 0) == 4 && expected > 10000);
                             CHECK_OR(2, ::ioctl(51, FIONREAD, &there) == 0 && there == expected);
                             std::string data(static_cast<std::size_t>(expected), '\0');
                             CHECK_OR(3, ::recv(51, data.data(), data.size(), MSG_WAITALL) == expected);
                             CHECK_OR(4, data.find_first_not_of('p') == std::string::npos);
                             char text[5] = {};
                             CHECK_OR(5, ::read(50, text, 4) == 4 && std::strcmp(text, "back") == 0);
                             CHECK_OR(6, (::fcntl(50, F_GETFL) & O_NONBLOCK) != 0);
                             CHECK_OR(7, ::write(50, "x", 1) == 1 && ::read(51, text, 1) == 1);
                             return 0;
                           }}
                 .run()),
            0);
}

TEST(UnixSocket, CreditsOfThePeerAreTheProcess) {
  EXPECT_EQ((RoundTrip{.make = [] { pair_at(SOCK_STREAM, 50, 51); },
                       .use =
                           [] {
                             ucred credentials{};
                             socklen_t bytes = sizeof credentials;
                             ::getsockopt(50, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes);
                             return credentials.pid == ::getpid() ? 0 : 1;
                           }}
                 .run()),
            0);
}

TEST(UnixSocket, DatagramsAndPacketsKeepTheirBorders) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             pair_at(SOCK_DGRAM, 50, 51);
                             pair_at(SOCK_SEQPACKET, 52, 53);
                             for (const int fd : {50, 52})
                               if (::send(fd, "a", 1, 0) != 1 || ::send(fd, "bcd", 3, 0) != 3) ::_exit(8);
                           },
                       .use =
                           [] {
                             char text[16];
                             for (const int fd : {51, 53}) {
                               CHECK_OR(1, ::recv(fd, text, sizeof text, 0) == 1);
                               CHECK_OR(2, ::recv(fd, text, sizeof text, 0) == 3);
                               CHECK_OR(3, ::recv(fd, text, sizeof text, MSG_DONTWAIT) == -1);
                             }
                             return 0;
                           }}
                 .run()),
            0);
}

TEST(UnixSocket, PeerClosedWithDataLeft) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             pair_at(SOCK_STREAM, 50, 51);
                             if (::write(51, "rest", 4) != 4) ::_exit(8);
                             ::close(51);
                           },
                       .use =
                           [] {
                             char text[16];
                             CHECK_OR(1, ::read(50, text, sizeof text) == 4);
                             CHECK_OR(2, ::read(50, text, sizeof text) == 0);
                             CHECK_OR(3, ::send(50, text, 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
                             return 0;
                           }}
                 .run()),
            0);
}

TEST(UnixSocket, ShutDownInOneDirection) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             pair_at(SOCK_STREAM, 50, 51);
                             if (::write(50, "last", 4) != 4) ::_exit(8);
                             ::shutdown(50, SHUT_WR);
                           },
                       .use =
                           [] {
                             char text[16];
                             CHECK_OR(1, ::read(51, text, sizeof text) == 4);
                             CHECK_OR(2, ::read(51, text, sizeof text) == 0);
                             CHECK_OR(3, ::write(51, "on", 2) == 2 && ::read(50, text, 16) == 2);
                             return 0;
                           }}
                 .run()),
            0);
}

TEST(UnixSocket, DescriptorInFlight) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             pair_at(SOCK_STREAM, 50, 51);
                             const int file = ::open("/tmp", O_TMPFILE | O_RDWR, 0600);
                             if (::write(file, "inside", 6) != 6) ::_exit(8);
                             alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
                             iovec part{const_cast<char*>("!"), 1};
                             msghdr message{};
                             message.msg_iov = &part;
                             message.msg_iovlen = 1;
                             message.msg_control = control;
                             message.msg_controllen = sizeof control;
                             cmsghdr* rights = CMSG_FIRSTHDR(&message);
                             rights->cmsg_level = SOL_SOCKET;
                             rights->cmsg_type = SCM_RIGHTS;
                             rights->cmsg_len = CMSG_LEN(sizeof(int));
                             std::memcpy(CMSG_DATA(rights), &file, sizeof file);
                             if (::sendmsg(50, &message, 0) != 1) ::_exit(7);
                             ::close(file);
                           },
                       .use =
                           [] {
                             alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
                             char byte = 0;
                             iovec part{&byte, 1};
                             msghdr message{};
                             message.msg_iov = &part;
                             message.msg_iovlen = 1;
                             message.msg_control = control;
                             message.msg_controllen = sizeof control;
                             CHECK_OR(1, ::recvmsg(51, &message, 0) == 1 && byte == '!');
                             cmsghdr* rights = CMSG_FIRSTHDR(&message);
                             CHECK_OR(2, rights != nullptr && rights->cmsg_type == SCM_RIGHTS);
                             int file = -1;
                             std::memcpy(&file, CMSG_DATA(rights), sizeof file);
                             char text[7] = {};
                             CHECK_OR(3, ::pread(file, text, 6, 0) == 6);
                             return std::strcmp(text, "inside") == 0 ? 0 : 4;
                           }}
                 .run()),
            0);
}

TEST(UnixSocket, ListenerConnectionAndOneThatWaits) {
  char directory[] = "/tmp/cairn-socket-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  const std::string path = std::string(directory) + "/s";
  EXPECT_EQ((RoundTrip{.make =
                           [=] {
                             const auto name = unix_name(path);
                             const auto* address = reinterpret_cast<const sockaddr*>(&name);
                             move_to(::socket(AF_UNIX, SOCK_STREAM, 0), 50);
                             ::bind(50, address, sizeof name);
                             ::listen(50, 5);
                             move_to(::socket(AF_UNIX, SOCK_STREAM, 0), 51);
                             ::connect(51, address, sizeof name);
                             move_to(::accept(50, nullptr, nullptr), 52);
                             move_to(::socket(AF_UNIX, SOCK_STREAM, 0), 53);
                             ::connect(53, address, sizeof name);
                             if (::write(51, "hello", 5) != 5) ::_exit(8);
                           },
                       .use =
                           [=] {
                             char text[16] = {};
                             CHECK_OR(1, ::read(52, text, sizeof text) == 5);
                             sockaddr_un name{};
                             socklen_t bytes = sizeof name;
                             CHECK_OR(2, ::getpeername(51, reinterpret_cast<sockaddr*>(&name), &bytes) == 0);
                             CHECK_OR(3, path == name.sun_path);
                             const int accepted = ::accept4(50, nullptr, nullptr, 0);
                             CHECK_OR(4, accepted >= 0);
                             CHECK_OR(5, ::write(53, "late", 4) == 4);
                             CHECK_OR(6, ::read(accepted, text, sizeof text) == 4);
                             const auto again = unix_name(path);
                             const int client = ::socket(AF_UNIX, SOCK_STREAM, 0);
                             CHECK_OR(7, ::connect(client, reinterpret_cast<const sockaddr*>(&again),
                                                   sizeof again) == 0);
                             return 0;
                           }}
                 .run()),
            0);
  std::filesystem::remove_all(directory);
}

TEST(UnixSocket, NamedDatagrams) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             const char a[] = "\0cairn-dgram-a";
                             const char b[] = "\0cairn-dgram-b";
                             sockaddr_un name{};
                             name.sun_family = AF_UNIX;
                             const socklen_t bytes = sizeof(sa_family_t) + sizeof a - 1;
                             auto* address = reinterpret_cast<sockaddr*>(&name);
                             move_to(::socket(AF_UNIX, SOCK_DGRAM, 0), 50);
                             move_to(::socket(AF_UNIX, SOCK_DGRAM, 0), 51);
                             std::memcpy(name.sun_path, b, sizeof b - 1);
                             ::bind(51, address, bytes);
                             std::memcpy(name.sun_path, a, sizeof a - 1);
                             ::bind(50, address, bytes);
                             ::connect(51, address, bytes);
                             if (::send(51, "ping", 4, 0) != 4) ::_exit(8);
                           },
                       .use =
                           [] {
                             sockaddr_un from{};
                             socklen_t bytes = sizeof from;
                             char text[16];
                             CHECK_OR(1, ::recvfrom(50, text, sizeof text, 0,
                                                    reinterpret_cast<sockaddr*>(&from), &bytes) == 4);
                             CHECK_OR(2, std::memcmp(from.sun_path, "\0cairn-dgram-b", 14) == 0);
                             CHECK_OR(3, ::send(51, "more", 4, 0) == 4);
                             CHECK_OR(4, ::recv(50, text, sizeof text, 0) == 4);
                             return 0;
                           }}
                 .run()),
            0);
}

TEST(UnixSocket, TheCaptureTakesNothing) {
  testing::FakeProcess process(
      [] {
        pair_at(SOCK_STREAM, 50, 51);
        if (::write(50, "hello", 5) != 5) ::_exit(8);
      },
      [] {
        char text[16] = {};
        return ::read(51, text, sizeof text) == 5 && std::strcmp(text, "hello") == 0 ? 0 : 1;
      });
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(testing::save_files(process.remote()));
  ASSERT_TRUE(process.remote().thaw());
  EXPECT_EQ(process.wait(), 0);
}

TEST(UnixSocket, ConnectionToSomebodyElseIsRefused) {
  const std::string name = std::string(1, '\0') + "cairn-outside-" + std::to_string(::getpid());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), name.size());
  const auto bytes = static_cast<socklen_t>(sizeof(sa_family_t) + name.size());
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), bytes), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  testing::FakeProcess process(
      [=] {
        move_to(::socket(AF_UNIX, SOCK_STREAM, 0), 50);
        if (::connect(50, reinterpret_cast<const sockaddr*>(&address), bytes) != 0) ::_exit(8);
      },
      nullptr);
  const auto waiting = testing::save_files(process.remote());
  ASSERT_FALSE(waiting);
  EXPECT_NE(waiting.error().message().find("descriptor 50"), std::string::npos);
  const Fd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const auto connected = testing::save_files(process.remote());
  ASSERT_FALSE(connected);
  EXPECT_NE(connected.error().message().find("descriptor 50"), std::string::npos);
}

struct Loopback {
  sockaddr_in address{};
  Loopback() {
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&address); }
  void of(int fd) {
    socklen_t bytes = sizeof address;
    ::getsockname(fd, get(), &bytes);
  }
};

TEST(Tcp, ListenerConnectionAndDataBothWays) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             Loopback at;
                             move_to(::socket(AF_INET, SOCK_STREAM, 0), 50);
                             ::bind(50, at.get(), sizeof at.address);
                             ::listen(50, 7);
                             at.of(50);
                             move_to(::socket(AF_INET, SOCK_STREAM, 0), 51);
                             ::connect(51, at.get(), sizeof at.address);
                             move_to(::accept(50, nullptr, nullptr), 52);
                             const int yes = 1;
                             ::setsockopt(51, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                             const std::string data(100000, 'd');
                             if (::write(51, data.data(), data.size()) != 100000 ||
                                 ::write(52, "back", 4) != 4)
                               ::_exit(8);
                             ::shutdown(51, SHUT_WR);
                           },
                       .use =
                           [] {
                             std::string data(100000, '\0');
                             CHECK_OR(1, ::recv(52, data.data(), data.size(), MSG_WAITALL) == 100000);
                             CHECK_OR(2, data == std::string(100000, 'd'));
                             CHECK_OR(3, ::recv(52, data.data(), 1, 0) == 0);
                             CHECK_OR(4, ::recv(51, data.data(), 100, 0) == 4);
                             int yes = 0;
                             socklen_t bytes = sizeof yes;
                             ::getsockopt(51, IPPROTO_TCP, TCP_NODELAY, &yes, &bytes);
                             CHECK_OR(5, yes == 1);
                             Loopback listener, client;
                             listener.of(50);
                             client.of(52);
                             CHECK_OR(6, listener.address.sin_port == client.address.sin_port);
                             const int more = ::socket(AF_INET, SOCK_STREAM, 0);
                             CHECK_OR(7, ::connect(more, listener.get(), sizeof listener.address) == 0);
                             return ::accept(50, nullptr, nullptr) >= 0 ? 0 : 8;
                           }}
                 .run()),
            0);
}

TEST(Udp, QueueAndSender) {
  EXPECT_EQ((RoundTrip{.make =
                           [] {
                             Loopback a, b;
                             move_to(::socket(AF_INET, SOCK_DGRAM, 0), 50);
                             move_to(::socket(AF_INET, SOCK_DGRAM, 0), 51);
                             ::bind(50, a.get(), sizeof a.address);
                             ::bind(51, b.get(), sizeof b.address);
                             a.of(50);
                             if (::sendto(51, "one", 3, 0, a.get(), sizeof a.address) != 3 ||
                                 ::sendto(51, "four", 4, 0, a.get(), sizeof a.address) != 4)
                               ::_exit(8);
                           },
                       .use =
                           [] {
                             char text[16];
                             Loopback from, sender;
                             socklen_t bytes = sizeof from.address;
                             CHECK_OR(1, ::recvfrom(50, text, 16, MSG_DONTWAIT, from.get(), &bytes) == 3);
                             sender.of(51);
                             CHECK_OR(2, from.address.sin_port == sender.address.sin_port);
                             CHECK_OR(3, ::recv(50, text, 16, MSG_DONTWAIT) == 4);
                             return 0;
                           }}
                 .run()),
            0);
}

}  // namespace
}  // namespace cairn
