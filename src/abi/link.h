#pragma once
// The runtime link: how the agent acts inside a frozen process, and how it builds one at restart.
//
// A parked thread connects to the agent's unix stream socket, says Hello, and then serves requests
// until kThaw, kGo or the end of the connection. The runtime knows nothing of kernel objects: the
// agent asks it to run system calls, to read and write memory and to hand over descriptors, and puts
// these together itself (src/resources).
//
//   capture:  process -> Hello(kCapture); agent -> requests ...; agent -> kThaw
//   restore:  process -> Hello(kRestore); agent -> requests ...; agent -> kPrepare; agent -> kGo
//
// A restore of several processes begins with one. The others are its children and theirs (kFork):
// each connects by itself and says a Hello of its own.
//
// The end of the connection in a capture thaws the process as if nothing had happened; in a restore
// it ends the process. Every request gets one reply with the same `type`; `status` is 0 or a negative
// errno for the request as a whole. A message is a LinkHeader followed by `bytes` of payload.

#include <cstdint>

#include "abi/api.h"

namespace cairn::abi {

inline constexpr std::uint32_t kLinkMagic = 0x4b4e4c43;  // "CLNK"
inline constexpr std::uint32_t kLinkVersion = 2;

enum class LinkType : std::uint32_t {
  kHello = 1,         // payload LinkHello
  kSyscalls = 2,      // payload LinkSyscall[n]; reply the same with `result` filled in
  kRead = 3,          // payload LinkRange; reply status, then the bytes (all or -EFAULT)
  kWrite = 4,         // payload LinkRange, then the bytes
  kSendFds = 5,       // payload int32[n], n <= kFdsPerMessage; reply carries them by SCM_RIGHTS
  kReceiveFds = 6,    // payload LinkPlaceFd[n]; the descriptors come with it by SCM_RIGHTS
  kListFds = 7,       // no payload; reply LinkFd[n]: all open descriptors but the link's own
  kThreads = 8,       // no payload; reply ThreadState[n], the serving thread's first
  kMakeThreads = 9,   // restore: payload ThreadState[n]; entry 0 is the serving thread itself
  kGetRuntime = 10,   // no payload; reply RuntimeState
  kSetRuntime = 11,   // restore: payload RuntimeState
  kThaw = 12,         // no reply beyond the header; the process runs on
  kGo = 13,           // restore, after kPrepare: all threads enter the guest; reply before they do
  kReadXsave = 14,    // payload int32 real tid; reply its extended state (xsave area as in a frame)
  kPutXsave = 15,     // restore: payload int32 index into kMakeThreads' array, then the bytes
  kMap = 16,          // restore: payload LinkMap[n]; reply int64[n]: the runtime maps in one go
  kFork = 17,         // restore, before kMakeThreads: payload LinkFork; reply int32: the child's pid
  kPutFilters = 19,   // restore, after kMakeThreads: payload LinkFilters, then its filters
  kPrepare = 18,      // restore: all that may fail before kGo; the process is a member of its job then
  kStop = 20,         // restore: payload int32 signal; kGo leads into a stop by it, the guest comes after
};

struct LinkHeader {
  std::uint32_t magic;
  LinkType type;
  std::int32_t status;
  std::uint32_t reserved;
  std::uint64_t bytes;
};
static_assert(sizeof(LinkHeader) == 24);

enum class LinkPurpose : std::uint32_t { kCapture = 1, kRestore = 2 };

struct LinkHello {
  std::uint32_t version;
  LinkPurpose purpose;
  std::int32_t real_pid;
  std::int32_t slot;
  std::int32_t link_fd;        // the process's own number for this connection: not the guest's
  std::uint32_t freeze_word;   // the value that this freeze was asked for with
  std::uint64_t scratch;       // host memory that requests may point system calls at
  std::uint64_t scratch_bytes; // at least 1 MiB
};

// tid 0: run it on the serving thread; else on the parked thread with that real tid (capture) or on
// the thread at that index of kMakeThreads (restore, after kMakeThreads; index 0 is the server).
struct LinkSyscall {
  std::int32_t tid;
  std::uint32_t number;
  std::uint64_t args[6];
  std::int64_t result;
};
static_assert(sizeof(LinkSyscall) == 64);

struct LinkRange {
  std::uint64_t address;
  std::uint64_t bytes;
};

struct LinkFd {
  std::int32_t fd;
  std::uint32_t flags;  // F_GETFD
};
inline constexpr std::uint32_t kFdsPerMessage = 250;  // SCM_MAX_FD is 253

struct LinkPlaceFd {
  std::int32_t fd;      // the number it gets
  std::uint32_t flags;  // F_SETFD
};

struct LinkFork {
  std::uint64_t flags;  // of clone(2): the signal that the parent gets at the child's end
};

// One mmap of the restore; `fd` is a number already placed, or -1.
struct LinkMap {
  std::uint64_t address;
  std::uint64_t bytes;
  std::uint32_t prot;
  std::uint32_t flags;  // MAP_FIXED_NOREPLACE is added
  std::int32_t fd;
  std::uint32_t reserved;
  std::uint64_t offset;
};

// A system call that a thread was in when it was parked and that goes on when the thread does: it is
// issued anew for what is left of its timeout and of its bytes.
struct InterruptedCall {
  std::uint64_t valid;          // 1: regs are at the call site, before the call
  std::uint64_t number;
  std::uint64_t return_address; // after the syscall instruction
  std::uint64_t stack_pointer;
  std::int64_t time_ns;         // guest CLOCK_MONOTONIC: what it is says time_is
  std::uint64_t time_is;        // InterruptedTime
  std::uint64_t progress;       // bytes or messages that are done: its result, if a signal ends it now
};

enum InterruptedTime : std::uint64_t {
  kNoTime = 0,
  kDeadline = 1,   // when it ends
  kStarted = 2,    // when it began: how long it may take is an attribute of its socket
};

// A seccomp filter of the guest's own, as it lies in the process (ThreadState::filters); behind it its
// code, of 8 bytes an instruction. Threads that have the same filter have it under the same id.
struct LinkFilter {
  std::uint64_t earlier;  // the address of the one before it, 0: it is the first
  std::uint64_t id;
  std::uint32_t length;   // instructions
  std::uint32_t reserved;
};
static_assert(sizeof(LinkFilter) == 24);

// What one thread is held to: LinkFilter after LinkFilter, the newest first, each with its code.
struct LinkFilters {
  std::int32_t index;    // into kMakeThreads' array
  std::uint32_t strict;  // 1: SECCOMP_MODE_STRICT
};

enum GeneralRegister : std::uint32_t {
  kR8, kR9, kR10, kR11, kR12, kR13, kR14, kR15, kRdi, kRsi, kRbp, kRbx, kRdx, kRax, kRcx, kRsp, kRip,
  kEflags, kCsGsFs, kErr, kTrapno, kOldmask, kCr2,  // the order of struct sigcontext
  kGeneralRegisters = 23
};

struct ThreadState {
  std::int32_t real_tid;
  std::int32_t virtual_tid;
  std::uint64_t regs[kGeneralRegisters];
  std::uint64_t fs_base;
  std::uint64_t signal_mask;        // as the guest sees it
  std::uint64_t altstack_pointer;
  std::uint64_t altstack_size;
  std::uint32_t altstack_flags;
  std::uint32_t xsave_bytes;        // fetched by kReadXsave
  std::uint64_t robust_list;
  std::uint64_t robust_list_bytes;
  std::uint64_t clear_child_tid;
  std::uint64_t rseq_address;
  std::uint32_t rseq_bytes;
  std::uint32_t rseq_signature;
  InterruptedCall interrupted;
  std::int64_t cpu_clock_offset_ns; // added to the thread's CPU clock for the guest
  std::uint64_t pending_virtual;    // 0; they are in the kernel's queues while a thread is parked
  std::int64_t user_time_offset_ns; // the same for RUSAGE_THREAD
  std::int64_t system_time_offset_ns;
  std::uint64_t ended;              // 0, or 1 + exit status: a first thread that others have outlived
  std::uint64_t strict;             // 1: SECCOMP_MODE_STRICT
  std::uint64_t filters;            // the newest LinkFilter of this thread, 0: none; capture only
  std::uint64_t reserved[3];
};

struct GuestSigaction {
  std::uint64_t handler;
  std::uint64_t flags;
  std::uint64_t restorer;
  std::uint64_t mask;
};

// The kernel's seccomp filter of the process is the door's own.
inline constexpr std::uint32_t kFilterIsDoors = 1;
// The guest has not set no_new_privs, whatever the kernel says.
inline constexpr std::uint32_t kNoNewPrivsIsNotGuests = 2;

// What the runtime remembers for the guest and the kernel does not.
struct RuntimeState {
  std::uint32_t version;
  std::uint32_t threads;
  std::int32_t virtual_pid;
  std::int32_t real_pid;
  GuestSigaction actions[65];       // by signal number; [0] is unused
  std::int64_t monotonic_offset_ns; // guest = kernel + offset
  std::int64_t boottime_offset_ns;
  std::int64_t process_cpu_offset_ns;
  std::int64_t user_time_offset_ns;
  std::int64_t system_time_offset_ns;
  std::uint64_t guest_vdso;         // where the guest's vDSO is mapped; guest memory
  std::uint64_t brk_start;
  std::uint32_t stub_blocks;        // how many of the following are in use
  std::uint32_t static_program;     // 1: the text that it maps is not patched
  std::uint64_t stub_block[1024];   // addresses of stub blocks (guest memory, self-describing)
  char executable[4096];            // the guest's /proc/self/exe
  std::uint64_t socket_timeouts;    // 1: it may have a socket with SO_RCVTIMEO or SO_SNDTIMEO
  std::int64_t children_user_offset_ns;    // RUSAGE_CHILDREN
  std::int64_t children_system_offset_ns;
  std::int32_t virtual_parent;      // getppid, getpgrp and getsid; 0: not known
  std::int32_t virtual_group;
  std::int32_t virtual_session;
  std::uint32_t seccomp_door;       // kFilterIsDoors, kNoNewPrivsIsNotGuests
  std::uint64_t start_ticks;        // field 22 of /proc/PID/stat; 0: not known
  std::uint32_t membarrier;         // MEMBARRIER_CMD_REGISTER_*, or'ed
  std::uint32_t lock_future;        // mlockall: MCL_FUTURE and MCL_ONFAULT; 0: neither
  std::uint32_t cpu_view_leaks;     // 1: some cpuid may have told of the machine's own CPU
  std::uint32_t left_out_count;
  LeftOut left_out[kMaxLeftOut];
};

}  // namespace cairn::abi
