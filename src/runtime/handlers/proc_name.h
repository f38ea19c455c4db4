#pragma once
// Names under /proc that lead into a process's directory (proc_name.cc).

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// "/proc/4711/task/4712/stat": process 4711, task 4712, entry "stat". Ids are the kernel's.
struct ProcName {
  std::int32_t process;  // 0: no process's directory. May be the id of any of its threads.
  std::int32_t task;     // 0: the directory of the process
  const char* entry;     // what follows, without the slash; "" for the directory itself
};

// The path argument `from`, if it may lead into the directory of a process: name is filled in, and
// `rewritten` (kPathRoom bytes) holds the path with the kernel's ids. Relative paths start from
// dirfd.
bool read_proc_name(ThreadBlock* t, std::uint64_t dirfd, std::uint64_t from, char* rewritten,
                    ProcName* name);

// The same for a path of the host's own, with virtual ids in it.
bool parse_proc_name(ThreadBlock* t, const char* path, char* rewritten, ProcName* name);

// The directory of the caller's own process, or of one of its threads.
bool names_own_process(const ThreadBlock* t, const ProcName& name);
// The caller's own thread that the name is about: the first one for the process's directory.
// nullptr: it is another process's, or has ended.
ThreadBlock* named_thread(const ThreadBlock* t, const ProcName& name);

// The path under /proc with the guest's ids for one with the kernel's; returns the new length, or
// -1 if the text is no such path or is as it was. `room` includes a NUL.
std::int64_t with_virtual_ids(const char* path, std::uint64_t length, char* out,
                              std::uint64_t room);

}  // namespace cairn::runtime
