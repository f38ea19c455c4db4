#pragma once
// Internet sockets made anew: bound to their old addresses, connected to each other, or in the
// state of a connection that has ended.

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <string>
#include <utility>

#include "image/schema/object.pb.h"
#include "resources/context.h"

namespace cairn::resources {

constexpr auto kDrainTime = std::chrono::seconds(3);  // for data to get from one queue to the other
constexpr auto kPause = std::chrono::milliseconds(10);

// An IPv4 address inside of IPv6 equals the IPv4 one: one end may be of each family.
struct Endpoint {
  std::array<unsigned char, 16> address{};
  in_port_t port = 0;
  bool operator==(const Endpoint&) const = default;
};
Endpoint endpoint_of(const std::string& raw);  // of a struct sockaddr_*
bool is_loopback(const std::string& raw);
// A listening socket of the one address accepts connections to the other. One port may have several.
bool listens_at(const std::string& listener, const std::string& raw);
std::string loopback_address(int domain);  // without a port
std::string describe_address(const std::string& raw);
inline const sockaddr* address_of(const std::string& raw) {
  return reinterpret_cast<const sockaddr*>(raw.data());
}
inline socklen_t length_of(const std::string& raw) {
  return static_cast<socklen_t>(raw.size());
}

// Ends what the killed processes left in TIME_WAIT at the ports of the job: before any of its sockets is
// there, since the other end must be bound for it, and a listening socket would forbid that.
void free_ports(const RebuildJob& job);

// With the address and, if it is one, the backlog of the record.
Result<Fd> make_bound(const image::InetSocket& record);

Result<> connect_again(int fd, const std::string& to);

// A port that the kernel chose when the socket was connected may have been in use with other
// addresses then, and may be so now, by whomever; bind() refuses it. So it is chosen by connect()
// once more, out of a range of one (Linux 6.3), and the range is as saved afterwards.
bool bind_as_client(int fd, const std::string& raw);
Result<Fd> make_client(const image::InetSocket& record);
void choose_ports_as_saved(int fd, const image::InetSocket& record);

// The record of an end that is not there any more: that of the one that is, seen from there.
image::InetSocket mirror(const image::InetSocket& record);

// A client that has connected, sent what the other end holds, and closed.
Result<> make_gone(const image::InetSocket& end);

bool has_listener(const RebuildJob& job, const image::InetSocket& record);

// The server's end and the client's, through the saved listener of the port or one that lives for
// this.
Result<std::pair<Fd, Fd>> make_connection(RebuildJob& job, const image::InetSocket& server,
                                          const image::InetSocket& client);

// One that was reset or refused, or has ended on both sides: with what its queue holds, and with
// its error if nobody has seen that yet. It has its name, but no port any more.
Result<Fd> make_ended(RebuildJob& job, const image::InetSocket& record);

// Until so many bytes have arrived.
Result<> wait_for_bytes(int receiver, int bytes);

}  // namespace cairn::resources
