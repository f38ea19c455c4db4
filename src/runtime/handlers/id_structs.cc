// Pids inside of structures that calls take or give: armed by a restart.

#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/sysv.h"
#include "runtime/host/support.h"
#include "runtime/restorer/ids.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

// What the kernel has written there is a pid.
void translate_at(std::uint64_t address) {
  std::int32_t id = 0;
  if (copy_from_guest(&id, address, sizeof(id)) != 0) return;
  std::int32_t other = to_virtual(id);
  if (other != id) (void)!copy_to_guest(address, &other, sizeof(other));
}

// ---- siginfo: rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal, ptrace
// ----------------------

constexpr std::uint64_t kSiPid = 16;

bool holds_pid(std::uint64_t info) {
  std::int32_t head[3];
  return info != 0 && copy_from_guest(head, info, sizeof(head)) == 0 &&
         siginfo_holds_pid(head[0], head[2]);
}

// The guest names itself as the sender by its own pid; the receiver's side translates it back.
void translate_siginfo_argument(ThreadBlock* t, int index) {
  std::uint64_t info = t->tail.args[index];
  if (!holds_pid(info)) return;
  auto* copy = reinterpret_cast<KernelSiginfo*>(t->id_argument);
  if (copy_from_guest(copy, info, sizeof(*copy)) != 0) return;
  copy->sent.pid = to_real(copy->sent.pid);
  t->tail.args[index] = sys::address(copy);
}

Action rt_sigqueueinfo(ThreadBlock* t) {
  Action action = lower(t);
  if (action != Action::kTail) return action;
  t->tail.args[0] = static_cast<std::uint64_t>(to_real(static_cast<std::int32_t>(t->tail.args[0])));
  translate_siginfo_argument(t, 2);
  return action;
}

Action rt_tgsigqueueinfo(ThreadBlock* t) {
  Action action = lower(t);
  if (action != Action::kTail) return action;
  for (int i = 0; i < 2; ++i)
    t->tail.args[i] =
        static_cast<std::uint64_t>(to_real(static_cast<std::int32_t>(t->tail.args[i])));
  translate_siginfo_argument(t, 3);
  return action;
}

Action pidfd_send_signal(ThreadBlock* t) {
  Action action = lower(t);
  if (action == Action::kTail) translate_siginfo_argument(t, 2);
  return action;
}

// ---- signals read from a descriptor ------------------------------------------------------------

// struct signalfd_siginfo: number, error, code, pid ...
constexpr std::uint64_t kSignalfdEntry = 128, kSsiCode = 8, kSsiPid = 12;

bool is_signalfd(std::uint64_t fd) {
  char link[48], target[32];
  append_decimal(append(link, "/proc/thread-self/fd/"), static_cast<std::int32_t>(fd));
  auto length =
      sys::call(__NR_readlink, sys::address(link), sys::address(target), sizeof(target) - 1);
  if (!length.ok()) return false;
  target[length.value()] = 0;
  return string_equal(target, "anon_inode:[signalfd]");
}

void translate_signal_entry(std::uint64_t at) {
  std::int32_t signal = 0, code = 0;
  bool readable = copy_from_guest(&signal, at, sizeof(signal)) == 0 &&
                  copy_from_guest(&code, at + kSsiCode, sizeof(code)) == 0;
  if (readable && siginfo_holds_pid(signal, code)) translate_at(at + kSsiPid);
}

bool may_be_signals(const ThreadBlock* t, std::int64_t result) {
  return result > 0 && static_cast<std::uint64_t>(result) % kSignalfdEntry == 0 &&
         is_signalfd(t->rdi);
}

std::int64_t after_read(ThreadBlock* t, std::int64_t result) {
  if (!may_be_signals(t, result)) return result;
  for (std::uint64_t at = 0; at < static_cast<std::uint64_t>(result); at += kSignalfdEntry)
    translate_signal_entry(t->rsi + at);
  return result;
}

