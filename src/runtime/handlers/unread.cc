// Reading an inotify in whose queue stand-ins are (abi/notices.h): each becomes the event that it
// stands for. Only read() is looked at: who reads events by readv sees the stand-ins.

#include "runtime/handlers/dispatch.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kFionread = 0x541b;
constexpr std::uint32_t kIgnored = 0x8000;  // IN_IGNORED
constexpr std::uint64_t kLargest = abi::kEventHead + 256;

struct Event {
  std::int32_t watch;
  std::uint32_t mask, cookie, length;
  char name[256];
};
static_assert(sizeof(Event) == kLargest);

bool is_inotify(std::uint64_t fd) {
  char path[64], link[64] = {};
  append_decimal(append(path, "/proc/thread-self/fd/"), static_cast<std::int32_t>(fd));
  auto length = sys::call(__NR_readlink, sys::address(path), sys::address(link), sizeof(link) - 1);
  return length.ok() && string_equal(link, "anon_inode:inotify");
}

std::uint64_t waiting(std::uint64_t fd) {
  std::int32_t bytes = 0;
  auto got = sys::call(__NR_ioctl, fd, kFionread, sys::address(&bytes));
  return got.ok() ? static_cast<std::uint64_t>(bytes) : 0;
}

std::uint64_t bytes_of(const Event& event) {
  return abi::kEventHead + event.length;
}

// The watch of the stand-ins has gone.
void take_end(std::uint64_t fd) {
  Event end;
  if (waiting(fd) >= abi::kEventHead)
    (void)sys::call(__NR_read, fd, sys::address(&end), abi::kEventHead);
}

// The true event in place of its stand-in; whether it was the last one.
bool exchange(Event* event, bool* was_stand_in) {
  abi::StandIn what;
  *was_stand_in = event->length != 0 && abi::read_stand_in(event->name, &what);
  if (!*was_stand_in) return false;
  abi::Notices& notices = abi::job_segment()->notices;
  memcpy(event, &notices.unread[what.offset], abi::kEventHead);
  if (event->length > sizeof(event->name)) event->length = 0;
  memcpy(event->name, &notices.unread[what.offset + abi::kEventHead], event->length);
  notices.unread_left.fetch_sub(1);
  return what.last;
}

// What was read, in place: no true event is longer than its stand-in.
std::int64_t exchange_all(std::uint64_t fd, std::uint64_t at, std::uint64_t bytes) {
  std::uint64_t to = at;
  std::int32_t ended = -1;  // the watch whose end follows
  bool ends = false;
  for (std::uint64_t from = at, end = at + bytes; from < end;) {
    Event event;
    if (copy_from_guest(&event, from, abi::kEventHead) != 0 || event.length > sizeof(event.name) ||
        copy_from_guest(event.name, from + abi::kEventHead, event.length) != 0)
      return -kEFAULT;
    from += bytes_of(event);
    if (ends && event.mask == kIgnored && event.watch == ended) {
      ends = false;
      continue;
    }
    std::int32_t watch = event.watch;
    bool stand_in = false;
    if (exchange(&event, &stand_in)) ends = true, ended = watch;
    if (copy_to_guest(to, &event, bytes_of(event)) != 0) return -kEFAULT;
    to += bytes_of(event);
  }
  if (ends) take_end(fd);
  return static_cast<std::int64_t>(to - at);
}

// The first event is longer than the buffer: by the 16 bytes that a stand-in has more? A true event
// of that length is lost here: no buffer of this size will ever take it.
std::int64_t read_short(std::uint64_t fd, std::uint64_t to, std::uint64_t room) {
  Event event;
  if (waiting(fd) == 0) return -kEINVAL;
  auto got = sys::call(__NR_read, fd, sys::address(&event), (room & ~15ULL) + 16);
  if (!got.ok()) return got.raw;
  bool stand_in = false;
  if (exchange(&event, &stand_in)) take_end(fd);
  if (bytes_of(event) > room) return -kEINVAL;
  return copy_to_guest(to, &event, bytes_of(event)) != 0
             ? -kEFAULT
             : static_cast<std::int64_t>(bytes_of(event));
}

std::int64_t after_read(ThreadBlock* t, std::int64_t result) {
  if (result == -kEINVAL && t->rdx >= abi::kEventHead && t->rdx < kLargest)
    return read_short(t->rdi, t->rsi, t->rdx);
  return result > 0 ? exchange_all(t->rdi, t->rsi, static_cast<std::uint64_t>(result)) : result;
}

Action read(ThreadBlock* t) {
  Action action = lower(t);
  bool any = abi::job_segment()->notices.unread_left.load(std::memory_order_relaxed) != 0;
  if (action == Action::kTail && any && is_inotify(t->rdi)) then(t, after_read);
  return action;
}

}  // namespace

const HandlerRow kUnreadHandlers[] = {{__NR_read, read}, {0, nullptr}};

}  // namespace cairn::runtime
