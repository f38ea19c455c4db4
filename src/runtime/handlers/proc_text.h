#pragma once
// Files of /proc whose text holds what the guest sees differently (proc_text.cc).

#include "runtime/handlers/proc_name.h"

namespace cairn::runtime {

// Whether the text of this file may have to be another one for the guest.
bool text_may_differ(ThreadBlock* t, const ProcName& name);

// `fd` was opened for reading by the guest, on the file `name`: the descriptor that it gets, which
// is the same if the text is, else leads to a file in memory that stands in.
std::int64_t stand_in_for(ThreadBlock* t, int fd, const ProcName& name, bool close_on_exec);

// "/memfd:cairn:/proc/... (deleted)": what stands in for a file shows as that file.
inline constexpr char kStandInLink[] = "/memfd:cairn:/proc/";
// The path in the link's text: its length, or -1 if the text is something else.
std::int64_t stands_in_for(const char* link, std::uint64_t length, const char** path);

}  // namespace cairn::runtime
