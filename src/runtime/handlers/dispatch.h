#pragma once
// From a system call's number to its handler.
//
// A handler's `before` returns what is to happen (thread_block.h: Action). It may be run again for
// the same call at any time until the call is made, so it changes nothing but the block's scratch
// fields; what has to be remembered is done in the `after` (t->post), which runs exactly once.

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

using BeforeHandler = Action (*)(ThreadBlock*);

struct HandlerRow {
  std::uint32_t number;
  BeforeHandler before;
};

// Which calls have a handler, by family; each ends with a row whose `before` is nullptr.
extern const HandlerRow kSignalHandlers[], kWaitHandlers[], kProcessHandlers[], kMemoryHandlers[],
    kPathHandlers[], kExecHandlers[], kSocketHandlers[], kLimitHandlers[],
    kSeccompHandlers[], kSignalfdHandlers[], kSysvHandlers[], kRegistrationHandlers[],
    kNoticeHandlers[], kTracerHandlers[];
// As above, but only once a restart has made the guest's numbers differ from the kernel's.
extern const HandlerRow kShiftedClockHandlers[], kShiftedIdHandlers[], kShiftedStructHandlers[],
    kShiftedPathHandlers[], kShiftedSysvHandlers[];
// Once there was a commit: what is noted so that a restart can undo it.
extern const HandlerRow kUndoNameHandlers[], kUndoOpenHandlers[];
// Once the process has a file that stands for one of /proc, or after a restart a signalfd.
extern const HandlerRow kStandInHandlers[], kShiftedSignalfdHandlers[];
// While an inotify of the job has stand-ins for events in it (abi/notices.h).
extern const HandlerRow kUnreadHandlers[];

void build_fast_table();
void arm(const HandlerRow* rows);
// The call goes through cairn_dispatch from now on.
void set_slow(std::uint32_t number);
// As arm; each of these handlers begins with what there was before it, by lower().
void arm_above(const HandlerRow* rows);
// The call as the handler below the one that runs would make it.
Action lower(ThreadBlock* t);
// All that concerns ids, once those of the guest are not the kernel's.
void arm_shifted_ids();
// What the open descriptors give reason for, after a restart or an exec (descriptor_causes.cc).
void arm_by_descriptors();
// `post` runs behind the post-handler that is there.
void then(ThreadBlock* t, PostHandler post);
// From now on every call comes to cairn_dispatch.
void all_slow();

inline Action done(ThreadBlock* t, std::int64_t result) {
  t->result = result;
  return Action::kDone;
}

// The call as the guest made it.
inline Action pass(ThreadBlock* t, PostHandler post = nullptr) {
  t->tail = {t->rax, {t->rdi, t->rsi, t->rdx, t->r10, t->r8, t->r9}};
  t->post = post;
  return Action::kTail;
}

}  // namespace cairn::runtime

extern "C" {
extern std::uint8_t cairn_fast_table[65536];
cairn::runtime::Action cairn_dispatch(cairn::runtime::ThreadBlock* t);
}
