// The rest of a call at a socket. Each step polls first, since a call that fails takes the socket's
// error with it: natively the one that has done a part leaves the error to the next call. Polling
// also is the wait that can be given what remains of SO_RCVTIMEO or SO_SNDTIMEO.

#include "runtime/handlers/socket_timeouts.h"
#include "runtime/handlers/time_arguments.h"
#include "runtime/handlers/transfer.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kSoType = 3, kSoError = 4, kSoRcvlowat = 18, kSoDomain = 39;
constexpr int kStream = 1, kUnix = 1;
constexpr int kEINPROGRESS = 115;
constexpr std::uint16_t kPollIn = 1, kPollOut = 4, kPollErr = 8, kPollHup = 0x10,
                        kPollRdhup = 0x2000;
constexpr std::int64_t kSecond = 1'000'000'000, kNever = 1LL << 62;

struct PollFd {
  std::int32_t fd;
  std::uint16_t events, revents;
};

struct MessageHeader {
  std::uint64_t name, name_bytes, parts, part_count, control, control_bytes, flags;
};

int option(std::uint64_t fd, std::uint64_t name) {
  int value = 0;
  std::uint32_t bytes = sizeof(value);
  auto got =
      sys::call(__NR_getsockopt, fd, kSolSocket, name, sys::address(&value), sys::address(&bytes));
  return got.ok() ? value : 0;
}

// When this wait ends, by the guest's clock. A socket that came from a process which had set its
// timeout has it begin here, once.
std::int64_t deadline_of(ThreadBlock* t) {
  std::int64_t limit = socket_timeout_ns(t->rdi, t->rax);
  if (limit == 0) return kNever;
  if (t->interrupted.time_is != abi::kStarted) {
    t->interrupted.time_ns = guest_monotonic_ns();
    t->interrupted.time_is = abi::kStarted;
    arm_socket_timeouts();
  }
  return t->interrupted.time_ns + limit;
}

std::int64_t after_poll(ThreadBlock* t, std::int64_t result) {
  auto progress = static_cast<std::int64_t>(t->interrupted.progress);
  PollFd answer{};
  memcpy(&answer, t->scratch, sizeof(answer));
  if (result > 0) t->polled = answer.revents;
  if (result > 0 || result == -kEINTR) return kAgain;
  if (progress > 0 || result < 0) return progress > 0 ? progress : result;
  return t->rax == __NR_connect ? -kEINPROGRESS : -kEAGAIN;  // the time is over
}

Action poll_first(ThreadBlock* t, bool sends, std::int64_t deadline) {
  PollFd wanted{static_cast<std::int32_t>(t->rdi),
                sends ? kPollOut : static_cast<std::uint16_t>(kPollIn | kPollRdhup), 0};
  memcpy(t->scratch, &wanted, sizeof(wanted));
  std::uint64_t timeout = 0;
  if (deadline != kNever) {
    std::int64_t left = deadline - guest_monotonic_ns();
    if (left < 0) left = 0;
    Timespec time{left / kSecond, left % kSecond};
    memcpy(t->time_argument, &time, sizeof(time));
    timeout = sys::address(t->time_argument);
  }
  t->tail = {__NR_ppoll, {sys::address(t->scratch), 1, timeout, 0, 8, 0}};
  t->post = after_poll;
  return Action::kTail;
}

std::int64_t after_socket_step(ThreadBlock* t, std::int64_t result) {
  return result == -kEAGAIN ? kAgain : after_step(t, result);
}

std::int64_t after_whole(ThreadBlock* t, std::int64_t result) {
  bool waits_on = result == -kEAGAIN || result == -kEINTR;
  if (!waits_on && t->whole_post != nullptr) result = t->whole_post(t, result);
  return after_socket_step(t, result);
}

