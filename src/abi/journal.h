#pragma once
// What a job has done to names and contents of files since its last commit, so that a restart can
// undo it: DIR/journal/N/log, written by the processes themselves, read by the agent of a restart.
// Beside it stand the files that were kept (1, 2, ...).
//
// The log is mapped at kJournal by every process of the job, so a record needs no descriptor, no
// system call and no lock: room is taken by an addition, and what is stored survives SIGKILL, since
// the pages are the file's. A record is begun before the call that it speaks of (kIntent) and gets
// its outcome behind it. It is undone from the last to the first: then every path means what it
// meant when it was written down.
//
// A power failure may take what the kernel had not yet written; for that a job would have to sync
// at every new name.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "abi/arena.h"

namespace cairn::abi {

inline constexpr std::uint64_t kJournalMagic = 0x31'47'4c'4a'4e'52'43ULL;  // "CRNJLG1"
inline constexpr std::uint32_t kJournalVersion = 2;  // 1: without Keep::kOneOfMany
inline constexpr std::uint64_t kJournal = kArenaBase + (18ULL << 30);
inline constexpr std::uint64_t kJournalBytes = 1ULL << 30;  // the most that a log can be
inline constexpr std::uint32_t kKnownFiles = 1U << 16;

// What need not be kept (again), by the file's device and inode.
enum class Known : std::uint64_t {
  kNo = 0,
  kMade = 1,     // there was no such file at the commit
  kContent = 2,  // its content is in the image, or was kept
  kLength = 3,   // its length was noted: it has only been appended to
};
inline constexpr std::uint64_t kKnownBits = 3;

// Identity of a file as one word; the lowest bits are for Known. 62 bits: among a million files the
// chance that two are taken for one is 1 in 10 million.
constexpr std::uint64_t known_key(std::uint32_t major, std::uint32_t minor, std::uint64_t inode) {
  std::uint64_t x = inode ^ (std::uint64_t{major} << 52) ^ (std::uint64_t{minor} << 32);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  x ^= x >> 31;
  x &= ~kKnownBits;
  return x != 0 ? x : kKnownBits + 1;
}

struct JournalHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t records;             // where they begin in the file
  std::atomic<std::uint64_t> used;   // bytes of the file that are taken, records and what is before
  std::atomic<std::uint64_t> ready;  // bytes of the file that exist
  std::atomic<std::uint32_t> kept;   // the last name given to a kept file
  std::atomic<std::uint32_t> incomplete;  // 1: something was done that is not written down
  std::uint64_t reserved[11];
  std::atomic<std::uint64_t> known[kKnownFiles];
};
inline constexpr std::uint64_t kJournalRecords = (sizeof(JournalHeader) + 4095) / 4096 * 4096;

enum class JournalKind : std::uint32_t {
  kMade = 1,       // `path` did not exist
  kOpened = 2,     // the same, by open: `path` may end in a symbolic link that led nowhere
  kRemoved = 3,    // `path` was this file; `keep` says how to have it again
  kRenamed = 4,    // `path` became `second`, which did not exist (any more)
  kExchanged = 5,  // both exist
  kContent = 6,    // `path`, a regular file, is about to be written: what was in it is kept
  kLength = 7,     // ... only to be appended to: it had this size
};

enum class JournalState : std::uint32_t {
  kIntent = 1,  // whether it was done is not known
  kDone = 2,
  kFailed = 3,  // nothing has happened
  kUndone = 4,
};

enum class Keep : std::uint32_t {
  kNothing = 0,  // mode, owner and size tell all: directory, FIFO, socket, device, empty file
  kFile = 1,     // a copy, under the name `kept`
  kLink = 2,     // the file itself, under the name `kept`
  kTarget = 3,   // a symbolic link; its text is `second`
  kContentElsewhere = 4,  // an earlier record or the image has the content
  kLost = 5,              // could not be kept
  kOneOfMany = 6,         // a copy as kFile, of a file that has further names: better one of those
};

// Aligned to 16 bytes. `second` is an offset from the record's start, 0: none.
struct JournalRecord {
  std::uint64_t
      magic;  // kRecordMagic + its offset in the file: tells a record from what was only reserved
  std::uint32_t bytes;
  std::atomic<JournalState> state;
  JournalKind kind;
  Keep keep;
  std::uint32_t kept;
  std::uint32_t mode;
  std::uint64_t inode;
  std::uint64_t size;  // of a device: its number
  std::int64_t mtime_seconds;
  std::uint32_t mtime_nanoseconds;
  std::uint32_t uid;
  std::uint32_t gid;
  std::uint32_t second;
  char path[8];  // and on
};
inline constexpr std::uint64_t kRecordMagic = 0x9d1c'5e0b'72a4'f36dULL;
inline constexpr std::uint64_t kRecordHead = offsetof(JournalRecord, path);

inline JournalHeader* mapped_journal() {
  return reinterpret_cast<JournalHeader*>(kJournal);
}

}  // namespace cairn::abi
