#pragma once
// Everything that frozen processes own in the kernel, as records of an image, and the list of the
// pages whose bytes belong to it. What cannot be saved is an Error that names it.
//
//   CAIRN_ASSIGN(auto capture, capture_job(processes, options));
//   for (auto& content : capture.contents) {
//     auto writer = generation.memory();
//     for (auto& batch : storage::plan_batches(content.runs)) {
//       ... for each run that is not zero: read_content(content, run.address, buffer) ...
//     }
//     set_content(capture, content, *writer->finish());
//   }
//
// The processes of a job are captured together: what several of them have is one object.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "abi/cpu_view.h"
#include "abi/notices.h"
#include "abi/pty_numbers.h"
#include "abi/sysv_ids.h"
#include "base/error.h"
#include "base/fd.h"
#include "image/schema/object.pb.h"
#include "image/schema/process.pb.h"
#include "resources/remote_process.h"
#include "storage/page.h"

namespace cairn::resources {

enum class FilePolicy {
  kAuto,  // append-only files by length, others that are written by content
  kSave,  // and the clean pages of private file mappings, and files that are only read, by content
  kNone,  // files are left as they are: the user answers for them
};

struct CaptureOptions {
  FilePolicy files = FilePolicy::kAuto;
  std::uint64_t file_content_limit = 4ULL << 30;  // largest file that is saved by content
  abi::CpuView cpu{};                             // what the job's programs are told of the CPU
  const abi::SysvTable* sysv = nullptr;           // the job's; null: it has none
  abi::Notices* notices = nullptr;                // likewise
  abi::PtyNumbers* ptys = nullptr;                // likewise
  const std::map<std::int32_t, std::int32_t>* ended = nullptr;  // see CaptureJob::ended_id()
};

// Pages to be stored together under one PageDataRef.
struct ContentPlan {
  std::uint64_t object_id = 0;  // 0: private memory, of the process of that index
  std::size_t process_index = 0;
  RemoteProcess* process = nullptr;
  std::vector<storage::PageRun> runs;  // by address (private memory) or by offset (objects)
  std::uint64_t bytes = 0;             // an object's length; its last page may be partly used

  // Where an object's bytes are read: from a file, from memory here, or where a process has it
  // mapped.
  Fd file;
  std::shared_ptr<const std::byte> memory;
  struct View {
    std::uint64_t offset;
    std::uint64_t bytes;
    std::uint64_t address;
    RemoteProcess* process;
  };
  std::vector<View> views;
};

// Watches of the guest's that do not tell it of files that are opened and read, until this ends.
class DeafWatches {
 public:
  DeafWatches() = default;
  DeafWatches(DeafWatches&&) = default;
  DeafWatches& operator=(DeafWatches&&) = default;
  ~DeafWatches();
  Result<> add(int inotify, const std::string& path, std::int32_t number, std::uint32_t mask);
  void hear_again();

 private:
  struct Watch {
    Fd inotify;
    std::string path;
    std::uint32_t mask;
  };
  std::vector<Watch> watches_;
};

struct JobCapture {
  std::vector<image::ProcessImage> processes;  // as they were given
  std::vector<image::KernelObject> objects;
  std::vector<ContentPlan> contents;
  DeafWatches deaf;
};

// All of them are frozen, and outlive the contents.
Result<JobCapture> capture_job(std::span<RemoteProcess* const> processes,
                               const CaptureOptions& options);

// The bytes at `position` (an address or an offset, within the plan's runs). What lies beyond the
// end of the object is zero. May be called by several threads at once.
Result<> read_content(const ContentPlan& content, std::uint64_t position,
                      std::span<std::byte> into);

// Notes where a content was stored, in the record that it belongs to.
void set_content(JobCapture& capture, const ContentPlan& content, const storage::PageDataRef& ref);

}  // namespace cairn::resources