// The call as it was, but that it does not wait: the poll has.
Action without_waiting(ThreadBlock* t, const Transfer* kind, BeforeHandler before) {
  Action action = before != nullptr ? before(t) : pass(t);
  if (action != Action::kTail || kind == nullptr) return action;  // accept, connect: in one piece
  t->whole_post = t->post;
  t->post = after_whole;
  switch (t->rax) {
    case __NR_recvfrom:
    case __NR_sendto:
      t->tail.args[3] |= kMsgDontwait;
      break;
    case __NR_recvmsg:
    case __NR_sendmsg:
      t->tail.args[2] |= kMsgDontwait;
      break;
    case __NR_read:
    case __NR_write:
      t->tail = {static_cast<std::uint64_t>(kind->sends ? __NR_sendto : __NR_recvfrom),
                 {t->rdi, t->rsi, t->rdx, kMsgDontwait, 0, 0}};
      break;
    default: {
      MessageHeader header{0, 0, t->rsi, t->rdx, 0, 0, 0};
      memcpy(t->scratch, &header, sizeof(header));
      t->tail = {static_cast<std::uint64_t>(kind->sends ? __NR_sendmsg : __NR_recvmsg),
                 {t->rdi, sys::address(t->scratch), kMsgDontwait, 0, 0, 0}};
      break;
    }
  }
  return Action::kTail;
}

// Descriptors in flight go to a call that has room for them: it is not known how much there was, so
// such a call ends before them, as one may where what is in flight changes.
bool descriptors_are_next(const ThreadBlock* t) {
  constexpr std::uint32_t kControlTruncated = 8;
  constexpr std::uint64_t kCredentialsSpace = 32;
  MessageHeader theirs{};
  if (t->rax != __NR_recvmsg || option(t->rdi, kSoDomain) != kUnix ||
      copy_from_guest(&theirs, t->rsi, sizeof(theirs)) != 0 || theirs.control == 0)
    return false;
  char byte = 0, control[kCredentialsSpace];
  std::uint64_t part[2] = {sys::address(&byte), 1};
  MessageHeader look{0, 0, sys::address(part), 1, sys::address(control), sizeof(control), 0};
  auto seen = sys::call(__NR_recvmsg, t->rdi, sys::address(&look), kMsgPeek | kMsgDontwait);
  return seen.ok() && (look.flags & kControlTruncated) != 0;
}

bool nothing_is_there(std::uint64_t fd) {
  constexpr std::uint64_t kFionread = 0x541b;
  int bytes = 0;
  return !sys::call(__NR_ioctl, fd, kFionread, sys::address(&bytes)).ok() || bytes == 0;
}

Action receive_rest(ThreadBlock* t, Piece piece, std::int64_t deadline) {
  std::uint64_t progress = t->interrupted.progress;
  std::uint64_t flags = message_flags(t);
  auto low = static_cast<std::uint64_t>(option(t->rdi, kSoRcvlowat));
  std::uint64_t wanted = (flags & kMsgWaitall) != 0 || low > piece.total ? piece.total : low;
  Action all = done(t, static_cast<std::int64_t>(progress));
  if (progress >= wanted) return all;
  if (piece.bytes > wanted - progress) piece.bytes = wanted - progress;
  // With a low-water mark polling would wait for more than is wanted.
  if (low > 1) return move_piece(t, __NR_recvfrom, piece, flags | kMsgWaitall);
  if (t->polled == 0) return poll_first(t, false, deadline);
  bool failed = (t->polled & kPollErr) != 0;
  t->polled = 0;
  if ((failed && nothing_is_there(t->rdi)) || descriptors_are_next(t)) return all;
  move_piece(t, __NR_recvfrom, piece, (flags & ~kMsgWaitall) | kMsgDontwait);
  t->post = after_socket_step;
  return Action::kTail;
}

Action send_rest(ThreadBlock* t, const Piece& piece, std::int64_t deadline) {
  if (t->polled == 0) return poll_first(t, true, deadline);
  bool failed = (t->polled & (kPollErr | kPollHup)) != 0;
  t->polled = 0;
  if (failed) return done(t, static_cast<std::int64_t>(t->interrupted.progress));
  move_piece(t, __NR_sendto, piece, message_flags(t) | kMsgDontwait | kMsgNosignal);
  t->post = after_socket_step;
  return Action::kTail;
}

// ---- several messages -------------------------------------------------------------------------

constexpr std::uint64_t kEntryBytes = 64, kEntryLength = 56;

