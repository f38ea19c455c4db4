#pragma once
// The job segment: one small shared file per job and node, mapped by the agent anywhere and by every
// process of the job at kSegment. It lets the host half do without a descriptor and without a message
// while the guest runs: registration, freezing and plan requests are stores and futexes here.
//
// Who writes what: the agent writes the header and the fields marked [agent]. A process has a
// ProcessSlot before it is there: its parent claims one, and the kernel itself writes the pid into it
// (CLONE_PARENT_SETTID), so that no process is ever missed. The child writes the rest. All numbers that
// the kernel uses as futex words are 32 bit.
//
//   kFree -> kFilling -> kClaimed -> kRunning -> kEnding -> kFree
//            parent      fork        child       exit       whoever finds that it has ended

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "abi/api.h"
#include "abi/arena.h"
#include "abi/cpu_view.h"
#include "abi/id_table.h"
#include "abi/notices.h"
#include "abi/pty_numbers.h"
#include "abi/sysv_ids.h"

namespace cairn::abi {

inline constexpr std::uint64_t kSegmentMagic = 0x31'47'45'53'4e'52'43ULL;  // "CRNSEG1"
inline constexpr std::uint32_t kSegmentVersion = 5;
inline constexpr std::uint32_t kMaxProcesses = 4096;
inline constexpr std::uint32_t kPlanRequests = 16;

// How system calls are caught; `cairn run --mode`.
enum class DoorMode : std::uint32_t {
  kAuto = 0,      // patches and Syscall User Dispatch; seccomp where the kernel lacks the latter
  kDispatch = 1,  // Syscall User Dispatch alone
  kSeccomp = 2,   // patches and the seccomp fallback
  kPatchOnly = 3, // patches alone; what is not patched runs natively, with a warning at the start
};

enum class SlotState : std::uint32_t {
  kFree = 0,
  kClaimed = 1,   // for a child; real_pid is 0 until the kernel has made it
  kRunning = 2,   // a live process of the job
  kUnsupported = 3,  // a member that cannot be saved: native set-uid or 32-bit program; see reason
  kEnding = 4,    // exit_group was called; the process may still be on its way out
  kFilling = 5,   // taken by a process that forks; the fields are still another's
};

// freeze_word: 0 while the guest runs; an odd, ever larger number while the agent wants it frozen.
struct ProcessSlot {
  std::atomic<std::uint32_t> state;        // SlotState
  std::atomic<std::uint32_t> freeze_word;  // [agent]; futex: parked threads wait for it to change
  std::atomic<std::uint32_t> parked;       // threads parked now; futex, woken at each change
  std::atomic<std::int32_t> serve_tid;     // [agent] the parked thread (real tid) that is to connect
  std::atomic<std::int32_t> real_pid;
  std::atomic<std::int32_t> virtual_pid;
  std::atomic<std::int32_t> parent_slot;   // -1: none in the job
  std::atomic<std::uint32_t> exec_count;   // raised at each exec: the address space is another one
  std::atomic<std::uint64_t> start_time;   // /proc/PID/stat field 22: tells a reused pid
  char reason[64];                         // for kUnsupported: one line, NUL-terminated
  // 1: its parent waits for its exec or its end (vfork), inside the kernel: it is not frozen before.
  std::atomic<std::uint32_t> borrows;
  std::atomic<std::uint32_t> journal;      // the journal_serial whose journal it writes
  std::atomic<std::uint32_t> deferred;  // how often checkpoints are put off now; futex (abi/api.h)
  std::atomic<std::uint32_t> stopped;   // [agent] 1: a restart has seen it stopped (LinkType::kStop)
};
static_assert(sizeof(ProcessSlot) == 120 || sizeof(ProcessSlot) == 128);

// A file whose plan was not in the cache. The process waits (bounded) for state to become kDone.
enum class PlanState : std::uint32_t { kIdle = 0, kFilling = 1, kWanted = 2, kDone = 3 };
struct PlanRequest {
  std::atomic<std::uint32_t> state;  // PlanState; futex
  std::uint32_t reserved;
  char path[4088];
};

struct JobSegment {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t bytes;
  std::atomic<std::int32_t> agent_pid;      // [agent]
  std::atomic<std::uint32_t> door_mode;     // DoorMode
  std::atomic<std::uint32_t> agent_wakeup;  // futex: raised by processes after a plan request
  std::atomic<std::uint32_t> slots_used;    // high-water mark
  std::atomic<std::uint32_t> freeze_word;   // [agent] as a slot's; whoever is born meanwhile takes it over
  std::atomic<std::uint32_t> yama;          // [agent] 1: each process names the agent as its ptracer
  char agent_socket[108];  // path of the agent's unix socket (SOCK_SEQPACKET is not used: stream)
  char job_name[64];
  char runtime_path[4096];
  char plan_cache[4096];   // directory of patch plans (patch_plan.h)
  // Changed only while nothing of the guest runs. 0: there was no commit yet, nothing is noted.
  std::atomic<std::uint32_t> journal_serial;  // [agent] raised with each new journal
  char journal[4096];                         // [agent] its directory (journal.h)
  ApiState api;
  PlanRequest plans[kPlanRequests];
  CpuView cpu;             // [agent] before the first instruction of any guest
  ProcessSlot slots[kMaxProcesses];
  IdTable ids;             // all zero until a restart
  SysvTable sysv;
  PtyNumbers ptys;         // likewise
  Notices notices;
};

inline JobSegment* job_segment() { return reinterpret_cast<JobSegment*>(kSegment); }

}  // namespace cairn::abi
