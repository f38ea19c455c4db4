#include "checkpoint/freeze_job.h"

#include <string.h>

#include <algorithm>
#include <thread>

#include "base/files.h"
#include "base/futex.h"

namespace cairn::checkpoint {
namespace {

using abi::SlotState;
using std::chrono::milliseconds;

// Between two looks where somebody is waited for: what is waited for wakes nobody.
constexpr milliseconds kPause{1};
// For those that were stopped, from the thaw to their stop.
constexpr milliseconds kStopAgain{10'000};

SlotState state_of(const abi::ProcessSlot& slot) {
  return static_cast<SlotState>(slot.state.load());
}

bool lives(const abi::ProcessSlot& slot) {
  return process_lives(slot.real_pid.load(), slot.start_time.load());
}

std::string name_of(const abi::ProcessSlot& slot) {
  return "process " + std::to_string(slot.real_pid.load());
}

Failure cannot_be_saved(const abi::ProcessSlot& slot) {
  return refusal(name_of(slot) + " cannot be saved: " +
                 std::string(slot.reason, ::strnlen(slot.reason, sizeof slot.reason)));
}

}  // namespace

std::vector<std::uint64_t> occupants(const abi::JobSegment& segment) {
  std::vector<std::uint64_t> found;
  const std::uint32_t count = std::min(segment.slots_used.load(), abi::kMaxProcesses);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto pid = static_cast<std::uint32_t>(segment.slots[i].real_pid.load());
    found.push_back(std::uint64_t{segment.slots[i].state.load()} << 32 | pid);
  }
  return found;
}

std::vector<abi::ProcessSlot*> JobFreeze::slots() const {
  std::vector<abi::ProcessSlot*> used;
  const std::uint32_t count = std::min(segment_.slots_used.load(), abi::kMaxProcesses);
  for (std::uint32_t i = 0; i < count; ++i)
    if (state_of(segment_.slots[i]) != SlotState::kFree) used.push_back(&segment_.slots[i]);
  return used;
}

// Threads that are still on their way back from an earlier freeze would be counted twice.
Result<> JobFreeze::wait_for_last_thaw(const Deadline& deadline) {
  for (abi::ProcessSlot* slot : slots())
    if (state_of(*slot) == SlotState::kRunning && lives(*slot))
      CAIRN_TRY(Freeze(*slot, control_, word_).wait_unparked(deadline));
  return {};
}

Result<> JobFreeze::take_in(abi::ProcessSlot& slot, Look& look) {
  const bool known = std::any_of(members_.begin(), members_.end(), [&](const auto& member) {
    return &member->slot() == &slot && member->pid().value == slot.real_pid.load();
  });
  if (known) return {};
  auto member = std::make_unique<Freeze>(slot, control_, word_);
  const auto asked = member->request();
  if (!asked && asked.error().code == ESRCH) return {};  // ended meanwhile
  CAIRN_TRY(asked);
  members_.push_back(std::move(member));
  look.changed = true;
  return {};
}

// One that was stopped in its first or its last moments gets out of them, though not to the guest.
Result<> JobFreeze::let_stopped_on(RealPid pid) {
  const auto tasks = control_.tasks(pid);
  const bool any = tasks && any_in_state(*tasks, 'T');
  return any ? control_.let_park(pid) : Result<>();
}

Result<JobFreeze::Look> JobFreeze::look() {
  Look look;
  for (abi::ProcessSlot* slot : slots()) {
    const SlotState state = state_of(*slot);
    const bool unborn = state == SlotState::kClaimed && slot->real_pid.load() == 0;
    if (state == SlotState::kFilling || unborn) {
      look.promised.push_back(slot);
      continue;
    }
    if (state == SlotState::kFree || !lives(*slot)) continue;
    if (state == SlotState::kUnsupported) return cannot_be_saved(*slot);
    if (state == SlotState::kClaimed || state == SlotState::kEnding)
      CAIRN_TRY(let_stopped_on(RealPid{slot->real_pid.load()}));
    if (state == SlotState::kClaimed) look.waiting = name_of(*slot) + " has not begun yet";
    if (state == SlotState::kEnding) look.waiting = name_of(*slot) + " has not ended yet";
    if (state != SlotState::kRunning) continue;
    if (slot->borrows.load() != 0)
      look.waiting = name_of(*slot) + ", a child of vfork, has not called exec yet";
    else
      CAIRN_TRY(take_in(*slot, look));
  }
  return look;
}

Result<JobFreeze::Look> JobFreeze::look_steadily() {
  const std::vector<std::uint64_t> before = occupants(segment_);
  CAIRN_ASSIGN(Look found, look());
  if (occupants(segment_) != before) found.changed = true;
  return found;
}

// Those that are stopped last: nobody who runs still is to see that they do.
Result<bool> JobFreeze::wait_parked(const Deadline& deadline) {
  bool all = true;
  std::stable_partition(members_.begin(), members_.end(),
                        [](const auto& member) { return !member->found_stopped(); });
  for (auto member = members_.begin(); member != members_.end();) {
    const auto parked = (*member)->wait_parked(deadline);
    if (!parked && parked.error().code != ESRCH) return Failure(parked.error());
    all = all && parked.has_value();
    if (!parked) (*member)->forget();
    member = parked ? member + 1 : members_.erase(member);
  }
  return all;
}

Result<> JobFreeze::freeze(const Deadline& deadline) {
  CAIRN_TRY(wait_for_last_thaw(deadline));
  segment_.freeze_word.store(word_);
  CAIRN_TRY(look());
  for (;;) {
    CAIRN_TRY(wait_parked(deadline));
    // Once more: who was parked may have been killed by one who was not yet.
    CAIRN_ASSIGN(const bool all, wait_parked(deadline));
    CAIRN_ASSIGN(const Look found, look_steadily());
    if (all && !found.changed && found.waiting.empty()) {
      // Nobody is left who could be about to fork: whoever took these was killed.
      for (abi::ProcessSlot* slot : found.promised)
        slot->state.store(static_cast<std::uint32_t>(SlotState::kFree));
      if (members_.empty()) return refusal("the job has no process that could be saved");
      watch();
      return {};
    }
    if (deadline.passed()) return failure(ETIMEDOUT, "freeze: " + found.waiting);
    if (!found.waiting.empty()) std::this_thread::sleep_for(kPause);
  }
}

// Somebody outside of the job may stop any of them at any time.
void JobFreeze::watch() {
  std::vector<std::pair<RealPid, pid_t>> parked;
  for (const auto& member : members_) parked.emplace_back(member->pid(), member->server());
  control_.watch(std::move(parked));
}

void JobFreeze::wait_stopped() {
  control_.wait_stopped(Deadline{kStopAgain});
}

// The order matters: whoever is born while this happens looks at the job's word last.
void JobFreeze::release() {
  for (const abi::ProcessSlot* slot : slots())
    if (const pid_t pid = slot->real_pid.load(); pid > 0) control_.let_stop(RealPid{pid});
  let_newborns_run();
  for (const auto& member : members_)
    if (member->had_stopped()) member->release();
  wait_stopped();
  for (const auto& member : members_) member->release();
  members_.clear();
  for (abi::ProcessSlot* slot : slots()) {
    std::uint32_t expected = word_;
    if (slot->freeze_word.compare_exchange_strong(expected, 0)) futex_wake_all(slot->freeze_word);
  }
  control_.end_of_freeze(Deadline{kStopAgain});
}

}  // namespace cairn::checkpoint
