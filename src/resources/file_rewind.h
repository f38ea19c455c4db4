#pragma once
// Files are brought back to what they were at the commit: the last step of a restart that may fail,
// and the only one that changes anything outside of the new process. What it cuts off or overwrites
// is kept in the undo directory.

#include "resources/context.h"

namespace cairn::resources {

// Files without a name get owner, mode and time, which might have kept them from being opened or filled.
[[nodiscard]] Result<> finish_unnamed_files(RebuildJob& job);

Result<> rewind_files(RebuildJob& job);

// Where the inode is now: under its own name, under another one in the same directory (it was renamed
// since), or, under its name, a file that has taken its place. Empty: nowhere.
Result<std::string> present_path(const image::FileIdentity& identity);

// Of the last page before `size`: tells an append-only file from one that was written anew.
Result<std::string> tail_hash(int fd, std::uint64_t size);

}  // namespace cairn::resources
