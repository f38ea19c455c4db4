// Calls that make, remove and move names, from the first commit on: what a restart needs to undo
// them is noted before they are made (abi/journal.h).

#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/undo_keep.h"
#include "runtime/host/journal.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

using abi::JournalKind;

std::int64_t after(ThreadBlock* t, std::int64_t result) {
  return settle(t, result);
}

// The call, with its notes settled behind it.
Action call_noted(ThreadBlock* t) {
  Action action = lower(t);
  if (action == Action::kTail) then(t, after);
  return action;
}

Action make_name(ThreadBlock* t, const Place& place) {
  begin_notes(t);
  struct statx there;
  auto found = look(place, kNoFollow, &there);
  if (found.error() == kENOENT && absolute_path(place, t->journal_path[0], kPathRoom))
    t->noted[0] = note(JournalKind::kMade, t->journal_path[0]);
  return call_noted(t);
}

Action remove_name(ThreadBlock* t, const Place& place) {
  begin_notes(t);
  struct statx there;
  if (look(place, kNoFollow, &there).ok()) t->noted[0] = note_removal(t, place, there);
  return call_noted(t);
}

Action move_name(ThreadBlock* t, const Place& from, const Place& to, std::uint64_t flags) {
  constexpr std::uint64_t kNoReplace = 1, kExchange = 2;
  begin_notes(t);
  struct statx moved, there;
  if (!look(from, kNoFollow, &moved).ok()) return call_noted(t);
  auto found = look(to, kNoFollow, &there);
  bool same = found.ok() && key_of(there) == key_of(moved);
  bool refused = found.ok() && (flags & kNoReplace) != 0;
  if (same || refused) return call_noted(t);  // nothing will happen
  bool exchange = (flags & kExchange) != 0;
  if (found.ok() && !exchange) t->noted[1] = note_removal(t, to, there);
  if (absolute_path(from, t->journal_path[0], kPathRoom) &&
      absolute_path(to, t->journal_path[1], kPathRoom)) {
    auto kind = exchange ? JournalKind::kExchanged : JournalKind::kRenamed;
    t->noted[0] = note(kind, t->journal_path[0], t->journal_path[1]);
    if (t->noted[0] != nullptr) describe(t->noted[0], moved);
  }
  return call_noted(t);
}

Action first_argument_made(ThreadBlock* t) {
  return make_name(t, {kWorkingDirectory, t->rdi});
}
Action second_argument_made(ThreadBlock* t) {
  return make_name(t, {kWorkingDirectory, t->rsi});
}
Action made_at(ThreadBlock* t) {
  return make_name(t, {t->rdi, t->rsi});
}
Action symlinkat(ThreadBlock* t) {
  return make_name(t, {t->rsi, t->rdx});
}
Action linkat(ThreadBlock* t) {
  return make_name(t, {t->rdx, t->r10});
}

Action first_argument_removed(ThreadBlock* t) {
  return remove_name(t, {kWorkingDirectory, t->rdi});
}
Action unlinkat(ThreadBlock* t) {
  return remove_name(t, {t->rdi, t->rsi});
}

Action rename(ThreadBlock* t) {
  return move_name(t, {kWorkingDirectory, t->rdi}, {kWorkingDirectory, t->rsi}, 0);
}
Action renameat(ThreadBlock* t) {
  return move_name(t, {t->rdi, t->rsi}, {t->rdx, t->r10}, 0);
}
Action renameat2(ThreadBlock* t) {
  return move_name(t, {t->rdi, t->rsi}, {t->rdx, t->r10}, t->r8);
}

// A unix socket that is bound to a path gets a name there.
Action bind(ThreadBlock* t) {
  struct {
    std::uint16_t family;
    char path[109];
  } address{};
  constexpr std::uint64_t kFamilyBytes = 2, kMost = 110;
  std::uint64_t length = t->rdx & 0xffffffff;
  bool named = length > kFamilyBytes && length <= kMost &&
               copy_from_guest(&address, t->rsi, length) == 0 && address.family == 1 &&
               address.path[0] != 0;
  if (named) return make_name(t, {kWorkingDirectory, sys::address(address.path)});
  begin_notes(t);
  return call_noted(t);
}

}  // namespace

const HandlerRow kUndoNameHandlers[] = {{__NR_mkdir, first_argument_made},
                                        {__NR_mkdirat, made_at},
                                        {__NR_mknod, first_argument_made},
                                        {__NR_mknodat, made_at},
                                        {__NR_symlink, second_argument_made},
                                        {__NR_symlinkat, symlinkat},
                                        {__NR_link, second_argument_made},
                                        {__NR_linkat, linkat},
                                        {__NR_bind, bind},
                                        {__NR_unlink, first_argument_removed},
                                        {__NR_rmdir, first_argument_removed},
                                        {__NR_unlinkat, unlinkat},
                                        {__NR_rename, rename},
                                        {__NR_renameat, renameat},
                                        {__NR_renameat2, renameat2},
                                        {0, nullptr}};

}  // namespace cairn::runtime
