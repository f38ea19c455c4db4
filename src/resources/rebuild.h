#pragma once
// Builds the saved processes of a job inside fresh ones that have said Hello for a restore.
//
//   check_machine -> create_objects -> address_space -> memory -> threads -> connect_objects ->
//   state
//                 -> rewind_files -> start_clocks -> (RemoteProcess::go for each by the caller)
//
// Each phase is called once, in this order, and does its part in all processes before the next one
// begins: what several of them share is made once. A failure leaves half-built processes, which the
// caller ends. Nothing outside of them is changed before rewind_files, but that files which are
// missing here and whose contents are in the image are made anew.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "abi/notices.h"
#include "abi/pty_numbers.h"
#include "abi/sysv_ids.h"
#include "base/error.h"
#include "image/schema/object.pb.h"
#include "image/schema/process.pb.h"
#include "resources/remote_process.h"
#include "storage/memory_reader.h"

namespace cairn::resources {

// Opens the pages of an encoded storage::PageDataRef.
using OpenContent =
    std::function<Result<std::unique_ptr<storage::MemoryReader>>(const std::string& ref)>;

// Of the environment; without a value it goes.
struct Variable {
  std::string name;
  std::optional<std::string> value;
};

struct RebuildOptions {
  OpenContent open_content;
  std::array<int, 3> stdio{0, 1, 2};  // of the restart command, as descriptors of ours
  std::string undo_directory;         // where rewind_files puts what it cuts off; made if needed
  abi::SysvTable* sysv = nullptr;     // the new job's
  abi::Notices* notices = nullptr;    // likewise
  abi::PtyNumbers* ptys = nullptr;    // likewise
  bool restore_files = true;          // false for --files=none
  std::vector<Variable> environment;  // what is to be another than it was
  std::map<std::int32_t, std::int32_t> ended{};  // those nobody has waited for: virtual to real pid
};

struct RebuildJob;

class JobRebuild {
 public:
  struct Process {
    RemoteProcess& remote;
    const image::ProcessImage& image;
  };
  // Those that live: one that has ended and was not waited for has nothing of all this. `objects`
  // are all kernel objects of the generation; everything outlives this.
  JobRebuild(std::span<const Process> processes, const std::vector<image::KernelObject>& objects,
             RebuildOptions options);
  ~JobRebuild();
  JobRebuild(const JobRebuild&) = delete;
  JobRebuild& operator=(const JobRebuild&) = delete;

  Result<> create_objects();  // every descriptor number holds its open file
  Result<> address_space();   // all regions are mapped, writable where pages will come
  Result<> memory();          // all pages are written, final protections set
  Result<> threads();         // all threads exist and hold their registers and attributes
  Result<>
  connect_objects();        // what refers to numbers, tids or other objects: epoll, locks, owners
  Result<> state();         // clocks, handlers, prctl, limits, cwd, umask, pending signals
  Result<> rewind_files();  // files are what they were at the commit
  Result<> start_clocks();  // timers run: nothing slow may follow

 private:
  std::unique_ptr<RebuildJob> job_;
};

// What this machine lacks, one line each: CPU and kernel features, mapped files, identity. Empty:
// go ahead. Starts and changes nothing.
std::vector<std::string> check_machine(const image::ProcessImage& image);

// Likewise: the files and directories that the processes need and that are not there, but for those
// that the restart brings back itself, by `comes_back`.
std::vector<std::string> missing_places(
    const std::vector<image::ProcessImage>& processes,
    const std::vector<image::KernelObject>& objects,
    const std::function<bool(const std::string& path)>& comes_back);

}  // namespace cairn::resources
