#pragma once
// The journal of files as a process of the job writes it (abi/journal.h): mapped in the arena from
// the first commit on. Before that, or outside of any job, there is none and nothing is noted.

#include "abi/journal.h"
#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// Maps the job's present journal, and lets the calls that change names and files come to their
// handlers (handlers/undo_names.cc, undo_open.cc). No other thread of the process may be running.
// So does reading an inotify that holds stand-ins (handlers/unread.cc).
// The agent learns by the slot of `member` (nullptr: not yet one) that it is done.
void adopt_journal(const Process* member);
// Of the journal that is mapped; 0: none.
std::uint32_t adopted_journal();

// Takes room and fills it; nullptr: there is none left, which the journal says.
abi::JournalRecord* note(abi::JournalKind kind, const char* path, const char* second = nullptr);
// Of something that could not be noted.
void note_missing();

abi::Known known(std::uint64_t key);
void set_known(std::uint64_t key, abi::Known what);

// A new file in the journal's directory; `number` is its name. Negative: an error.
std::int64_t make_kept_file(std::uint32_t* number);
// Its path: for a file that gets another link there.
std::uint32_t next_kept_path(char* out, std::uint64_t room);
void drop_kept_file(std::uint32_t number);

}  // namespace cairn::runtime