// The last message that sendmmsg counts may be a part only, on a stream.
bool last_message_is_a_part(const ThreadBlock* t, Piece* piece) {
  std::uint64_t entry = t->rsi + (t->interrupted.progress - 1) * kEntryBytes;
  std::uint32_t sent = 0;
  if (option(t->rdi, kSoType) != kStream ||
      copy_from_guest(&sent, entry + kEntryLength, sizeof(sent)) != 0)
    return false;
  return find_piece(Transfer::Memory::kMessage, entry, 0, sent, piece);
}

std::int64_t after_part(ThreadBlock* t, std::int64_t result) {
  if (result == -kEAGAIN || result == -kEINTR) return kAgain;
  auto messages = static_cast<std::int64_t>(t->interrupted.progress);
  std::uint64_t length = t->rsi + (t->interrupted.progress - 1) * kEntryBytes + kEntryLength;
  std::uint32_t sent = 0;
  if (result <= 0 || copy_from_guest(&sent, length, sizeof(sent)) != 0) return messages;
  sent += static_cast<std::uint32_t>(result);
  return copy_to_guest(length, &sent, sizeof(sent)) == 0 ? kAgain : messages;
}

Action send_messages(ThreadBlock* t) {
  std::uint64_t progress = t->interrupted.progress;
  Piece piece{};
  if (last_message_is_a_part(t, &piece)) {
    Action action = send_rest(t, piece, kNever);
    if (action != Action::kTail || t->tail.number == __NR_ppoll) return action;
    t->post = after_part;
    return action;
  }
  if (progress >= t->rdx) return done(t, static_cast<std::int64_t>(progress));
  pass(t, after_step);
  t->tail.args[1] += progress * kEntryBytes;
  t->tail.args[2] -= progress;
  return Action::kTail;
}

Action receive_messages(ThreadBlock* t) {
  std::uint64_t progress = t->interrupted.progress;
  bool timed = t->interrupted.time_is == abi::kDeadline;
  std::int64_t left = timed ? t->interrupted.time_ns - guest_monotonic_ns() : 1;
  Timespec time{left > 0 ? left / kSecond : 0, left > 0 ? left % kSecond : 0};
  if (timed) (void)!copy_to_guest(t->r8, &time, sizeof(time));
  bool enough = progress >= t->rdx || left <= 0 || (t->r10 & kMsgWaitforone) != 0;
  if (enough) return done(t, static_cast<std::int64_t>(progress));
  pass(t, after_step);
  t->tail.args[1] += progress * kEntryBytes;
  t->tail.args[2] -= progress;
  if (timed) memcpy(t->time_argument, &time, sizeof(time));
  if (timed) t->tail.args[4] = sys::address(t->time_argument);
  return Action::kTail;
}

}  // namespace

void take_back_interruption(std::uint64_t fd) {
  (void)option(fd, kSoError);
}

bool go_on_at_socket(ThreadBlock* t, const Transfer* kind, BeforeHandler before, const Piece* piece,
                     Action* action) {
  std::int64_t deadline = deadline_of(t);
  bool sends = t->rax == __NR_connect || (kind != nullptr && kind->sends);
  if (piece == nullptr) {
    if (deadline == kNever) return false;
    bool ready = t->polled != 0;
    t->polled = 0;
    *action = ready ? without_waiting(t, kind, before) : poll_first(t, sends, deadline);
    return true;
  }
  if (option(t->rdi, kSoType) != kStream) return true;  // a message is never divided
  if (!sends && (message_flags(t) & kMsgPeek) != 0) {
    bool whole = (message_flags(t) & kMsgWaitall) != 0;
    if (whole) t->interrupted.progress = 0;  // nothing was taken: it looks again
    return !whole;
  }
  *action = sends ? send_rest(t, *piece, deadline) : receive_rest(t, *piece, deadline);
  return true;
}

bool go_on_with_messages(ThreadBlock* t, Action* action) {
  std::uint64_t progress = t->interrupted.progress;
  if (progress == 0) return false;
  *action = done(t, static_cast<std::int64_t>(progress));
  if (is_nonblocking(t)) return true;
  *action = t->rax == __NR_sendmmsg ? send_messages(t) : receive_messages(t);
  return true;
}

}  // namespace cairn::runtime
