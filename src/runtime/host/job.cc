#include "runtime/host/job.h"

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

std::int32_t claim_free_slot() {
  abi::JobSegment* job = abi::job_segment();
  for (std::uint32_t i = 0; i < abi::kMaxProcesses; ++i) {
    std::uint32_t expected = as_u32(abi::SlotState::kFree);
    if (job->slots[i].state.load() != expected) continue;
    if (!job->slots[i].state.compare_exchange_strong(expected, as_u32(abi::SlotState::kClaimed))) continue;
    std::uint32_t used = job->slots_used.load();
    while (used < i + 1 && !job->slots_used.compare_exchange_weak(used, i + 1)) {
    }
    return static_cast<std::int32_t>(i);
  }
  return -1;
}

}  // namespace

void attach_job(const char* path) {
  g_attached = false;
  if (path == nullptr || path[0] == 0) return;
  if (!string_copy(g_segment_path, sizeof(g_segment_path), path)) return;
  auto fd = sys::call(__NR_open, sys::address(path), 0x80002);  // O_RDWR|O_CLOEXEC
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

const char* segment_path() { return g_attached ? g_segment_path : ""; }

void join_job(Process* process, std::int32_t slot_before_exec) {
  process->slot = -1;
  if (!g_attached) return;
  std::int32_t index = slot_before_exec;
  bool again = index >= 0 && static_cast<std::uint32_t>(index) < abi::kMaxProcesses &&
               abi::job_segment()->slots[index].real_pid.load() == process->real_pid;
  if (!again) index = claim_free_slot();
  if (index < 0) return say("too many processes for one job: this one cannot be saved");
  abi::ProcessSlot& slot = abi::job_segment()->slots[index];
  slot.parent_slot.store(process->parent_slot);
  slot.virtual_pid.store(process->virtual_pid);
  if (!again) slot.freeze_word.store(0);  // over an exec a freeze may be under way
  slot.parked.store(0);
  slot.serve_tid.store(0);
  slot.start_time.store(0);
  slot.journal.store(adopted_journal());
  slot.exec_count.fetch_add(again ? 1 : 0);
  slot.real_pid.store(process->real_pid);
  process->slot = index;
  if (process->unsavable != nullptr) return mark_unsupported(process, process->unsavable);
  slot.state.store(as_u32(abi::SlotState::kRunning));
}

void leave_job(Process* process) {
  if (!g_attached || process->slot < 0) return;
  abi::ProcessSlot& slot = abi::job_segment()->slots[process->slot];
  process->slot = -1;
  slot.real_pid.store(0);
  slot.state.store(as_u32(abi::SlotState::kFree));
}

void mark_unsupported(Process* process, const char* reason) {
  if (!g_attached || process->slot < 0) return;
  abi::ProcessSlot& slot = abi::job_segment()->slots[process->slot];
  string_copy(slot.reason, sizeof(slot.reason), reason);
  slot.state.store(as_u32(abi::SlotState::kUnsupported));
}

void unmark_unsupported(Process* process) {
  if (!g_attached || process->slot < 0) return;
  abi::job_segment()->slots[process->slot].state.store(as_u32(abi::SlotState::kRunning));
}

abi::DoorMode door_mode() { return g_mode; }
void set_door_mode(abi::DoorMode mode) { g_mode = mode; }

}  // namespace cairn::runtime
