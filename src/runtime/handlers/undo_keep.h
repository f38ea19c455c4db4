#pragma once
// What the calls that change names and files have in common: looking at a file, and keeping it so
// that a restart can have it again.

#include <linux/stat.h>

#include "abi/journal.h"
#include "runtime/host/thread_block.h"
#include "sys/result.h"

namespace cairn::runtime {

inline constexpr std::uint32_t kFollow = 0, kNoFollow = 0x100, kItself = 0x1000;  // AT_EMPTY_PATH

struct Place {  // as the *at calls name a file
  std::uint64_t directory;
  std::uint64_t path;  // guest memory or ours
};
inline constexpr std::uint64_t kWorkingDirectory = static_cast<std::uint64_t>(-100);

sys::SysResult look(const Place& place, std::uint32_t follow, struct statx* out);
sys::SysResult look_at_descriptor(std::uint64_t fd, struct statx* out);
std::uint64_t key_of(const struct statx& file);

// Without a process' own point of view: what a restart will find under it when all that came later
// is undone. False: the guest's path cannot be read, or is too long for any call.
bool absolute_path(const Place& place, char* out, std::uint64_t room);

// Of a record.
void describe(abi::JournalRecord* record, const struct statx& file);
// The name `place`, which is this file, is about to go. nullptr: nothing has to be brought back.
abi::JournalRecord* note_removal(ThreadBlock* t, const Place& place, const struct statx& file);
// A regular file is about to be written; `appended`: only behind its end. The file may be read by
// its `place`.
void keep_content(ThreadBlock* t, const Place& place, const struct statx& file, bool appended);

// What is noted of the call under way, at most two records; settle is (part of) its `after`.
void begin_notes(ThreadBlock* t);
std::int64_t settle(ThreadBlock* t, std::int64_t result);

}  // namespace cairn::runtime
