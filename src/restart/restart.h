#pragma once
// The restart path.

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "abi/sysv_ids.h"
#include "base/connection_queue.h"
#include "base/error.h"
#include "base/strong.h"
#include "image/image.h"
#include "resources/file_journal.h"
#include "storage/generation_reader.h"

namespace cairn::restart {

// A generation, read and found fit for this machine. Nothing was started or changed for it.
struct Plan {
  std::string directory;        // of the store
  std::uint64_t generation = 0;
  std::string job_id;
  std::string name;
  std::string mode;             // of the door
  resources::JournalPositions journals;  // at the commit
  std::unique_ptr<storage::GenerationReader> reader;
  image::Generation records;
};

// How far the journals of files had come when the generation was committed.
[[nodiscard]] resources::JournalPositions journals_of(const storage::GenerationInfo& generation);

// Everything of the generation but its pages; those are verified while they are put in place.
[[nodiscard]] Result<Plan> read(const std::string& directory, std::uint64_t generation);

// What this machine lacks, as one refusal that names all of it.
[[nodiscard]] Result<> check_machine(const Plan& plan);

struct Outcome {
  std::uint32_t threads = 0;
  std::chrono::microseconds objects{0};
  std::chrono::microseconds memory{0};
  std::chrono::microseconds resume{0};
  std::chrono::microseconds total{0};  // with the wait for the process
};

// The records of an open generation.
[[nodiscard]] Result<image::Generation> decode_records(const storage::GenerationReader& reader);

// Builds the process in `pid`, which execs the runtime for a restore and connects. Returns once it
// runs. After a failure the process has ended with ExitCode::kFailed, with one line on its standard
// error and without a guest instruction executed.
// `bring_back_files`: files are made again what they were at the commit (--files).
// `journal` is the one that was begun for the time from now on.
// `stdio` are the restart command's own, as descriptors of ours (-1: closed).
[[nodiscard]] Result<Outcome> restart(const Plan& plan, ConnectionQueue& connections, RealPid pid,
                                      abi::SysvTable& sysv, std::array<int, 3> stdio,
                                      bool bring_back_files, std::uint64_t journal);

}  // namespace cairn::restart