// The kernel fills whole entries into each piece; one that is split over pieces is left as it is.
std::int64_t after_readv(ThreadBlock* t, std::int64_t result) {
  if (!may_be_signals(t, result)) return result;
  auto left = static_cast<std::uint64_t>(result);
  for (std::uint64_t i = 0; i < t->rdx && left > 0; ++i) {
    std::uint64_t piece[2];
    if (copy_from_guest(piece, t->rsi + i * sizeof(piece), sizeof(piece)) != 0) break;
    std::uint64_t bytes = piece[1] < left ? piece[1] : left;
    for (std::uint64_t at = 0; at + kSignalfdEntry <= bytes; at += kSignalfdEntry)
      translate_signal_entry(piece[0] + at);
    left -= bytes;
  }
  return result;
}

Action read(ThreadBlock* t) {
  Action action = lower(t);
  if (action == Action::kTail) then(t, after_read);
  return action;
}

Action readv(ThreadBlock* t) {
  Action action = lower(t);
  if (action == Action::kTail) then(t, after_readv);
  return action;
}

std::int64_t after_signalfd(ThreadBlock*, std::int64_t result) {
  if (result >= 0) arm_above(kShiftedSignalfdHandlers);
  return result;
}

Action signalfd(ThreadBlock* t) {
  Action action = lower(t);
  if (action == Action::kTail) then(t, after_signalfd);
  return action;
}

// ---- credentials on sockets
// -------------------------------------------------------------------------

struct MessageHeader {
  std::uint64_t name;
  std::uint64_t name_bytes;
  std::uint64_t vector;
  std::uint64_t vector_count;
  std::uint64_t control;
  std::uint64_t control_bytes;
  std::uint64_t flags;
};
static_assert(sizeof(MessageHeader) == 56);
constexpr std::uint64_t kEntryBytes = sizeof(MessageHeader) + 8;  // struct mmsghdr

struct ControlHeader {
  std::uint64_t bytes;  // with this header
  std::int32_t level;
  std::int32_t type;
};
constexpr std::int32_t kSolSocket = 1, kScmCredentials = 2;

// Where the pid of the first SCM_CREDENTIALS in the control data lies, as an offset; 0: there is
// none.
std::uint64_t find_credentials(const MessageHeader& message) {
  if (message.control == 0) return 0;
  for (std::uint64_t at = 0; at + sizeof(ControlHeader) <= message.control_bytes;) {
    ControlHeader header{};
    if (copy_from_guest(&header, message.control + at, sizeof(header)) != 0) return 0;
    if (header.bytes < sizeof(header) || header.bytes > message.control_bytes - at) return 0;
    bool credentials = header.level == kSolSocket && header.type == kScmCredentials;
    if (credentials && header.bytes >= sizeof(header) + 12) return at + sizeof(header);
    at += (header.bytes + 7) & ~7ULL;
  }
  return 0;
}

void translate_received(std::uint64_t address) {
  MessageHeader message{};
  if (copy_from_guest(&message, address, sizeof(message)) != 0) return;
  std::uint64_t pid = find_credentials(message);
  if (pid != 0) translate_at(message.control + pid);
}

std::int64_t after_recvmsg(ThreadBlock* t, std::int64_t result) {
  if (result >= 0) translate_received(t->rsi);
  return result;
}

Action recvmsg(ThreadBlock* t) {
  Action action = lower(t);
  if (action == Action::kTail) then(t, after_recvmsg);
  return action;
}

std::int64_t after_recvmmsg(ThreadBlock* t, std::int64_t result) {
  for (std::int64_t i = 0; i < result; ++i)
    translate_received(t->rsi + static_cast<std::uint64_t>(i) * kEntryBytes);
  return result;
}

Action recvmmsg(ThreadBlock* t) {
  Action action = lower(t);
  if (action == Action::kTail) then(t, after_recvmmsg);
  return action;
}

// The message's header and control data in the block, with the kernel's pid; false: as it is.
bool copy_with_credentials(ThreadBlock* t, std::uint64_t address) {
  auto* copy = reinterpret_cast<MessageHeader*>(t->id_argument);
  auto* control = reinterpret_cast<unsigned char*>(t->id_argument) + kEntryBytes;
  if (copy_from_guest(copy, address, kEntryBytes) != 0) return false;
  std::uint64_t at = find_credentials(*copy);
  if (at == 0 || copy->control_bytes > sizeof(t->id_argument) - kEntryBytes) return false;
  if (copy_from_guest(control, copy->control, copy->control_bytes) != 0) return false;
  std::int32_t pid = 0;
  memcpy(&pid, control + at, sizeof(pid));
  pid = to_real(pid);
  memcpy(control + at, &pid, sizeof(pid));
  copy->control = sys::address(control);
  return true;
}

