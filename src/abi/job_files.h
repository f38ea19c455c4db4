#pragma once
// Files of the job for a process that may not open them: one of root's job that has become another
// user's. It connects to the abstract unix socket that has the segment's path for its name, and sends
// one JobFile; the agent, which knows it by its pid, answers one byte with the descriptor, or hangs up.

#include <cstdint>

namespace cairn::abi {

enum class JobFile : std::uint32_t {
  kJobSegment = 0,
  // From here up to kJournalLog: a new file of that name beside the journal's log (JournalRecord::kept).
  kFirstKept = 1,
  kJournalLog = 0xffff'ffff,
};

}  // namespace cairn::abi
