#include "runtime/host/journal.h"

#include "runtime/handlers/dispatch.h"
#include "runtime/host/job.h"
#include "runtime/host/job_files.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kOpenLog = 0x80002;   // O_RDWR|O_CLOEXEC
constexpr std::uint64_t kOpenKept = 0x800c1;  // O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC
constexpr std::uint64_t kReadWrite = 3, kSharedFixed = 0x11;
constexpr std::uint64_t kStep = 1 << 20;
constexpr std::uint64_t kPathBytes = sizeof(abi::JobSegment::journal) + 16;

std::uint32_t g_serial = 0;
std::uint64_t g_mapped = 0;  // bytes of the window

bool path_in_journal(char* out, std::uint64_t room, const char* name) {
  const char* directory = abi::job_segment()->journal;
  if (string_length(directory) + string_length(name) + 2 > room) return false;
  append(append(append(out, directory), "/"), name);
  return true;
}

sys::SysResult open_log() {
  char path[kPathBytes];
  if (!path_in_journal(path, sizeof(path), "log")) return {-kENAMETOOLONG};
  return open_job_file(path, kOpenLog, segment_path(), abi::JobFile::kJournalLog);
}

// As much as a limit of the address space lets us have.
bool map_log(std::uint64_t fd) {
  for (std::uint64_t bytes = abi::kJournalBytes; bytes >= 16 * kStep; bytes /= 4) {
    auto at = sys::call(__NR_mmap, abi::kJournal, bytes, kReadWrite, kSharedFixed, fd, 0);
    if (!at.ok()) continue;
    leave_unlocked(at.value(), bytes);
    g_mapped = bytes;
    return true;
  }
  return false;
}

bool lengthen(std::uint64_t fd, std::uint64_t from, std::uint64_t to) {
  if (sys::call(__NR_fallocate, fd, 0, from, to - from).ok()) return true;
  static const char kZeros[4096] = {};  // a file system that cannot reserve
  for (; from < to; from += sizeof(kZeros))
    if (sys::call(__NR_pwrite64, fd, sys::address(kZeros), sizeof(kZeros), from).raw !=
        static_cast<std::int64_t>(sizeof(kZeros)))
      return false;
  return true;
}

// Several threads may do it at once: the file only grows.
bool make_ready(std::uint64_t end) {
  abi::JournalHeader* journal = abi::mapped_journal();
  std::uint64_t ready = journal->ready.load();
  if (end <= ready) return true;
  std::uint64_t wanted = (end + ready / 2 + kStep) / kStep * kStep;
  if (wanted > g_mapped) wanted = g_mapped;
  if (end > wanted) return false;
  auto fd = open_log();
  if (!fd.ok()) return false;
  bool longer = lengthen(fd.value(), ready, wanted);
  (void)sys::call(__NR_close, fd.value());
  if (!longer) return false;
  while (ready < wanted && !journal->ready.compare_exchange_weak(ready, wanted)) {
  }
  return true;
}

// The slot of this key, or the one where it belongs; nullptr: the table is full there. What is not
// in it is kept once more than needed.
std::atomic<std::uint64_t>* find(std::uint64_t key) {
  abi::JournalHeader* journal = abi::mapped_journal();
  for (std::uint32_t i = 0; i < 64; ++i) {
    auto* slot = &journal->known[(key / 4 + i) % abi::kKnownFiles];
    std::uint64_t there = slot->load();
    if (there == 0 || (there & ~abi::kKnownBits) == key) return slot;
  }
  return nullptr;
}

}  // namespace

std::uint32_t adopted_journal() {
  return g_serial;
}

void adopt_journal(const Process* member) {
  if (!job_attached()) return;
  if (abi::job_segment()->notices.unread_left.load() != 0) arm_above(kUnreadHandlers);
  std::uint32_t serial = abi::job_segment()->journal_serial.load();
  if (serial == g_serial) return;
  auto fd = open_log();
  if (!fd.ok()) return;
  bool mapped = map_log(fd.value());
  (void)sys::call(__NR_close, fd.value());
  if (!mapped || abi::mapped_journal()->magic != abi::kJournalMagic) return;
  g_serial = serial;
  arm_above(kUndoNameHandlers);
  arm_above(kUndoOpenHandlers);
  if (member != nullptr && member->slot >= 0)
    abi::job_segment()->slots[member->slot].journal.store(serial);
}

void note_missing() {
  abi::mapped_journal()->incomplete.store(1);
}

abi::JournalRecord* note(abi::JournalKind kind, const char* path, const char* second) {
  abi::JournalHeader* journal = abi::mapped_journal();
  std::uint64_t length = string_length(path) + 1;
  std::uint64_t second_length = second != nullptr ? string_length(second) + 1 : 0;
  std::uint64_t bytes = (abi::kRecordHead + length + second_length + 15) & ~15ULL;
  std::uint64_t at = journal->used.fetch_add(bytes);
  if (!make_ready(at + bytes)) {
    note_missing();
    return nullptr;
  }
  auto* record = reinterpret_cast<abi::JournalRecord*>(abi::kJournal + at);
  record->bytes = static_cast<std::uint32_t>(bytes);
  record->state.store(abi::JournalState::kIntent);
  record->kind = kind;
  memcpy(record->path, path, length);
  if (second != nullptr) {
    record->second = static_cast<std::uint32_t>(abi::kRecordHead + length);
    memcpy(record->path + length, second, second_length);
  }
  __atomic_store_n(&record->magic, abi::kRecordMagic + at, __ATOMIC_RELEASE);
  return record;
}

abi::Known known(std::uint64_t key) {
  auto* slot = find(key);
  std::uint64_t there = slot != nullptr ? slot->load() : 0;
  return static_cast<abi::Known>(there & abi::kKnownBits);
}

void set_known(std::uint64_t key, abi::Known what) {
  for (;;) {
    auto* slot = find(key);
    if (slot == nullptr) return;
    std::uint64_t there = slot->load();
    if (there != 0 && (there & ~abi::kKnownBits) != key) continue;  // another one was faster
    if (slot->compare_exchange_strong(there, key | static_cast<std::uint64_t>(what))) return;
  }
}

std::uint32_t next_kept_path(char* out, std::uint64_t room) {
  std::uint32_t number = abi::mapped_journal()->kept.fetch_add(1) + 1;
  char name[16];
  append_decimal(name, number);
  return path_in_journal(out, room, name) ? number : 0;
}

std::int64_t make_kept_file(std::uint32_t* number) {
  char path[kPathBytes];
  *number = next_kept_path(path, sizeof(path));
  if (*number == 0) return -kENAMETOOLONG;
  return open_job_file(path, kOpenKept, segment_path(), static_cast<abi::JobFile>(*number)).raw;
}

void drop_kept_file(std::uint32_t number) {
  char path[kPathBytes], name[16];
  append_decimal(name, number);
  if (path_in_journal(path, sizeof(path), name)) (void)sys::call(__NR_unlink, sys::address(path));
}

}  // namespace cairn::runtime