Action sendmsg(ThreadBlock* t) {
  Action action = lower(t);
  if (action == Action::kTail && copy_with_credentials(t, t->tail.args[1]))
    t->tail.args[1] = sys::address(t->id_argument);
  return action;
}

// msg_len is where the kernel says how much it took.
std::int64_t after_sendmmsg(ThreadBlock* t, std::int64_t result) {
  if (result <= 0) return result;
  auto* sent = reinterpret_cast<unsigned char*>(t->id_argument) + sizeof(MessageHeader);
  return copy_to_guest(t->rsi + sizeof(MessageHeader), sent, 4) != 0 ? -kEFAULT : result;
}

// Only the first message is looked into: one with credentials goes by itself, and what stands
// before it goes without it. A caller must go on after a part anyway.
Action sendmmsg(ThreadBlock* t) {
  Action action = lower(t);
  if (action != Action::kTail) return action;
  std::uint64_t count = t->tail.args[2] & 0xffffffff;
  for (std::uint64_t i = 0; i < count && i < 1024; ++i) {
    MessageHeader message{};
    if (copy_from_guest(&message, t->tail.args[1] + i * kEntryBytes, sizeof(message)) != 0)
      return action;
    if (find_credentials(message) == 0) continue;
    t->tail.args[2] = i == 0 ? 1 : i;
    if (i == 0 && copy_with_credentials(t, t->tail.args[1])) {
      t->tail.args[1] = sys::address(t->id_argument);
      then(t, after_sendmmsg);
    }
    return action;
  }
  return action;
}

std::int64_t after_peer_credentials(ThreadBlock* t, std::int64_t result) {
  if (result == 0) translate_at(t->r10);
  return result;
}

Action getsockopt(ThreadBlock* t) {
  constexpr std::uint64_t kSoPeercred = 17;
  Action action = lower(t);
  bool credentials =
      static_cast<std::int32_t>(t->rsi) == kSolSocket && (t->rdx & 0xffffffff) == kSoPeercred;
  if (action == Action::kTail && credentials) then(t, after_peer_credentials);
  return action;
}

// ---- capabilities
// -----------------------------------------------------------------------------------

struct CapabilityHeader {
  std::uint32_t version;
  std::int32_t pid;
};

// The kernel answers an unknown version with the one it likes.
std::int64_t after_capability(ThreadBlock* t, std::int64_t result) {
  return copy_to_guest(t->rdi, t->id_argument, sizeof(std::uint32_t)) != 0 ? -kEFAULT : result;
}

Action capability(ThreadBlock* t) {
  Action action = lower(t);
  CapabilityHeader header{};
  if (action != Action::kTail || copy_from_guest(&header, t->rdi, sizeof(header)) != 0)
    return action;
  header.pid = to_real(header.pid);
  memcpy(t->id_argument, &header, sizeof(header));
  t->tail.args[0] = sys::address(t->id_argument);
  then(t, after_capability);
  return action;
}

// ---- System V IPC: who was there last
// ------------------------------------------------------------

constexpr std::uint64_t kIpcStat = 2, kIpc64 = 0x100;

// Where the two pids lie in what a status command of shmctl or msgctl writes.
template <std::uint64_t kFirst, std::uint64_t kSecond>
std::int64_t after_ipc_status(ThreadBlock* t, std::int64_t result) {
  if (result < 0) return result;
  translate_at(t->rdx + kFirst);
  translate_at(t->rdx + kSecond);
  return result;
}

Action ipc_control(ThreadBlock* t, abi::SysvKind kind, std::uint64_t stat, std::uint64_t stat_any,
                   PostHandler after) {
  std::uint64_t command = t->rsi & 0xffffffff & ~kIpc64;
  Action action = lower(t);
  if (action != Action::kTail) return action;
  translate_sysv_control(t, kind, command);
  if (command == kIpcStat || command == stat || command == stat_any) then(t, after);
  return action;
}

