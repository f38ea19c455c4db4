// Calls that make files and open them for writing, or change a length, from the first commit on. To
// open a file that is only read costs one look at the flags; a write costs nothing.

#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/path.h"
#include "runtime/handlers/undo_keep.h"
#include "runtime/host/journal.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kOAccess = 3, kOCreat = 0x40, kOExcl = 0x80, kOTrunc = 0x200,
                        kOAppend = 0x400, kONofollow = 0x20000, kOPath = 0x200000,
                        kOTmpfile = 0x400000;

std::int64_t after(ThreadBlock* t, std::int64_t result) {
  return settle(t, result);
}

Place opened_place(const ThreadBlock* t) {
  bool at = t->tail.number == __NR_openat || t->tail.number == 437;
  return at ? Place{t->tail.args[0], t->tail.args[1]} : Place{kWorkingDirectory, t->tail.args[0]};
}

Action open(ThreadBlock* t) {
  std::uint64_t flags = open_flags(t);
  Action action = lower(t);
  bool changes =
      (flags & (kOAccess | kOCreat | kOTrunc)) != 0 && (flags & (kOPath | kOTmpfile)) == 0;
  if (action != Action::kTail || !changes) return action;
  begin_notes(t);
  Place place = opened_place(t);
  struct statx there;
  auto found = look(place, (flags & kONofollow) != 0 ? kNoFollow : kFollow, &there);
  if (found.error() == kENOENT && (flags & kOCreat) != 0) {
    if (absolute_path(place, t->journal_path[0], kPathRoom))
      t->noted[0] = note(abi::JournalKind::kOpened, t->journal_path[0]);
    then(t, after);
  } else if (found.ok() && (flags & (kOAccess | kOTrunc)) != 0 &&
             (flags & (kOCreat | kOExcl)) != (kOCreat | kOExcl)) {
    keep_content(t, place, there, (flags & kOAppend) != 0 && (flags & kOTrunc) == 0);
  }
  return action;
}

Action truncate(ThreadBlock* t) {
  Action action = lower(t);
  Place place{kWorkingDirectory, t->tail.args[0]};
  struct statx there;
  if (action == Action::kTail && look(place, kFollow, &there).ok())
    keep_content(t, place, there, false);
  return action;
}

// A file of which only the length is known, because it was opened to be appended to.
void keep_before_cut(ThreadBlock* t) {
  struct statx there;
  if (!look_at_descriptor(t->rdi, &there).ok()) return;
  char link[48];
  append_decimal(append(link, "/proc/thread-self/fd/"), static_cast<std::int32_t>(t->rdi));
  keep_content(t, {kWorkingDirectory, sys::address(link)}, there, false);
}

Action ftruncate(ThreadBlock* t) {
  keep_before_cut(t);
  return lower(t);
}

Action fallocate(ThreadBlock* t) {
  constexpr std::uint64_t kKeepSize = 1;
  if ((t->rsi & 0xffffffff & ~kKeepSize) != 0) keep_before_cut(t);
  return lower(t);
}

}  // namespace

const HandlerRow kUndoOpenHandlers[] = {{__NR_open, open},           {__NR_openat, open},
                                        {437 /* openat2 */, open},   {__NR_creat, open},
                                        {__NR_truncate, truncate},   {__NR_ftruncate, ftruncate},
                                        {__NR_fallocate, fallocate}, {0, nullptr}};

}  // namespace cairn::runtime
