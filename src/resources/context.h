#pragma once
// What the kinds of kernel objects are given when they capture and rebuild.

#include <sys/stat.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "image/schema/object.pb.h"
#include "image/schema/process.pb.h"
#include "resources/capture.h"
#include "resources/rebuild.h"
#include "resources/remote_process.h"

namespace cairn::resources {

// A descriptor of one of the job's processes.
struct Number {
  std::size_t process = 0;  // its place in the job
  int fd = -1;
  std::uint32_t flags = 0;  // FD_CLOEXEC
};

// One open file, however many descriptors of however many processes lead to it.
struct OpenFile {
  Fd copy;                      // our own descriptor of the same open file
  std::vector<Number> numbers;  // ascending; empty if it is only in flight or mapped
  std::size_t home = 0;         // the process where it was found first
  struct stat info {};
  std::string link;         // what /proc/PID/fd/N says
  std::uint32_t flags = 0;  // F_GETFL
  std::uint64_t object_id = 0;
  bool captured = false;

  [[nodiscard]] std::string name() const;  // "descriptor 7"
  [[nodiscard]] std::uint32_t access() const { return flags & 3; }
  [[nodiscard]] bool readable() const { return access() != 1; }
  [[nodiscard]] bool writable() const { return access() != 0; }
};

// Orders open files: by what costs nothing to compare, and then by the kernel. Two copies of one
// open file are equal, and so one look-up among n of them asks the kernel log n times.
struct OpenFileOrder {
  bool operator()(const OpenFile* a, const OpenFile* b) const;
};

// What this kernel's clocks show, in nanoseconds.
struct ClockReading {
  std::int64_t monotonic = 0;
  std::int64_t boottime = 0;
  std::int64_t realtime = 0;
};

struct CaptureContext;

// What a capture knows of all processes together.
struct CaptureJob {
  const CaptureOptions& options;
  JobCapture& result;
  ClockReading moment{};  // one for all: their clocks are the same, and stay so
  std::uint64_t next_id = 1;
  std::deque<CaptureContext> members{};  // as the processes were given
  std::deque<OpenFile> files{};
  std::set<OpenFile*, OpenFileOrder> distinct{};              // all of `files` that are open
  std::map<std::pair<dev_t, ino_t>, std::uint64_t> pipes{};   // to the Pipe's object id
  std::map<std::pair<dev_t, ino_t>, std::uint64_t> shared{};  // memory objects, to their object id
  std::map<std::int32_t, std::uint64_t> sysv_memory{};        // by real id, to their object id
  // TCP sockets that ended when the rest of what they had sent got to their peer; the peers' ids.
  std::map<std::uint64_t, std::uint64_t> ended_by_drain{};

  std::uint64_t new_id() { return next_id++; }
  // The open file that this descriptor leads to, which is added if nobody has come with it yet.
  Result<OpenFile*> adopt(Fd fd, std::size_t process);
  // A thread or process of the job as the guest knows it; 0: outside.
  [[nodiscard]] std::int32_t virtual_id(std::int32_t real_tid) const;
  // A process of the job that has ended and was not waited for, likewise.
  [[nodiscard]] std::int32_t ended_id(std::int32_t real_pid) const;
};

// One process.
struct CaptureContext {
  CaptureJob& job;
  RemoteProcess& process;
  image::ProcessImage& image;
  std::size_t index = 0;
  std::unique_ptr<abi::RuntimeState> runtime{};
  std::vector<abi::ThreadState> threads{};
};

// "descriptor 7: WHAT PATH cannot be saved".
Failure cannot_save(const OpenFile& file, std::string_view what);
// Something that the program itself is about to end (EAGAIN): worth another try after it has run on.
Failure cannot_save_now(const OpenFile& file, std::string_view what);

// The value of a "name:\tvalue" line of our copy's /proc/self/fdinfo.
Result<std::string> fdinfo_of(int fd);
std::string fdinfo_value(const std::string& fdinfo, std::string_view name);

struct RebuildContext;

// System V sets outlive their makers: those of a rebuild that fails are removed.
class MadeSysvSets {
 public:
  MadeSysvSets() = default;
  MadeSysvSets(const MadeSysvSets&) = delete;
  MadeSysvSets& operator=(const MadeSysvSets&) = delete;
  ~MadeSysvSets();
  struct Set {
    abi::SysvKind kind;
    int real_id;
    bool outside;  // was there before
  };
  void add(std::uint64_t object_id, Set set) { sets_[object_id] = set; }
  void keep() { kept_ = true; }
  [[nodiscard]] int real_id(std::uint64_t object_id) const { return sets_.at(object_id).real_id; }

