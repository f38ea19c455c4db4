#pragma once
// The restart path.

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "abi/segment.h"
#include "base/connection_queue.h"
#include "base/error.h"
#include "base/strong.h"
#include "image/image.h"
#include "resources/file_journal.h"
#include "resources/process_tree.h"
#include "resources/rebuild.h"
#include "restart/path_map.h"
#include "storage/generation_reader.h"

namespace cairn::restart {

// A generation, read and found fit for this machine. Nothing was started or changed for it.
struct Plan {
  std::string directory;        // of the store
  std::uint64_t generation = 0;
  std::string job_id;
  std::string name;
  std::string mode;             // of the door
  std::vector<std::string> secrets;  // variables whose values are not in the image
  resources::JournalPositions journals;  // at the commit
  std::unique_ptr<storage::GenerationReader> reader;
  image::Generation records;   // the first process first, those that have ended last
  resources::TreeOrigin origin;
  PathMap moved;  // its records name files by their new paths already
};

// How far the journals of files had come when the generation was committed.
[[nodiscard]] resources::JournalPositions journals_of(const storage::GenerationInfo& generation);

// Everything of the generation but its pages; those are verified while they are put in place.
[[nodiscard]] Result<Plan> read(const std::string& directory, std::uint64_t generation);

// Files and directories are elsewhere now.
[[nodiscard]] Result<> move_files(Plan& plan, PathMap moved);

// Files will be changed before the memory is in place: then every byte of the generation is to be
// verified first. Otherwise that is done while it is read for its purpose.
[[nodiscard]] bool changes_files_first(const Plan& plan);

// What this machine lacks, as one refusal that names all of it.
[[nodiscard]] Result<> check_machine(const Plan& plan);

struct Outcome {
  std::uint32_t processes = 0;
  std::uint32_t threads = 0;
  std::chrono::microseconds objects{0};
  std::chrono::microseconds memory{0};
  std::chrono::microseconds resume{0};
  std::chrono::microseconds total{0};  // with the wait for the process
};

struct Surroundings {
  std::array<int, 3> stdio;  // the restart command's own, as descriptors of ours (-1: closed)
  bool bring_back_files;     // files are made again what they were at the commit (--files)
  std::vector<resources::Variable> environment;  // --env
  std::uint64_t journal;     // the one that was begun for the time from now on; 0: none
};

// The records of an open generation.
[[nodiscard]] Result<image::Generation> decode_records(const storage::GenerationReader& reader);

// Builds the job from `pid`, which execs the runtime for a restore, connects, and becomes the job's
// first process. Returns once all run. After a failure that process has ended with
// ExitCode::kFailed (kDamaged, if the generation is), with one line on its standard error, and all
// others have ended too, without a guest instruction executed.
[[nodiscard]] Result<Outcome> restart(const Plan& plan, ConnectionQueue& connections, RealPid pid,
                                      abi::JobSegment& segment, const Surroundings& around);

}  // namespace cairn::restart
