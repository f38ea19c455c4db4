// What the guest asks to be told of and nobody can see from outside (abi/notices.h): noted once the
// kernel has agreed.

#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/path.h"
#include "runtime/handlers/undo_keep.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kDontFollow = 0x0200'0000, kExclUnlink = 0x0400'0000,
                        kOneshot = 0x8000'0000;
constexpr std::uint64_t kOPath = 0x280000, kONofollow = 0x20000;  // O_PATH|O_CLOEXEC

// The path by which the kernel knows the file; where no descriptor is to be had, the guest's own.
bool watched_path(ThreadBlock* t, const Place& place, bool follow) {
  auto file =
      sys::call(__NR_openat, place.directory, place.path, kOPath | (follow ? 0 : kONofollow));
  if (!file.ok()) return absolute_path(place, t->journal_path[0], kPathRoom);
  char link[48];
  append_decimal(append(link, "/proc/thread-self/fd/"), static_cast<std::int32_t>(file.value()));
  auto length =
      sys::call(__NR_readlink, sys::address(link), sys::address(t->journal_path[0]), kPathRoom - 1);
  (void)sys::call(__NR_close, file.value());
  if (length.ok()) t->journal_path[0][length.value()] = 0;
  return length.ok();
}

std::int64_t after_add_watch(ThreadBlock* t, std::int64_t result) {
  if (result < 0 || !job_attached()) return result;
  abi::Notices& notices = abi::job_segment()->notices;
  notices.note_number(static_cast<std::int32_t>(result));
  const Place place{kWorkingDirectory, t->tail.args[1]};
  const bool follow = (t->rdx & kDontFollow) == 0;
  struct statx file;
  if (!look(place, follow ? kFollow : kNoFollow, &file).ok() || !watched_path(t, place, follow))
    return result;
  auto bytes = static_cast<std::uint32_t>(string_length(t->journal_path[0]));
  notices.note_watch(t->journal_path[0], bytes, file.stx_ino,
                     static_cast<std::uint32_t>(t->rdx & (kExclUnlink | kOneshot)));
  return result;
}

Action inotify_add_watch(ThreadBlock* t) {
  Action action = path_by_roles(t);
  if (action == Action::kTail) then(t, after_add_watch);
  return action;
}

std::int64_t after_notify(ThreadBlock* t, std::int64_t result) {
  if (result != 0 || !job_attached()) return result;
  std::uint64_t event[8] = {};
  bool given = t->rsi != 0 && copy_from_guest(event, t->rsi, sizeof(event)) == 0;
  struct statx queue;
  if (look_at_descriptor(t->rdi & 0xffffffff, &queue).ok())
    abi::job_segment()->notices.note_messages(queue.stx_ino, given ? event : nullptr);
  return result;
}

Action mq_notify(ThreadBlock* t) {
  return pass(t, after_notify);
}

}  // namespace

const HandlerRow kNoticeHandlers[] = {
    {__NR_inotify_add_watch, inotify_add_watch}, {__NR_mq_notify, mq_notify}, {0, nullptr}};

}  // namespace cairn::runtime
