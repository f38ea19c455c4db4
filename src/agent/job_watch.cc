#include "agent/job_watch.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "checkpoint/freeze_job.h"

namespace cairn::agent {
namespace {

bool holds_process(const abi::ProcessSlot& slot) {
  const auto state = static_cast<abi::SlotState>(slot.state.load());
  return state == abi::SlotState::kRunning || state == abi::SlotState::kUnsupported ||
         state == abi::SlotState::kEnding ||
         (state == abi::SlotState::kClaimed && slot.real_pid.load() != 0);
}

bool has_begun(const abi::ProcessSlot& slot) {
  const auto state = static_cast<abi::SlotState>(slot.state.load());
  return state == abi::SlotState::kRunning || state == abi::SlotState::kUnsupported;
}

// Does the slot's pid still belong to the process that claimed it?
bool lives(const abi::ProcessSlot& slot) {
  return process_lives(slot.real_pid.load(), slot.start_time.load());
}

// Frees a dead process' slot, unless somebody else has it by now.
void free_slot(abi::ProcessSlot& slot, RealPid dead) {
  constexpr auto kFilling = static_cast<std::uint32_t>(abi::SlotState::kFilling);
  std::uint32_t state = slot.state.load();
  if (!holds_process(slot) || !slot.state.compare_exchange_strong(state, kFilling)) return;
  if (slot.real_pid.load() == dead.value) {
    slot.freeze_word.store(0);
    slot.parked.store(0);
    slot.deferred.store(0);
    slot.serve_tid.store(0);
    state = static_cast<std::uint32_t>(abi::SlotState::kFree);
  }
  slot.state.store(state);
}

}  // namespace

JobWatch::~JobWatch() {
  for (const auto& [pid, fd] : pidfds_) loop_.forget(fd.get());
}

void JobWatch::watch(RealPid pid, Fd pidfd) {
  loop_.on_readable(pidfd.get(), [this, pid] { process_ended(pid); });
  pidfds_.emplace(pid, std::move(pidfd));
}

bool JobWatch::find(RealPid pid) {
  Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid.value, 0)));
  if (!pidfd.valid()) return false;
  watch(pid, std::move(pidfd));
  return true;
}

void JobWatch::refresh() {
  for (abi::ProcessSlot* slot : segment_.slots()) {
    if (!holds_process(*slot)) continue;
    const RealPid pid{slot->real_pid.load()};
    if (pidfds_.contains(pid)) {
      // While its pidfd is not readable the pid is nobody else's: from now on the slot tells them
      // apart.
      if (slot->start_time.load() == 0) slot->start_time.store(process_start_time(pid.value));
      continue;
    }
    // It may die between the check and the pidfd: then the pidfd is readable at once.
    if (!lives(*slot) || !find(pid)) free_slot(*slot, pid);
  }
}

void JobWatch::process_ended(RealPid pid) {
  const auto found = pidfds_.find(pid);
  if (found == pidfds_.end()) return;
  // The loop may have seen an event of a descriptor that had this number before.
  pollfd ended{found->second.get(), POLLIN, 0};
  if (::poll(&ended, 1, 0) == 0) return;
  loop_.forget(found->second.get());
  pidfds_.erase(found);
  for (abi::ProcessSlot* slot : segment_.slots())
    if (holds_process(*slot) && slot->real_pid.load() == pid.value) free_slot(*slot, pid);
  refresh();
  ended_(pid);
}

bool JobWatch::anybody_lives() const {
  return std::any_of(pidfds_.begin(), pidfds_.end(), [](const auto& entry) {
    pollfd ended{entry.second.get(), POLLIN, 0};
    return ::poll(&ended, 1, 0) == 0;
  });
}

bool JobWatch::empty_for_certain() {
  for (;;) {
    const std::vector<std::uint64_t> before = checkpoint::occupants(*segment_);
    refresh();
    if (!empty()) return false;
    if (checkpoint::occupants(*segment_) == before) return true;
  }
}

std::vector<RealPid> JobWatch::pids() const {
  std::vector<RealPid> pids;
  for (const auto& [pid, fd] : pidfds_) pids.push_back(pid);
  return pids;
}

std::vector<abi::ProcessSlot*> live_slots(const SegmentFile& segment) {
  std::vector<abi::ProcessSlot*> live;
  for (abi::ProcessSlot* slot : segment.slots())
    if (has_begun(*slot) && lives(*slot)) live.push_back(slot);
  return live;
}

bool is_member(const SegmentFile& segment, RealPid pid) {
  const auto slots = segment.slots();
  return std::any_of(slots.begin(), slots.end(), [pid](const abi::ProcessSlot* slot) {
    return slot->real_pid.load() == pid.value && holds_process(*slot) && lives(*slot);
  });
}

bool anybody_left(const std::filesystem::path& segment) {
  const auto left = SegmentFile::open(segment);
  return left && !live_slots(*left).empty();
}

}  // namespace cairn::agent
