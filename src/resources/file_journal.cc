#include "resources/file_journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "base/fault.h"
#include "base/fd.h"
#include "base/files.h"

namespace cairn::resources {
namespace {

constexpr std::uint64_t kFirstRecords = 1U << 19;  // the processes lengthen it when they need more

std::uint64_t number_of(const std::string& name) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() ? number : 0;
}

}  // namespace

Result<std::vector<std::uint64_t>> journals_in(const std::string& directory) {
  std::vector<std::uint64_t> numbers;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error))
    if (const auto number = number_of(entry.path().filename()); number != 0)
      numbers.push_back(number);
  if (error && error != std::errc::no_such_file_or_directory)
    return failure(error.value(), "read the directory", directory);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

Result<MappedJournal> MappedJournal::open(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0) return os_failure("open the journal", path);
  const auto bytes = static_cast<std::uint64_t>(info.st_size);
  if (bytes < abi::kJournalRecords) return refusal("this is no journal of files:", path);
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return os_failure("map the journal", path);
  MappedJournal journal(static_cast<std::byte*>(memory), bytes);
  if (journal.header().magic != abi::kJournalMagic)
    return refusal("this is no journal of files:", path);
  const auto version = journal.header().version;
  if (version == 0 || version > abi::kJournalVersion)
    return refusal("the journal of files is of another version of Cairn:", path);
  return journal;
}

MappedJournal::~MappedJournal() {
  if (memory_ != nullptr) ::munmap(memory_, bytes_);
}

std::uint64_t MappedJournal::written() const {
  return std::min(header().used.load(), bytes_);
}

bool MappedJournal::is_record(std::uint64_t at, std::uint64_t end) const {
  const auto* record = reinterpret_cast<const abi::JournalRecord*>(memory_ + at);
  if (at + sizeof *record > end || record->magic != abi::kRecordMagic + at) return false;
  if (record->bytes <= abi::kRecordHead || record->bytes % 16 != 0 || record->bytes > end - at)
    return false;
  const auto* start = reinterpret_cast<const char*>(record);
  const auto ends = [&](std::uint64_t text) {
    return text < record->bytes && std::memchr(start + text, 0, record->bytes - text) != nullptr;
  };
  return ends(abi::kRecordHead) && (record->second == 0 || ends(record->second));
}

// A process that was killed while it wrote leaves room in which no record begins.
std::vector<abi::JournalRecord*> MappedJournal::records(std::uint64_t position) const {
  std::vector<abi::JournalRecord*> found;
  const std::uint64_t end = written();
  for (std::uint64_t at = std::max(position, abi::kJournalRecords); at < end;) {
    if (!is_record(at, end)) {
      at += 16;
      continue;
    }
    found.push_back(reinterpret_cast<abi::JournalRecord*>(memory_ + at));
    at += found.back()->bytes;
  }
  return found;
}

Result<> FileJournal::make(std::uint64_t number) {
  const auto place = fmt::format("{}/{}", directory_, number);
  if (place.size() >= sizeof segment_.journal)
    return failure(ENAMETOOLONG, "put into the job segment", place);
  CAIRN_TRY(fault_step(FaultPoint::kJournalMake, "make the journal of files"));
  CAIRN_TRY(make_private_directory(directory_));
  CAIRN_TRY(make_private_directory(place));
  CAIRN_ASSIGN(const Fd fd, create_private_file(place + "/log", O_RDWR));
  // Allocated, since a store into a page that the disk has no room for would be a SIGBUS.
  const std::uint64_t bytes = abi::kJournalRecords + kFirstRecords;
  if (const int error = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes)); error != 0)
    return failure(error, "make room for the journal", place);
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return os_failure("map the journal", place);
  auto* header = static_cast<abi::JournalHeader*>(memory);
  header->version = abi::kJournalVersion;
  header->records = abi::kJournalRecords;
  header->used = abi::kJournalRecords;
  header->ready = bytes;
  header->magic = abi::kJournalMagic;
  ::munmap(memory, bytes);
  std::memcpy(segment_.journal, place.c_str(), place.size() + 1);
  segment_.journal_serial.fetch_add(1);
  number_ = number;
  return {};
}

Result<JournalPositions> FileJournal::begin(const std::vector<FileKey>& in_image) {
  CAIRN_ASSIGN(auto numbers, journals_in(directory_));
  JournalPositions positions;
  for (const std::uint64_t number : numbers) {
    CAIRN_ASSIGN(const auto journal,
                 MappedJournal::open(fmt::format("{}/{}/log", directory_, number)));
    positions[number] = journal.written();
  }
  const auto mine = positions.find(number_);
  const bool fresh = mine != positions.end() && mine->second == abi::kJournalRecords;
  if (!fresh) {
    CAIRN_TRY(make(numbers.empty() ? 1 : numbers.back() + 1));
    positions[number_] = abi::kJournalRecords;
  }
  CAIRN_ASSIGN(const auto journal,
               MappedJournal::open(fmt::format("{}/{}/log", directory_, number_)));
  for (const auto& [device, inode] : in_image) {
    const auto key = abi::known_key(major(device), minor(device), inode);
    for (std::uint32_t i = 0; i < 64; ++i) {
      auto& slot = journal.header().known[(key / 4 + i) % abi::kKnownFiles];
      if (slot != 0 && (slot & ~abi::kKnownBits) != key) continue;
      slot = key | static_cast<std::uint64_t>(abi::Known::kContent);
      break;
    }
  }
  return positions;
}

Result<> FileJournal::check_taken_over(const std::vector<const abi::ProcessSlot*>& processes) {
  const std::uint32_t serial = segment_.journal_serial.load();
  for (const abi::ProcessSlot* slot : processes) {
    const bool runs = slot->state.load() == static_cast<std::uint32_t>(abi::SlotState::kRunning);
    if (!runs || slot->journal.load() == serial) continue;
    // Killed by a member that ran on before it: it has done nothing since the commit.
    if (!process_lives(slot->real_pid.load(), slot->start_time.load())) continue;
    CAIRN_ASSIGN(const auto journal,
                 MappedJournal::open(fmt::format("{}/{}/log", directory_, number_)));
    journal.header().incomplete = 1;
  }
  return {};
}

Result<> FileJournal::prune(const std::vector<JournalPositions>& generations) {
  std::uint64_t first = number_;
  for (const auto& positions : generations)
    if (!positions.empty()) first = std::min(first, positions.rbegin()->first);
  CAIRN_ASSIGN(const auto numbers, journals_in(directory_));
  for (const std::uint64_t number : numbers) {
    if (number >= first) break;
    std::error_code error;
    std::filesystem::remove_all(fmt::format("{}/{}", directory_, number), error);
    if (error) return failure(error.value(), "remove the journal", directory_);
  }
  return {};
}

std::string positions_to_text(const JournalPositions& positions) {
  std::string text;
  for (const auto& [number, bytes] : positions)
    text += fmt::format("{}{}:{}", text.empty() ? "" : " ", number, bytes);
  return text;
}

JournalPositions positions_from_text(const std::string& text) {
  JournalPositions positions;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    std::uint64_t number = 0;
    std::uint64_t bytes = 0;
    const auto first = std::from_chars(at, end, number);
    if (first.ec != std::errc() || first.ptr == end || *first.ptr != ':') return {};
    const auto second = std::from_chars(first.ptr + 1, end, bytes);
    if (second.ec != std::errc()) return {};
    positions[number] = bytes;
    at = second.ptr == end ? end : second.ptr + 1;
  }
  return positions;
}

}  // namespace cairn::resources