 private:
  std::map<std::uint64_t, Set> sets_;
  bool kept_ = false;
};

// What a rebuild knows of all processes together.
struct RebuildJob {
  const std::vector<image::KernelObject>& objects;
  RebuildOptions options;
  ClockReading moment{};                 // at which the clocks of all processes go on
  std::deque<RebuildContext> members{};  // as the images were given
  std::map<std::uint64_t, const image::KernelObject*> by_id{};
  std::map<std::uint64_t, std::vector<Number>> numbers{};  // by object id
  std::map<std::uint64_t, Fd> made{};                      // by object id
  std::map<std::uint64_t, std::pair<Fd, Fd>> pipes{};      // by Pipe id: reader, writer
  std::map<std::uint64_t, Fd> lost_peers{};                // by id of the socket that is left
  std::map<std::uint64_t, Fd> removed_names{};             // by id of the bound unix socket
  std::map<std::uint64_t, Fd> ended_pidfds{};              // by object id, until it is asked for
  std::map<std::uint64_t, Fd> hung_up_masters{};           // by pair id of slaves without a master
  std::map<std::pair<dev_t, ino_t>, Fd> removed_directories{};  // by what they were
  std::map<std::uint64_t, std::string> file_paths{};            // where regular files are now
  std::vector<Fd> held{};                                       // open until the rebuild is done
  MadeSysvSets sysv_sets{};

  [[nodiscard]] const image::KernelObject* object(std::uint64_t id) const;
  // Of all processes; none for what is only in flight.
  [[nodiscard]] const std::vector<Number>& numbers_of(std::uint64_t id) const;
  // The first process that has a number for the object; without one, the first of all.
  [[nodiscard]] RebuildContext& holder(std::uint64_t id);
  // The process of that virtual pid; null: it is not in the job any more.
  [[nodiscard]] RebuildContext* member(std::int32_t virtual_pid);
  // Of a member, or of one that has ended and was not waited for; 0: neither.
  [[nodiscard]] std::int32_t real_pid(std::int32_t virtual_pid);
  [[nodiscard]] std::int32_t real_tid(std::int32_t virtual_tid) const;  // 0: no such thread
};

// One process.
struct RebuildContext {
  RebuildJob& job;
  RemoteProcess& process;
  const image::ProcessImage& image;
  std::size_t index = 0;
  std::map<std::string, Fd> mapped_files{};      // behind private mappings, by path
  std::set<std::uint64_t> writable_now{};        // regions, mapped writable for now
  std::set<std::uint64_t> protection_changed{};  // regions, parts of them
  std::vector<std::int32_t> thread_ids{};        // real ones, as image.threads()

  // A number in this process that leads to the object; -1: none.
  [[nodiscard]] int number_of(std::uint64_t id) const;
  [[nodiscard]] std::int32_t real_tid(std::int32_t virtual_tid) const;  // 0: no such thread
};

// One more process of the job, for a capture and for a rebuild.
Result<CaptureContext*> add_member(CaptureJob& job, RemoteProcess& process);
RebuildContext& add_member(RebuildJob& job, RemoteProcess& process,
                           const image::ProcessImage& image);

// Writes stored pages at their offsets and sets the length.
Result<> fill_file(const RebuildJob& job, int fd, const image::Content& content);

}  // namespace cairn::resources