Action shmctl(ThreadBlock* t) {
  constexpr std::uint64_t kShmStat = 13, kShmStatAny = 15, kCreator = 80, kLast = 84;
  return ipc_control(t, abi::SysvKind::kMemory, kShmStat, kShmStatAny, after_ipc_status<kCreator, kLast>);
}

Action msgctl(ThreadBlock* t) {
  constexpr std::uint64_t kMsgStat = 11, kMsgStatAny = 13, kLastSender = 96, kLastReceiver = 100;
  return ipc_control(t, abi::SysvKind::kMessages, kMsgStat, kMsgStatAny, after_ipc_status<kLastSender, kLastReceiver>);
}

std::int64_t id_of_result(ThreadBlock*, std::int64_t result) {
  return result > 0 ? to_virtual(static_cast<std::int32_t>(result)) : result;
}

Action semctl(ThreadBlock* t) {
  constexpr std::uint64_t kGetpid = 11;
  std::uint64_t command = t->rdx & 0xffffffff & ~kIpc64;
  Action action = lower(t);
  if (action != Action::kTail) return action;
  translate_sysv_control(t, abi::SysvKind::kSemaphores, command);
  if (command == kGetpid) then(t, id_of_result);
  return action;
}

// ---- ptrace
// ------------------------------------------------------------------------------------------

constexpr std::uint64_t kGeteventmsg = 0x4201, kGetsiginfo = 0x4202, kSetsiginfo = 0x4203;

// The message of a fork, clone, vfork, exec or vfork-done is an id; of an exit or a filter it is
// not.
bool event_is_about_an_id(ThreadBlock* t) {
  constexpr std::int32_t kFirst = 1, kLast = 5;
  KernelSiginfo info{};
  if (!sys::call(__NR_ptrace, kGetsiginfo, t->tail.args[1], 0, sys::address(&info)).ok())
    return false;
  std::int32_t event = info.code >> 8;
  return event >= kFirst && event <= kLast;
}

std::int64_t after_ptrace(ThreadBlock* t, std::int64_t result) {
  if (result != 0) return result;
  std::uint64_t message = 0;
  if (t->rdi == kGetsiginfo && holds_pid(t->r10)) translate_at(t->r10 + kSiPid);
  if (t->rdi != kGeteventmsg || copy_from_guest(&message, t->r10, sizeof(message)) != 0)
    return result;
  if (!event_is_about_an_id(t)) return result;
  message = static_cast<std::uint64_t>(to_virtual(static_cast<std::int32_t>(message)));
  return copy_to_guest(t->r10, &message, sizeof(message));
}

Action ptrace(ThreadBlock* t) {
  Action action = lower(t);
  if (action != Action::kTail) return action;
  t->tail.args[1] = static_cast<std::uint64_t>(to_real(static_cast<std::int32_t>(t->rsi)));
  if (t->rdi == kSetsiginfo) translate_siginfo_argument(t, 3);
  then(t, after_ptrace);
  return action;
}

}  // namespace

const HandlerRow kShiftedSignalfdHandlers[] = {
    {__NR_read, read}, {__NR_readv, readv}, {327 /* preadv2 */, readv}, {0, nullptr}};

const HandlerRow kShiftedStructHandlers[] = {{__NR_rt_sigqueueinfo, rt_sigqueueinfo},
                                             {__NR_rt_tgsigqueueinfo, rt_tgsigqueueinfo},
                                             {424 /* pidfd_send_signal */, pidfd_send_signal},
                                             {__NR_signalfd, signalfd},
                                             {__NR_signalfd4, signalfd},
                                             {__NR_recvmsg, recvmsg},
                                             {__NR_recvmmsg, recvmmsg},
                                             {__NR_sendmsg, sendmsg},
                                             {__NR_sendmmsg, sendmmsg},
                                             {__NR_getsockopt, getsockopt},
                                             {__NR_capget, capability},
                                             {__NR_capset, capability},
                                             {__NR_shmctl, shmctl},
                                             {__NR_msgctl, msgctl},
                                             {__NR_semctl, semctl},
                                             {__NR_ptrace, ptrace},
                                             {0, nullptr}};

}  // namespace cairn::runtime
