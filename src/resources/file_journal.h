#pragma once
// The journals of a job's files (abi/journal.h) in DIR/journal, as the agent makes and removes
// them.
//
// Every commit begins a new one if the last was written to; so does every restart. A generation
// says how far each journal had come at its commit: what stands behind that, and all of the later
// journals, a restart from it undoes.

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "abi/journal.h"
#include "abi/segment.h"
#include "base/error.h"

namespace cairn::resources {

// Number of a journal -> how many bytes of it were written.
using JournalPositions = std::map<std::uint64_t, std::uint64_t>;

// A device and an inode.
using FileKey = std::pair<dev_t, ino_t>;

class FileJournal {
 public:
  FileJournal(const std::string& store, abi::JobSegment& segment)
      : directory_(store + "/journal"), segment_(segment) {}

  // Nothing of the guest may run. From its thaw on every process writes the new journal; the
  // content of the files `in_image` need not be kept there. Gives the positions for the generation.
  Result<JournalPositions> begin(const std::vector<FileKey>& in_image);

  // After the thaw: a process that could not take over the journal leaves it incomplete.
  Result<> check_taken_over(const std::vector<const abi::ProcessSlot*>& processes);

  // Removes those that no generation needs whose positions are given.
  Result<> prune(const std::vector<JournalPositions>& generations);

  // Of the job that is to be restarted: all journals but the one that begin() has made here.
  [[nodiscard]] std::uint64_t number() const { return number_; }

 private:
  Result<> make(std::uint64_t number);

  std::string directory_;
  abi::JobSegment& segment_;
  std::uint64_t number_ = 0;
};

// The file of a journal, mapped.
class MappedJournal {
 public:
  static Result<MappedJournal> open(const std::string& path);
  MappedJournal(MappedJournal&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), bytes_(other.bytes_) {}
  MappedJournal& operator=(MappedJournal&&) = delete;
  ~MappedJournal();

  [[nodiscard]] abi::JournalHeader& header() const {
    return *reinterpret_cast<abi::JournalHeader*>(memory_);
  }
  // Behind `position`, in the order of writing. Each lies wholly in the file, its texts end.
  [[nodiscard]] std::vector<abi::JournalRecord*> records(std::uint64_t position) const;
  [[nodiscard]] std::uint64_t written() const;

 private:
  MappedJournal(std::byte* memory, std::uint64_t bytes) : memory_(memory), bytes_(bytes) {}
  [[nodiscard]] bool is_record(std::uint64_t at, std::uint64_t end) const;
  std::byte* memory_;
  std::uint64_t bytes_;
};

// Numbers of the journals in DIR/journal, ascending.
Result<std::vector<std::uint64_t>> journals_in(const std::string& directory);

std::string positions_to_text(const JournalPositions& positions);  // of a generation's info
JournalPositions positions_from_text(const std::string& text);     // none: empty

}  // namespace cairn::resources
