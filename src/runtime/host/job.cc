#include "runtime/host/job.h"

#include "runtime/host/job_files.h"
#include "runtime/host/journal.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {

Process g_process;
Sighand g_sighand;

namespace {

bool g_attached = false;
char g_segment_path[512];
abi::DoorMode g_mode = abi::DoorMode::kAuto;

std::uint32_t as_u32(abi::SlotState state) { return static_cast<std::uint32_t>(state); }

bool has_state(const abi::ProcessSlot& slot, abi::SlotState state) {
  return slot.state.load() == as_u32(state);
}

// A process that has begun to end leaves its slot to whoever finds its pid gone.
bool take_slot(abi::ProcessSlot& slot) {
  bool free = has_state(slot, abi::SlotState::kFree);
  std::int32_t pid = slot.real_pid.load();
  if (!free && !has_state(slot, abi::SlotState::kEnding)) return false;
  if (!free && sys::call(__NR_kill, static_cast<std::uint64_t>(pid), 0).raw != -kESRCH) return false;
  std::uint32_t expected = as_u32(free ? abi::SlotState::kFree : abi::SlotState::kEnding);
  if (!slot.state.compare_exchange_strong(expected, as_u32(abi::SlotState::kFilling))) return false;
  if (free || slot.real_pid.load() == pid) return true;
  slot.state.store(as_u32(abi::SlotState::kEnding));  // another one's by now
  return false;
}

std::int32_t take_any_slot() {
  abi::JobSegment* job = abi::job_segment();
  for (std::uint32_t i = 0; i < abi::kMaxProcesses; ++i) {
    if (!take_slot(job->slots[i])) continue;
    std::uint32_t used = job->slots_used.load();
    while (used < i + 1 && !job->slots_used.compare_exchange_weak(used, i + 1)) {
    }
    return static_cast<std::int32_t>(i);
  }
  return -1;
}

// Of a freeze that has begun before this process was there. It may end in this very moment: the agent
// takes its own word away first, then those in the slots.
void take_over_freeze(abi::ProcessSlot& slot) {
  abi::JobSegment* job = abi::job_segment();
  std::uint32_t word = job->freeze_word.load();
  if ((word & 1) == 0) return;
  slot.freeze_word.store(word);
  if (job->freeze_word.load() != word) slot.freeze_word.compare_exchange_strong(word, 0);
}

// Where Yama asks for it, so that the agent can have the process when it is stopped. Over exec it stays
// what it is; a guest that names another ptracer takes that away.
void name_ptracer() {
  constexpr std::uint64_t kSetPtracer = 0x59616d61;  // PR_SET_PTRACER
  const abi::JobSegment* job = abi::job_segment();
  if (job->yama.load() != 0)
    (void)sys::call(__NR_prctl, kSetPtracer, static_cast<std::uint64_t>(job->agent_pid.load()));
}

}  // namespace

void attach_job(const char* path) {
  g_attached = false;
  if (path == nullptr || path[0] == 0) return;
  if (!string_copy(g_segment_path, sizeof(g_segment_path), path)) return;
  constexpr std::uint64_t kReadWriteCloexec = 0x80002;
  auto fd = open_job_file(path, kReadWriteCloexec, path, abi::JobFile::kJobSegment);
  if (!fd.ok()) return;
  std::uint64_t bytes = (sizeof(abi::JobSegment) + 4095) / 4096 * 4096;
  auto at = sys::call(__NR_mmap, abi::kSegment, bytes, 3, 0x11 /* SHARED|FIXED */, fd.value(), 0);
  (void)sys::call(__NR_close, fd.value());
  if (!at.ok()) return;
  abi::JobSegment* job = abi::job_segment();
  if (job->magic != abi::kSegmentMagic || job->version != abi::kSegmentVersion)
    die("the job's segment is of another version of Cairn");
  g_attached = true;
}

bool job_attached() { return g_attached; }

bool agent_is_gone() {
  auto agent = static_cast<std::uint64_t>(abi::job_segment()->agent_pid.load());
  return sys::call(__NR_kill, agent, 0).raw == -kESRCH;
}

const char* segment_path() { return g_attached ? g_segment_path : ""; }

std::int32_t reserve_slot(bool child_borrows) {
  std::int32_t index = g_attached ? take_any_slot() : -1;
  if (index < 0) return index;
  abi::ProcessSlot& slot = abi::job_segment()->slots[index];
  slot.real_pid.store(0);
  slot.virtual_pid.store(0);
  slot.freeze_word.store(0);
  slot.parked.store(0);
  slot.deferred.store(0);
  slot.stopped.store(0);
  slot.serve_tid.store(0);
  slot.start_time.store(0);
  slot.exec_count.store(0);
  slot.borrows.store(child_borrows ? 1 : 0);
  slot.state.store(as_u32(abi::SlotState::kClaimed));
  return index;
}

void give_back_slot(std::int32_t index) {
  if (index >= 0) abi::job_segment()->slots[index].state.store(as_u32(abi::SlotState::kFree));
}

std::atomic<std::int32_t>* slot_pid(std::int32_t index) {
  return &abi::job_segment()->slots[index].real_pid;
}

void join_job(Process* process, std::int32_t slot_before) {
  process->slot = -1;
  if (!g_attached) return;
  std::int32_t index = slot_before;
  bool known = index >= 0 && static_cast<std::uint32_t>(index) < abi::kMaxProcesses;
  if (!known || slot_pid(index)->load() != process->real_pid) index = reserve_slot(false);
  if (index < 0) return say("too many processes for one job: this one cannot be saved");
  abi::ProcessSlot& slot = abi::job_segment()->slots[index];
  bool after_exec = !has_state(slot, abi::SlotState::kClaimed);
  if (!after_exec) name_ptracer();
  slot.parent_slot.store(process->parent_slot);
  slot.virtual_pid.store(process->virtual_pid);
  slot.parked.store(0);
  slot.serve_tid.store(0);
  slot.start_time.store(0);
  slot.journal.store(adopted_journal());
  slot.exec_count.fetch_add(after_exec ? 1 : 0);
  slot.real_pid.store(process->real_pid);
  process->slot = index;
  if (after_exec) slot.borrows.store(0);
  // Over an exec a freeze may be under way, which stays.
  if (slot.borrows.load() == 0 && slot.freeze_word.load() == 0) take_over_freeze(slot);
  const char* reason = process->unsavable != nullptr ? process->unsavable : process->shares;
  if (reason != nullptr) return mark_unsupported(process, reason);
  slot.state.store(as_u32(abi::SlotState::kRunning));
}

void leave_job(Process* process) {
  if (!g_attached || process->slot < 0) return;
  abi::ProcessSlot& slot = abi::job_segment()->slots[process->slot];
  process->slot = -1;
  slot.state.store(as_u32(abi::SlotState::kEnding));
}

void mark_unsupported(Process* process, const char* reason) {
  if (!g_attached || process->slot < 0) return;
  abi::ProcessSlot& slot = abi::job_segment()->slots[process->slot];
  string_copy(slot.reason, sizeof(slot.reason), reason);
  slot.state.store(as_u32(abi::SlotState::kUnsupported));
}

void unmark_unsupported(Process* process) {
  if (process->shares != nullptr) return mark_unsupported(process, process->shares);
  if (!g_attached || process->slot < 0) return;
  abi::job_segment()->slots[process->slot].state.store(as_u32(abi::SlotState::kRunning));
}

abi::DoorMode door_mode() { return g_mode; }
void set_door_mode(abi::DoorMode mode) { g_mode = mode; }

}  // namespace cairn::runtime
