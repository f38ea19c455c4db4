#include "runtime/handlers/go_on.h"

#include "runtime/handlers/socket_timeouts.h"
#include "runtime/handlers/time_arguments.h"
#include "runtime/handlers/transfer.h"
#include "runtime/host/support.h"
#include "syscalls/restart.h"

namespace cairn::runtime {
namespace {

using Memory = Transfer::Memory;
constexpr Transfer kTransfers[] = {
    {__NR_read, Memory::kBuffer, false},     {__NR_write, Memory::kBuffer, true},
    {__NR_readv, Memory::kVector, false},    {__NR_writev, Memory::kVector, true},
    {__NR_recvfrom, Memory::kBuffer, false}, {__NR_sendto, Memory::kBuffer, true},
    {__NR_recvmsg, Memory::kMessage, false}, {__NR_sendmsg, Memory::kMessage, true},
    {__NR_preadv2, Memory::kVector, false},  {__NR_pwritev2, Memory::kVector, true},
};

constexpr std::uint32_t kTypeMask = 0170000, kFifo = 0010000, kCharacter = 0020000,
                        kSocket = 0140000;

struct FileKind {
  std::uint32_t type = 0;
  std::uint64_t major = 0;
};

FileKind kind_of(std::uint64_t fd) {
  struct {
    std::uint64_t dev, ino, nlink;
    std::uint32_t mode, uid, gid, pad;
    std::uint64_t rdev, rest[13];
  } info{};
  if (!sys::call(__NR_fstat, fd, sys::address(&info)).ok()) return {};
  return {info.mode & kTypeMask, info.rdev >> 8 & 0xfff};
}

struct Terminal {
  std::uint32_t input, output, control, local;
  unsigned char line, characters[19];
};

// How many bytes a read of a terminal waits for; 0: it returns with what there is.
std::uint64_t terminal_minimum(const Terminal& terminal) {
  constexpr std::uint32_t kCanonical = 2, kTime = 5, kMinimum = 6;
  bool line = (terminal.local & kCanonical) != 0;
  return line || terminal.characters[kTime] != 0 ? 0 : terminal.characters[kMinimum];
}

// A device that works until all is done or a signal comes: terminals, /dev/zero, /dev/urandom.
Action go_on_at_device(ThreadBlock* t, bool sends, std::uint64_t major, Piece piece) {
  constexpr std::uint64_t kTcgets = 0x5401, kMemoryDevices = 1;
  std::uint64_t done_already = t->interrupted.progress;
  std::uint32_t number = sends ? __NR_write : __NR_read;
  Terminal terminal{};
  if (!sys::call(__NR_ioctl, t->rdi, kTcgets, sys::address(&terminal)).ok()) {
    if (major == kMemoryDevices) return move_piece(t, number, piece);
    return done(t, static_cast<std::int64_t>(done_already));
  }
  if (sends) return move_piece(t, number, piece);
  std::uint64_t minimum = terminal_minimum(terminal);
  if (done_already >= minimum) return done(t, static_cast<std::int64_t>(done_already));
  if (piece.bytes > minimum - done_already) piece.bytes = minimum - done_already;
  return move_piece(t, number, piece);
}

bool go_on_transfer(ThreadBlock* t, const Transfer& kind, BeforeHandler before, Action* action) {
  std::uint64_t progress = t->interrupted.progress;
  FileKind file = kind_of(t->rdi);
  Piece piece{};
  if (progress == 0)
    return file.type == kSocket && go_on_at_socket(t, &kind, before, nullptr, action);
  *action = done(t, static_cast<std::int64_t>(progress));
  if (is_nonblocking(t) || !find_piece(kind.memory, t->rsi, t->rdx, progress, &piece)) return true;
  if (file.type == kSocket) return go_on_at_socket(t, &kind, before, &piece, action);
  if (file.type == kFifo && kind.sends) *action = move_piece(t, __NR_write, piece);
  if (file.type == kCharacter) *action = go_on_at_device(t, kind.sends, file.major, piece);
  return true;
}

// Calls that tell by one number how much they are to do, in the argument `index`.
bool go_on_counted(ThreadBlock* t, int index, Action* action) {
  std::uint64_t progress = t->interrupted.progress;
  if (progress == 0) return false;
  pass(t, after_step);
  std::uint64_t& count = t->tail.args[index];
  bool over = progress >= count;
  count -= over ? 0 : progress;
  *action = over ? done(t, static_cast<std::int64_t>(progress)) : Action::kTail;
  return true;
}

// Into a pipe sendfile puts what there is room for and does not wait for more.
bool go_on_sendfile(ThreadBlock* t, Action* action) {
  if (t->interrupted.progress == 0 || kind_of(t->rdi).type != kFifo)
    return go_on_counted(t, 3, action);
  *action = done(t, static_cast<std::int64_t>(t->interrupted.progress));
  return true;
}

bool go_on_splice(ThreadBlock* t, Action* action) {
  constexpr std::uint16_t kPollIn = 1;
  struct {
    std::int32_t fd;
    std::uint16_t events, revents;
  } input{static_cast<std::int32_t>(t->rdi), kPollIn, 0};
  // A splice returns with what its pipe holds: only what is there already was still to be moved.
  bool more = kind_of(t->rdi).type == kFifo &&
              sys::call(__NR_poll, sys::address(&input), 1, 0).raw == 1 &&
              (input.revents & kPollIn) != 0;
  if (more || t->interrupted.progress == 0) return go_on_counted(t, 4, action);
  *action = done(t, static_cast<std::int64_t>(t->interrupted.progress));
  return true;
}

bool go_on_getrandom(ThreadBlock* t, Action* action) {
  bool handled = go_on_counted(t, 1, action);
  t->tail.args[0] += t->interrupted.progress;
  return handled;
}

// At least rsi events of at most rdx are wanted.
bool go_on_getevents(ThreadBlock* t, BeforeHandler before, Action* action) {
  constexpr std::uint64_t kEventBytes = 32;
  std::uint64_t progress = t->interrupted.progress;
  if (progress == 0) return false;
  *action = done(t, static_cast<std::int64_t>(progress));
  if (static_cast<std::int64_t>(progress) >= static_cast<std::int64_t>(t->rsi)) return true;
  *action = before != nullptr ? before(t) : pass(t);
  t->post = after_step;
  t->tail.args[1] -= progress;
  t->tail.args[2] -= progress;
  t->tail.args[3] += progress * kEventBytes;
  return true;
}

bool go_on(ThreadBlock* t, BeforeHandler before, Action* action) {
  if (const Transfer* kind = transfer_of(t->rax)) return go_on_transfer(t, *kind, before, action);
  switch (t->rax) {
    case __NR_sendfile:
      return go_on_sendfile(t, action);
    case __NR_copy_file_range:
      return go_on_counted(t, 4, action);
    case __NR_splice:
      return go_on_splice(t, action);
    case __NR_getrandom:
      return go_on_getrandom(t, action);
    case __NR_io_getevents:
    case __NR_io_pgetevents:
      return go_on_getevents(t, before, action);
    case __NR_sendmmsg:
    case __NR_recvmmsg:
      return go_on_with_messages(t, action);
    case __NR_accept:
    case __NR_accept4:
    case __NR_connect:
      return go_on_at_socket(t, nullptr, before, nullptr, action);
    default:
      return false;
  }
}

std::int64_t after_resumed(ThreadBlock* t, std::int64_t result) {
  if (t->resumed_post != nullptr) result = t->resumed_post(t, result);
  if (result != kAgain) call_is_over(t);
  return result;
}

}  // namespace

const Transfer* transfer_of(std::uint64_t number) {
  for (const Transfer& kind : kTransfers)
    if (kind.number == number) return &kind;
  return nullptr;
}

bool find_piece(Memory memory, std::uint64_t at, std::uint64_t count, std::uint64_t done,
                Piece* out) {
  struct {
    std::uint64_t address, bytes;
  } part{at, count};
  if (memory == Memory::kMessage) {
    std::uint64_t header[4];  // name, its length, parts, their number
    if (copy_from_guest(header, at, sizeof(header)) != 0) return false;
    at = header[2];
    count = header[3];
  }
  if (memory == Memory::kBuffer) count = 1;
  *out = {};
  for (std::uint64_t i = 0, before = 0; i < count; ++i, before += part.bytes) {
    if (memory != Memory::kBuffer &&
        copy_from_guest(&part, at + i * sizeof(part), sizeof(part)) != 0)
      return false;
    out->total += part.bytes;
    bool here = out->bytes == 0 && done >= before && done - before < part.bytes;
    if (here) out->address = part.address + (done - before);
    if (here) out->bytes = part.bytes - (done - before);
  }
  return out->bytes != 0;
}

std::uint64_t message_flags(const ThreadBlock* t) {
  switch (t->rax) {
    case __NR_recvfrom:
    case __NR_sendto:
    case __NR_recvmmsg:
    case __NR_sendmmsg:
      return t->r10;
    case __NR_recvmsg:
    case __NR_sendmsg:
      return t->rdx;
    default:
      return 0;
  }
}

bool is_nonblocking(const ThreadBlock* t) {
  constexpr std::uint64_t kGetFlags = 3, kNonblock = 0x800, kNowait = 8;
  bool positioned = t->rax == __NR_preadv2 || t->rax == __NR_pwritev2;
  if (positioned && ((t->r9 & kNowait) != 0 || static_cast<std::int64_t>(t->r10) != -1))
    return true;
  if ((message_flags(t) & kMsgDontwait) != 0) return true;
  auto flags = sys::call(__NR_fcntl, t->rdi, kGetFlags);
  return !flags.ok() || (flags.value() & kNonblock) != 0;
}

std::int64_t after_step(ThreadBlock* t, std::int64_t result) {
  std::uint64_t& progress = t->interrupted.progress;
  if (result > 0) progress += static_cast<std::uint64_t>(result);
  // An interrupted step is seen by front.cc as a call that is not made yet.
  if (result > 0 || result == -kEINTR) return kAgain;
  return progress > 0 ? static_cast<std::int64_t>(progress) : result;
}

Action move_piece(ThreadBlock* t, std::uint32_t number, const Piece& piece, std::uint64_t flags) {
  t->tail = {number, {t->rdi, piece.address, piece.bytes, flags, 0, 0}};
  t->post = after_step;
  return Action::kTail;
}

bool may_have_more(std::uint64_t number) {
  switch (number) {
    case __NR_sendfile:
    case __NR_copy_file_range:
    case __NR_splice:
    case __NR_getrandom:
    case __NR_io_getevents:
    case __NR_io_pgetevents:
    case __NR_sendmmsg:
    case __NR_recvmmsg:
      return true;
    default:
      return transfer_of(number) != nullptr;
  }
}

Action resume(ThreadBlock* t, BeforeHandler before) {
  Action action = Action::kTail;
  if (!go_on(t, before, &action)) action = before != nullptr ? before(t) : pass(t);
  if (action == Action::kTail) {
    t->resumed_post = t->post;
    t->post = after_resumed;
  } else if (action != Action::kRetry) {
    call_is_over(t);
  }
  return action;
}

void call_is_over(ThreadBlock* t) {
  t->interrupted.valid = 0;
  if (t->wide_mask == 0) return;
  t->wide_mask = 0;
  __atomic_store_n(&t->deferred, 1,
                   __ATOMIC_SEQ_CST);  // from here on a signal leaves exit_mask alone
  t->exit_mask = t->guest_mask & ~kHostSignals;
}

bool restarts_after_handler(std::uint64_t number, const std::uint64_t* regs) {
  constexpr std::uint64_t kCommand = 0x7f, kWait = 0, kWaitBitset = 9;
  if (!syscalls::restarts_under_sa_restart(number)) return false;
  std::uint64_t command = regs[abi::kRsi] & kCommand;
  if (number == __NR_futex && (command == kWait || command == kWaitBitset))
    return regs[abi::kR10] == 0;
  bool at_socket = (syscalls::kTable[number].causes & syscalls::kTimeouts) != 0;
  return !at_socket || socket_timeout_ns(regs[abi::kRdi], number) == 0;
}

}  // namespace cairn::runtime
